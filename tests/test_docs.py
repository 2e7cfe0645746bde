"What is exported is explained and shown at work; what is found can be run again."
import ast, inspect, io, json, re, tokenize
from functools import reduce
from importlib import import_module
from pathlib import Path
import pytest
from fastcore.docments import docments
from mftd.config import ExperimentConfig, PRESETS
from mftd._modidx import d

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT/'nbs').glob('[0-9]*_*.ipynb'))
modules = pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda p: p.stem)

def code(path): return [''.join(c['source']) for c in json.loads(path.read_text())['cells'] if c['cell_type']=='code']
def prose(path): return '\n\n'.join(''.join(c['source']) for c in json.loads(path.read_text())['cells'] if c['cell_type']=='markdown')
def directives(cell): return set(re.findall(r'^#\s*\|\s*(\w+)', cell, re.M))

def module_of(path): return import_module('mftd.' + path.stem.split('_', 1)[1])
def public(path):
    "Name → function, class, method or property, for all that a notebook exports under a public name."
    mod = module_of(path); names = [k.removeprefix(f'{mod.__name__}.') for k in d['syms'][mod.__name__]]
    return {n: reduce(inspect.getattr_static, n.split('.'), mod) for n in names if not re.search(r'(^|\.)_', n)}

def constants(path): return [n for n in module_of(path).__all__ if n not in public(path)]
def function(o): return getattr(o, 'fget', None) or getattr(o, '__func__', None) or (o.f if type(o).__name__=='_clsmethod' else o)            # of a property, a class method, one that is patched in

@modules
def test_explained(path):
    "A docstring, and a comment for every parameter; for a constant, a comment on its first or last line or above it."
    missing = []
    for name, o in public(path).items():
        f = function(o); doc = f.__doc__ or ''
        if not doc or doc.startswith(f.__name__ + '('): missing.append(f'{name}: docstring')
        inherited = inspect.isclass(f) and '__init__' not in vars(f)
        params = {} if inherited else {k: v for k, v in docments(f, full=True, returns=False, args_kwargs=True).items() if k not in ('self', 'cls', 'ctx')}
        starred = any(v.kind==inspect.Parameter.VAR_KEYWORD and v.docment for v in params.values())          # one comment serves `*args, **kwargs`
        missing += [f'{name}: {k}' for k, v in params.items() if not v.docment and not (starred and v.kind==inspect.Parameter.VAR_POSITIONAL)]
    for cell in code(path):
        if 'export' not in directives(cell): continue
        comments = {t.start[0] for t in tokenize.generate_tokens(io.StringIO(cell).readline) if t.type==tokenize.COMMENT and not t.string.startswith('#|')}
        for node in ast.parse(cell).body:
            names = [n.id for t in getattr(node, 'targets', []) for n in ast.walk(t) if isinstance(n, ast.Name) and n.id[0]!='_']
            if not {node.lineno - 1, node.lineno, node.end_lineno} & comments: missing += [f'{n}: comment' for n in names]
    assert not missing, '\n'.join(missing)

def words(cell):
    "Names that a cell uses, other than by importing them."
    try: tree = ast.walk(ast.parse(re.sub(r'^\s*[%!].*$', '', cell, flags=re.M)))
    except SyntaxError: return set()
    return {n for o in tree for n in (getattr(o, 'id', None), getattr(o, 'attr', None)) if n}

def defines(cell):
    "Names that an exported cell defines: functions, classes, constants, methods also where they are patched in."
    for node in ast.parse(cell).body:
        for t in getattr(node, 'targets', []): yield from (n.id for n in ast.walk(t) if isinstance(n, ast.Name))
        if isinstance(node, ast.ClassDef): yield from (node.name, *(f'{node.name}.{m.name}' for m in node.body if isinstance(m, ast.FunctionDef)))
        if isinstance(node, ast.FunctionDef):
            patched = any('patch' in ast.unparse(o) for o in node.decorator_list)
            yield f'{ast.unparse(node.args.args[0].annotation)}.{node.name}' if patched else node.name

