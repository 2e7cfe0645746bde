"Every notebook of nbs/, top to bottom, in a Jupyter kernel of its own."
import os
from pathlib import Path
import nbformat, pytest
from nbclient import NotebookClient
from nbdev.config import get_config
from nbdev.process import NBProcessor
pytestmark = pytest.mark.slow

NBS = Path(__file__).parent.parent/'nbs'
NOTEBOOKS = sorted(p for p in NBS.rglob('*.ipynb') if not any(o[0] in '._' for o in p.relative_to(NBS).parts))

def left_out(path):
    "Ids of the cells that `nbdev_test` leaves out as well: `eval: false`, and those with one of `tst_flags`."
    skip = set(get_config(path=NBS.parent).tst_flags.split())
    return {c.id for c in NBProcessor(path).nb.cells if c.directives_.get('eval:', [''])[0].lower()=='false' or skip & c.directives_.keys()}

@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda p: p.relative_to(NBS).with_suffix('').as_posix())
def test_kernel(path, monkeypatch):
    "No cell raises, whoever runs it: Jupyter as well as nbdev's own executor."
    monkeypatch.setenv('IN_TEST', '1'); monkeypatch.setenv('PYTHONPATH', str(NBS.parent) + os.pathsep + os.environ.get('PYTHONPATH', ''))
    nb, skip = nbformat.read(path, 4), left_out(path)
    nb.cells = [c for c in nb.cells if c.id not in skip]
    NotebookClient(nb, timeout=1200, kernel_name='python3', resources=dict(metadata=dict(path=str(path.parent)))).execute()
