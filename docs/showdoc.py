"""How the reference comes by its signatures and parameter tables.

Every parameter of the package has a comment, a docment, behind it. nbdev shows each exported
function and class below its definition, and `TableRenderer` (`renderer` in settings.ini) says how:
a signature, the docstring, the comments as a table; a class is followed by its methods, so that a
link to a method has a target. `ShowConstants` (`procs`) does the same for exported constants.
"""
import ast
import inspect
import io
import re
import sys
import textwrap
import tokenize
import typing
from collections.abc import Callable
from functools import reduce
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from execnb.nbio import mk_cell
from fastcore.docments import docments
from nbdev.config import get_config
from nbdev.doclinks import NbdevLookup
from nbdev.process import Processor
from nbdev.showdoc import BasicMarkdownRenderer

def escape(
    text: str, # Plain text with code in backticks
) -> str: # Markdown that reads the same
    "Text whose stars, underscores, brackets, angles and dollars are only themselves."
    def escaped(part: str) -> str:
        if part.startswith('`'): return part
        return re.sub(r'([*_<\[\]$])', r'\\\1', part)
    return ''.join(map(escaped, re.split('(`[^`]*`)', text)))

def type_name(
    anno: Any, # Annotation, or the type of a default
) -> str: # As a reader would say it
    "A short name of a type: without module, without the limits of an annotated one."
    if anno in (inspect.Parameter.empty, type(None)): return ''
    origin, args = typing.get_origin(anno), typing.get_args(anno)
    if origin is typing.Annotated: return type_name(args[0])
    if origin is typing.Literal: return ' or '.join(f'`{o!r}`' for o in args)
    return re.sub(r'\b(?:\w+\.)+(?=\w)', '', inspect.formatannotation(anno).strip("'"))

class Default:
    "A default as its author wrote it: functions and classes by their names."
    def __init__(self,
        value: Any, # Any value
    ):
        self.value = value

    def __repr__(self) -> str:
        return getattr(self.value, '__name__', None) or repr(self.value)

def name_annotations(
    f: Callable, # Function or class whose module imports some types for a type checker only
):
    "Make every name in the annotations known: as the module of that name, else as a bare class."
    while True:
        try: inspect.signature(f, eval_str=True)
        except NameError as e: missing = e.name
        except (TypeError, ValueError): return
        else: return
        found = find_spec(missing)
        value = import_module(missing) if found else type(missing, (), {})
        setattr(sys.modules[f.__module__], missing, value)

def parameters(f: Callable) -> dict:
    "Name → type, default, comment and kind of each parameter; `return` is one of them."
    found = docments(f, full=True, args_kwargs=True)
    return {name: p for name, p in found.items() if name not in ('self', 'cls')}

def parameter_table(
    f: Callable, # Function or class; its source has a comment behind each parameter
) -> str: # Markdown; empty where there are no comments
    "Parameters of a function or fields of a dataclass as a table; last, what it returns."
    found = parameters(f)
    if not any(p.docment for p in found.values()): return ''
    stars = {inspect.Parameter.VAR_POSITIONAL: '*', inspect.Parameter.VAR_KEYWORD: '**'}
    def row(name: str, p: Any) -> list[str]:
        if name=='return': head = '**returns**'
        else: head = f'<code>{stars.get(p.kind, "")}{name}</code>'
        default = '' if p.default is inspect.Parameter.empty else f'`{Default(p.default)}`'
        return [head, escape(type_name(p.anno)), default, escape(p.docment or '')]
    rows = [row(name, p) for name, p in found.items() if name!='return' or p.docment]
    heads = '', 'type', 'default', 'meaning'
    columns = [(head, *cells) for head, cells in zip(heads, zip(*rows)) if any(cells)]
    def line(cells: tuple) -> str:
        cells = [o.replace('|', r'\|').replace('\n', ' ') for o in cells]
        return '| ' + ' | '.join(cells) + ' |'
    head, *body = zip(*columns)
    rule = ('---',)*len(columns)
    return '\n'.join(map(line, [head, rule, *body]))

def exported(
    sym: Any, # Function, class or method, perhaps defined in a notebook
) -> Any: # The same, or what it was exported to
    "The object of the package that a notebook's definition was exported to; itself where none is."
    name = getattr(sym, '__qualname__', '')
    known = import_module(f'{get_config().lib_name}._modidx').d['syms']
    for module, names in known.items():
        if f'{module}.{name}' not in names: continue
        found = reduce(getattr, name.split('.'), import_module(module))
        if found.__doc__==sym.__doc__: return found
    return sym