@modules
def test_shown(path):
    "Used in a cell below its definition that is neither exported nor hidden; a method that overrides an inherited one is used through its class."
    cells, missing = code(path), []
    shown = [words(c) if not {'export', 'hide'} & directives(c) else set() for c in cells]
    where = {n: k for k, c in enumerate(cells) if 'export' in directives(c) for n in defines(c)}
    def overrides(name): # forward, state_dict, …
        cls, _, last = name.rpartition('.')
        return cls in public(path) and any(hasattr(b, last) for b in public(path)[cls].__mro__[1:])
    for name in [*public(path), *constants(path)]:
        use = name.rpartition('.')[0 if overrides(name) else 2]
        if not any(use in s for s in shown[where[name]:]): missing.append(name)
    assert not missing, '\n'.join(missing)

@pytest.mark.parametrize('path', sorted((ROOT/'nbs/findings').glob('*.ipynb')), ids=lambda p: p.stem)
def test_findings_run_again(path):
    "Each finding says which command makes it anew; the notebook is there and has the parameters that the command sets."
    if not any('data/' in c for c in code(path)): return            # a page that reads no stored data has none to make again
    commands = re.findall(r'^(?: {4}|\t)?((?:\w+=\S+ )*(?:papermill|mftd) .*)$', prose(path), re.M)
    assert commands
    for c in commands:
        if not (m := re.search(r'papermill (?:-\S+ )*(\S+\.ipynb)', c)): continue
        cells = json.loads((ROOT/m[1]).read_text())['cells']
        known = {n for c in cells if 'parameters' in c['metadata'].get('tags', []) for n in words(''.join(c['source']))}
        assert (given := set(re.findall(r' -[pry] (\w+)', c))) <= known, (c, given - known)

# Numbers in prose: what a page says, and what its cells know
NUMBER = r'(?:\d{1,3}(?:,\d{3})+(?!\d)|\d*\.?\d+)(?:e[-+]?\d+)?'
UNIT = r'\s?(?:%|×|percent\b|times\b|fold\b|[kKMG]i?B\b|[mµ]?s\b|seconds?\b|minutes?\b|hours?\b)'          # what makes even a small integer a measured number
ABOUT = r'\b(?:about|some|near|nearly|almost|around|roughly|an?) $|[≈~] ?$'                               # what allows whole tens, hundreds, … to be rounded
WORDS = {w: n for n, w in enumerate('one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen'.split(), 1)}
WORDS |= {w: n for w, n in zip('twenty thirty forty fifty sixty seventy eighty ninety hundred thousand'.split(), (20, 30, 40, 50, 60, 70, 80, 90, 100, 1000))}
EXEMPT = dict(code=r'^(?:```|~~~)[\s\S]*?^(?:```|~~~)|(?:\A|(?<=\n\n))(?: {4}|\t).*(?:\n(?: {4}|\t).*)*|(?<!`)(`+)(?!`)[\s\S]+?(?<!`)\1(?!`)', links=r'\]\([^)]*\)|<[a-zA-Z/!][^>]*>|https?://\S+', ordinals=r'^#+ +\d+[.:]? |^ *\d+\. ',
              citations=r"\barXiv:?\s*[\d.]+|(?:\b[A-Z][\w'’]*|\bal\.),? \(?(?:19|20)\d\d\b|\b(?:[Ee]qs?\.|[Ff]igures?|[Ss]ections?|pp?\.|§) ?\d[\d.–-]*", versions=r'\b(?:Python|CUDA|PyTorch) \d[\d.]*')

