"""Numbers in prose: what a page says in words, and what its cells know.

A number that a page states must be printed by one of its cells (there it may be rounded to the
precision in which it is written; a count may not, unless it is said to be *about* that), or stand
in its code, in a config, or, beside a command, in the experiment that the command runs.

Left out are code and commands, formulas but for what a symbol is said to be, links, citations,
ordinals, versions, and integers up to ten without a unit. *Half*, *a third* and the like are not
noticed. On a page that prints hundreds of numbers a wrong one may agree with some by chance.
"""
import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from mftd.config import PRESETS, ExperimentConfig

ROOT = Path(__file__).parent.parent

NUMBER = r'(?:\d{1,3}(?:,\d{3})+(?!\d)|\d*\.?\d+)(?:e[-+]?\d+)?'
# what makes even a small integer a measured number
UNIT = (r'\s?(?:%|×|percent\b|times\b|fold\b|[kKMG]i?B\b|[mµ]?s\b'
        r'|seconds?\b|minutes?\b|hours?\b)')
# what allows whole tens, hundreds, … to be rounded
ABOUT = r'\b(?:about|some|near|nearly|almost|around|roughly|an?) $|[≈~] ?$'

ONES = ('one two three four five six seven eight nine ten eleven twelve thirteen fourteen '
        'fifteen sixteen seventeen eighteen nineteen').split()
TENS = dict(twenty=20, thirty=30, forty=40, fifty=50, sixty=60, seventy=70, eighty=80, ninety=90)
WORDS = {word: n for n, word in enumerate(ONES, 1)} | TENS | dict(hundred=100, thousand=1000)

FENCED = r'^(?:```|~~~)[\s\S]*?^(?:```|~~~)'
INDENTED = r'(?:\A|(?<=\n\n))(?: {4}|\t).*(?:\n(?: {4}|\t).*)*'
INLINE = r'(?<!`)(`+)(?!`)[\s\S]+?(?<!`)\1(?!`)'
LINK = r'\]\([^)]*\)|<[a-zA-Z/!][^>]*>|https?://\S+'
ORDINAL = r'^#+ +\d+[.:]? |^ *\d+\. '
CITATION = (r"\barXiv:?\s*[\d.]+|(?:\b[A-Z][\w'’]*|\bal\.),? \(?(?:19|20)\d\d\b"
            r'|\b(?:[Ee]qs?\.|[Ff]igures?|[Ss]ections?|pp?\.|§) ?\d[\d.–-]*')
VERSION = r'\b(?:Python|CUDA|PyTorch) \d[\d.]*'
EXEMPT = FENCED, INDENTED, INLINE, LINK, ORDINAL, CITATION, VERSION
SENTENCE_END = r'\n\s*\n|(?<=[.?!:]) +(?=[A-Z])|\n(?=[-*|] )'

@dataclass
class Said:
    "A number as a page states it."
    text: str # as it is written, without commas
    unit: str # what stands behind it, or nothing
    rounded: bool # is it said to be *about* that?
    sentence: str # where it stands

    @property
    def is_count(self) -> bool:
        "An integer without a unit is exact."
        return not self.unit and self.text.isdigit() and not self.rounded

    def __str__(self):
        about = 'about ' if self.rounded else ''
        return f'{about}{self.text} {self.unit}: {self.sentence}'

def numbers_of_formula(tex: str) -> str:
    "The numbers that a formula says something to be: alone, beside a relation, in a list."
    tex = re.sub(r'\{,\}', ',', re.sub(r'\\[,;:! ]', ' ', tex))
    power = r'(?:([\d.]+)\s*\\(?:times|cdot)\s*)?\b10\^\{?(-?\d+)\}?'
    tex = re.sub(power, lambda m: f'{m[1] or 1}e{m[2]}', tex)
    relation = r'\\(?:approx|sim|le|leq|ge|geq|pm|to|in)\b'
    before, after = rf'(?:^|[=<>\[(,]|{relation})', rf'(?=$|[=<>,;\])]|\\%|{relation})'
    found = re.findall(rf'{before}\s*[-+]?({NUMBER})\s*{after}', tex)
    return f"  {' '.join(found)}  "

def plain_text(markdown: str) -> str:
    "Prose without what is exempt, formulas as their numbers, number words as digits."
    for pattern in EXEMPT: markdown = re.sub(pattern, ' ', markdown, flags=re.M)
    formula = r'\$\$([\s\S]+?)\$\$|\$([^$]+)\$'
    markdown = re.sub(formula, lambda m: numbers_of_formula(m[1] or m[2]), markdown)
    return re.sub(rf"\b({'|'.join(WORDS)})\b(?!-)", lambda m: str(WORDS[m[1]]), markdown)

