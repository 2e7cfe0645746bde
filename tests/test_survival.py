"Runs that are killed, watched, starved of disk or fed nonsense."
import json, os, random, subprocess, sys, threading, time
from pathlib import Path
import pytest, torch
from hypothesis import HealthCheck, given, settings, strategies as st
from mftd.config import ConfigError, ExperimentConfig, FIELDS, PRESETS
from mftd.data import create_dataloaders
from mftd.model import TwoLayerNet
from mftd.tracking import ExperimentTracker, read_results, ResultsError
from mftd.training import train
from mftd.results import find_runs, load_results, summary

TINY = ExperimentConfig.from_preset('quick_3blob').override(d=64, hidden_size=32, train_dataset_size=2000, batch_size=500, test_dataset_size=500, epochs=12,
                                                            save_epoch_checkpoints=True, checkpoints_kept=2, experiment_name='killed')
SCRIPT = """
import sys
from mftd.config import ExperimentConfig
from mftd.data import create_dataloaders
from mftd.model import TwoLayerNet
from mftd.tracking import ExperimentTracker
from mftd.training import train
if sys.argv[1]=='start': tracker, checkpoint = ExperimentTracker(ExperimentConfig.load(sys.argv[2]), output_dir=sys.argv[3]).start(), None
else: tracker, checkpoint = ExperimentTracker.resume(sys.argv[2])
print('begun', flush=True)
train(TwoLayerNet.from_config(tracker.config), *create_dataloaders(tracker.config), tracker.config, tracker, checkpoint, progress=False)
"""
QUICK_AND_SLOW = lambda quick, slow: pytest.mark.parametrize('count', [quick, pytest.param(slow, marks=pytest.mark.slow)])

def python(*args): return subprocess.Popen([sys.executable, '-c', SCRIPT, *map(str, args)], stdout=subprocess.PIPE, text=True, env=dict(os.environ, OMP_NUM_THREADS='1'))
def history(r): return [{k: v for k, v in e.items() if k!='seconds'} for e in r['training_history']]
def final(folder): return torch.load(folder/'checkpoints/final.pt', weights_only=True)

def start_and_stop(root, config, stop):
    "A run in this process, stopped after its first epoch if asked; returns its folder."
    tracker = ExperimentTracker(config, output_dir=root).start()
    if stop: tracker.request_stop()
    train(TwoLayerNet.from_config(config), *create_dataloaders(config), config, tracker, progress=False)
    return tracker.directory

@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    "The run that nothing happens to: its folder, record and duration."
    tmp = tmp_path_factory.mktemp('whole'); TINY.save(tmp/'c.json')
    p = python('start', tmp/'c.json', tmp); p.stdout.readline(); t = time.time(); assert p.wait()==0
    folder = next(tmp.glob('killed_*'))
    return folder, read_results(folder), time.time() - t

def wait_for_epoch(process, root, epoch):
    "Return as soon as the record of the run under `root` holds `epoch` epochs, or the process has ended."
    while process.poll() is None:
        if any(len(json.loads(f.read_text())['training_history'])>=epoch for f in root.glob('killed_*/results.json')): return
        time.sleep(.001)

@QUICK_AND_SLOW(2, 20)
def test_killed_and_resumed(whole, tmp_path, count):
    "SIGKILL at random moments: what is there is readable, at most one epoch is lost, and resuming ends bit-identical."
    expected, record, seconds = whole; rng, resumed, tried = random.Random(count), 0, 0; TINY.save(tmp_path/'c.json')
    while resumed<count:                                                          # a run that ended before the kill reached it does not count
        tried += 1; assert tried<10*count
        out = tmp_path/str(tried); p = python('start', tmp_path/'c.json', out); p.stdout.readline()
        wait_for_epoch(p, out, rng.randrange(1, TINY.training.epochs - 2)); time.sleep(rng.uniform(0, 2*seconds/TINY.training.epochs)); p.kill(); p.wait()
        folder = next(out.glob('killed_*')); r = read_results(folder); done = len(r['training_history'])
        if r['status']=='completed': continue
        assert r['status']=='interrupted' and history(r)==history(record)[:done]
        kept = [torch.load(c, weights_only=True)['epoch'] for c in sorted((folder/'checkpoints').glob('epoch_*.pt'))]     # every one is whole
        assert max(kept) in (done, done + 1)                                      # a checkpoint comes before its record
        p = python('resume', folder); assert p.wait()==0
        r = read_results(folder); resumed += 1
        assert r['status']=='completed' and history(r)==history(record)
        assert all(torch.equal(v, final(folder)[k]) for k, v in final(expected).items())

