"""Build the docs site in _site/ from the notebooks, offline and without running them: python docs/build.py

nbdev processes the notebooks as it does for Quarto (hidden cells go, `show_doc` is rendered, names in backticks become links); here they become
plain MyST notebooks, and Sphinx makes the pages. Warnings are errors.
"""
import re, shutil, sys
from itertools import groupby
from pathlib import Path
import nbformat as nbf, yaml
from execnb.nbio import read_nb
from nbdev.config import get_config
from nbdev.doclinks import NbdevLookup
from nbdev.serve import proc_nbs
from sphinx.cmd.build import build_main

cfg = get_config(); root, nbs = cfg.config_path, cfg.nbs_path; src, site = root/'_site_src', root/'_site'
base, syms = f'{cfg.doc_host}{cfg.doc_baseurl}', NbdevLookup().syms
GROUPS = {0: 'What a run is made of', 5: 'A run', 8: 'Built on runs', 11: 'Around runs', 16: 'This site'}   # of the reference, by the first number

def plain(path): return path.with_name(re.sub(r'^\d+[a-zA-Z0-9]*_', '', path.name))             # 00_config.ipynb → config.ipynb, as nbdev does
def markdown(text): return nbf.v4.new_markdown_cell(text)

def names_in(path):
    "Name → module, for the names of this package that a notebook defines or imports."
    found, cells = {}, [c.source for c in read_nb(path).cells if c.cell_type=='code']
    def exported(mod): return [k.rpartition('.')[2] for k in syms if k.startswith(f'{mod}.') and k.count('.')==mod.count('.') + 1]
    for s in cells:
        if m := re.match(r'#\|\s*default_exp (\w+)', s): found |= {n: f'{cfg.lib_name}.{m[1]}' for n in exported(f'{cfg.lib_name}.{m[1]}')}
        for mod, what in re.findall(rf'^\s*from ({cfg.lib_name}\.\w+) import (.+)$', s, re.M):
            found |= {n: mod for n in (exported(mod) if what.strip()=='*' else re.findall(r'\w+', what))}
    return found

class Page:
    "A processed notebook on its way to Sphinx."
    def __init__(self, path, proc):
        self.nb, self.origin = nbf.read(path, 4), nbs/path.relative_to(proc)
        self.name, self.names = plain(path.relative_to(proc)).with_suffix('').as_posix(), names_in(self.origin)

    def symbol(self, m):
        "A name in backticks means what it means in the notebook; elsewhere a plain word such as `run` is a word, unless it is called."
        name, url = m[1].removesuffix('()'), m[2]; first = name.partition('.')[0]
        if first in self.names: url = syms.get(f'{self.names[first]}.{name}', [url])[0]
        elif re.fullmatch('[a-z]+', name) and not m[1].endswith('()'): return f'`{name}`'
        page, _, anchor = url.removeprefix(f'{base}/').partition('.html#')
        return f"[`{m[1]}`](/{page}.ipynb#{anchor.replace('.', '')})"

    def link(self, m):
        "A relative link: to a page of this site, or to a file of the repository."
        to, hash, anchor = m[1].partition('#'); path = (self.origin.parent/to).resolve()
        if not to or ':' in to or to.startswith('/') or not path.exists(): return m[0]
        if not path.is_relative_to(nbs): return f']({cfg.git_url}/blob/{cfg.branch}/{path.relative_to(root).as_posix()})'
        return f'](/{plain(path.relative_to(nbs)).as_posix()}{hash}{anchor})'

    def prose(self, s):
        s = re.sub(r'(\]\([^)]*\))\{[^}]*\}', r'\1', s)                                         # Quarto's link attributes
        s = re.sub(r'^(:::+)\s*\{\.callout-(\w+)[^}]*\}', r'\1{\2}', s, flags=re.M)             # Quarto's callouts
        s = re.sub(rf'\[`([^`]+)`\]\(({re.escape(base)}/[^)]*)\)', self.symbol, s)
        return re.sub(r'\]\(([^)\s]+)\)', self.link, s)

    def cells(self, c):
        "What becomes of a cell."
        if c.cell_type=='raw' or c.source.startswith('<!-- WARNING: THIS FILE'): return []
        if c.cell_type=='markdown':
            c.source = self.prose(c.source)
            if h := re.findall(r'^#+ (.*)$', c.source, re.M): self.heading = h[-1]
            return [c]
        options, code = re.match(r'((?:\s*#\s*\|.*\n?)*)(.*)', c.source, re.S).groups()
        options = dict(re.findall(r'#\s*\|\s*([\w-]+)\s*:\s*(.*)', options)); c.source = code
        if options.get('include')=='false': return []
        shown = [markdown(self.prose(o.data['text/markdown'])) for o in c.outputs if 'text/markdown' in o.get('data', {})]
        if options.get('output')=='asis': return shown
        c.outputs = [o for o in c.outputs if 'text/markdown' not in o.get('data', {})]
        c.metadata = nbf.NotebookNode(tags=[t for k, t in (('echo', 'remove-input'), ('output', 'remove-output')) if options.get(k)=='false'], mystnb=dict(image=dict(alt=self.heading)))
        return [c, *shown]

    def in_order(self):
        "nbdev shows the definitions of a cell from last to first: by line of the source instead."
        def shown(c): return c.cell_type=='code' and '#| output: asis' in c.source
        def line(c): return int((re.findall(r'#L(\d+)', str(c.outputs)) or [0])[0])
        return [c for asis, run in groupby(self.nb.cells, shown) for c in (sorted(run, key=line) if asis else run)]

    def write(self):
        front = next((yaml.safe_load(c.source.strip().strip('-')) for c in self.nb.cells if c.cell_type=='raw' and c.source.startswith('---')), {})
        self.title = self.heading = front.get('title', self.name)
        self.nb.metadata.pop('widgets', None)                                                   # they would fetch scripts; a widget's last picture is stored beside it
        self.nb.cells = [markdown(f'# {self.title}' + (f"\n\n> {self.prose(front['description'])}" if front.get('description') else ''))] + sum(map(self.cells, self.in_order()), [])
        for c in self.nb.cells: c.setdefault('id', nbf.v4.new_markdown_cell().id)
        to = src/f'{self.name}.ipynb'; to.parent.mkdir(parents=True, exist_ok=True); nbf.write(self.nb, to)

