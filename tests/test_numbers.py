"Every number in the prose of a page comes from a cell of that page; see prose.py for the rule."
import json
import re
from pathlib import Path
import pytest
from prose import ROOT, from_nowhere

GLOBS = '[0-9]*', 'troubleshooting', 'findings/*', 'tutorials/*'
PAGES = [p for o in GLOBS for p in sorted((ROOT/'nbs').glob(f'{o}.ipynb'))]
each_page = pytest.mark.parametrize('path', PAGES, ids=lambda p: f'{p.parent.name}/{p.stem}')

def cells_of(path: Path) -> list:
    return json.loads(path.read_text())['cells']

@each_page
def test_numbers_come_from_cells(path):
    "No number in prose is without a cell that prints it or sets it."
    missing = from_nowhere(cells_of(path))
    assert not missing, '\n'.join(map(str, missing))

@each_page
def test_answers_are_markdown(path):
    "No code writes sentences: `Markdown(f'…')` cannot be proofread."
    code = ['\n'.join(c['source']) for c in cells_of(path) if c['cell_type']=='code']
    assert not [c for c in code if re.search(r'\bMarkdown\(f?["\']', c)]

MADE_UP = {
    'a share of 12 %, or 12.03 %, or 0.12': [],
    'a share of 13 %': ['13'],
    'a loss of 8.85': [],
    'a loss of 8.9': ['8.9'],
    '524,288 pairs, about 500,000': [],
    '524,289 pairs': ['524289'],
    'some 600,000 pairs': ['600000'],
    'at $d=1024$ and $x \\approx 4.1$': ['4.1'],
    '$\\sum_{i=1}^{77} x_i^{3.5}$': [],
    '`x=77`, [here](a77.html), Teh 2011': [],
    'six times, twelve seeds': ['6', '12'],
    'two percent, 3 % and 0.02': ['2', '3'],
    '8.845 or $10^{-3}$': [],
    'two of ten in 3 ms': ['3'],
}

@pytest.mark.parametrize('prose, caught', MADE_UP.items(), ids=str)
def test_made_up_numbers_are_caught(prose, caught):
    "On a page that knows 12.03%, 8.845, 524,288 and 0.001 (and the configs)."
    output = dict(text='12.03% of 524,288 at 8.845')
    code = dict(cell_type='code', source='assert p<1e-3; ax.plot(77)', outputs=[output])
    found = from_nowhere([code, dict(cell_type='markdown', source=prose)])
    assert [number.text for number in found]==caught

@each_page
def test_made_up_numbers_are_caught_here(path):
    "Added to a page as it is."
    sentence = 'In 43,217 networks it was 0.77773, in 61.793 % of them $x = 3.3178$.'
    found = from_nowhere([*cells_of(path), dict(cell_type='markdown', source=sentence)])
    assert [number.text for number in found][-4:]==['43217', '0.77773', '61.793', '3.3178']
