"The docs site, served from this machine and read in a headless Chromium."
import os
import re
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from urllib.parse import urlparse
import pytest
from mftd._modidx import d
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
SITE = ROOT/'_site'
SCREEN = dict(width=1400, height=1000) # what a page is read on, in pixels
SCREENS = 15 # what a page may be long

class Quiet(SimpleHTTPRequestHandler):
    "Serves files and prints nothing."
    def log_message(self, *args): pass

def build():
    "The site, with warnings as errors, unless it is as new as its sources."
    patterns = 'nbs/**/*.ipynb', 'docs/**/*', 'mftd/*.py', 'settings.ini'
    sources = [path for pattern in patterns for path in ROOT.glob(pattern)]
    def made(path: Path) -> bool:
        return path.name.startswith('_') or '__pycache__' in path.parts
    changed = max(p.stat().st_mtime for p in sources if p.is_file() and not made(p))
    home = SITE/'index.html'
    if home.exists() and home.stat().st_mtime>=changed: return
    command = [sys.executable, 'docs/build.py']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode==0, done.stdout[-2000:] + done.stderr[-4000:]

def serve(folder: Path) -> ThreadingHTTPServer:
    "A server of files, on a free port of this machine."
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server

def page_names() -> list[str]:
    "Every page of the site."
    names = [path.relative_to(SITE) for path in SITE.rglob('*.html')]
    return sorted(name.as_posix() for name in names if '_static' not in name.parts)

@pytest.fixture(scope='module')
def site():
    "Address of a site that is as new as its sources."
    build()
    server = serve(SITE)
    yield f'http://127.0.0.1:{server.server_port}'
    server.shutdown()

@pytest.fixture
def page(chromium, site):
    "A browser page that keeps what went wrong, and whom it asked for anything, in `said`."
    page = chromium.new_page()
    page.set_default_timeout(60_000)
    page.said = []
    def on_console(message):
        if message.type=='error': page.said.append(message.text)
    def on_request(request):
        if not request.url.startswith((site, 'data:', 'blob:')):
            page.said.append(f'asked for {request.url}')
    def on_response(response):
        if response.status>=400: page.said.append(f'{response.status} {response.url}')
    page.on('console', on_console)
    page.on('pageerror', lambda error: page.said.append(str(error)))
    page.on('request', on_request)
    page.on('response', on_response)
    yield page
    page.close()

FACTS = """() => {
    const all = selector => [...document.querySelectorAll(selector)];
    const article = document.querySelector('article').cloneNode(true);
    article.querySelectorAll('pre, code').forEach(e => e.remove());
    const images = [...document.images];
    return {
        ids: all('[id]').map(e => e.id),
        links: all('a[href]').map(e => e.href),
        images: images.length,
        broken: images.filter(i => !i.complete || !i.naturalWidth).map(i => i.src),
        headings: all('h1, h2, h3, h4').map(e => e.firstChild.textContent),
        text: article.textContent,
    }
}"""

WIDE = """() => { // what sticks out to the right and cannot be scrolled to
    const scrolls = e => {
        if (!e || e === document.body) return false;
        return /auto|scroll|hidden/.test(getComputedStyle(e).overflowX) || scrolls(e.parentElement);
    };
    const sticksOut = e => e.getBoundingClientRect().right > innerWidth + 1;
    const all = [...document.querySelectorAll('article *')];
    const out = all.filter(e => sticksOut(e) && !scrolls(e)).map(e => e.outerHTML.slice(0, 120));
    const width = document.documentElement.scrollWidth;
    return width > innerWidth ? [`the page is ${width} wide`, ...out] : out;
}"""

