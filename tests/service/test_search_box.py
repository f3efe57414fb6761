"""The search box for a static site, on a site of its own, over a real server with keys."""

import functools
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lsr import Document, index
from tests.service.serving import serving

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="the program chromium is not installed")
PAGE = Path(__file__).parents[2] / "deploy" / "search-box.html"
HOSTILE = "<img src=x onerror=\"document.title='broken'\"> a <b>gate</b> \U0001f9ec opens"
DOCUMENTS = [
    Document("good", "the gate of the garden", "Gates", {"url": "https://example.org/gates"}),
    Document("hostile", HOSTILE, "<i>gate</i>", {"url": "javascript:document.title='broken'"}),
    *(Document(f"river-{n}", f"the river number {n}", f"River {n}") for n in range(12)),
]


class Site(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def site(tmp_path):
    """A folder that is served as a site, and its origin."""
    folder = tmp_path / "site"
    folder.mkdir()
    handler = functools.partial(Site, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_page_of_another_site_searches_with_a_key_of_its_own(tmp_path, lsr, site):
    index(DOCUMENTS, into=tmp_path / "all" / "site", encoder="bm25")
    made = lsr("key", "create", "all", "--name", "box", "--scope", "search", "--index", "site")
    token = made.stdout.decode().strip()
    folder, origin = site
    with serving(tmp_path, "all", "--allow-origin", origin) as (_, served):
        text = PAGE.read_text().replace('"http://127.0.0.1:8000"', f'"{served.address()}"')
        (folder / "index.html").write_text(text.replace("KEY", token))
        with playwright.sync_playwright() as run:
            browser = run.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page()
            failures = []
            page.on("pageerror", lambda error: failures.append(str(error)))
            page.goto(origin)
            box = page.get_by_role("searchbox")
            box.press_sequentially("gate", delay=5)
            expect(page.get_by_role("status")).to_have_text("2 results", timeout=30_000)
            expect(page.get_by_role("link", name="Gates")).to_have_attribute(
                "href", "https://example.org/gates"
            )
            hits = page.get_by_role("listitem")
            expect(hits.filter(has_text="<i>gate</i>")).to_contain_text("<img src=x onerror")
            expect(hits.filter(has_text="<i>gate</i>").locator("a[href]")).to_have_count(0)
            assert set(page.locator("mark").all_inner_texts()) == {"gate", "Gates"}
            box.fill("river")
            expect(page.get_by_role("status")).to_have_text("8 results", timeout=30_000)
            box.fill("nothing of this")
            expect(page.get_by_role("status")).to_have_text("No results", timeout=30_000)
            box.fill("")
            expect(page.get_by_role("status")).to_have_text("", timeout=30_000)
            assert page.title() == "Search"
            page.locator("form").evaluate("form => form.dataset.index = 'other'")
            box.fill("gate")
            expect(page.get_by_role("status")).to_contain_text("does not reach", timeout=30_000)
            assert not failures
            browser.close()
