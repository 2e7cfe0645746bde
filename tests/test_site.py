"The docs site, served from this machine and read in a headless Chromium."
import os, re, subprocess, sys, threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from urllib.parse import urlparse
import pytest
from mftd._modidx import d
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent

class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args): pass

@pytest.fixture(scope='module')
def site():
    "Address of a site that is as new as its sources; built, with warnings as errors, where it is not."
    home = ROOT/'_site/index.html'; sources = [*ROOT.glob('nbs/**/*.ipynb'), *ROOT.glob('docs/**/*'), *ROOT.glob('mftd/*.py'), ROOT/'settings.ini']
    if not home.exists() or home.stat().st_mtime < max(p.stat().st_mtime for p in sources if p.is_file() and not p.name.startswith('_')):
        p = subprocess.run([sys.executable, 'docs/build.py'], cwd=ROOT, capture_output=True, text=True); assert p.returncode==0, p.stdout[-2000:] + p.stderr[-4000:]
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=ROOT/'_site')); threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()

@pytest.fixture
def page(chromium, site):
    "A browser page that keeps what went wrong, and whom it asked for anything, in `said`."
    page = chromium.new_page(); page.said = []; page.set_default_timeout(60_000)
    page.on('console', lambda m: page.said.append(m.text) if m.type=='error' else None); page.on('pageerror', lambda e: page.said.append(str(e)))
    page.on('request', lambda r: page.said.append(f'asked for {r.url}') if not r.url.startswith((site, 'data:', 'blob:')) else None)
    page.on('response', lambda r: page.said.append(f'{r.status} {r.url}') if r.status>=400 else None)
    yield page
    page.close()

FACTS = """() => ({
    ids: [...document.querySelectorAll('[id]')].map(e => e.id), links: [...document.querySelectorAll('a[href]')].map(e => e.href),
    broken: [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src), images: document.images.length, headings: [...document.querySelectorAll('h1, h2, h3, h4')].map(e => e.firstChild.textContent),
    text: (a => { a.querySelectorAll('pre, code').forEach(e => e.remove()); return a.textContent })(document.querySelector('article').cloneNode(true))})"""
WIDE = """() => { // what sticks out to the right and cannot be scrolled to
    const scrolls = e => e && (/auto|scroll|hidden/.test(getComputedStyle(e).overflowX) && e !== document.body || scrolls(e.parentElement));
    const out = [...document.querySelectorAll('article *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !scrolls(e.parentElement) && !scrolls(e)).map(e => e.outerHTML.slice(0, 120));
    return document.documentElement.scrollWidth > innerWidth ? [`the page is ${document.documentElement.scrollWidth} wide`, ...out] : out }"""

def test_every_page(page, site):
    "Figures load, nothing sticks out on a phone or a desk, by day or night, nobody else is asked for anything, and every link inside the site has its end."
    names = sorted(p.relative_to(ROOT/'_site').as_posix() for p in (ROOT/'_site').rglob('*.html') if '_static' not in p.parts)
    pages, wide, shots = {}, [], os.environ.get('MFTD_SCREENSHOTS')
    for name in names:
        page.goto(f'{site}/{name}', wait_until='load'); pages[name] = page.evaluate(FACTS)
        for width in 1400, 400:
            for scheme in 'light', 'dark':
                page.set_viewport_size(dict(width=width, height=900)); page.emulate_media(color_scheme=scheme)
                wide += [f'{name} at {width}, {scheme}: {o}' for o in page.evaluate(WIDE)]
                if shots: page.screenshot(path=f"{shots}/{name.replace('/', '-').removesuffix('.html')}-{width}-{scheme}.png", full_page=True)
    notebooks = {p.relative_to(ROOT/'nbs').with_suffix('').as_posix() for p in (ROOT/'nbs').rglob('*.ipynb') if not any(o[0] in '._' for o in p.relative_to(ROOT/'nbs').parts)}
    assert len(names)>=len(notebooks) and sum(o['images'] for o in pages.values())>50
    for mod, syms in d['syms'].items(): # the reference has a place for every name
        seen = pages[mod.removeprefix('mftd.') + '.html']['headings']
        names = {*import_module(mod).__all__, *(k.removeprefix(f'{mod}.') for k in syms if not re.search(r'\._', k))}
        assert names <= {*seen}, (mod, names - {*seen})
        assert all(n in pages['architecture.html']['text'] for n in import_module(mod).__all__), f'{mod}: nbs/architecture.ipynb is out of date, see `make outputs`'
    assert not [n for n, p in pages.items() if re.search(r'\$\$|:::|\\frac', p['text'])]                                  # mathematics and boxes are rendered
    assert not wide, '\n'.join(wide)
    assert not (broken := [o for p in pages.values() for o in p['broken']]), broken
    lost = []
    for name, facts in pages.items():
        for link in facts['links']:
            u = urlparse(link)
            if f'{u.scheme}://{u.netloc}'!=site: continue
            to = u.path.lstrip('/') or 'index.html'
            if to.endswith('.html') and to not in pages or not (ROOT/'_site'/to).exists() or u.fragment and to in pages and u.fragment not in pages[to]['ids']: lost.append(f'{name}: {link.removeprefix(site)}')
    assert not lost, '\n'.join(sorted(set(lost)))
    assert not page.said, '\n'.join(page.said)

@pytest.mark.parametrize('query, where', [('SGLD', 'sgld.html'), ('decoupling index', 'diagnostics.html')])
def test_search(page, site, query, where):
    "From the box on the home page to the page that is about it."
    page.goto(f'{site}/index.html'); page.locator('input[name=q]').first.fill(query); page.keyboard.press('Enter')
    page.locator('#search-results li').first.wait_for()
    found = page.locator('#search-results li a').evaluate_all('l => l.map(a => a.href)')
    assert any(where in o for o in found), found
    assert not page.said, '\n'.join(page.said)

def test_from_home(page, site):
    "Every page can be reached from the home page's sidebar, under its group."
    page.goto(f'{site}/index.html')
    links = page.locator('.sidebar-tree a.reference').evaluate_all('l => l.map(a => a.href)'); captions = page.locator('.sidebar-tree .caption').all_inner_texts()
    assert {'tutorials', 'findings'} <= {c.lower() for c in captions}
    assert len(links)==len(set(links))>=25
