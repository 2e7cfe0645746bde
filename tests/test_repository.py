"What the repository promises about itself."
import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT/'mftd').glob('[a-z]*.py'))

def test_readme_is_current():
    command = [sys.executable, 'docs/readme.py', '--check']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode==0, done.stderr

def imported(module: Path) -> Iterator[str]:
    "Modules of this package that a module imports, also inside functions."
    for node in ast.walk(ast.parse(module.read_text())):
        if not isinstance(node, ast.ImportFrom): continue
        name = node.module or ''
        if node.level: yield name
        elif name.startswith('mftd.'): yield name.removeprefix('mftd.')

def test_numbers_follow_imports():
    "A notebook imports only from lower numbers."
    number = {}
    for path in (ROOT/'nbs').glob('[0-9]*_*.ipynb'):
        digits, _, module = path.stem.partition('_')
        number[module] = int(digits)
    for module in MODULES:
        for other in imported(module):
            assert number[other] < number[module.stem], f'{module.name} imports {other}'

@pytest.mark.parametrize('module', MODULES, ids=lambda p: p.stem)
def test_rooms_are_small(module):
    "At most 450 lines, and at most 25 names for users."
    text = module.read_text()
    names = next(n.value for n in ast.parse(text).body
                 if isinstance(n, ast.Assign) and ast.unparse(n.targets[0])=='__all__')
    assert len(text.splitlines()) <= 450
    assert len(ast.literal_eval(names)) <= 25

CORE = 'config data model loss sgld blobs tracking steps capture training results experiments'

def test_core_draws_nothing():
    "The core imports without matplotlib."
    imports = ', '.join(f'mftd.{name}' for name in CORE.split())
    code = f'import sys, {imports}\nassert "matplotlib" not in sys.modules'
    subprocess.run([sys.executable, '-c', code], check=True, cwd=ROOT)

@pytest.mark.slow
@pytest.mark.parametrize('command', ['ruff check .', 'pyright'])
def test_checkers_find_nothing(command):
    "Neither the linter nor the type checker."
    done = subprocess.run([sys.executable, '-m', *command.split()], cwd=ROOT,
                          capture_output=True, text=True)
    assert done.returncode==0, done.stdout[-3000:]
