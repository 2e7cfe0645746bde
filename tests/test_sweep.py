"Sweeps that are killed or whose trials are; sweeps that share a folder; a Dask cluster."
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
import optuna
import pytest
from mftd.config import ExperimentConfig
from mftd.trials import grid_trials, make_trial, START_SECONDS
from mftd.sweep import load_sweep_results, run_sweep, verdict_line
from mftd.search import optimize_sweep

TINY = ExperimentConfig.from_preset('quick_3blob').override(
    d=64, hidden_size=32, train_dataset_size=2000, batch_size=500, test_dataset_size=500, epochs=4)
ENDLESS = TINY.override(epochs=100_000)

# Without a guard for `__main__`, as a person may write it
SCRIPT = """
import json, sys
from mftd.experiments import run_experiment
from mftd.sweep import run_sweep
from mftd.search import optimize_sweep
how, what, folder = sys.argv[1:]
trials = json.load(open(what))
base = trials[0]['base']
print('begun', flush=True)
if how=='run':
    run_experiment(base, 'tied', output_dir=folder, progress=False)
elif how=='search':
    space = dict(learning_rate=(.01, .1))
    optimize_sweep(space, 'loss', 4, base, folder, workers=2, progress=False)
else:
    run_sweep(trials, folder, workers=int(how), progress=False)
"""
# Activations that need more memory than their process may have
GREEDY = """
import resource
def greedy(x):
    used = int(open('/proc/self/statm').read().split()[0])*resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**28, hard))
    return x*len(bytearray(2**33))
"""

def quick_and_slow(quick, slow):
    return pytest.mark.parametrize('count', [quick, pytest.param(slow, marks=pytest.mark.slow)])

def python(how, trials, folder):
    "A process that runs a sweep; returns as soon as it has begun."
    folder.mkdir(parents=True, exist_ok=True)
    (folder/'wanted.json').write_text(json.dumps(trials))
    (folder/'script.py').write_text(SCRIPT)
    command = [sys.executable, folder/'script.py', how, folder/'wanted.json', folder]
    p = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True,
                         env=dict(os.environ, OMP_NUM_THREADS='1'))
    p.stdout.readline()
    return p

def wait_for(condition, seconds=300):
    "Poll until something is true; fails after a time."
    end = time.time() + seconds
    while not (value := condition()):
        assert time.time()<end
        time.sleep(.005)
    return value

def alive(pid):
    "Does a process compute? (A zombie does not.)"
    if not Path('/proc').exists():
        try: return os.kill(pid, 0) is None
        except OSError: return False
    try: return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]!='Z'
    except OSError: return False

def read(path):
    try: return json.loads(Path(path).read_text())
    except (OSError, ValueError): return {}

def same(records):
    "Records without what differs between two runs of the same."
    differs = ('wall_seconds', 'started_at', 'training_time_seconds', 'output_dir', 'host',
               'attempts', 'earlier_errors')
    return [{k: v for k, v in r.items() if k not in differs} for r in records]

def runs(folder): return sorted(folder.glob('trials/*/sweep_*/'))
def done(folder): return list(folder.glob('trials/*/record.json'))

def training(folder, name='*'):
    "The records of runs that have trained at least an epoch."
    found = [read(p) for p in folder.glob(f'trials/{name}/sweep_*/results.json')]
    return [r for r in found if r.get('training_history')]

def claims(folder):
    "Who holds the trials that have no record."
    held = [p for p in folder.glob('trials/*/claim.json') if not (p.parent/'record.json').exists()]
    return [claim for claim in map(read, held) if claim]

