"The text view in a real terminal (tmux), wide and narrow."
import os, shutil, subprocess, sys, time
import pytest
from mftd.config import ExperimentConfig
from mftd.experiments import run_experiment
pytestmark = pytest.mark.slow

@pytest.mark.skipif(not shutil.which('tmux'), reason='no tmux')
@pytest.mark.parametrize('size', [(120, 34), (46, 18)])
def test_terminal(tmp_path, size):
    "Redrawn in place: one headline, one table, within the window; ends with the run."
    width, height = size; config = ExperimentConfig.from_preset('quick_3blob').override(epochs=400, train_dataset_size=6000, experiment_name='watched')
    handle = run_experiment(config, wait=False, output_dir=tmp_path); name = f'mftd_{os.getpid()}_{width}'
    tmux = lambda *a: subprocess.run(['tmux', *a], check=True, capture_output=True, text=True).stdout
    try:
        tmux('new-session', '-d', '-s', name, '-x', str(width), '-y', str(height), f'env -u COLUMNS -u LINES {sys.executable} -c "from mftd.cli import main; main()" monitor {handle.directory} --interval 0.2; echo ENDED; sleep 600')
        seen, end = set(), time.time() + 300
        while len(seen)<4 and time.time()<end:
            screen = tmux('capture-pane', '-p', '-t', name)
            if 'running' in screen and 'epoch' in screen: seen.add(screen)
            time.sleep(.3)
        assert len(seen)>=4
        for screen in seen:
            assert screen.count('watched')==1 and screen.count('running')==1 and 'Traceback' not in screen      # nothing left over from the last drawing
            assert max(map(len, screen.splitlines()))<=width
        print('\n' + sorted(seen)[-1])
        handle.stop(); handle.wait(120)
        while 'ENDED' not in (screen := tmux('capture-pane', '-p', '-t', name)) and time.time()<end + 60: time.sleep(.3)
        assert 'stopped' in screen
    finally: subprocess.run(['tmux', 'kill-session', '-t', name], capture_output=True); handle.stop(now=True); handle.process.wait(60)
