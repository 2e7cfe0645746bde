"Every papermill line that a page prints is typed, in a copy of the repository and at a small size."
import json, os, re, shutil, subprocess, sys
from pathlib import Path
import pytest, yaml

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow
TINY = '''{d: 128, hidden_size: 64, batch_size: 256, train_dataset_size: 7680, test_dataset_size: 500, lambda_on: 8, decoder_regularization: 0.015,
           learning_rate: 0.07, learning_rate_schedule: cosine, encoder_initialization_scale: 0.15, decoder_initialization_scale: 0.15}'''            # three blobs in seconds
SMALL = dict(
    run='{epochs: 2, d: 128, hidden_size: 64, batch_size: 500, train_dataset_size: 5000}',
    reference=f'{{seeds: [0], small_seeds: 1, overrides: {TINY}}}',
    benchmark='{d: 128, hidden_size: 64, batch_size: 500, repeats: 2, dims: [128], dim_repeats: 1, memory_d: 256, end_to_end: null}',
    diagnostics='{seeds: [0], parts: [epochs, structure]}',
    ensemble='{d: 32, hidden_size: 16, members: [1, 2], batch_sizes: [32], rounds: 1, sizes: [[32, 32]], kernels: 0, reference: 0}',
    langevin='{temperatures: [0.003, 0.01], chains: 2, burn: 100, steps: 400}',
    monitor='{preset: quick_3blob}',
    phase_diagram='{seeds: 1, points: 3}',
    quick_search='{trials: 2, finalists: 1, seeds: 1, data: search.json}',
    stage2='{preset: quick_3blob, stage1_seeds: [0], samples: 1, epochs: 1, repeats: 1}',
    sweep='{base: my_config.json, search_trials: 2, space: {learning_rate: [0.01, 0.2], epochs: [1, 2]}}',
    sweep_grid='{axes: {learning_rate: [0.05], scale: [0.1], decoder_regularization: [0.02], lambda_on: [8.0]}, data: grid.json}',
    theory='{}',
    theory_data='{n_random: 1, seeds: [0], rates: [0.06], parts: [random, dynamics]}',
    variations='{seeds: 1, overrides: {d: 32, hidden_size: 16, test_dataset_size: 200}}',
)

def lines():
    "The lines, those first on whose runs others build."
    prose = '\n'.join([(ROOT/'README.md').read_text(), *(''.join(c['source']) for p in sorted([*ROOT.glob('nbs/**/*.ipynb'), *ROOT.glob('experiments/*.ipynb')]) if not p.name.endswith('_out.ipynb')
                                                         for c in json.loads(p.read_text())['cells'] if c['cell_type']=='markdown')])
    found = set(re.findall(r'^[ \t]*(?:\w+=\S+ )*(papermill (?:-\S+ )*experiments/\w+\.ipynb [^`\n]*?)[ \t]*(?:#.*)?$', prose, re.M))
    return sorted(found, key=lambda o: ('reference.ipynb' not in o, o))

def notebook(line): return re.search(r'experiments/(\w+)\.ipynb', line)[1]

@pytest.fixture(scope='module')
def copy(tmp_path_factory):
    "The tracked files in a folder of their own."
    there = tmp_path_factory.mktemp('a copy')/'mftd'
    for name in subprocess.run(['git', 'ls-files'], cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines():
        (there/name).parent.mkdir(parents=True, exist_ok=True); shutil.copy(ROOT/name, there/name)
    (there/'my_config.json').write_text(json.dumps(dict(data=dict(d=64, train_dataset_size=2000, test_dataset_size=500), model=dict(hidden_size=32), training=dict(batch_size=500, epochs=2))))
    return there

def test_every_experiment_is_named():
    "Each notebook of experiments/ stands in a line, and has a small size here."
    assert {p.stem for p in (ROOT/'experiments').glob('*.ipynb') if not p.stem.endswith('_out')} == set(map(notebook, lines())) == set(SMALL)

@pytest.mark.parametrize('line', lines(), ids=str)
def test_line_runs(line, copy):
    "It runs to its end on the CPU, and its output notebook holds no error."
    if 'my_experiment' in line: pytest.skip('names a run of the reader')
    given = re.sub(rf' -p ({"|".join(["device", *yaml.safe_load(SMALL[notebook(line)])])}) \S+', '', line).split()            # -p would win over -y
    env = {k: v for k, v in os.environ.items() if k!='MFTD_EXPERIMENTS'} | {'PATH': f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", 'PYTHONPATH': str(copy)}
    done = subprocess.run([*given, '-y', SMALL[notebook(line)]], cwd=copy, env=env, capture_output=True, text=True, timeout=1200)
    assert done.returncode==0, done.stderr[-3000:]
    out = json.loads((copy/given[2]).read_text())
    assert not [o for c in out['cells'] for o in c.get('outputs', []) if o['output_type']=='error']
