"""Build the docs site in _site/ from the notebooks, offline, without running them: docs/build.py

nbdev processes the notebooks as it does for Quarto (hidden cells go, `show_doc` is rendered, names
in backticks become links). Here they become plain MyST notebooks, and Sphinx makes the pages.
Warnings are errors.
"""
import re
import shutil
import sys
from itertools import groupby
from pathlib import Path
import nbformat as nbf
import yaml
from execnb.nbio import read_nb
from nbdev.config import get_config
from nbdev.doclinks import NbdevLookup
from nbdev.serve import proc_nbs
from nbformat import NotebookNode
from sphinx.cmd.build import build_main

# The reference in the sidebar: group → its rooms. A room that is not named here comes in OTHER.
GROUPS = {
    'What a run is made of': 'config data model products loss bounds sgld',
    'A run': 'blobs plots tracking steps capture training decoupling decoder',
    'Built on runs': 'ensemble ensemble_training phase_diagram',
    'Theory': 'numerics meanfield phases cavity dynamics',
    'Using the structure': 'frames codes stage2',
    'Experiments': 'results launch experiments trials sweep sweep_report search',
    'Around runs': 'monitor terminal film profiling cli stored',
}
OTHER = 'Further rooms'
LONG = 10 # lines from which on a demonstration is folded
MOVED = {'search': 'search-room'} # Sphinx writes a page search.html of its own

cfg = get_config()
root, nbs = cfg.config_path, cfg.nbs_path
source, site = root/'_site_src', root/'_site'
base = f'{cfg.doc_host}{cfg.doc_baseurl}'
symbols = NbdevLookup().syms

def plain(path: Path) -> Path:
    "Where a notebook goes on the site, as nbdev says: 00_config.ipynb → config.ipynb."
    name = re.sub(r'^\d+[a-zA-Z0-9]*_', '', path.stem)
    return path.with_name(MOVED.get(name, name) + path.suffix)

def markdown(text: str) -> NotebookNode:
    "A new Markdown cell."
    return nbf.v4.new_markdown_cell(text)

def unbroken(output: NotebookNode) -> NotebookNode:
    "An output whose tables keep a value and its error on one line."
    if html := output.get('data', {}).get('text/html'):
        output.data['text/html'] = html.replace(' ± ', '\u00a0±\u00a0')
    return output

def names_of(module: str) -> list[str]:
    "Names that a module of this package exports."
    depth = module.count('.') + 1
    inside = [name for name in symbols if name.startswith(f'{module}.')]
    return [name.rpartition('.')[2] for name in inside if name.count('.')==depth]

def names_in(path: Path) -> dict[str, str]:
    "Name → module, for the names of this package that a notebook defines or imports."
    found = {}
    for cell in read_nb(path).cells:
        if cell.cell_type!='code': continue
        if own := re.match(r'#\|\s*default_exp (\w+)', cell.source):
            module = f'{cfg.lib_name}.{own[1]}'
            found |= dict.fromkeys(names_of(module), module)
        imports = rf'^\s*from ({cfg.lib_name}\.\w+) import (.+)$'
        for module, what in re.findall(imports, cell.source, re.M):
            names = names_of(module) if what.strip()=='*' else re.findall(r'\w+', what)
            found |= dict.fromkeys(names, module)
    return found

