"Runs that are killed, watched, starved of disk or fed nonsense."
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from mftd.config import ConfigError, ExperimentConfig, FIELDS, PRESETS
from mftd.data import create_dataloaders
from mftd.model import TwoLayerNet
from mftd.tracking import ExperimentTracker, read_results, ResultsError
from mftd.training import train
from mftd.results import find_runs, load_results, summary

TINY = ExperimentConfig.from_preset('quick_3blob').override(
    d=64, hidden_size=32, train_dataset_size=2000, batch_size=500, test_dataset_size=500, epochs=12,
    save_epoch_checkpoints=True, checkpoints_kept=2, experiment_name='killed')

SCRIPT = """
import sys
from mftd.config import ExperimentConfig
from mftd.data import create_dataloaders
from mftd.model import TwoLayerNet
from mftd.tracking import ExperimentTracker
from mftd.training import train
how, *where = sys.argv[1:]
if how=='resume':
    tracker, checkpoint = ExperimentTracker.resume(*where)
else:
    file, folder = where
    tracker = ExperimentTracker(ExperimentConfig.load(file), output_dir=folder).start()
    checkpoint = None
config = tracker.config
print('begun', flush=True)
net = TwoLayerNet.from_config(config)
train(net, *create_dataloaders(config), config, tracker, checkpoint, progress=False)
"""

def quick_and_slow(quick, slow):
    return pytest.mark.parametrize('count', [quick, pytest.param(slow, marks=pytest.mark.slow)])

def python(*args):
    command = [sys.executable, '-c', SCRIPT, *map(str, args)]
    env = dict(os.environ, OMP_NUM_THREADS='1')
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)

def history(r): return [{k: v for k, v in e.items() if k!='seconds'} for e in r['training_history']]
def final(folder): return torch.load(folder/'checkpoints/final.pt', weights_only=True)
def read(path): return json.loads(path.read_text())

def train_here(tracker):
    c = tracker.config
    train(TwoLayerNet.from_config(c), *create_dataloaders(c), c, tracker, progress=False)

def start_and_stop(root, config, stop):
    "A run in this process, stopped after its first epoch if asked; returns its folder."
    tracker = ExperimentTracker(config, output_dir=root).start()
    if stop: tracker.request_stop()
    train_here(tracker)
    return tracker.directory

@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    "The run that nothing happens to: its folder, record and duration."
    tmp = tmp_path_factory.mktemp('whole')
    TINY.save(tmp/'c.json')
    p = python('start', tmp/'c.json', tmp)
    p.stdout.readline()
    start = time.time()
    assert p.wait()==0
    folder = next(tmp.glob('killed_*'))
    return folder, read_results(folder), time.time() - start

def wait_for_epoch(process, root, epoch):
    "Return as soon as the run under `root` has recorded `epoch` epochs, or its process has ended."
    while process.poll() is None:
        records = [read(f) for f in root.glob('killed_*/results.json')]
        if any(len(r['training_history'])>=epoch for r in records): return
        time.sleep(.001)

@quick_and_slow(2, 20)
def test_killed_and_resumed(whole, tmp_path, count):
    """SIGKILL at random moments: what is there is readable, at most one epoch is lost, and resuming
    ends bit-identical."""
    expected, record, seconds = whole
    epochs = TINY.training.epochs
    rng = random.Random(count)
    resumed = tried = 0
    TINY.save(tmp_path/'c.json')
    while resumed<count:   # a run that ended before the kill reached it does not count
        tried += 1
        assert tried<10*count
        out = tmp_path/str(tried)
        p = python('start', tmp_path/'c.json', out)
        p.stdout.readline()
        wait_for_epoch(p, out, rng.randrange(1, epochs - 2))
        time.sleep(rng.uniform(0, 2*seconds/epochs))
        p.kill()
        p.wait()
        folder = next(out.glob('killed_*'))
        r = read_results(folder)
        done = len(r['training_history'])
        if r['status']=='completed': continue
        assert r['status']=='interrupted' and history(r)==history(record)[:done]
        checkpoints = sorted((folder/'checkpoints').glob('epoch_*.pt'))
        kept = [torch.load(c, weights_only=True)['epoch'] for c in checkpoints]   # each is whole
        assert max(kept) in (done, done + 1)   # a checkpoint comes before its record
        p = python('resume', folder)
        assert p.wait()==0
        resumed += 1
        r = read_results(folder)
        assert r['status']=='completed' and history(r)==history(record)
        assert all(torch.equal(v, final(folder)[k]) for k, v in final(expected).items())

def test_reader_never_sees_half(tmp_path):
    "A reader that polls all the time through a whole run sees valid records only, epochs in order."
    tracker = ExperimentTracker(TINY, output_dir=tmp_path).start()
    seen, stop = [], threading.Event()
    def poll():
        while not stop.is_set():
            seen.append(len(read(tracker.directory/'results.json')['training_history']))
            time.sleep(.001)
    reader = threading.Thread(target=poll)
    reader.start()
    train_here(tracker)
    stop.set()
    reader.join()
    assert len(seen)>20 and seen==sorted(seen)