def signature_line(
    name: str, # What it is called as
    f: Callable, # Function or class
) -> str: # `name(a, b=1)`, wrapped where it is long
    "How something is called, without the types: those are in the table."
    def bare(p: inspect.Parameter) -> inspect.Parameter:
        default = p.empty if p.default is p.empty else Default(p.default)
        return p.replace(annotation=p.empty, default=default)
    params = [p for p in inspect.signature(f).parameters.values() if p.name not in ('self', 'cls')]
    call = name + str(inspect.Signature([bare(p) for p in params]))
    return textwrap.fill(
        call, 88, subsequent_indent='    ', break_long_words=False, break_on_hyphens=False)

def methods(
    cls: type, # Class
) -> dict: # Name → function, class method or property
    "The public methods in the body of a class; patched ones have a place of their own."
    try: source = inspect.getsource(cls)
    except (OSError, TypeError): return {}
    body = ast.parse(textwrap.dedent(source)).body[0].body
    names = [o.name for o in body if isinstance(o, ast.FunctionDef) and o.name[0]!='_']
    return {name: inspect.getattr_static(cls, name) for name in names}

class TableRenderer(BasicMarkdownRenderer):
    "Shows a function or class as signature, docstring and parameter table; a class with methods."
    def __init__(self,
        sym: Any, # What is shown
        name: str | None=None, # Under which name, default: its own
        title_level: int=3, # Of its heading
    ):
        # `exported` comes first: the base class takes off decorators, which hide the class
        sym = exported(sym)
        name_annotations(sym)
        super().__init__(sym, name or getattr(sym, '__qualname__', None), title_level)

    def part(self,
        sym: Any, # Function, class, method or property
        name: str, # Its heading
        level: int, # Of the heading
    ) -> str: # Markdown
        "One heading with everything below it."
        f = getattr(sym, 'fget', None) or getattr(sym, '__func__', sym)
        text = escape(inspect.cleandoc(f.__doc__ or '')) + self.source_link(f, name)
        call = '' if isinstance(sym, property) else self.call(f, name)
        parts = [f"{'#'*level} {name}", call, text.strip(), parameter_table(f)]
        return '\n\n'.join(filter(None, parts))

    def source_link(self,
        f: Any, # Function or class
        name: str, # As the package knows it
    ) -> str: # Markdown; empty where it is not of this package
        "A link to the line of the source."
        try: return f" [source]({NbdevLookup()[f'{f.__module__}.{name}'][2]}#L{first_line(f)})"
        except (TypeError, OSError): return ''

    def call(self,
        f: Any, # Function or class
        name: str, # What it is called as
    ) -> str: # Markdown; empty where there is no signature
        "The signature as a block of code."
        try: return f'```python\n{signature_line(name, f)}\n```'
        except (TypeError, ValueError): return ''

    def _repr_markdown_(self) -> str:
        parts = [(self.sym, self.nm, self.title_level)]
        if inspect.isclass(self.sym):
            for name, method in methods(self.sym).items():
                parts.append((method, f'{self.nm}.{name}', self.title_level + 1))
        return '\n\n'.join(self.part(*o) for o in parts)

def first_line(f: Callable) -> int:
    "Where the source of a function or class begins in its file."
    _, line = inspect.getsourcelines(f)
    return line

def comments(source: str) -> dict[int, str]:
    "Line → comment on it."
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip('# ') for t in tokens if t.type==tokenize.COMMENT}

def constants(
    source: str, # Of a cell or a module
) -> dict: # Name → `(definition, comment)`
    "Public constants that code defines, each with the comment on its last, first or previous line."
    notes, found = comments(source), {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.Assign): continue
        name = getattr(node.targets[0], 'id', '_')
        if name[0]=='_': continue
        lines = node.end_lineno, node.lineno, node.lineno - 1
        note = next((notes[o] for o in lines if o in notes), '')
        found[name] = ast.get_source_segment(source, node), note
    return found

class ShowConstants(Processor):
    "Puts each exported constant, with its definition and its comment, below its cell."
    def __init__(self,
        nb: Any, # Notebook with directives read and nothing removed yet
    ):
        super().__init__(nb)
        cells = []
        for cell in nb.cells:
            cells.append(cell)
            if cell.cell_type!='code' or 'export' not in cell.directives_: continue
            for name, (definition, comment) in constants(cell.source).items():
                text = f'### {name}\n\n```python\n{definition}\n```\n\n{escape(comment)}'
                cells.append(mk_cell(text, 'markdown'))
        nb.cells[:] = cells
        for k, cell in enumerate(nb.cells): cell.idx_ = k