def navigation(pages):
    "The sidebar: groups and order from the tables of the home page; whatever they do not name comes last."
    text = '\n'.join(c.source for c in read_nb(nbs/'index.ipynb').cells if c.cell_type=='markdown')
    said = {plain(Path(to)).as_posix(): (label, about) for label, to, about in re.findall(r'^\| *\[(.*?)\]\((.*?)\.ipynb\) *\| *(.*?) *\|$', text, re.M)}
    def entry(p):
        if not re.match(r'\d', p.origin.name): return f"{said[p.name][0] if p.name in said else p.title} <{p.name}>"
        return f"{p.title}: {re.split('[,:]', said[p.name][1])[0].replace('`', '')} <{p.name}>" if p.name in said else f'{p.title} <{p.name}>'
    def group(p):
        if '/' in p.name: return p.name.partition('/')[0].capitalize()
        return GROUPS[max(k for k in GROUPS if k<=int(m[0]))] if (m := re.match(r'\d+', p.origin.name)) else 'Overview'
    place = {n: k for k, n in enumerate(said)}; groups = {g: [] for g in ('Overview', 'Tutorials', 'Findings', *GROUPS.values())}
    for p in sorted(pages, key=lambda p: (place.get(p.name, len(place)), p.origin)):
        if p.name!='index': groups.setdefault(group(p), []).append(entry(p))
    return [markdown('\n'.join(['```{toctree}', ':hidden:', f':caption: {g}', '', *entries, '```'])) for g, entries in groups.items() if entries]

def main():
    proc = proc_nbs(n_workers=2, force=True)
    for o in src, site: shutil.rmtree(o, ignore_errors=True)
    pages = [Page(p, proc) for p in sorted(proc.rglob('*.ipynb'))]
    for p in pages:
        if p.name=='index': home = p
        p.write()
    home.nb.cells += navigation(pages); nbf.write(home.nb, src/'index.ipynb')
    for p in (o for k in ('png', 'svg', 'gif') for o in proc.rglob(f'*.{k}')): (src/p.relative_to(proc)).parent.mkdir(parents=True, exist_ok=True); shutil.copy2(p, src/p.relative_to(proc))
    failed = build_main(['-q', '-W', '--keep-going', '-j', '2', '-b', 'html', '-c', str(root/'docs'), str(src), str(site)])
    for o in src, root/'jupyter_execute': shutil.rmtree(o, ignore_errors=True)                   # the second one is myst-nb's
    return failed

if __name__=='__main__': sys.exit(main())
