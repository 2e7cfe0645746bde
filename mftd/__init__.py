__version__ = "0.1.0"

import os as _os
# Before torch is loaded: OpenMP threads that wait should sleep. Spinning ones make a step ten times slower where another process uses the cores.
_os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