def said(markdown: str) -> Iterator[Said]:
    "Each number that prose states."
    number = rf'(?<![\w.,^/])({NUMBER})(?:({UNIT})|(?![\w^]|[.,]\d))'
    for sentence in re.split(SENTENCE_END, plain_text(markdown)):
        for m in re.finditer(number, sentence):
            text, unit = m[1].replace(',', ''), (m[2] or '').strip()
            if not unit and text.isdigit() and int(text)<=10: continue
            rounded = bool(re.search(ABOUT, sentence[:m.start()]))
            yield Said(text, unit, rounded, ' '.join(sentence.split()))

def parsed(cell: dict) -> ast.Module:
    "The code of a cell, without magics."
    return ast.parse(re.sub(r'^(\s*)[%!].*$', r'\1pass', ''.join(cell['source']), flags=re.M))

def constants_of(node: ast.AST) -> Iterator[float]:
    "Numbers in code, without indices and those that place and size a drawing."
    if isinstance(node, ast.Call):
        if re.match(r'(plt|fig|ax|axes)\b.*\.', ast.unparse(node.func)): return
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield float(node.value)
    for name, child in ast.iter_fields(node):
        if name=='slice': continue
        for o in child if isinstance(child, list) else [child]:
            if isinstance(o, ast.AST): yield from constants_of(o)

def code_cells(cells: list) -> list:
    return [c for c in cells if c['cell_type']=='code']

def written(cells: list) -> set[float]:
    "Numbers that stand in the code of cells."
    return {v for c in code_cells(cells) for v in constants_of(parsed(c))}

def printed(cells: list) -> set[float]:
    "Numbers in the text that cells put out; what is printed as a percentage is a fraction."
    number = rf'(?<![\w.])({NUMBER})(?=( ?(?:± *{NUMBER})? ?%)?)'
    found = set()
    for output in (o for c in code_cells(cells) for o in c['outputs']):
        data = output.get('data', {})
        texts = output.get('text', ''), data.get('text/plain', ''), data.get('text/html', '')
        text = '\n'.join(''.join(t) for t in texts)
        text = re.sub(r'<style[\s\S]*?</style>|<[a-zA-Z/][^>]*>', ' ', text)
        for m in re.finditer(number, text):
            value = float(m[1].replace(',', ''))
            found.add(value/100 if m[2] else value)
    return found

def settings() -> set[float]:
    "Numbers of the default config and of the presets."
    parts = [*ExperimentConfig().to_dict().values(), *PRESETS.values()]
    values = [v for part in parts if isinstance(part, dict) for v in part.values()]
    return {float(v) for v in values if isinstance(v, (int, float))}

SETTINGS = settings()

def agrees(number: Said, value: float, exact: bool=False) -> bool:
    "Is this the value, to the precision in which the number is written?"
    mantissa, _, exponent = number.text.partition('e')
    decimals = len(mantissa.partition('.')[2])
    zeros = 0
    if number.rounded and not decimals: zeros = len(mantissa) - len(mantissa.rstrip('0'))
    slack = 10.**(int(exponent or 0) - decimals + zeros)/2
    if exact and not number.rounded: slack = 0
    x, percent = float(number.text), number.unit in ('%', 'percent')
    return abs(x - abs(value)*(100 if percent else 1))<=slack + 1e-9*x

def experiments_beside(text: str) -> set[str]:
    "Experiment notebooks that the commands in a text run."
    return set(re.findall(r'papermill (?:-\S+ )*(experiments/\w+\.ipynb)', text))

def from_nowhere(cells: list) -> list[Said]:
    "The numbers in prose that no cell of the page knows."
    outputs, code, missing = printed(cells), written(cells), []
    for cell in cells:
        if cell['cell_type']!='markdown': continue
        text, known = ''.join(cell['source']), set(code)
        for name in experiments_beside(text):
            known |= written(json.loads((ROOT/name).read_text())['cells'])
        for number in said(text):
            in_code = known if number.unit else known | SETTINGS
            shown = any(agrees(number, v, number.is_count) for v in outputs)
            set_ = any(agrees(number, v, exact=True) for v in in_code)
            if not (shown or set_): missing.append(number)
    return missing
