"Every papermill line that a page prints is typed, in a copy of the repository, at a small size."
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
import pytest
import yaml

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow

# three blobs in seconds
TINY = dict(
    d=128, hidden_size=64, batch_size=256, train_dataset_size=7680, test_dataset_size=500,
    lambda_on=8, decoder_regularization=0.015,
    learning_rate=0.07, learning_rate_schedule='cosine',
    encoder_initialization_scale=0.15, decoder_initialization_scale=0.15)
# notebook of experiments/ → parameters that make it small
SMALL = dict(
    run=dict(epochs=2, d=128, hidden_size=64, batch_size=500, train_dataset_size=5000),
    reference=dict(seeds=[0], small_seeds=1, overrides=TINY),
    benchmark=dict(
        d=128, hidden_size=64, batch_size=500, repeats=2, dims=[128], dim_repeats=1,
        memory_d=256, end_to_end=None),
    codes=dict(
        seeds=[0], presets=['quick_3blob'], overrides=TINY, samples=2000, threads=1, rest_epochs=1,
        small=dict(d=64, hidden_size=32, batch_size=200, train_dataset_size=2000, epochs=2),
        penalties=[0.0, 0.01], noises=[0.005], doubled=[0.01], stable_penalties=[0.01],
        stable_degrees=[4]),
    diagnostics=dict(seeds=[0], parts=['epochs', 'structure']),
    ensemble=dict(
        d=32, hidden_size=16, members=[1, 2], batch_sizes=[32], rounds=1, sizes=[[32, 32]],
        processes=0, reference=0),
    langevin=dict(temperatures=[0.003, 0.01], chains=2, burn=100, steps=400),
    monitor=dict(preset='quick_3blob'),
    phase_diagram=dict(seeds=1, points=3),
    quick_search=dict(trials=2, finalists=1, seeds=1, data='search.json'),
    stage2=dict(preset='quick_3blob', stage1_seeds=[0], samples=1, epochs=1, repeats=1),
    sweep=dict(
        base='my_config.json', search_trials=2,
        space=dict(learning_rate=[0.01, 0.2], epochs=[1, 2])),
    sweep_grid=dict(
        axes=dict(learning_rate=[0.05], scale=[0.1], decoder_regularization=[0.02],
                  lambda_on=[8.0]),
        data='grid.json'),
    theory={},
    theory_data=dict(n_random=1, seeds=[0], rates=[0.06], parts=['random', 'dynamics']),
    variations=dict(seeds=1, overrides=dict(d=32, hidden_size=16, test_dataset_size=200)),
)
MY_CONFIG = dict(
    data=dict(d=64, train_dataset_size=2000, test_dataset_size=500),
    model=dict(hidden_size=32),
    training=dict(batch_size=500, epochs=2))

def prose_of(path: Path) -> str:
    "The Markdown of a notebook."
    cells = json.loads(path.read_text())['cells']
    return '\n'.join(''.join(c['source']) for c in cells if c['cell_type']=='markdown')

def experiments() -> list[Path]:
    "Notebooks of experiments/, without what running them has left there."
    return [p for p in sorted(ROOT.glob('experiments/*.ipynb')) if not p.stem.endswith('_out')]

def lines() -> list[str]:
    "The lines, those first on whose runs others build."
    pages = sorted([*ROOT.glob('nbs/**/*.ipynb'), *experiments()])
    prose = '\n'.join([(ROOT/'README.md').read_text(), *map(prose_of, pages)])
    command = r'(papermill (?:-\S+ )*experiments/\w+\.ipynb [^`\n]*?)'
    found = set(re.findall(rf'^[ \t]*(?:\w+=\S+ )*{command}[ \t]*(?:#.*)?$', prose, re.M))
    return sorted(found, key=lambda line: ('reference.ipynb' not in line, line))

def notebook(line: str) -> str:
    "The notebook that a line runs."
    match = re.search(r'experiments/(\w+)\.ipynb', line)
    assert match
    return match[1]

@pytest.fixture(scope='module')
def copy(tmp_path_factory):
    "The tracked files in a folder of their own."
    there = tmp_path_factory.mktemp('a copy')/'mftd'
    listed = subprocess.check_output(['git', 'ls-files'], cwd=ROOT, text=True)
    for name in listed.splitlines():
        (there/name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT/name, there/name)
    (there/'my_config.json').write_text(json.dumps(MY_CONFIG))
    return there

def test_every_experiment_is_named():
    "Each notebook of experiments/ stands in a line, and has a small size here."
    names = {p.stem for p in experiments()}
    assert names==set(SMALL)
    assert names==set(map(notebook, lines()))

def small_command(line: str) -> list[str]:
    "A line with the small size in place of its own; on the command line `-p` wins over `-y`."
    size = SMALL[notebook(line)]
    replaced = '|'.join(['device', *size])
    given = re.sub(rf' -p ({replaced}) \S+', '', line).split()
    return [*given, '-y', yaml.safe_dump(size)]

@pytest.mark.parametrize('line', lines(), ids=str)
def test_line_runs(line, copy):
    "It runs to its end on the CPU, and its output notebook holds no error."
    if 'my_experiment' in line: pytest.skip('names a run of the reader')
    env = {k: v for k, v in os.environ.items() if k!='MFTD_EXPERIMENTS'}
    env['PATH'] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    env['PYTHONPATH'] = str(copy)
    command = small_command(line)
    done = subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True, timeout=1200)
    assert done.returncode==0, done.stderr[-3000:]
    cells = json.loads((copy/command[2]).read_text())['cells']
    outputs = [o for c in cells for o in c.get('outputs', [])]
    assert not [o for o in outputs if o['output_type']=='error']
