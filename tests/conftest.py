"What several tests share."
import shutil
import pytest

def pytest_configure(config):
    config.addinivalue_line('markers', 'slow: minutes; run by `make test-all` only')

@pytest.fixture(scope='module')
def chromium():
    "A headless Chromium driven by playwright; skips where there is none (apt install chromium)."
    names = 'chromium', 'chromium-browser', 'google-chrome'
    path = next(filter(None, map(shutil.which, names)), None)
    if not path: pytest.skip('no Chromium')
    from playwright.sync_api import sync_playwright
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=path, args=['--no-sandbox'])
        yield browser
        browser.close()
