"`experiments/run.ipynb` as a person types it: parameters, errors, what is left behind."
import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
import pytest
from mftd.launch import _PRELOAD, _register_engine, run_notebook

ROOT = Path(__file__).parent.parent
TINY = dict(d=64, hidden_size=32, train_dataset_size=2000, batch_size=500, epochs=2,
            test_dataset_size=500)
TYPED = [word for k, v in TINY.items() for word in ('-p', k, str(v))]

def run_in(folder):
    "The run in a folder of experiments, None where there is none."
    runs = sorted((folder/'experiments').glob('*'))
    return runs[0] if runs else None

def papermill(folder, *args):
    "Run the notebook with papermill from an empty folder: the process, and the run's folder."
    command = [sys.executable, '-m', 'papermill', ROOT/'experiments/run.ipynb', folder/'out.ipynb',
               '--no-progress-bar', *args]
    env = {k: v for k, v in os.environ.items() if k!='MFTD_EXPERIMENTS'}
    command = [str(word) for word in command]
    p = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=env)
    return p, run_in(folder)

def execute(folder, parameters):
    "Run it in this process, as runs of mftd do; an error is written to a file."
    import papermill
    os.environ.pop('MFTD_EXPERIMENTS', None)
    os.chdir(folder)
    _register_engine()
    try: papermill.execute_notebook(run_notebook(), 'out.ipynb', parameters,
                                    engine_name='in_process', kernel_name='python3',
                                    progress_bar=False)
    except Exception as e: Path('error').write_text(str(e))

def in_a_fork(folder, **parameters):
    "Run it without a kernel, which is much faster: the error, and the run's folder."
    context = multiprocessing.get_context('forkserver' if sys.platform=='linux' else 'spawn')
    if sys.platform=='linux': context.set_forkserver_preload(_PRELOAD)
    p = context.Process(target=execute, args=(folder, parameters))
    p.start()
    p.join()
    error = folder/'error'
    return error.read_text() if error.exists() else None, run_in(folder)

def test_run(tmp_path):
    "A run with a few flat names: it ends with figures, a verdict and a whole record."
    args = '-p learning_rate 0.04 -p preset quick_3blob -p experiment_name mine'.split()
    p, run = papermill(tmp_path, *TYPED, *args)
    assert p.returncode==0, p.stderr[-2000:]
    r = json.loads((run/'results.json').read_text())
    assert (r['status'], r['experiment_name']) == ('completed', 'mine')
    assert (r['config']['training']['learning_rate'], len(r['training_history'])) == (0.04, 2)
    assert run.name.startswith('mine_') and r['environment']['threads']>0
    left = {o.name for o in run.iterdir()}
    assert {'config.json', 'results.json', 'checkpoints', 'pairs', 'figures'} <= left
    assert {p.name for p in (run/'figures').iterdir()}=={'pairs.png', 'history.png', 'weights.png'}
    cells = json.loads((tmp_path/'out.ipynb').read_text())['cells']
    outputs = [o for c in cells for o in c.get('outputs', [])]
    assert sum('image/png' in o.get('data', {}) for o in outputs)==3   # each drawn once

def test_own_json(tmp_path):
    "The path of a config file is a preset."
    own = dict(experiment_name='wide', loss=dict(lambda_on=7.))
    (tmp_path/'wide.json').write_text(json.dumps(own))
    error, run = in_a_fork(tmp_path, **TINY, preset=str(tmp_path/'wide.json'))
    assert error is None, error
    config = json.loads((run/'config.json').read_text())
    assert run.name.startswith('wide_') and config['loss']['lambda_on']==7.

def test_refused(tmp_path):
    "A wrong parameter ends the run before anything is trained or written."
    p, run = papermill(tmp_path, '-p', 'lerning_rate', '0.04')
    assert p.returncode!=0 and run is None
    assert "unknown parameter 'lerning_rate'; did you mean 'learning_rate'?" in p.stderr

@pytest.mark.parametrize('name, value, says', [
    ('learning_rate', 'fast', "learning_rate = 'fast': should be a number"),
    ('sparsity', 5000, 'sparsity = 5000: should be at most d = 1024'),
    ('preset', 'quick_blob', "unknown preset 'quick_blob', and no config JSON of that name; "
                             "did you mean 'quick_3blob'?"),
    ('activation', 'tanh4', "activation = 'tanh4': unknown; did you mean 'tanh'?"),
])
def test_refused_value(tmp_path, name, value, says):
    "So does a wrong value."
    error, run = in_a_fork(tmp_path, **{name: value})
    assert error and says in error and run is None

@pytest.mark.slow
def test_resume_from(tmp_path):
    "A run that was stopped goes on by its name, typed for papermill, and by nothing else."
    from test_survival import TINY as config, history, start_and_stop
    whole = start_and_stop(tmp_path/'whole', config, stop=False)
    stopped = start_and_stop(tmp_path/'experiments', config, stop=True)
    p, run = papermill(tmp_path, '-p', 'resume_from', 'killed')
    assert p.returncode==0, p.stderr[-2000:]
    a, b = [json.loads((o/'results.json').read_text()) for o in (whole, stopped)]
    assert run==stopped and b['status']=='completed' and history(a)==history(b)
    error, _ = in_a_fork(tmp_path, resume_from='killed', epochs=99)
    assert error and 'a run goes on with its own config; remove epochs' in error
