"""Run notebooks in place with nbdev's executor, so that their stored outputs are current.

    python docs/store_outputs.py [--slow] [NOTEBOOK ...]

Without names: every notebook in nbs/. Cells with `#| eval: false` are not run, nor are slow ones
without --slow; they keep the outputs they have.
"""
import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from execnb.nbio import NbCell, read_nb, write_nb
from execnb.shell import CaptureShell
from fastcore.utils import working_directory
from nbdev.config import get_config
from nbdev.process import NBProcessor

def run(
    path: Path, # Notebook
    slow: bool, # Also the cells marked as slow
):
    "Run one notebook in its folder and store what its cells put out."
    path = path.absolute()
    flags = set(get_config().tst_flags.split())
    if slow: flags.discard('slow')
    cells = NBProcessor(path, rm_directives=False, process=True).nb.cells
    directives = {cell.id: getattr(cell, 'directives_', {}) or {} for cell in cells}
    def left_out(cell: NbCell) -> bool:
        if cell.cell_type!='code' or 'nbdev_export(' in cell.source: return True
        given = directives[cell.id]
        if given.get('eval:', [''])[0].lower()=='false': return True
        return bool(flags & given.keys())
    nb = read_nb(path)
    for cell in nb.cells:
        if not left_out(cell): cell.outputs = []           # a silent cell stores nothing
    with working_directory(path.parent):
        CaptureShell(path).run_all(nb, exc_stop=True, preproc=left_out)
    write_nb(nb, path)

def notebooks() -> list[Path]:
    "All of them, other than those in hidden or private folders."
    folder = get_config().nbs_path
    def hidden(path: Path) -> bool:
        return any(part.startswith(('.', '_')) for part in path.relative_to(folder).parts)
    return sorted(path for path in folder.rglob('*.ipynb') if not hidden(path))

def main():
    parser = ArgumentParser(description='Run notebooks in place and store their outputs.')
    parser.add_argument('notebooks', nargs='*', type=Path, help='default: every one in nbs/')
    parser.add_argument('--slow', action='store_true', help='run the slow cells too')
    args = parser.parse_args()
    missing = [str(path) for path in args.notebooks if not path.is_file()]
    if missing: parser.error('no such notebook: ' + ', '.join(missing))
    os.environ['IN_TEST'] = '1'
    for path in args.notebooks or notebooks():
        print(path, flush=True)
        run(path, args.slow)

if __name__=='__main__': sys.exit(main())
