"Sweeps whose trials, workers or own process are killed; sweeps that share a folder; a Dask cluster."
import json, os, random, shutil, signal, subprocess, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
import optuna, pytest
from mftd.config import ExperimentConfig
from mftd.trials import grid_trials, make_trial, START_SECONDS
from mftd.sweep import load_sweep_results, run_sweep, verdict_line
from mftd.search import optimize_sweep

TINY = ExperimentConfig.from_preset('quick_3blob').override(d=64, hidden_size=32, train_dataset_size=2000, batch_size=500, test_dataset_size=500, epochs=4)
QUICK_AND_SLOW = lambda quick, slow: pytest.mark.parametrize('count', [quick, pytest.param(slow, marks=pytest.mark.slow)])
SCRIPT = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from mftd.experiments import run_experiment
from mftd.sweep import run_sweep
from mftd.search import optimize_sweep
if __name__=='__main__':
    how, what, folder = sys.argv[1:4]; trials = json.load(open(what)); print('begun', flush=True)
    if how=='run': run_experiment(trials[0]['base'], 'tied', output_dir=folder, progress=False)
    elif how=='search': optimize_sweep(dict(learning_rate=(.01, .1)), 'loss', 4, trials[0]['base'], folder, executor=ThreadPoolExecutor(2), workers=2, isolated=False, progress=False)
    elif how=='alone': run_sweep(trials, folder, executor=ThreadPoolExecutor(1), isolated=False, progress=False)
    else: run_sweep(trials, folder, workers=1 + (how=='isolated'), isolated=how=='isolated', progress=False)
