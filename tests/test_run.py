"`experiments/run.ipynb` as a person types it: parameters, errors, what is left behind."
import json, os, subprocess, sys
from pathlib import Path
import pytest

ROOT = Path(__file__).parent.parent
TINY = '-p d 64 -p hidden_size 32 -p train_dataset_size 2000 -p batch_size 500 -p epochs 2 -p test_dataset_size 500'.split()

def papermill(tmp, *args):
    "Run the notebook with papermill from an empty folder; returns the process and the folder of the run, if there is one."
    p = subprocess.run([sys.executable, '-m', 'papermill', str(ROOT/'experiments/run.ipynb'), str(tmp/'out.ipynb'), '--no-progress-bar', *map(str, args)],
                       capture_output=True, text=True, cwd=tmp, env={k: v for k, v in os.environ.items() if k!='MFTD_EXPERIMENTS'})
    runs = sorted((tmp/'experiments').iterdir()) if (tmp/'experiments').exists() else []
    return p, runs[0] if runs else None

def test_run(tmp_path):
    "A run with a few flat names: it ends with figures, a verdict and a whole record."
    p, run = papermill(tmp_path, *TINY, '-p', 'learning_rate', '0.04', '-p', 'preset', 'quick_3blob', '-p', 'experiment_name', 'mine')
    assert p.returncode==0, p.stderr[-2000:]
    r = json.loads((run/'results.json').read_text())
    assert (r['status'], r['experiment_name'], r['config']['training']['learning_rate'], len(r['training_history']))==('completed', 'mine', 0.04, 2)
    assert run.name.startswith('mine_') and r['environment']['threads']>0
    assert {'config.json', 'results.json', 'checkpoints', 'pairs', 'figures'} <= {o.name for o in run.iterdir()}
    outputs = [o for c in json.loads((tmp_path/'out.ipynb').read_text())['cells'] for o in c.get('outputs', [])]
    assert sum('image/png' in o.get('data', {}) for o in outputs)>=3

def test_own_json(tmp_path):
    "The path of a config file is a preset."
    (tmp_path/'wide.json').write_text(json.dumps(dict(experiment_name='wide', loss=dict(lambda_on=7.))))
    p, run = papermill(tmp_path, *TINY, '-p', 'preset', tmp_path/'wide.json')
    assert p.returncode==0, p.stderr[-2000:]
    assert run.name.startswith('wide_') and json.loads((run/'config.json').read_text())['loss']['lambda_on']==7.

@pytest.mark.parametrize('args, says', [
    (['-p', 'lerning_rate', '0.04'], "unknown parameter 'lerning_rate'; did you mean 'learning_rate'?"),
    (['-p', 'learning_rate', 'fast'], "learning_rate = 'fast': should be a number"),
    (['-p', 'sparsity', '5000'], 'sparsity = 5000: should be at most d = 1024'),
    (['-p', 'preset', 'quick_blob'], "unknown preset 'quick_blob', and no config JSON of that name; did you mean 'quick_3blob'?"),
    (['-p', 'activation', 'tanh4'], "activation = 'tanh4': unknown; did you mean 'tanh'?"),
])
def test_refused(tmp_path, args, says):
    "A wrong parameter ends the run before anything is trained or written."
    p, run = papermill(tmp_path, *args)
    assert p.returncode!=0 and says in p.stderr and run is None

def test_resume_from(tmp_path):
    "A run that was stopped goes on by its name, typed for papermill, and by nothing else."
    from test_survival import TINY as config, history, start_and_stop
    whole, stopped = start_and_stop(tmp_path/'whole', config, stop=False), start_and_stop(tmp_path/'experiments', config, stop=True)
    p, run = papermill(tmp_path, '-p', 'resume_from', 'killed')
    assert p.returncode==0, p.stderr[-2000:]
    a, b = [json.loads((o/'results.json').read_text()) for o in (whole, stopped)]
    assert run==stopped and b['status']=='completed' and history(a)==history(b)
    p, _ = papermill(tmp_path, '-p', 'resume_from', 'killed', '-p', 'epochs', '99')
    assert p.returncode!=0 and 'a run goes on with its own config; remove epochs' in p.stderr
