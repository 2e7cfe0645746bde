"""The monitor in a real JupyterLab, driven by a headless Chromium.

Needs `apt install chromium` and `pip install playwright`.
"""
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
import pytest
from mftd.tracking import read_results
pytestmark = pytest.mark.slow

START = """from mftd.config import create_config
from mftd.experiments import run_experiment
from mftd.monitor import TrainingMonitor
config = create_config('quick_3blob', epochs=2000, train_dataset_size=20_000)
handle = run_experiment(config, 'watched', wait=False)
monitor = TrainingMonitor(handle)
monitor"""
COMPUTE = """import time
while not monitor.views[0].history: time.sleep(.1)
before, end, n = monitor.updates, time.time() + 120, 0
while monitor.updates < before + 8 and time.time() < end: n += sum(range(10_000))
print('computed while the panel was updated', monitor.updates - before, 'times')"""
IS_READY = """() => {
    const panel = window.jupyterapp?.shell.currentWidget
    return panel?.context?.isReady && panel.sessionContext.session?.kernel
}"""
SAYS_STOPPED = """() => {
    const texts = [...document.querySelectorAll('.widget-html-content')]
    return texts.some(text => text.innerText.includes('stopped'))
}"""
IMAGE = '.jp-OutputArea .widget-image'
OURS = 'mftd', 'widget', 'ipywidgets', 'comm' # words of console errors that are ours

def write_notebook(path: Path, *sources: str):
    "A notebook with these code cells."
    cells = [
        dict(cell_type='code', id=f'cell{k}', metadata={}, source=source,
             execution_count=None, outputs=[])
        for k, source in enumerate(sources, 1)]
    kernel = dict(display_name='Python 3', language='python', name='python3')
    notebook = dict(cells=cells, metadata=dict(kernelspec=kernel), nbformat=4, nbformat_minor=5)
    path.write_text(json.dumps(notebook))

def free_port() -> int:
    "A port that nobody uses now."
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]

def wait_for(url: str):
    "Until a server answers, or two minutes are over."
    for _ in range(240):
        try:
            urllib.request.urlopen(url)
            return
        except OSError:
            time.sleep(.5)

@pytest.fixture
def lab(tmp_path):
    "Address of a JupyterLab over a folder with one notebook, and that folder."
    write_notebook(tmp_path/'watch.ipynb', START, COMPUTE)
    port = free_port()
    command = [
        sys.executable, '-m', 'jupyterlab', '--no-browser', '--allow-root',
        '--expose-app-in-browser', f'--port={port}', '--ServerApp.port_retries=0',
        '--IdentityProvider.token=', f'--ServerApp.root_dir={tmp_path}', '--LabApp.news_url=None',
        '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate']
    env = os.environ | dict(OMP_NUM_THREADS='1', MFTD_EXPERIMENTS=str(tmp_path/'experiments'))
    log = open(tmp_path/'lab.log', 'w')
    server = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for(f'http://127.0.0.1:{port}/api')
        yield f'http://127.0.0.1:{port}/lab/tree/watch.ipynb', tmp_path
    finally:
        server.terminate()
        server.wait(30)
        log.close()

def execute(page, command: str):
    "Have JupyterLab execute one of its commands, without waiting for its end."
    page.evaluate(f"window.jupyterapp.commands.execute('{command}'); 0")

def image_width(page) -> int:
    "Pixels of the panel's figure."
    return page.locator(IMAGE).first.evaluate('image => image.naturalWidth')

def texts_until_computed(page) -> set[str]:
    "What the panel said while the second cell was computing."
    text = page.locator('.jp-OutputArea .widget-html-content').first
    text.wait_for()
    computed = page.locator('.jp-OutputArea-output', has_text='computed while')
    seen, end = set(), time.time() + 240
    while not computed.count() and time.time()<end:
        seen.add(text.inner_text())
        time.sleep(.1)
    return seen

def test_monitor_in_jupyterlab(chromium, lab):
    "Updates while another cell computes, stops by the button, survives save and reload."
    url, folder = lab
    shots = os.environ.get('MFTD_SCREENSHOTS', folder)
    page = chromium.new_page(viewport=dict(width=1300, height=1100))
    page.set_default_timeout(180_000)
    errors = []
    page.on('console', lambda m: errors.append(m.text) if m.type=='error' else None)
    page.on('pageerror', lambda e: errors.append(str(e)))
    page.goto(f'{url}?reset')
    page.wait_for_function(IS_READY)

    execute(page, 'notebook:run-all-cells')
    seen = texts_until_computed(page)
    running = [text for text in seen if 'running' in text]
    assert len(running)>=5, (seen, page.locator('.jp-Notebook').inner_text())
    assert image_width(page)>500
    page.screenshot(path=f'{shots}/lab_running.png')

    stop = page.get_by_role('button', name='Stop', exact=True)
    stop.or_(page.locator('button.jupyter-button')).last.click()
    page.wait_for_function(SAYS_STOPPED)
    page.screenshot(path=f'{shots}/lab_stopped.png')
    run = next((folder/'experiments').glob('watched_*'))
    record = read_results(run)
    assert record['status']=='stopped'
    assert len(record['training_history'])>=5
    assert (run/'checkpoints/final.pt').exists()

    execute(page, 'docmanager:save')
    time.sleep(2)
    page.goto(url)
    page.wait_for_function(SAYS_STOPPED)
    assert image_width(page)>500
    page.screenshot(path=f'{shots}/lab_reloaded.png')
    ours = [error for error in errors if any(word in error.lower() for word in OURS)]
    assert not ours, ours
