"Every notebook of nbs/, top to bottom, in a Jupyter kernel of its own."
import os
from pathlib import Path
import nbformat
import pytest
from nbclient import NotebookClient
from nbdev.config import get_config
from nbdev.process import NBProcessor

pytestmark = pytest.mark.slow
NBS = Path(__file__).parent.parent/'nbs'

def is_page(path: Path) -> bool:
    "Not a checkpoint of an editor's."
    return not any(part[0] in '._' for part in path.relative_to(NBS).parts)

NOTEBOOKS = sorted(filter(is_page, NBS.rglob('*.ipynb')))

def is_left_out(cell, flags: set[str]) -> bool:
    "Does `nbdev_test` leave the cell out as well: `eval: false`, or one of `tst_flags`?"
    evaluated = cell.directives_.get('eval:', [''])[0].lower()
    return evaluated=='false' or bool(flags & cell.directives_.keys())

def name(path: Path) -> str: return path.relative_to(NBS).with_suffix('').as_posix()

@pytest.mark.parametrize('path', NOTEBOOKS, ids=name)
def test_kernel(path, monkeypatch):
    "No cell raises, whoever runs it: Jupyter as well as nbdev's own executor."
    monkeypatch.setenv('IN_TEST', '1')
    paths = [str(NBS.parent), os.environ.get('PYTHONPATH', '')]
    monkeypatch.setenv('PYTHONPATH', os.pathsep.join(paths))
    flags = set(get_config(path=NBS.parent).tst_flags.split())
    left_out = {c.id for c in NBProcessor(path).nb.cells if is_left_out(c, flags)}
    nb = nbformat.read(path, 4)
    nb.cells = [c for c in nb.cells if c.id not in left_out]
    here = dict(metadata=dict(path=str(path.parent)))
    NotebookClient(nb, timeout=1200, kernel_name='python3', resources=here).execute()