@quick_and_slow(2, 20)
def test_ways_to_fail(tmp_path, monkeypatch, count):
    """Good trials, one that diverges, one that is impossible, one whose notebook raises, one killed
    from outside, one that hangs and is then killed, one that is starved of memory: the sweep ends,
    and every failure has its reason and parameters."""
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path/'starved.py').write_text(GREEDY)
    good = [make_trial(f'good_{k}', TINY, seed=k) for k in range(count)]
    bad = [make_trial('wild', TINY, optimizer_type='sgld', learning_rate=1e6),
           make_trial('impossible', TINY, sparsity=1000),
           make_trial('raises', TINY, activation='tanh4'),
           make_trial('greedy', TINY, activation='starved:greedy'),
           make_trial('hung', ENDLESS),
           make_trial('victim', ENDLESS)]
    def kill():
        pid = wait_for(lambda: training(tmp_path, 'victim'))[0]['pid']
        os.kill(pid, signal.SIGKILL)
        pid = wait_for(lambda: training(tmp_path, 'hung'))[0]['pid']
        os.kill(pid, signal.SIGSTOP)
        time.sleep(.5)
        os.kill(pid, signal.SIGKILL)
    killer = threading.Thread(target=kill)
    killer.start()
    records = run_sweep(bad[::-1] + good, tmp_path, workers=2, progress=False)
    killer.join()
    by = {r['name']: r for r in records}
    says = verdict_line(records)
    assert f'{count} of {count + 6} trials succeeded' in says
    assert sum(r['success'] for r in records)==count
    for name, reason, key, value in [
        ('wild', 'diverged in epoch', 'learning_rate', 1e6),
        ('impossible', 'sparsity = 1000: should be at most d = 64', 'sparsity', 1000),
        ('raises', "activation = 'tanh4': unknown", 'activation', 'tanh4'),
        ('greedy', 'MemoryError', 'activation', 'starved:greedy'),
        ('hung', "the run's process was killed after epoch", 'epochs', 100_000),
        ('victim', "the run's process was killed after epoch", 'epochs', 100_000),
    ]:
        r = by[name]
        assert not r['success'] and reason in r['error'] and name in says, r
        assert r['config_params'][key]==value
    assert read(tmp_path/'sweep_results_final.json')==load_sweep_results(tmp_path)
    assert len(runs(tmp_path))==count + 5
    assert all((p/'run.ipynb').exists() for p in runs(tmp_path))
    assert all(r['environment']['threads']==1 for r in training(tmp_path))

@quick_and_slow(1, 10)
def test_killed_sweep(tmp_path, count):
    """SIGKILL of the sweep at random moments: nothing of it goes on computing, and started again
    every trial has exactly one success, with at most one trial per worker more work than needed
    for each kill."""
    rng = random.Random(count)
    seeds = [0, 1, 2] if count>1 else [0, 1]
    trials = grid_trials(TINY.override(epochs=8), learning_rate=[.02, .05], seed=seeds)
    kills = 0
    for _ in range(count):
        before = len(done(tmp_path))
        p = python('2', trials, tmp_path)
        def under_way():
            now = len(done(tmp_path))
            return claims(tmp_path) and training(tmp_path) and now>=min(before, len(trials) - 1)
        wait_for(lambda: p.poll() is not None or under_way())
        time.sleep(rng.uniform(0, 2))
        if p.poll() is not None: break
        p.kill()
        p.wait()
        kills += 1
        pids = [c['pid'] for c in claims(tmp_path)]
        records = [read(f/'results.json') for f in runs(tmp_path)]
        pids += [r['pid'] for r in records if r.get('status')=='running']
        wait_for(lambda: not any(map(alive, pids)), 20)
    assert kills
    before = {p: p.read_text() for p in done(tmp_path)}
    run_sweep(trials, tmp_path, workers=2, progress=False)
    records = load_sweep_results(tmp_path)
    assert [r['name'] for r in records]==[t['name'] for t in trials]
    assert all(r['success'] and r['attempts']==1 for r in records)
    assert all(p.read_text()==text for p, text in before.items())   # not done again
    assert len(trials) <= len(runs(tmp_path)) <= len(trials) + 2*kills

@pytest.mark.parametrize('group', [True, pytest.param(False, marks=pytest.mark.slow)])
def test_interrupted_sweep(tmp_path, group):
    """Ctrl-C, which a terminal sends to a whole process group, or a signal to the sweep alone:
    the epoch under way is the last, and no other trial is started."""
    trials = grid_trials(ENDLESS, seed=[0, 1, 2])
    p = python('1', trials, tmp_path)
    r, = wait_for(lambda: training(tmp_path))
    if group: os.killpg(p.pid, signal.SIGINT)
    else: p.send_signal(signal.SIGINT)
    assert p.wait(60)!=0
    run, = runs(tmp_path)
    assert read(run/'results.json')['status']=='stopped' and not alive(r['pid'])
    assert not done(tmp_path) and not (run/'stop').exists()

