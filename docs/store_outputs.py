"""Run notebooks in place with nbdev's executor, so that stored outputs are current: python docs/store_outputs.py [--slow] [NOTEBOOK ...]

Cells with `#| eval: false` are not run, nor are slow ones without --slow; they keep the outputs they have.
"""
import os, sys
from pathlib import Path
from execnb.nbio import read_nb, write_nb
from execnb.shell import CaptureShell
from fastcore.utils import working_directory
from nbdev.config import get_config
from nbdev.process import NBProcessor

def run(path):
    path, cfg = Path(path).absolute(), get_config()
    directives = {c.id: getattr(c, 'directives_', {}) or {} for c in NBProcessor(path, rm_directives=False, process=True).nb.cells}
    skip = set(cfg.tst_flags.split()) - ({'slow'} if '--slow' in sys.argv else set())
    def left_out(c): return c.cell_type!='code' or 'nbdev_export(' in c.source or directives[c.id].get('eval:', [''])[0].lower()=='false' or skip & directives[c.id].keys()
    nb = read_nb(path)
    with working_directory(path.parent): CaptureShell(path).run_all(nb, exc_stop=True, preproc=left_out)
    write_nb(nb, path)

if __name__=='__main__':
    os.environ['IN_TEST'] = '1'
    for path in [a for a in sys.argv[1:] if a!='--slow'] or sorted(p for p in get_config().nbs_path.rglob('*.ipynb') if not any(o.startswith(('.', '_')) for o in p.parts[-3:])):
        print(path, flush=True); run(path)