def formula(m):
    "Of a formula, the numbers that something is said to be: alone, beside a relation, in an interval or a list."
    tex = re.sub(r'\{,\}', ',', re.sub(r'\\[,;:! ]', ' ', m[1] or m[2])); tex = re.sub(r'(?:([\d.]+)\s*\\(?:times|cdot)\s*)?\b10\^\{?(-?\d+)\}?', lambda p: f'{p[1] or 1}e{p[2]}', tex)
    relation = r'\\(?:approx|sim|le|leq|ge|geq|pm|to|in)\b'
    return ' '.join(re.findall(rf'(?:^|[=<>\[(,]|{relation})\s*[-+]?({NUMBER})\s*(?=$|[=<>,;\])]|\\%|{relation})', tex)).join('  ')

def said(markdown):
    "(number, its unit, sentence) for each number that the prose of a Markdown cell states; one that is said to be about that ends in `~`."
    for pattern in EXEMPT.values(): markdown = re.sub(pattern, ' ', markdown, flags=re.M)
    text = re.sub(rf"\b({'|'.join(WORDS)})\b(?!-)", lambda m: str(WORDS[m[1]]), re.sub(r'\$\$([\s\S]+?)\$\$|\$([^$]+)\$', formula, markdown))
    for sentence in re.split(r'\n\s*\n|(?<=[.?!:]) +(?=[A-Z])|\n(?=[-*|] )', text):
        for m in re.finditer(rf'(?<![\w.,^/])({NUMBER})(?:({UNIT})|(?![\w^]|[.,]\d))', sentence):
            number, unit = m[1].replace(',', ''), (m[2] or '').strip()
            if unit or re.search('[.e]', number) or int(number)>10: yield number + '~'*bool(re.search(ABOUT, sentence[:m.start()])), unit, ' '.join(sentence.split())

def parsed(cell): return ast.parse(re.sub(r'^(\s*)[%!].*$', r'\1pass', ''.join(cell['source']), flags=re.M))

def constants_of(node):
    "Numbers in code, without indices and those that place and size a drawing."
    if isinstance(node, ast.Call) and re.match(r'(plt|fig|ax|axes)\b.*\.', ast.unparse(node.func)): return
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)): yield float(node.value)
    for name, child in ast.iter_fields(node):
        if name!='slice': yield from (v for o in (child if isinstance(child, list) else [child]) if isinstance(o, ast.AST) for v in constants_of(o))

def printed(cells):
    "Numbers in the text that cells put out, other than Markdown; what is printed as a percentage is a fraction."
    for o in (o for c in cells if c['cell_type']=='code' for o in c['outputs']):
        data = o.get('data', {}); text = '\n'.join(''.join(t) for t in (o.get('text', ''), data.get('text/plain', ''), data.get('text/html', '')))
        for m in re.finditer(rf'(?<![\w.])({NUMBER})(?=( ?(?:± *{NUMBER})? ?%)?)', re.sub(r'<style[\s\S]*?</style>|<[a-zA-Z/][^>]*>', ' ', text)): yield float(m[1].replace(',', ''))/(100 if m[2] else 1)

def written(cells): return (v for c in cells if c['cell_type']=='code' for v in constants_of(parsed(c)))
SETTINGS = {float(v) for part in [*ExperimentConfig().to_dict().values(), *PRESETS.values()] if isinstance(part, dict) for v in part.values() if isinstance(v, (int, float))}

def agrees(number, unit, value, exact=False):
    "Is this the value, to the precision in which it is written?"
    mantissa, _, exponent = number.rstrip('~').partition('e'); decimals = mantissa.partition('.')[2]; rounded = number[-1]=='~'
    zeros = len(mantissa) - len(mantissa.rstrip('0')) if rounded and not decimals else 0
    slack = 0 if exact and not rounded else 10.**(int(exponent or 0) - len(decimals) + zeros)/2
    x = float(number.rstrip('~')); return abs(x - abs(value)*(100 if unit in ('%', 'percent') else 1))<=slack + 1e-9*x

