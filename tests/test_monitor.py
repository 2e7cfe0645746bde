"The text view in a real terminal (tmux), wide and narrow."
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
import pytest
from mftd.config import ExperimentConfig
from mftd.experiments import run_experiment
pytestmark = pytest.mark.slow

def tmux(*args) -> str:
    "What a tmux command prints. Raises where it fails."
    process = subprocess.run(['tmux', *args], check=True, capture_output=True, text=True)
    return process.stdout

def watch_in(session: str, size: tuple[int, int], run: Path):
    "Start `mftd monitor` in a terminal of this size; it prints ENDED when it is over."
    width, height = map(str, size)
    mftd = f'{sys.executable} -c "from mftd.cli import main; main()"'
    monitor = f'env -u COLUMNS -u LINES {mftd} monitor {run} --interval 0.2'
    command = f'{monitor}; echo ENDED; sleep 600'
    tmux('new-session', '-d', '-s', session, '-x', width, '-y', height, command)

def screen_of(session: str) -> str:
    "What stands in the terminal now."
    return tmux('capture-pane', '-p', '-t', session)

@pytest.mark.skipif(not shutil.which('tmux'), reason='no tmux')
@pytest.mark.parametrize('size', [(120, 34), (46, 18)])
def test_terminal(tmp_path, size):
    "Redrawn in place: one headline, one table, within the window; ends with the run."
    width, _ = size
    config = ExperimentConfig.from_preset('quick_3blob').override(
        epochs=400, train_dataset_size=6000, experiment_name='watched')
    handle = run_experiment(config, wait=False, output_dir=tmp_path)
    session = f'mftd_{os.getpid()}_{width}'
    try:
        watch_in(session, size, handle.directory)
        seen, end = set(), time.time() + 300
        while len(seen)<4 and time.time()<end:
            screen = screen_of(session)
            if 'running' in screen and 'epoch' in screen: seen.add(screen)
            time.sleep(.3)
        assert len(seen)>=4
        for screen in seen: # nothing is left over from the last drawing
            assert screen.count('watched')==1
            assert screen.count('running')==1
            assert 'Traceback' not in screen
            assert max(map(len, screen.splitlines()))<=width
        print('\n' + max(seen))
        handle.stop()
        handle.wait(120)
        screen = screen_of(session)
        while 'ENDED' not in screen and time.time()<end + 60:
            time.sleep(.3)
            screen = screen_of(session)
        assert 'ENDED' in screen
        assert 'stopped' in screen
    finally:
        subprocess.run(['tmux', 'kill-session', '-t', session], capture_output=True)
        handle.stop(now=True)
        handle.process.wait(60)