LAYOUT = """() => { // how a page lies on the screen: heights with code folded, then what is cut
    const article = document.querySelector('article');
    const all = selector => [...article.querySelectorAll(selector)].filter(e => e.offsetParent);
    const top = e => e ? e.getBoundingClientRect().top + scrollY : null;
    const height = document.documentElement.scrollHeight;
    const answer = all('p').find(e => !e.closest('blockquote, table, .cell, .admonition'));
    const figure = all('img, table')[0];
    const places = {height, answer: top(answer), figure: top(figure)};
    const folds = all('details');
    folds.forEach(e => e.open = true);
    const longest = e => e.textContent.split('\\n').reduce((a, b) => b.length > a.length ? b : a);
    const cut = all('pre').filter(e => e.scrollWidth > e.clientWidth)
        .map(e => ({pixels: e.scrollWidth - e.clientWidth, line: longest(e)}));
    return {...places, said: answer ? answer.textContent : '', folded: folds.length, cut};
}"""

def layouts(
    browser, # Of playwright
    site: str, # Address
) -> dict[str, dict]: # Page → what LAYOUT says
    "How every page lies on the screen."
    page = browser.new_page(viewport=SCREEN)
    found = {}
    for name in page_names():
        page.goto(f'{site}/{name}', wait_until='load')
        found[name] = page.evaluate(LAYOUT)
    page.close()
    return found

@pytest.fixture(scope='module')
def layout(chromium, site):
    "Page → how it lies on the screen."
    return layouts(chromium, site)

def visit(page, site: str, name: str) -> tuple[dict, list[str]]:
    "Facts of a page, and what sticks out of it on a desk or a phone, by day or night."
    folder = os.environ.get('MFTD_SCREENSHOTS')
    page.goto(f'{site}/{name}', wait_until='load')
    facts, wide = page.evaluate(FACTS), []
    for width in 1400, 400:
        for scheme in 'light', 'dark':
            page.set_viewport_size(dict(width=width, height=900))
            page.emulate_media(color_scheme=scheme)
            wide += [f'{name} at {width}, {scheme}: {o}' for o in page.evaluate(WIDE)]
            if folder:
                stem = name.replace('/', '-').removesuffix('.html')
                page.screenshot(path=f'{folder}/{stem}-{width}-{scheme}.png', full_page=True)
    return facts, wide

def lost_links(pages: dict[str, dict], site: str) -> list[str]:
    "Links inside the site that lead nowhere."
    lost = set()
    for name, facts in pages.items():
        for link in facts['links']:
            url = urlparse(link)
            if f'{url.scheme}://{url.netloc}'!=site: continue
            to = url.path.lstrip('/') or 'index.html'
            exists = to in pages if to.endswith('.html') else (SITE/to).exists()
            if exists and url.fragment and to in pages: exists = url.fragment in pages[to]['ids']
            if not exists: lost.add(f'{name}: {link.removeprefix(site)}')
    return sorted(lost)

def public_names(module: str) -> set[str]:
    "Names that a module exports, and the public methods of its classes."
    inside = [name for name in d['syms'][module] if not re.search(r'\._', name)]
    return {*import_module(module).__all__, *(o.removeprefix(f'{module}.') for o in inside)}

def page_of(module: str) -> str:
    "Where a module is documented; Sphinx has a page search.html of its own."
    name = module.removeprefix('mftd.')
    return 'search-room.html' if name=='search' else f'{name}.html'

def notebooks() -> list[Path]:
    "What the site is made from."
    paths = [path.relative_to(ROOT/'nbs') for path in (ROOT/'nbs').rglob('*.ipynb')]
    return [path for path in paths if not any(part[0] in '._' for part in path.parts)]

