"What the repository promises about itself."
import subprocess, sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

def test_readme_is_current():
    p = subprocess.run([sys.executable, 'docs/readme.py', '--check'], cwd=ROOT, capture_output=True, text=True)
    assert p.returncode==0, p.stderr

def test_numbers_follow_imports():
    "A notebook imports only from lower numbers."
    number = {p.stem.split('_', 1)[1]: int(p.stem.split('_', 1)[0]) for p in (ROOT/'nbs').glob('[0-9]*_*.ipynb')}
    for module in (ROOT/'mftd').glob('[a-z]*.py'):
        for line in module.read_text().splitlines():
            if line.lstrip().startswith(('from mftd.', 'from .')):
                other = line.split()[1].removeprefix('mftd').removeprefix('.')
                assert number[other] < number[module.stem], f'{module.name}: {line}'