"""

def python(how, trials, folder):
    "A process that runs a sweep; returns as soon as it has begun."
    folder.mkdir(parents=True, exist_ok=True); (folder/'wanted.json').write_text(json.dumps(trials))
    p = subprocess.Popen([sys.executable, '-c', SCRIPT, how, str(folder/'wanted.json'), str(folder)], stdout=subprocess.PIPE, text=True, env=dict(os.environ, OMP_NUM_THREADS='1'), start_new_session=True)
    p.stdout.readline()
    return p

def wait_for(condition, seconds=120):
    "Poll until something is true; fails after a time."
    end = time.time() + seconds
    while not (value := condition()): assert time.time()<end; time.sleep(.005)
    return value

def alive(pid):
    "Does a process compute? (A zombie does not.)"
    try: return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]!='Z' if Path('/proc').exists() else os.kill(pid, 0) is None
    except OSError: return False

def read(path):
    try: return json.loads(Path(path).read_text())
    except (OSError, ValueError): return {}

def same(records): return [{k: v for k, v in r.items() if k not in ('wall_seconds', 'started_at', 'training_time_seconds', 'output_dir', 'host', 'attempts', 'earlier_errors')} for r in records]
def runs(folder): return sorted(folder.glob('trials/*/sweep_*/'))
def claims(folder): return [c for p in folder.glob('trials/*/claim.json') if (c := read(p)) and not (p.parent/'record.json').exists()]

@QUICK_AND_SLOW(2, 20)
def test_four_ways_to_fail(tmp_path, monkeypatch, count):
    "Some good trials, one that diverges, one that is impossible, one killed from outside, one whose notebook raises: the sweep ends, and every failure has its reason and parameters."
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    good = [make_trial(f'good_{k}', TINY, seed=k) for k in range(count)]
    bad = [make_trial('wild', TINY, optimizer_type='sgld', learning_rate=1e6), make_trial('impossible', TINY, sparsity=1000), make_trial('victim', TINY, epochs=100_000), make_trial('raises', TINY, activation='tanh4')]
    def kill(): os.kill(wait_for(lambda: next((r['pid'] for p in tmp_path.glob('trials/victim/sweep_*/results.json') if (r := read(p)).get('training_history')), None)), signal.SIGKILL)
    t = threading.Thread(target=kill); t.start()
    with ThreadPoolExecutor(2) as pool:
        if count==2: run_sweep(bad[2:], tmp_path, executor=pool, progress=False)                    # quick: only these two need a process of their own
        records = run_sweep(bad[::-1] + good, tmp_path, executor=pool, isolated=count>2, progress=False); t.join()
    by = {r['name']: r for r in records}; says = verdict_line(records)
    assert f'{count} of {count + 4} trials succeeded' in says and sum(r['success'] for r in records)==count
    for name, reason, key, value in [('wild', 'diverged in epoch', 'learning_rate', 1e6), ('impossible', 'sparsity = 1000: should be at most d = 64', 'sparsity', 1000),
                                     ('victim', 'Kernel died', 'epochs', 100_000), ('raises', "activation = 'tanh4': unknown", 'activation', 'tanh4')]:
        assert not by[name]['success'] and reason in by[name]['error'] and by[name]['config_params'][key]==value and name in says, by[name]
    assert read(tmp_path/'sweep_results_final.json')==load_sweep_results(tmp_path) and len(runs(tmp_path))==count + 3
    assert all((p/'run.ipynb').exists() for p in runs(tmp_path) if count>2 or p.parent.name in ('victim', 'raises'))

@pytest.mark.parametrize('how, count', [('here', 1), pytest.param('isolated', 10, marks=pytest.mark.slow)])
def test_killed_sweep(tmp_path, how, count):
    "SIGKILL of the sweep at random moments: nothing of it goes on computing, and started again every trial has exactly one success, with at most one trial per worker more work than needed for each kill."
    rng, trials, kills = random.Random(count), grid_trials(TINY.override(epochs=8), learning_rate=[.02, .05], seed=[0, 1, 2]), 0
    for k in range(count):
        p = python(how, trials, tmp_path); done = len(list(tmp_path.glob('trials/*/record.json')))
        wait_for(lambda: p.poll() is not None or claims(tmp_path) and len(list(tmp_path.glob('trials/*/record.json')))>=min(done, 5)); time.sleep(rng.uniform(0, 2))
        if p.poll() is not None: break
        p.kill(); p.wait(); kills += 1
        pids = [c['pid'] for c in claims(tmp_path)] + [r['pid'] for f in runs(tmp_path) if (r := read(f/'results.json')).get('status')=='running']
        wait_for(lambda: not any(map(alive, pids)), 20)
    assert kills
    before = {p: p.read_text() for p in tmp_path.glob('trials/*/record.json')}
    with ThreadPoolExecutor(2) as pool: run_sweep(trials, tmp_path, executor=pool, isolated=how=='isolated', progress=False)
    records = load_sweep_results(tmp_path)
    assert [r['name'] for r in records]==[t['name'] for t in trials] and all(r['success'] and r['attempts']==1 for r in records)
    assert all(p.read_text()==text for p, text in before.items())                   # what was done was not done again
    assert len(trials) <= len(runs(tmp_path)) <= len(trials) + 2*kills

def test_two_processes_one_sweep(tmp_path):
    "Two processes on one folder: each trial is run once, and both see all records."
    trials = grid_trials(TINY, learning_rate=[.01, .02, .05], seed=[0, 1, 2])
    other = python('alone', trials, tmp_path); wait_for(lambda: claims(tmp_path) or other.poll() is not None)
    with ThreadPoolExecutor(1) as pool: records = run_sweep(trials, tmp_path, executor=pool, isolated=False, progress=False)
    assert other.wait()==0 and records==load_sweep_results(tmp_path)
    assert len(records)==len(runs(tmp_path))==9 and all(r['success'] and r['attempts']==1 for r in records)
    assert len({read(p)['pid'] for p in tmp_path.glob('trials/*/claim.json')})==2          # both had a share in it

def test_run_ends_with_who_waits(tmp_path):
    "SIGKILL of a process that waits for a run: the run's process and kernel end, and the record grows no more."
    p = python('run', [make_trial('x', TINY.override(epochs=100_000))], tmp_path)
    r = wait_for(lambda: next((r for f in tmp_path.glob('tied_*/results.json') if (r := read(f)).get('training_history')), None))
    p.kill(); p.wait(); wait_for(lambda: not alive(r['pid']), 20)
    file = Path(r['output_dir'])/'results.json'; text = file.read_text(); time.sleep(1)
    assert file.read_text()==text

def test_kernel_start_is_retried(tmp_path, monkeypatch):
    "A kernel that dies before its first answer is started again, three times at most; other errors are not."
    import papermill
    from mftd import experiments
    calls = []
    def flaky(*args, **kwargs):
        calls.append(1)
        if len(calls)<3: raise RuntimeError('Kernel died before replying to kernel_info')
    monkeypatch.setattr(papermill, 'execute_notebook', flaky); monkeypatch.setattr(experiments.time, 'sleep', lambda s: None)
    experiments._execute(tmp_path, {}); assert len(calls)==3
    def broken(*args, **kwargs): calls.append(1); raise RuntimeError(kwargs and says)
    monkeypatch.setattr(papermill, 'execute_notebook', broken)
    for says, tries in (('Kernel died before replying to kernel_info', 3), ('Kernel died', 1)):
        calls.clear()
        with pytest.raises(RuntimeError, match=says): experiments._execute(tmp_path, {})
        assert len(calls)==tries

@pytest.mark.parametrize('isolated', [False, pytest.param(True, marks=pytest.mark.slow)])
def test_dask_and_a_killed_worker(tmp_path, monkeypatch, isolated):
    "A real Dask scheduler with two worker processes, one of them killed in the middle: the results of the process pool, bit for bit."
    distributed = pytest.importorskip('distributed'); monkeypatch.setenv('OMP_NUM_THREADS', '1')
    trials = grid_trials(TINY.override(epochs=8), learning_rate=[.02, .05], seed=[0, 1])
    pool = run_sweep(trials, tmp_path/'pool', workers=1 + isolated, isolated=isolated, progress=False)
    killed = []
    def kill(): # a worker that is at a trial which has begun
        def busy(): return next((c['pid'] for f in (tmp_path/'dask').glob('trials/*/') if (c := read(f/'claim.json')) and not (f/'record.json').exists() and any(f.glob('sweep_*/results.json'))), None)
        killed.append(wait_for(busy)); os.kill(killed[0], signal.SIGKILL)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster, distributed.Client(cluster) as client:
        t = threading.Thread(target=kill); t.start()
        workers = set(client.run(os.getpid).values())
        dask = run_sweep(trials, tmp_path/'dask', executor=client.get_executor(), isolated=isolated, progress=False); t.join()
    assert killed[0] in workers and same(dask)==same(pool) and all(r['success'] for r in dask)
    assert len(runs(tmp_path/'dask'))==len(trials) + 1                              # one was run again, elsewhere

@contextmanager
def namespaces(n):
    "Network namespaces on one bridge, each a machine of its own to whoever asks: yields their names and the bridge's address."
    tag = f'mftd{os.getpid() % 10_000}'; names = [f'{tag}n{k}' for k in range(n)]; ip = lambda *a, check=True: subprocess.run(['ip', *a], check=check, capture_output=True)
    try:
        ip('link', 'add', tag, 'type', 'bridge'); ip('addr', 'add', '10.219.0.1/24', 'dev', tag); ip('link', 'set', tag, 'up')
        for k, name in enumerate(names):
            ip('netns', 'add', name); ip('link', 'add', f'{tag}v{k}', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name); ip('link', 'set', f'{tag}v{k}', 'master', tag, 'up')
            ip('-n', name, 'addr', 'add', f'10.219.0.{k + 2}/24', 'dev', 'eth0')
            for dev in ('lo', 'eth0'): ip('-n', name, 'link', 'set', dev, 'up')
        yield names, '10.219.0.1'
    finally:
        for name in names: ip('netns', 'del', name, check=False)
        ip('link', 'del', tag, check=False)

@pytest.mark.slow
def test_two_machines(tmp_path, monkeypatch):
    "Dask workers in two network namespaces, that is on two machines with addresses of their own and a shared folder: the results of the process pool, bit for bit, each machine with a share in them."
    distributed = pytest.importorskip('distributed'); monkeypatch.setenv('OMP_NUM_THREADS', '1')
    if not hasattr(os, 'geteuid') or os.geteuid() or not shutil.which('ip'): pytest.skip('namespaces need root and iproute2')
    trials = grid_trials(TINY.override(epochs=8), learning_rate=[.02, .05], seed=[0, 1]); pool = run_sweep(trials, tmp_path/'pool', workers=2, progress=False)
    with namespaces(2) as (names, address):
        with distributed.LocalCluster(n_workers=0, host=address, dashboard_address=None) as cluster, distributed.Client(cluster) as client:
            workers = [subprocess.Popen(['ip', 'netns', 'exec', n, sys.executable, '-m', 'distributed.cli.dask_worker', cluster.scheduler_address, '--nthreads', '1', '--no-dashboard', '--local-directory', str(tmp_path/n)], stderr=subprocess.DEVNULL) for n in names]
            try:
                client.wait_for_workers(2, timeout=120)
                dask = run_sweep(trials, tmp_path/'dask', executor=client.get_executor(), progress=False)
                assert {w.partition('//')[2].partition(':')[0] for w in client.scheduler_info()['workers']}=={'10.219.0.2', '10.219.0.3'}
            finally:
                for w in workers: w.terminate(); w.wait()
    assert same(dask)==same(pool) and all(r['success'] for r in dask)
    assert len({read(p)['pid'] for p in (tmp_path/'dask').glob('trials/*/claim.json')})==2

@pytest.mark.slow
@pytest.mark.parametrize('isolated', [False, True])
def test_killed_pool_worker(tmp_path, isolated):
    "A worker of the process pool is killed in the middle: every trial succeeds; one that kills its worker every time is a failure that says so."
    trials = grid_trials(TINY.override(epochs=12), seed=[0, 1, 2, 3])
    def kill(): os.kill(wait_for(lambda: next((c['pid'] for c in claims(tmp_path)), None)), signal.SIGKILL)
    t = threading.Thread(target=kill); t.start()
    records = run_sweep(trials, tmp_path, workers=2, isolated=isolated, progress=False); t.join()
    assert all(r['success'] for r in records) and len(runs(tmp_path))>=len(trials)
    deadly, stop = [make_trial('deadly', TINY, epochs=100_000)], threading.Event()
    def keep_killing():
        while not stop.is_set():
            for c in claims(tmp_path/'b'):
                if c['pid']!=os.getpid() and alive(c['pid']): os.kill(c['pid'], signal.SIGKILL)
            time.sleep(.05)
    t = threading.Thread(target=keep_killing); t.start()
    record, = run_sweep(deadly, tmp_path/'b', workers=1, isolated=isolated, progress=False); stop.set(); t.join()
    assert not record['success'] and 'the worker that ran it died 3 times' in record['error'] and record['config_params']['epochs']==100_000

def test_pruned(tmp_path):
    "A trial that a pruner gives up is asked to stop; its record and the study say so."
    with ThreadPoolExecutor(1) as pool:
        study = optimize_sweep(dict(learning_rate=(.02, .1)), 'loss', 1, TINY.override(epochs=100_000), tmp_path, executor=pool, isolated=False, pruner=optuna.pruners.ThresholdPruner(upper=0.), progress=False)
    record, = load_sweep_results(tmp_path)
    assert record['status']=='pruned' and not record['success'] and record['error'].startswith('pruned after epoch') and 0<record['epochs']<100_000
    assert study.trials[0].state==optuna.trial.TrialState.PRUNED

@pytest.mark.slow
def test_killed_search(tmp_path):
    "SIGKILL of a search: started again, it takes over the trials that were under way, under their numbers, and ends with as many as were asked for."
    trials = [make_trial('x', TINY.override(epochs=8))]
    p = python('search', trials, tmp_path); wait_for(lambda: any(tmp_path.glob('trials/*/record.json')) and len(claims(tmp_path))>0); p.kill(); p.wait()
    p = python('search', trials, tmp_path); assert p.wait()==0
    study = optuna.load_study(study_name=tmp_path.name, storage=f'sqlite:///{tmp_path}/study.db')
    assert [t.state.name for t in study.trials]==['COMPLETE']*4
    assert {f't{t.number:04d}': t.value for t in study.trials}=={r['name']: r['final_test_loss'] for r in load_sweep_results(tmp_path)}

@pytest.mark.slow
def test_overhead(tmp_path, monkeypatch):
    "Sweep time minus the trials' own training time, per trial, one worker; measured on whatever else this machine does."
    monkeypatch.setenv('OMP_NUM_THREADS', '1'); start = time.time()
    records = run_sweep(grid_trials(TINY, seed=list(range(6))), tmp_path, workers=1, progress=False)
    overhead = (time.time() - start - sum(r['training_time_seconds'] for r in records))/len(records)
    print(f'{overhead:.1f} s a trial beside its training')
    assert all(r['success'] for r in records) and overhead<10*START_SECONDS
