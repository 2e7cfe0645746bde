"Many networks at once where memory really ends."
import subprocess, sys, os
import pytest

SCRIPT = """
import resource, sys, torch
from mftd.config import ExperimentConfig
from mftd import ensemble
torch.set_num_threads(1)
configs = [ExperimentConfig().override(d=256, hidden_size=128, batch_size=400, train_dataset_size=800, test_dataset_size=400, epochs=1, seed=k, enable_diagnostics=False, device='cpu') for k in range(32)]
ensemble.train_ensemble(configs[:2], progress=False)                          # what Python, torch and its threads take anyway
used = next(int(l.split()[1])*1024 for l in open('/proc/self/status') if l.startswith('VmSize'))
resource.setrlimit(resource.RLIMIT_AS, (used + 10*ensemble.member_bytes(configs[0]),)*2)
ensemble.ACTIVE_BYTES, tried, real = 2**40, [], ensemble.train_together
ensemble.train_together = lambda configs, *args: (tried.append(len(configs)), real(configs, *args))[1]
networks, records = ensemble.train_ensemble(configs, memory=2**40, progress=False)
assert {r['status'] for r in records}=={'completed'}, records
print(*tried)
"""

@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='needs a limit on the address space')
def test_memory_ends():
    "An address space with room for about ten members and a budget that asks for 32: halved until it fits, nothing is lost."
    p = subprocess.run([sys.executable, '-c', SCRIPT], capture_output=True, text=True, env=dict(os.environ, OMP_NUM_THREADS='1'))
    assert p.returncode==0, p.stderr[-2000:]
    tried = [int(o) for o in p.stdout.split()]
    assert tried[0]==32 and 4<=min(tried)<=16 and len(tried)>2, tried