class Page:
    "A processed notebook on its way to Sphinx."
    def __init__(self,
        path: Path, # Notebook that nbdev has processed
        proc: Path, # Folder of all of them
    ):
        relative = path.relative_to(proc)
        self.nb = nbf.read(path, 4)
        self.origin = nbs/relative
        self.name = plain(relative).with_suffix('').as_posix()
        self.names = names_in(self.origin)
        self.folds = self.name.startswith('findings/')
        self.front = self.front_matter()
        self.title = self.heading = self.front.get('title', self.name)

    def front_matter(self) -> dict:
        "Title and description, which nbdev has put into a raw cell."
        for cell in self.nb.cells:
            if cell.cell_type=='raw' and cell.source.startswith('---'):
                return yaml.safe_load(cell.source.strip().strip('-'))
        return {}

    def symbol(self, found: re.Match) -> str:
        """A name in backticks means what it means in the notebook.

        Elsewhere a plain word such as `run` is a word, unless it is called.
        """
        shown, url = found.groups()
        name = shown.removesuffix('()')
        first = name.partition('.')[0]
        if first in self.names:
            url = symbols.get(f'{self.names[first]}.{name}', [url])[0]
        elif re.fullmatch('[a-z]+', shown): return f'`{name}`'
        page, _, anchor = url.removeprefix(f'{base}/').partition('.html#')
        page, anchor = plain(Path(f'{page}.ipynb')), anchor.replace('.', '')
        return f'[`{shown}`](/{page.as_posix()}#{anchor})'

    def link(self, found: re.Match) -> str:
        "A relative link: to a page of this site, or to a file of the repository."
        to, mark, anchor = found[1].partition('#')
        path = (self.origin.parent/to).resolve()
        if not to or ':' in to or to.startswith('/') or not path.exists(): return found[0]
        if path.is_relative_to(nbs):
            return f'](/{plain(path.relative_to(nbs)).as_posix()}{mark}{anchor})'
        file = path.relative_to(root).as_posix()
        return f']({cfg.git_url}/blob/{cfg.branch}/{file})'

    def prose(self, text: str) -> str:
        "Markdown with Quarto's link attributes and callouts, names and links as Sphinx wants them."
        text = re.sub(r'(\]\([^)]*\))\{[^}]*\}', r'\1', text)
        callout = r'^(:::+)\s*\{\.callout-(\w+)[^}]*\}'
        text = re.sub(callout, r'\1{\2}', text, flags=re.M)
        name = rf'\[`([^`]+)`\]\(({re.escape(base)}/[^)]*)\)'
        text = re.sub(name, self.symbol, text)
        return re.sub(r'\]\(([^)\s]+)\)', self.link, text)

    def cells(self, cell: NotebookNode) -> list[NotebookNode]:
        "What becomes of a cell."
        if cell.cell_type=='raw' or cell.source.startswith('<!-- WARNING: THIS FILE'): return []
        if cell.cell_type=='markdown':
            cell.source = self.prose(cell.source)
            headings = re.findall(r'^#+ (.*)$', cell.source, re.M)
            if headings: self.heading = headings[-1]
            return [cell]
        options, cell.source = re.match(r'((?:\s*#\s*\|.*\n?)*)(.*)', cell.source, re.S).groups()
        options = dict(re.findall(r'#\s*\|\s*([\w-]+)\s*:\s*(.*)', options))
        if options.get('include')=='false': return []
        texts = [o for o in cell.outputs if 'text/markdown' in o.get('data', {})]
        shown = [markdown(self.prose(o.data['text/markdown'])) for o in texts]
        if options.get('output')=='asis': return shown
        cell.outputs = [unbroken(o) for o in cell.outputs if o not in texts]
        alt = dict(image=dict(alt=self.heading))
        cell.metadata = NotebookNode(tags=self.tags(options, cell.source), mystnb=alt)
        return [cell, *shown]

    def tags(self, options: dict[str, str], code: str) -> list[str]:
        "What myst-nb hides of a cell: long code, and all code of a finding, until it is opened."
        tags = []
        if options.get('echo')=='false': tags.append('remove-input')
        elif self.folds or code.count('\n') >= LONG: tags.append('hide-input')
        if options.get('output')=='false': tags.append('remove-output')
        return tags

    def in_order(self) -> list[NotebookNode]:
        "nbdev shows the definitions of a cell from last to first: by line of the source instead."
        def documents(cell: NotebookNode) -> bool:
            return cell.cell_type=='code' and '#| output: asis' in cell.source
        def line(cell: NotebookNode) -> int:
            found = re.search(r'#L(\d+)', str(cell.outputs))
            return int(found[1]) if found else 0
        cells = []
        for ordered, run in groupby(self.nb.cells, documents):
            cells += sorted(run, key=line) if ordered else run
        return cells

    def write(self):
        "The page as Sphinx reads it."
        head = f'# {self.title}'
        if about := self.front.get('description'): head += f'\n\n> {self.prose(about)}'
        self.nb.metadata.pop('widgets', None) # they would fetch scripts; a picture is stored
        cells = [markdown(head)]
        for cell in self.in_order(): cells += self.cells(cell)
        for cell in cells: cell.setdefault('id', nbf.v4.new_markdown_cell().id)
        self.nb.cells = cells
        self.save()

    def save(self):
        "Write the notebook into the sources of the site."
        to = source/f'{self.name}.ipynb'
        to.parent.mkdir(parents=True, exist_ok=True)
        nbf.write(self.nb, to)

    @property
    def group(self) -> str:
        "Which part of the sidebar it belongs to."
        if '/' in self.name: return self.name.partition('/')[0].capitalize()
        if not self.is_room: return 'Overview'
        room = self.origin.stem.partition('_')[2]
        return next((group for group, rooms in GROUPS.items() if room in rooms.split()), OTHER)

    @property
    def is_room(self) -> bool:
        "Does the notebook have a number? Then it documents a module."
        return bool(re.match(r'\d', self.origin.name))