def test_reader_never_sees_half(tmp_path):
    "A reader that polls as fast as it can through a whole run sees valid records only, epochs in order."
    tracker = ExperimentTracker(TINY, output_dir=tmp_path).start(); seen, stop = [], threading.Event()
    def poll():
        while not stop.is_set(): seen.append(len(json.loads((tracker.directory/'results.json').read_text())['training_history'])); time.sleep(.001)
    t = threading.Thread(target=poll); t.start()
    train(TwoLayerNet.from_config(TINY), *create_dataloaders(TINY), TINY, tracker, progress=False)
    stop.set(); t.join()
    assert len(seen)>20 and seen==sorted(seen)

def test_folder_vanishes(tmp_path):
    "The run's folder is deleted under it: the error names the file."
    tracker = ExperimentTracker(TINY, output_dir=tmp_path).start()
    import shutil; shutil.rmtree(tracker.directory)
    with pytest.raises(OSError, match='killed_'): train(TwoLayerNet.from_config(TINY), *create_dataloaders(TINY), TINY, tracker, progress=False)

def test_nowhere_to_write(tmp_path):
    "A file where the experiments folder should be: one clear error."
    (tmp_path/'experiments').write_text('')
    with pytest.raises(OSError, match='experiments'): ExperimentTracker(TINY, output_dir=tmp_path/'experiments').start()

@pytest.mark.skipif(os.geteuid()!=0 or not Path('/bin/mount').exists(), reason='needs to mount a small tmpfs')
def test_disk_full(tmp_path):
    "A full disk: a clear error, earlier epochs intact, no half-written file under a final name."
    small = tmp_path/'small'; small.mkdir()
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small]).returncode: pytest.skip('cannot mount a tmpfs here')
    try:
        c = TINY.override(epochs=200, checkpoints_kept=0); tracker = ExperimentTracker(c, output_dir=small).start()
        with pytest.raises(Exception, match='(?i)no space|file write|unexpected pos|enforce fail'): train(TwoLayerNet.from_config(c), *create_dataloaders(c), c, tracker, progress=False)
        r = json.loads((tracker.directory/'results.json').read_text())
        assert len(r['training_history'])>=1 and not [p for p in tracker.directory.rglob('.*')]
        for p in tracker.checkpoints(): torch.load(p, weights_only=True)
    finally: subprocess.run(['umount', small])

@pytest.mark.skipif(os.geteuid()!=0 or not Path('/bin/mount').exists(), reason='needs to mount a tmpfs')
def test_read_only(tmp_path):
    "A folder on a read-only file system: one clear error, nothing written."
    small = tmp_path/'small'; small.mkdir()
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m,ro', 'tmpfs', small]).returncode: pytest.skip('cannot mount a tmpfs here')
    try:
        with pytest.raises(OSError, match='(?i)read-only'): ExperimentTracker(TINY, output_dir=small).start()
        assert not list(small.iterdir())
    finally: subprocess.run(['umount', small])

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-10**12, 10**12), st.floats(), st.text(max_size=8), st.lists(st.integers(), max_size=2))
NAMES = st.one_of(st.sampled_from([*FIELDS, *(f'{s}.{f}' for f, s in FIELDS.items()), 'experiment_name']), st.text(max_size=12))
JSON = st.recursive(SCALARS, lambda o: st.one_of(st.lists(o, max_size=3), st.dictionaries(NAMES, o, max_size=3)), max_leaves=8)

@QUICK_AND_SLOW(100, 1000)
def test_fuzz_configs(count):
    "Whatever is given as overrides or as a config dict: a config, or a `ConfigError`."
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(NAMES, SCALARS, max_size=4), JSON, st.sampled_from(list(PRESETS)))
    def fuzz(changes, nested, preset):
        for f in (lambda: ExperimentConfig.from_preset(preset).override(changes), lambda: ExperimentConfig.from_dict(nested), lambda: ExperimentConfig.from_preset(str(nested)[:60])):
            try: c = f()
            except ConfigError as e: assert str(e)
            else: assert ExperimentConfig.from_dict(json.loads(json.dumps(c.to_dict())))==c
    fuzz()

@QUICK_AND_SLOW(100, 1000)
def test_fuzz_results(tmp_path, count):
    "Whatever stands in results.json: a record, or a `ResultsError`."
    folder = tmp_path/'x_1'; folder.mkdir(); good = ExperimentTracker(TINY).results
    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(st.binary(max_size=40), JSON, st.dictionaries(st.sampled_from(list(good)), JSON, max_size=4)), st.integers(0, 3000))
    def fuzz(what, cut):
        text = what if isinstance(what, bytes) else json.dumps({**good, **what} if isinstance(what, dict) else what).encode()
        (folder/'results.json').write_bytes(text[:max(cut, 1)] if cut%3==0 else text)
        for f in (lambda: read_results(folder), lambda: load_results('x', tmp_path), lambda: find_runs(None, tmp_path), lambda: [summary(r) for r in find_runs(None, tmp_path)[0]], lambda: ExperimentTracker.resumable(folder)):
            try: f()
            except (ResultsError, ConfigError) as e: assert str(e)
    fuzz()
