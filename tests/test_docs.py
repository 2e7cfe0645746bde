"What is exported is explained and shown at work; what is found can be run again."
import ast
import inspect
import io
import json
import re
import tokenize
from collections.abc import Iterator
from functools import cached_property, reduce
from importlib import import_module
from pathlib import Path
import pytest
from fastcore.docments import docments
from mftd._modidx import d as index

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT/'nbs').glob('[0-9]*_*.ipynb'))
FINDINGS = sorted((ROOT/'nbs/findings').glob('*.ipynb'))
each_module = pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda p: p.stem)
each_finding = pytest.mark.parametrize('path', FINDINGS, ids=lambda p: p.stem)

def sources(path: Path, kind: str) -> list[str]:
    "The cells of a notebook that are `code`, or `markdown`."
    cells = json.loads(path.read_text())['cells']
    return [''.join(c['source']) for c in cells if c['cell_type']==kind]

def directives(cell: str) -> set[str]:
    "export, hide, slow, …: what the `#|` lines of a cell say."
    return set(re.findall(r'^#\s*\|\s*(\w+)', cell, re.M))

def module_of(path: Path):
    "The module that a notebook exports."
    return import_module('mftd.' + path.stem.split('_', 1)[1])

def public(path: Path) -> dict:
    "Name → function, class, method or property, for all that is exported under a public name."
    module, found = module_of(path), {}
    for name in index['syms'][module.__name__]:
        name = name.removeprefix(f'{module.__name__}.')
        if re.search(r'(^|\.)_', name): continue
        found[name] = reduce(inspect.getattr_static, name.split('.'), module)
    return found

def constants(path: Path) -> list[str]:
    "Exported names that are neither functions nor classes."
    return [n for n in module_of(path).__all__ if n not in public(path)]

def function_of(o):
    "The function behind a property, a class method, or a method that is patched in."
    if isinstance(o, property): return o.fget
    if isinstance(o, cached_property): return o.func
    if type(o).__name__=='_clsmethod': return o.f
    return getattr(o, '__func__', o)

def unexplained(name: str, o) -> list[str]:
    "What a public name lacks: a docstring, a comment for a parameter."
    f = function_of(o)
    doc, missing = f.__doc__ or '', []
    if not doc or doc.startswith(f.__name__ + '('): missing.append(f'{name}: docstring')
    protocol = getattr(f, '_is_protocol', False)
    if inspect.isclass(f) and (protocol or '__init__' not in vars(f)): return missing
    params = docments(f, full=True, returns=False, args_kwargs=True)
    params = {k: v for k, v in params.items() if k not in ('self', 'cls', 'ctx')}
    kinds = inspect.Parameter
    starred = any(v.kind==kinds.VAR_KEYWORD and v.docment for v in params.values())
    for k, v in params.items():
        shared = starred and v.kind==kinds.VAR_POSITIONAL  # a comment serves `*args, **kwargs`
        if not v.docment and not shared: missing.append(f'{name}: {k}')
    return missing

def comment_lines(cell: str) -> set[int]:
    "Lines of a cell that hold a comment."
    tokens = tokenize.generate_tokens(io.StringIO(cell).readline)
    comments = [t for t in tokens if t.type==tokenize.COMMENT and not t.string.startswith('#|')]
    return {t.start[0] for t in comments}

def targets(node: ast.AST) -> list[str]:
    "Names that a statement assigns to."
    parts = [n for t in getattr(node, 'targets', []) for n in ast.walk(t)]
    return [n.id for n in parts if isinstance(n, ast.Name)]

def uncommented(cell: str) -> list[str]:
    "Constants of a cell without a comment on their first or last line, or above."
    comments, missing = comment_lines(cell), []
    for node in ast.parse(cell).body:
        around = {node.lineno - 1, node.lineno, node.end_lineno}
        if around & comments: continue
        missing += [f'{n}: comment' for n in targets(node) if n[0]!='_']
    return missing

@each_module
def test_explained(path):
    "A docstring, and a comment for every parameter and every constant."
    missing = [o for name, found in public(path).items() for o in unexplained(name, found)]
    for cell in sources(path, 'code'):
        if 'export' in directives(cell): missing += uncommented(cell)
    assert not missing, '\n'.join(missing)

def words(cell: str) -> set[str]:
    "Names that a cell uses, other than by importing them."
    try: nodes = ast.walk(ast.parse(re.sub(r'^\s*[%!].*$', '', cell, flags=re.M)))
    except SyntaxError: return set()
    used = [getattr(o, k, None) for o in nodes for k in ('id', 'attr')]
    return {name for name in used if name}

def defines(cell: str) -> Iterator[str]:
    "Names that an exported cell defines: functions, classes, constants, methods."
    for node in ast.parse(cell).body:
        yield from targets(node)
        if isinstance(node, ast.FunctionDef):
            patched = any('patch' in ast.unparse(o) for o in node.decorator_list)
            owner = f'{ast.unparse(node.args.args[0].annotation)}.' if patched else ''
            yield owner + node.name
        if isinstance(node, ast.ClassDef):
            yield node.name
            methods = [m for m in node.body if isinstance(m, ast.FunctionDef)]
            yield from (f'{node.name}.{m.name}' for m in methods)

def overrides(name: str, names: dict) -> bool:
    "Is it a method that a base class has as well, such as `forward`?"
    owner, _, method = name.rpartition('.')
    return owner in names and any(hasattr(o, method) for o in names[owner].__mro__[1:])

@each_module
def test_shown(path):
    "Used below its definition, in a cell that is neither exported nor hidden."
    cells, names = sources(path, 'code'), public(path)
    visible = [not {'export', 'hide'} & directives(c) for c in cells]
    used = [words(c) if seen else set() for c, seen in zip(cells, visible)]
    exported = [(k, c) for k, c in enumerate(cells) if 'export' in directives(c)]
    place = {name: k for k, c in exported for name in defines(c)}
    missing = []
    for name in [*names, *constants(path)]:
        owner, _, last = name.rpartition('.')
        wanted = owner if overrides(name, names) else last
        if not any(wanted in o for o in used[place[name]:]): missing.append(name)
    assert not missing, '\n'.join(missing)

def parameters(notebook: Path) -> set[str]:
    "Names that the parameters cell of an experiment sets."
    cells = json.loads(notebook.read_text())['cells']
    tagged = [c for c in cells if 'parameters' in c['metadata'].get('tags', [])]
    return {n for c in tagged for n in words(''.join(c['source']))}

@each_finding
def test_findings_run_again(path):
    "Each finding names the command that makes it anew, with parameters that exist."
    stored = any('data/' in c for c in sources(path, 'code'))
    if not stored: return            # a page that reads no stored data has none to make again
    prose = '\n\n'.join(sources(path, 'markdown'))
    commands = re.findall(r'^(?: {4}|\t)?((?:\w+=\S+ )*(?:papermill|mftd) .*)$', prose, re.M)
    assert commands
    for command in commands:
        notebook = re.search(r'papermill (?:-\S+ )*(\S+\.ipynb)', command)
        if not notebook: continue
        given = set(re.findall(r' -[pry] (\w+)', command))
        assert given <= parameters(ROOT/notebook[1]), command