def prose_of(cell):
    "What a cell says in words: Markdown, or what code writes as Markdown around the numbers that it puts in."
    if cell['cell_type']=='markdown': return ''.join(cell['source'])
    calls = [n for n in ast.walk(parsed(cell)) if isinstance(n, ast.Call) and ast.unparse(n.func)=='Markdown'] if cell['cell_type']=='code' else []
    return '\n\n'.join(''.join(v.value if isinstance(v, ast.Constant) else '…' for v in c.args[0].values) for c in calls if isinstance(c.args[0], ast.JoinedStr))

def from_nowhere(cells):
    "A line `number: sentence` for each number in prose that no cell of the page knows, nor, beside a command, the experiment that it runs."
    out, code, missing = set(printed(cells)), set(written(cells)), []
    for text in map(prose_of, cells):
        here = code.union(*(written(json.loads((ROOT/o).read_text())['cells']) for o in set(re.findall(r'papermill (?:-\S+ )*(experiments/\w+\.ipynb)', text))))
        for n, unit, sentence in said(text):
            count = not unit and n.isdigit()                                     # is exact
            if not (any(agrees(n, unit, v, count) for v in out) or any(agrees(n, unit, v, True) for v in (here if unit else here | SETTINGS))): missing.append(f'{n} {unit}: {sentence}')
    return missing

PAGES = [p for o in ('[0-9]*', 'troubleshooting', 'findings/*', 'tutorials/*') for p in sorted((ROOT/'nbs').glob(f'{o}.ipynb'))]

@pytest.mark.parametrize('path', PAGES, ids=lambda p: f'{p.parent.name}/{p.stem}')
def test_numbers_come_from_cells(path):
    """Each number in prose is printed by a cell of the page, where it may be rounded to the precision in which it is written (a count may not, unless it is said to be *about* that), or stands in its code (a parameter, an assertion), in a config, or, beside a command, in the code of the experiment that it runs.

    Left out: code and commands, formulas but for what a symbol is said to be, links, years and other parts of citations, ordinals, versions, and integers up to ten without a unit or percent sign.
    Not seen: *half*, *a third* and the like. On a page that prints hundreds of numbers, a wrong one of one or two digits may agree with some of them by chance.
    """
    missing = from_nowhere(json.loads(path.read_text())['cells'])
    assert not missing, '\n'.join(missing)

@pytest.mark.parametrize('prose, caught', [
    ('a share of 12 %, or 12.03 %, or 0.12', ''), ('a share of 13 %', '13'), ('a loss of 8.85', ''), ('a loss of 8.9', '8.9'), ('524,288 pairs, about 500,000', ''), ('524,289 pairs', '524289'), ('some 600,000 pairs', '600000~'),
    ('at $d=1024$ and $x \\approx 4.1$', '4.1'), ('$\\sum_{i=1}^{77} x_i^{3.5}$', ''), ('`x=77`, [here](a77.html), Teh 2011', ''), ('six times, twelve seeds', '6 12'), ('two percent, 3 % and 0.02', '2 3'), ('8.845 or $10^{-3}$', ''), ('two of ten in 3 ms', '3')], ids=str)
def test_made_up_numbers_are_caught(prose, caught):
    "On a page that knows 12.03%, 8.845, 524,288 and 0.001 (and the configs)."
    cells = [dict(cell_type='code', source='assert p<1e-3; ax.plot(77)', outputs=[dict(text='12.03% of 524,288 at 8.845')]), dict(cell_type='markdown', source=prose)]
    assert [line.split()[0].rstrip(':') for line in from_nowhere(cells)]==caught.split()

@pytest.mark.parametrize('path', PAGES, ids=lambda p: f'{p.parent.name}/{p.stem}')
def test_made_up_numbers_are_caught_here(path):
    "Added to a page as it is."
    lie = dict(cell_type='markdown', source='In 43,217 networks it was 0.77773, in 61.793 % of them $x = 3.3178$.')
    assert [line.split(' ')[0] for line in from_nowhere([*json.loads(path.read_text())['cells'], lie])][-4:]==['43217', '0.77773', '61.793', '3.3178']
