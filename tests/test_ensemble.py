"Many networks at once where memory really ends."
import os
import subprocess
import sys
import pytest

SCRIPT = """
import resource, torch
from mftd.config import ExperimentConfig
from mftd import ensemble_training
torch.set_num_threads(1)
base = ExperimentConfig().override(
    d=256, hidden_size=128, batch_size=400, train_dataset_size=800, test_dataset_size=400,
    epochs=1, enable_diagnostics=False, device='cpu')
configs = [base.override(seed=seed) for seed in range(32)]
# what Python, torch and its threads take anyway
ensemble_training.train_ensemble(configs[:2], progress=False)
lines = open('/proc/self/status').readlines()
used = next(int(line.split()[1])*1024 for line in lines if line.startswith('VmSize'))
limit = used + 10*ensemble_training.member_bytes(base)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

tried, train_together = [], ensemble_training.train_together
def counted(configs, *args):
    tried.append(len(configs))
    return train_together(configs, *args)
ensemble_training.ACTIVE_BYTES = 2**40
ensemble_training.train_together = counted
_, records = ensemble_training.train_ensemble(configs, memory=2**40, progress=False)
assert {record['status'] for record in records}=={'completed'}, records
print(*tried)
"""

linux = pytest.mark.skipif(
    not sys.platform.startswith('linux'), reason='needs a limit on the address space')

@linux
def test_memory_ends():
    "Room for ten members and a budget that asks for 32: halved until it fits, nothing is lost."
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT], capture_output=True, text=True,
        env=dict(os.environ, OMP_NUM_THREADS='1'))
    assert done.returncode==0, done.stderr[-2000:]
    tried = [int(count) for count in done.stdout.split()]
    assert tried[0]==32 and 4<=min(tried)<=16 and len(tried)>2, tried