@pytest.mark.slow
def test_two_processes_one_sweep(tmp_path):
    """Two processes on one folder: each trial is run once, and both see all records. The script
    of one has no guard, and its runs do not execute it again."""
    trials = grid_trials(TINY, learning_rate=[.01, .02, .05], seed=[0, 1])
    other = python('1', trials, tmp_path)
    wait_for(lambda: claims(tmp_path) or other.poll() is not None)
    records = run_sweep(trials, tmp_path, workers=1, progress=False)
    assert other.wait()==0 and records==load_sweep_results(tmp_path)
    assert len(records)==len(runs(tmp_path))==6
    assert all(r['success'] and r['attempts']==1 for r in records)
    claimed = [read(p)['pid'] for p in tmp_path.glob('trials/*/claim.json')]
    assert len(set(claimed))==2   # both had a share in it
    assert not any('begun' in (run/'run.log').read_text() for run in runs(tmp_path))

@pytest.mark.slow
def test_run_ends_with_who_waits(tmp_path):
    "SIGKILL of a process that waits for a run: the run ends, and its record grows no more."
    p = python('run', [make_trial('x', ENDLESS)], tmp_path)
    def begun():
        found = [read(f) for f in tmp_path.glob('tied_*/results.json')]
        return [r for r in found if r.get('training_history')]
    r, = wait_for(begun)
    p.kill()
    p.wait()
    wait_for(lambda: not alive(r['pid']), 20)
    file = Path(r['output_dir'])/'results.json'
    text = file.read_text()
    time.sleep(1)
    assert file.read_text()==text

