"What the repository promises about itself."
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

def test_readme_is_current():
    command = [sys.executable, 'docs/readme.py', '--check']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode==0, done.stderr

def test_numbers_follow_imports():
    "A notebook imports only from lower numbers."
    number = {}
    for path in (ROOT/'nbs').glob('[0-9]*_*.ipynb'):
        digits, _, module = path.stem.partition('_')
        number[module] = int(digits)
    for module in (ROOT/'mftd').glob('[a-z]*.py'):
        for line in module.read_text().splitlines():
            if not line.lstrip().startswith(('from mftd.', 'from .')): continue
            other = line.split()[1].removeprefix('mftd').removeprefix('.')
            assert number[other] < number[module.stem], f'{module.name}: {line}'
