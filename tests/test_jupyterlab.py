"The monitor in a real JupyterLab, driven by a headless Chromium (apt install chromium; pip install playwright)."
import json, os, socket, subprocess, sys, time, urllib.request
import pytest
from mftd.tracking import read_results
pytestmark = pytest.mark.slow

START = """from mftd.experiments import create_config, run_experiment
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

@pytest.fixture
def lab(tmp_path):
    "Address of a JupyterLab over a folder with one notebook."
    cell = lambda k, source: dict(cell_type='code', id=f'cell{k}', metadata={}, source=source, execution_count=None, outputs=[])
    nb = dict(cells=[cell(1, START), cell(2, COMPUTE)], metadata=dict(kernelspec=dict(display_name='Python 3', language='python', name='python3')), nbformat=4, nbformat_minor=5)
    (tmp_path/'watch.ipynb').write_text(json.dumps(nb))
    with socket.socket() as s: s.bind(('127.0.0.1', 0)); port = s.getsockname()[1]
    server = subprocess.Popen([sys.executable, '-m', 'jupyter', 'lab', '--no-browser', '--allow-root', f'--port={port}', '--ServerApp.port_retries=0', '--IdentityProvider.token=', '--expose-app-in-browser', f'--ServerApp.root_dir={tmp_path}',
        '--LabApp.news_url=None', "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"], cwd=tmp_path, env=dict(os.environ, OMP_NUM_THREADS='1', MFTD_EXPERIMENTS=str(tmp_path/'experiments')), stdout=open(tmp_path/'lab.log', 'w'), stderr=subprocess.STDOUT)
    try:
        for _ in range(240):
            try: urllib.request.urlopen(f'http://127.0.0.1:{port}/api'); break
            except OSError: time.sleep(.5)
        yield f'http://127.0.0.1:{port}/lab/tree/watch.ipynb?reset', tmp_path
    finally: server.terminate(); server.wait(30)

def test_monitor_in_jupyterlab(chromium, lab):
    "Updates while another cell computes, stops by the button, survives save and reload, no console error of ours."
    url, folder = lab; shots = os.environ.get('MFTD_SCREENSHOTS', folder); errors = []
    page = chromium.new_page(viewport=dict(width=1300, height=1100)); page.set_default_timeout(180_000)
    page.on('console', lambda m: errors.append(m.text) if m.type=='error' else None); page.on('pageerror', lambda e: errors.append(str(e)))
    page.goto(url); page.wait_for_function("window.jupyterapp && window.jupyterapp.shell.currentWidget && window.jupyterapp.shell.currentWidget.context && window.jupyterapp.shell.currentWidget.context.isReady && window.jupyterapp.shell.currentWidget.sessionContext.session && window.jupyterapp.shell.currentWidget.sessionContext.session.kernel")
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells'); 0")                     # cell 2 computes from here on
    text = page.locator('.jp-OutputArea .widget-html-content').first; seen = set(); end = time.time() + 240
    text.wait_for()
    while not page.locator('.jp-OutputArea-output', has_text='computed while').count() and time.time() < end: seen.add(text.inner_text()); time.sleep(.1)
    running = [s for s in seen if 'running' in s]
    assert len(running)>=5, (seen, page.locator('.jp-Notebook').inner_text())                             # updates that reached the browser while the kernel computed
    image = page.locator('.jp-OutputArea .widget-image').first; assert image.evaluate('i => i.naturalWidth')>500
    page.screenshot(path=f'{shots}/lab_running.png')
    page.get_by_role('button', name='Stop', exact=True).or_(page.locator('button.jupyter-button')).last.click()
    page.wait_for_function("[...document.querySelectorAll('.widget-html-content')].some(e => e.innerText.includes('stopped'))")
    page.screenshot(path=f'{shots}/lab_stopped.png')
    record = read_results(next((folder/'experiments').glob('watched_*')))
    assert record['status']=='stopped' and len(record['training_history'])>=5 and list((folder/'experiments').glob('watched_*/checkpoints/final.pt'))
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')"); time.sleep(2); page.goto(url.removesuffix('?reset'))
    page.wait_for_function("[...document.querySelectorAll('.widget-html-content')].some(e => e.innerText.includes('stopped'))")
    assert page.locator('.jp-OutputArea .widget-image').first.evaluate('i => i.naturalWidth')>500
    page.screenshot(path=f'{shots}/lab_reloaded.png')
    ours = [e for e in errors if any(w in e.lower() for w in ('mftd', 'widget', 'ipywidgets', 'comm'))]
    assert not ours, ours