@pytest.mark.slow
@pytest.mark.parametrize('count', [1, 2])
def test_dask_and_a_killed_worker(tmp_path, monkeypatch, count):
    """A real Dask scheduler with two worker processes, one of them killed in the middle: the
    results of the default workers, bit for bit."""
    distributed = pytest.importorskip('distributed')
    import dask
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    rates, seeds = [.02, .05][:count], [0, 1][:count]
    trials = grid_trials(TINY.override(epochs=8), learning_rate=rates, seed=seeds)
    pool = run_sweep(trials, tmp_path/'pool', workers=2, progress=False)
    folder, killed = tmp_path/'dask', []
    def busy():
        "Workers that are at a trial which has begun."
        begun = [f for f in folder.glob('trials/*/') if any(f.glob('sweep_*/results.json'))]
        at_it = [f for f in begun if not (f/'record.json').exists()]
        return [claim['pid'] for claim in (read(f/'claim.json') for f in at_it) if claim]
    def kill():
        killed.append(wait_for(busy)[0])
        os.kill(killed[0], signal.SIGKILL)
    may_have_children = dask.config.set({'distributed.worker.daemon': count==1})
    local = dict(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
    with (may_have_children, distributed.LocalCluster(**local) as cluster,
          distributed.Client(cluster) as client):
        killer = threading.Thread(target=kill)
        killer.start()
        workers = set(client.run(os.getpid).values())
        records = run_sweep(trials, folder, executor=client.get_executor(), progress=False)
        killer.join()
    assert killed[0] in workers and same(records)==same(pool)
    assert all(r['success'] for r in records)
    assert len(runs(folder))==len(trials) + 1   # one was run again, elsewhere

@contextmanager
def namespaces(n):
    """Network namespaces on one bridge, each a machine of its own to whoever asks: yields their
    names and the bridge's address."""
    tag = f'mftd{os.getpid() % 10_000}'
    names = [f'{tag}n{k}' for k in range(n)]
    def ip(*args, check=True):
        subprocess.run(['ip', *args], check=check, capture_output=True)
    try:
        ip('link', 'add', tag, 'type', 'bridge')
        ip('addr', 'add', '10.219.0.1/24', 'dev', tag)
        ip('link', 'set', tag, 'up')
        for k, name in enumerate(names):
            cable = f'{tag}v{k}'
            ip('netns', 'add', name)
            ip('link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
            ip('link', 'set', cable, 'master', tag, 'up')
            ip('-n', name, 'addr', 'add', f'10.219.0.{k + 2}/24', 'dev', 'eth0')
            for dev in ('lo', 'eth0'): ip('-n', name, 'link', 'set', dev, 'up')
        yield names, '10.219.0.1'
    finally:
        for name in names: ip('netns', 'del', name, check=False)
        ip('link', 'del', tag, check=False)

@pytest.mark.slow
def test_two_machines(tmp_path, monkeypatch):
    """Dask workers in two network namespaces, that is on two machines with addresses of their own
    and a shared folder: the results of the default workers, bit for bit, each machine with a share
    in them."""
    distributed = pytest.importorskip('distributed')
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    if not hasattr(os, 'geteuid') or os.geteuid() or not shutil.which('ip'):
        pytest.skip('namespaces need root and iproute2')
    trials = grid_trials(TINY.override(epochs=8), learning_rate=[.02, .05], seed=[0, 1])
    pool = run_sweep(trials, tmp_path/'pool', workers=2, progress=False)
    def worker(name):
        command = ['ip', 'netns', 'exec', name, sys.executable, '-m', 'distributed.cli.dask_worker',
                   cluster.scheduler_address, '--nthreads', '1', '--no-dashboard',
                   '--local-directory', str(tmp_path/name)]
        return subprocess.Popen(command, stderr=subprocess.DEVNULL)
    scheduler = dict(n_workers=0, dashboard_address=None)
    with (namespaces(2) as (names, address),
          distributed.LocalCluster(host=address, **scheduler) as cluster,
          distributed.Client(cluster) as client):
        workers = [worker(name) for name in names]
        try:
            client.wait_for_workers(2, timeout=120)
            executor = client.get_executor()
            records = run_sweep(trials, tmp_path/'dask', executor=executor, progress=False)
            addresses = client.scheduler_info()['workers']
            hosts = {a.partition('//')[2].partition(':')[0] for a in addresses}
            assert hosts=={'10.219.0.2', '10.219.0.3'}
        finally:
            for w in workers:
                w.terminate()
                w.wait()
    assert same(records)==same(pool) and all(r['success'] for r in records)
    claimed = [read(p)['pid'] for p in (tmp_path/'dask').glob('trials/*/claim.json')]
    assert len(set(claimed))==2

def test_pruned(tmp_path):
    "A trial that a pruner gives up is asked to stop; its record and the study say so."
    pruner = optuna.pruners.ThresholdPruner(upper=0.)
    study = optimize_sweep(dict(learning_rate=(.02, .1)), 'loss', 1, ENDLESS, tmp_path, workers=1,
                           pruner=pruner, progress=False)
    record, = load_sweep_results(tmp_path)
    assert record['status']=='pruned' and not record['success']
    assert record['error'].startswith('pruned after epoch') and 0<record['epochs']<100_000
    assert study.trials[0].state==optuna.trial.TrialState.PRUNED

@pytest.mark.slow
def test_killed_search(tmp_path):
    """SIGKILL of a search: started again, it takes over the trials that were under way, under
    their numbers, and ends with as many as were asked for."""
    trials = [make_trial('x', TINY.override(epochs=8))]
    p = python('search', trials, tmp_path)
    wait_for(lambda: done(tmp_path) and claims(tmp_path))
    p.kill()
    p.wait()
    p = python('search', trials, tmp_path)
    assert p.wait()==0
    storage = f'sqlite:///{tmp_path}/study.db'
    study = optuna.load_study(study_name=tmp_path.name, storage=storage)
    assert [t.state.name for t in study.trials]==['COMPLETE']*4
    losses = {r['name']: r['final_test_loss'] for r in load_sweep_results(tmp_path)}
    assert {f't{t.number:04d}': t.value for t in study.trials}==losses

@pytest.mark.slow
def test_overhead(tmp_path, monkeypatch):
    """Sweep time minus the trials' own training time, per trial, one worker; measured on whatever
    else this machine does."""
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    start = time.time()
    records = run_sweep(grid_trials(TINY, seed=list(range(6))), tmp_path, workers=1, progress=False)
    training_seconds = sum(r['training_time_seconds'] for r in records)
    overhead = (time.time() - start - training_seconds)/len(records)
    print(f'{overhead:.1f} s per trial beside its training')
    assert all(r['success'] for r in records) and overhead<10*START_SECONDS
