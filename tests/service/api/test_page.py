"""The search page in a real browser, over a real server."""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from lsr.corpus.documents import Document
from lsr.corpus.items import Item
from service.api.app import create_app
from service.settings import ServerSettings

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="the program chromium is not installed")

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = "<img src=x onerror=\"document.title='broken'\"> opens a <b>gate</b>"
DOCUMENTS = [
    Document("astral", "\U0001f9ec\U0001f9ec genome sequencing", "Reading a genome"),
    Document("hostile", HOSTILE, "<i>gate</i>", {"home": "https://example.org/a", "bad": "js:x"}),
    *(Document(f"river-{number}", f"the river number {number}") for number in range(12)),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("collections") / "small"
    collection = Collection.create(path, encoder_fields("bm25"))
    index_documents(collection, [Item("memory", n, d) for n, d in enumerate(DOCUMENTS, start=1)])
    server = uvicorn.Server(
        uvicorn.Config(create_app(ServerSettings(paths=[path])), port=0, log_level="warning")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive(), "the server stopped while starting"
        assert time.monotonic() < deadline, "the server did not start in 30 seconds"
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A fresh page; at the end, no script failed and nothing broke the security policy."""
    context = browser.new_context()
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text))
    yield page
    context.close()
    assert [text for text in problems if not text.startswith("Failed to load resource")] == []


def test_results_appear_with_the_matched_words_marked(page: Any, address: str) -> None:
    page.goto(address)
    expect(page.locator("#q")).to_be_focused()
    expect(page.locator("#index-choice")).to_be_hidden()
    page.keyboard.type("genome")
    page.keyboard.press("Enter")
    expect(page.locator("#hits mark")).to_have_text(["genome", "genome"])
    expect(page.locator("#hits h3")).to_have_text(["Reading a genome"])
    expect(page.locator("#status")).to_contain_text(f"1 hit of {len(DOCUMENTS)} documents")
    assert "q=genome" in page.url


def test_why_this_result_shows_terms_that_add_up_to_the_score(page: Any, address: str) -> None:
    page.goto(f"{address}/?q=genome+sequencing")
    page.locator("#hits summary", has_text="Why this result").click()
    expect(page.locator("#hits tbody td:first-child")).to_have_text(["genom", "sequenc"])
    total = page.locator("#hits tfoot td:last-child").inner_text()
    shown = page.locator("#hits dl").inner_text()
    score = re.search(r"score\s+([\d.]+)", shown)
    assert score is not None
    assert float(total) == pytest.approx(float(score[1]), abs=0.01)


def test_the_terms_of_the_query_are_shown_on_demand(page: Any, address: str) -> None:
    page.goto(f"{address}/?q=gate")
    page.locator("#query-terms summary").click()
    expect(page.locator("#query-terms tbody td:first-child")).to_have_text(["gate"])


def test_the_servers_error_sentence_is_shown_in_place(page: Any, address: str) -> None:
    page.goto(f"{address}/?index=missing&q=genome")
    expect(page.locator("#status.error")).to_contain_text("no index 'missing'")
    expect(page.locator("#hits > li")).to_have_count(0)


def test_an_unreachable_server_is_said_in_place(page: Any, address: str) -> None:
    page.goto(address)
    expect(page.locator("#intro")).to_contain_text("search small")
    page.route("**/search", lambda route: route.abort())
    page.locator("#q").fill("genome")
    page.keyboard.press("Enter")
    expect(page.locator("#status.error")).to_contain_text("can’t be reached")


def test_markup_in_documents_stays_text(page: Any, address: str) -> None:
    page.goto(f"{address}/?q=gate")
    expect(page.locator("#hits .snippet")).to_have_text([HOSTILE])
    expect(page.locator("#hits h3")).to_have_text(["<i>gate</i>"])
    expect(page.locator("#hits :is(img, b, i)")).to_have_count(0)
    expect(page.locator("#hits a")).to_have_count(1)
    expect(page.locator("#hits a")).to_have_attribute("href", "https://example.org/a")
    expect(page).to_have_title("gate – lsr")


def test_more_results_follow_and_back_returns(page: Any, address: str) -> None:
    page.goto(f"{address}/?q=genome")
    expect(page.locator("#hits > li")).to_have_count(1)
    page.locator("body").press("/")
    page.keyboard.type("river")
    page.keyboard.press("Enter")
    expect(page.locator("#hits > li")).to_have_count(10)
    page.get_by_role("button", name="More results").click()
    expect(page.locator("#hits > li")).to_have_count(12)
    expect(page.locator("#more")).to_be_hidden()
    page.go_back()
    expect(page.locator("#hits > li")).to_have_count(1)
    expect(page.locator("#q")).to_have_value("genome")


def test_arrow_keys_move_through_results_and_enter_explains(page: Any, address: str) -> None:
    page.goto(f"{address}/?q=river")
    hits = page.locator("#hits > li")
    expect(hits).to_have_count(10)
    page.locator("#q").press("ArrowDown")
    expect(hits.nth(0)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(hits.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(hits.nth(1).locator("tfoot")).to_be_visible()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#q")).to_be_focused()