def test_folder_vanishes(tmp_path):
    "The run's folder is deleted under it: the error names the file."
    tracker = ExperimentTracker(TINY, output_dir=tmp_path).start()
    shutil.rmtree(tracker.directory)
    with pytest.raises(OSError, match='killed_'): train_here(tracker)

def test_nowhere_to_write(tmp_path):
    "A file where the experiments folder should be: one clear error."
    (tmp_path/'experiments').write_text('')
    tracker = ExperimentTracker(TINY, output_dir=tmp_path/'experiments')
    with pytest.raises(OSError, match='experiments'): tracker.start()

@contextmanager
def small_disk(folder, options):
    "A file system in memory, mounted on a new folder."
    if os.geteuid() or not shutil.which('mount'): pytest.skip('mounting needs root')
    folder.mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', folder]
    if subprocess.run(mount).returncode: pytest.skip('cannot mount a tmpfs here')
    try: yield
    finally: subprocess.run(['umount', folder])

def test_disk_full(tmp_path):
    "A full disk: a clear error, earlier epochs intact, no half-written file under a final name."
    says = '(?i)no space|file write|unexpected pos|enforce fail'
    with small_disk(tmp_path/'small', 'size=1m'):
        config = TINY.override(epochs=200, checkpoints_kept=0)
        tracker = ExperimentTracker(config, output_dir=tmp_path/'small').start()
        with pytest.raises(Exception, match=says): train_here(tracker)
        assert len(read(tracker.directory/'results.json')['training_history'])>=1
        assert not list(tracker.directory.rglob('.*'))
        for p in tracker.checkpoints(): torch.load(p, weights_only=True)

def test_read_only(tmp_path):
    "A folder on a read-only file system: one clear error, nothing written."
    with small_disk(tmp_path/'small', 'size=1m,ro'):
        tracker = ExperimentTracker(TINY, output_dir=tmp_path/'small')
        with pytest.raises(OSError, match='(?i)read-only'): tracker.start()
        assert not list((tmp_path/'small').iterdir())

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-10**12, 10**12), st.floats(),
                    st.text(max_size=8), st.lists(st.integers(), max_size=2))
FULL_NAMES = [f'{section}.{field}' for field, section in FIELDS.items()]
NAMES = st.one_of(st.sampled_from([*FIELDS, *FULL_NAMES, 'experiment_name']), st.text(max_size=12))

def nest(o): return st.one_of(st.lists(o, max_size=3), st.dictionaries(NAMES, o, max_size=3))
JSON = st.recursive(SCALARS, nest, max_leaves=8)

def fuzzing(count):
    checks = list(HealthCheck)
    return settings(max_examples=count, deadline=None, database=None, suppress_health_check=checks)

@quick_and_slow(100, 1000)
def test_fuzz_configs(count):
    "Whatever is given as overrides or as a config dict: a config, or a `ConfigError`."
    @fuzzing(count)
    @given(st.dictionaries(NAMES, SCALARS, max_size=4), JSON, st.sampled_from(list(PRESETS)))
    def fuzz(changes, nested, preset):
        for make in (
            lambda: ExperimentConfig.from_preset(preset).override(changes),
            lambda: ExperimentConfig.from_dict(nested),
            lambda: ExperimentConfig.from_preset(str(nested)[:60]),
        ):
            try: c = make()
            except ConfigError as e: assert str(e)
            else: assert ExperimentConfig.from_dict(json.loads(json.dumps(c.to_dict())))==c
    fuzz()

@quick_and_slow(100, 1000)
def test_fuzz_results(tmp_path, count):
    "Whatever stands in results.json: a record, or a `ResultsError`."
    folder = tmp_path/'x_1'
    folder.mkdir()
    good = ExperimentTracker(TINY).results
    changed = st.dictionaries(st.sampled_from(list(good)), JSON, max_size=4)
    @fuzzing(count)
    @given(st.one_of(st.binary(max_size=40), JSON, changed), st.integers(0, 3000))
    def fuzz(what, cut):
        if isinstance(what, dict): what = {**good, **what}
        text = what if isinstance(what, bytes) else json.dumps(what).encode()
        (folder/'results.json').write_bytes(text[:max(cut, 1)] if cut%3==0 else text)
        for reader in (
            lambda: read_results(folder),
            lambda: load_results('x', tmp_path),
            lambda: find_runs(None, tmp_path),
            lambda: [summary(r) for r in find_runs(None, tmp_path)[0]],
            lambda: ExperimentTracker.resumable(folder),
        ):
            try: reader()
            except (ResultsError, ConfigError) as e: assert str(e)
    fuzz()
