"What is exported is explained and shown at work; what is found can be run again."
import ast, inspect, io, json, re, tokenize
from functools import cache, reduce
from importlib import import_module
from pathlib import Path
import pytest
from fastcore.docments import docments
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