def home_tables() -> dict[str, tuple[str, str]]:
    "Page → its label and what is said about it, in the order of the home page's tables."
    cells = read_nb(nbs/'index.ipynb').cells
    text = '\n'.join(cell.source for cell in cells if cell.cell_type=='markdown')
    rows = re.findall(r'^\| *\[(.*?)\]\((.*?)\.ipynb\) *\| *(.*?) *\|$', text, re.M)
    return {plain(Path(to)).as_posix(): (label, about) for label, to, about in rows}

def navigation(pages: list[Page]) -> list[NotebookNode]:
    "The sidebar, in the order of the home page's tables; what they do not name comes last."
    named = home_tables()
    place = {name: k for k, name in enumerate(named)}
    def order(page: Page) -> tuple[int, Path]:
        return place.get(page.name, len(place)), page.origin
    def entry(page: Page) -> str:
        label, about = named.get(page.name, (page.title, ''))
        if page.is_room:
            topic = re.split('[,:]', about)[0].replace('`', '')
            label = f'{page.title}: {topic}' if topic else page.title
        return f'{label} <{page.name}>'
    groups = {name: [] for name in ('Overview', 'Tutorials', 'Findings', *GROUPS, OTHER)}
    for page in sorted(pages, key=order):
        if page.name!='index': groups.setdefault(page.group, []).append(entry(page))
    def toctree(group: str, entries: list[str]) -> NotebookNode:
        lines = ['```{toctree}', ':hidden:', f':caption: {group}', '', *entries, '```']
        return markdown('\n'.join(lines))
    return [toctree(group, entries) for group, entries in groups.items() if entries]

def copy_images(proc: Path):
    "Pictures that notebooks link to."
    for suffix in 'png', 'svg', 'gif':
        for image in proc.rglob(f'*.{suffix}'):
            to = source/image.relative_to(proc)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(image, to)

def main() -> int:
    "Build; 0 where nothing was wrong."
    proc = proc_nbs(n_workers=2, force=True)
    for folder in source, site: shutil.rmtree(folder, ignore_errors=True)
    pages = [Page(path, proc) for path in sorted(proc.rglob('*.ipynb'))]
    for page in pages: page.write()
    home = next(page for page in pages if page.name=='index')
    home.nb.cells += navigation(pages)
    home.save()
    copy_images(proc)
    options = ['-q', '-W', '--keep-going', '-j', '2', '-b', 'html', '-c', str(root/'docs')]
    failed = build_main([*options, str(source), str(site)])
    executed = root/'jupyter_execute' # myst-nb's
    for folder in source, executed: shutil.rmtree(folder, ignore_errors=True)
    return failed

if __name__=='__main__': sys.exit(main())
