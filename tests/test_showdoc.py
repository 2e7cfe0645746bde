"How the reference shows signatures, parameters and constants: docs/showdoc.py."
import sys
from functools import reduce
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Literal
import pytest
from execnb.nbio import dict2nb, mk_cell
from nbdev.process import NBProcessor
from mftd.config import TrainingConfig
from mftd.model import TwoLayerNet, weight_pairs
from mftd.sgld import SGLD
from mftd._modidx import d

sys.path.insert(0, str(Path(__file__).parent.parent/'docs'))
from showdoc import (
    Default, ShowConstants, TableRenderer, constants, escape, exported, methods, parameter_table,
    signature_line, type_name)

CONSTANTS = """import os
_hidden = 1
N = 3 # Three
SIZES = dict(h=512,
    d=1024) # Of the reference"""

def test_escape():
    "Comments may hold characters of Markdown; what stands in backticks is left alone."
    assert escape('`a_b*c` is <a> or x_i*y')==r'`a_b*c` is \<a> or x\_i\*y'

@pytest.mark.parametrize('type_, name', [
    (int, 'int'),
    (TwoLayerNet, 'TwoLayerNet'),
    (int | None, 'int | None'),
    (dict[str, float], 'dict[str, float]'),
    (type(None), ''),
    (Literal['adam', 'sgld'], "`'adam'` or `'sgld'`"),
])
def test_type_name(type_, name):
    assert type_name(type_)==name

@pytest.mark.parametrize('value, written', [
    (TwoLayerNet, 'TwoLayerNet'), (len, 'len'), ('relu', "'relu'"), (1., '1.0')])
def test_default(value, written):
    assert repr(Default(value))==written

def test_table_of_parameters():
    "One row for each parameter, and what is returned."
    table = parameter_table(weight_pairs)
    assert '<code>model</code>' in table
    assert '**returns**' in table
    assert 'unit by unit' in table

def test_table_of_fields():
    "Fields of a config are parameters too."
    row = "| <code>optimizer_type</code> | `'adam'` or `'sgld'` | `'adam'` |"
    assert row in parameter_table(TrainingConfig)

def test_exported():
    "A class written in a notebook has no source to be read; the one exported from it has."
    here = type('TwoLayerNet', (TwoLayerNet,), dict(__doc__=TwoLayerNet.__doc__))
    assert here.__module__!='mftd.model'
    assert exported(here).__module__=='mftd.model'
    assert exported(len) is len

def test_two_modules_define_one_name(monkeypatch):
    "The docstring tells them apart."
    def defined_in(module: str) -> FunctionType:
        def measure(): pass
        measure.__doc__ = f'Measured by {module}.'
        measure.__qualname__ = 'measure'
        measure.__module__ = module
        return measure
    for name in 'one', 'two':
        module = ModuleType(name)
        module.measure = defined_in(name)
        monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setitem(d['syms'], name, {f'{name}.measure': ()})
    for name in 'one', 'two':
        here = defined_in(name)
        here.__module__ = '__main__'
        assert exported(here).__module__==name

def test_nothing_is_taken_for_something_else():
    "Each public name of the package is shown as that of its own module."
    for module, names in d['syms'].items():
        for name in names:
            short = name.removeprefix(f'{module}.')
            if short[0]=='_': continue
            own = reduce(getattr, short.split('.'), import_module(module))
            assert exported(own)==own, f'another module has a {short} with the docstring of {name}'

def test_signature_line():
    assert signature_line('SGLD', SGLD)=='SGLD(params, lr, temperature=0.0, noise=None)'

def test_methods():
    "The public ones in the body, in order."
    assert list(methods(SGLD))==['step', 'state_dict', 'load_state_dict']

def test_renderer():
    "Signature, docstring and table of a class, then its methods."
    renderer = TableRenderer(SGLD)
    shown = renderer._repr_markdown_()
    call = '```python\nSGLD(params, lr, temperature=0.0, noise=None)\n```'
    assert shown.startswith(f'### SGLD\n\n{call}')
    assert '#### SGLD.step' in shown
    assert '/mftd/sgld.py#L' in shown
    assert '| <code>lr</code> |' in renderer.part(SGLD, 'SGLD', 3)

def test_constants():
    "Each public one, with the comment that explains it."
    definition = 'SIZES = dict(h=512,\n    d=1024)'
    expected = dict(N=('N = 3', 'Three'), SIZES=(definition, 'Of the reference'))
    assert constants(CONSTANTS)==expected

def test_constants_are_shown_below_their_cell():
    nb = dict2nb(cells=[mk_cell('#| export\n' + CONSTANTS), mk_cell('SIZES')], metadata={})
    NBProcessor(nb=nb, procs=[ShowConstants])
    assert [cell.cell_type for cell in nb.cells]==['code', 'markdown', 'markdown', 'code']
    sizes = '### SIZES\n\n```python\nSIZES = dict(h=512,\n    d=1024)\n```\n\nOf the reference'
    assert nb.cells[2].source==sizes