def test_every_page(page, site):
    """Figures load, names have a place, links an end, and nobody else is asked for anything.

    Nothing sticks out on a phone or a desk, by day or night.
    """
    pages, wide = {}, []
    for name in page_names():
        pages[name], out = visit(page, site, name)
        wide += out
    assert len(pages)>=len(notebooks())
    assert sum(facts['images'] for facts in pages.values()) > 50
    for module in d['syms']:
        missing = public_names(module) - set(pages[page_of(module)]['headings'])
        assert not missing, (module, missing)
        overview = pages['architecture.html']['text']
        unknown = [name for name in import_module(module).__all__ if name not in overview]
        assert not unknown, f'nbs/architecture.ipynb is out of date, see `make outputs`: {unknown}'
    raw = [name for name, facts in pages.items() if re.search(r'\$\$|:::|\\frac', facts['text'])]
    assert not raw, f'mathematics or boxes that are not rendered: {raw}'
    assert not wide, '\n'.join(wide)
    broken = [image for facts in pages.values() for image in facts['broken']]
    assert not broken, broken
    lost = lost_links(pages, site)
    assert not lost, '\n'.join(lost)
    assert not page.said, '\n'.join(page.said)

def test_no_code_is_cut(layout):
    "Code and printed lines fit into the column, also those that are opened first."
    cut = []
    for name, facts in layout.items():
        for block in facts['cut']:
            line = block['line']
            cut.append(f'{name}: {len(line)} columns, {block["pixels"]} px too wide: {line[:70]}')
    assert not cut, f'{len(cut)} blocks are cut:\n' + '\n'.join(cut)

WORDS = 'one two three four five six seven eight nine ten eleven twelve'.split()
NUMBER = re.compile(rf"\d|\b({'|'.join(WORDS)})\b", re.I)

def opening(facts: dict) -> list[str]:
    "What is wrong with the first screen of a page of findings."
    wrong, said = [], ' '.join(facts['said'].split())
    if re.match('(question|experiment)s?[.:]', said, re.I):
        wrong.append(f'opens with {said[:60]!r}, not with its answer')
    elif not NUMBER.search(said): wrong.append(f'the answer has no number: {said[:60]!r}')
    for what in 'answer', 'figure':
        top = facts[what]
        if top is None: wrong.append(f'no {what}')
        elif top>=SCREEN['height']: wrong.append(f'{what} begins at {top:.0f} px')
    return wrong

def test_findings_open_with_their_answer(layout):
    "The answer, with its numbers, and a figure or table begin on the first screen."
    findings = {name: o for name, o in layout.items() if name.startswith('findings/')}
    assert findings
    wrong = [f'{name}: {o}' for name, facts in findings.items() for o in opening(facts)]
    assert not wrong, '\n'.join(wrong)

def test_findings_fold_their_code(layout):
    "One click opens it; elsewhere code is in sight."
    folded = {name for name, facts in layout.items() if facts['folded']}
    assert folded
    assert all(name.startswith('findings/') for name in folded), folded

def test_page_length(layout):
    "With code folded, a page is at most 15 screens long."
    screens = {name: facts['height']/SCREEN['height'] for name, facts in layout.items()}
    long = [f'{name}: {n:.1f} screens' for name, n in screens.items() if n > SCREENS]
    assert not long, f'more than {SCREENS} screens:\n' + '\n'.join(long)

@pytest.mark.parametrize('query, where', [
    ('SGLD', 'sgld.html'), ('decoupling index', 'decoupling.html')])
def test_search(page, site, query, where):
    "From the box on the home page to the page that is about it."
    page.goto(f'{site}/index.html')
    page.locator('input[name=q]').first.fill(query)
    page.keyboard.press('Enter')
    page.locator('#search-results li').first.wait_for()
    found = page.locator('#search-results li a').evaluate_all('l => l.map(a => a.href)')
    assert any(where in link for link in found), found
    assert not page.said, '\n'.join(page.said)

def test_from_home(page, site):
    "Every page can be reached from the home page's sidebar, under its group."
    page.goto(f'{site}/index.html')
    links = page.locator('.sidebar-tree a.reference').evaluate_all('l => l.map(a => a.href)')
    captions = page.locator('.sidebar-tree .caption').all_inner_texts()
    assert {'tutorials', 'findings'} <= {caption.lower() for caption in captions}
    assert len(links)==len(set(links))>=25
