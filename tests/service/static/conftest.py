"""The search page in a real browser, over a real server."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from lsr.corpus.documents import Document, Section
from lsr.corpus.items import Item
from service.api.app import create_app
from service.settings import ServerSettings

CHROMIUM = shutil.which("chromium")
# Milliseconds, for a machine that has much else to do.
PATIENCE = 20_000
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
MANUAL = " ".join(
    [*("Nothing of note is said here about anything.",) * 40, "The valve is opened by a lever."]
)
SMALL = [
    Document("astral", "\U0001f9ec\U0001f9ec genome sequencing", "Reading a genome"),
    Document("hostile", HOSTILE, "<i>gate</i>", {"home": "https://example.org/a", "bad": "js:x"}),
    *(Document(f"river-{number}", f"the river number {number}") for number in range(12)),
    Document(
        "manual",
        MANUAL,
        "The <em>pump</em>",
        {"url": "https://example.org/manual.pdf"},
        [Section(0, "Preface", 1), Section(MANUAL.index("The valve") - 200, "Valves", 25)],
    ),
    Document("scheme", "a gangway", "Gangway", {"url": "javascript:alert(1)"}),
    Document("code", "if a<b and c>d then <b and so on, a &lt; b", "comparison of a<b"),
    Document("sea", "نهر يجري إلى البحر", "البحر"),
]
BOATS = ["canoe", "ferry", "barge", "kayak"]
LIBRARY = [
    Document(
        f"boat-{number}",
        f"A {BOATS[number % 4]} crosses the water {'quickly ' * (number % 3)}to the other shore.",
        f"{BOATS[number % 4].title()} {number}",
        {
            "kind": BOATS[number % 4],
            "open": number % 2 == 0,
            "built": 1950 + number,
            "seen": f"2026-01-{1 + number:02d}T18:00:00",
            "grade": "4" if number < 6 else "two words",
            "url": f"https://boats.example.org/{number}",
        },
    )
    for number in range(24)
]


def collection(path: Path, encoder: str, documents: list[Document], bm25: bool) -> Collection:
    made = Collection.create(path, encoder_fields(encoder, bm25=bm25), passages="auto")
    index_documents(made, [Item("memory", n, d) for n, d in enumerate(documents, start=1)])
    return made


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collections `library` (two fields, metadata) and `small` (BM25)."""
    folder = tmp_path_factory.mktemp("page")
    collection(folder / "library", "lsr-tiny-v1", LIBRARY, bm25=True).close()
    collection(folder / "small", "bm25", SMALL, bm25=False).close()
    return folder


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The address of an application that is served for as long as this lasts."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive(), "the server stopped while starting"
        assert time.monotonic() < deadline, "the server did not start in 30 seconds"
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with served(create_app(ServerSettings(paths=[folder]))) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("the program chromium is not installed")
    playwright.expect.set_options(timeout=PATIENCE)
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens pages; at the end, no script failed and nothing broke the security policy."""
    problems: list[str] = []
    contexts = []

    def opened(**options: Any) -> Any:
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text))
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [text for text in problems if not text.startswith("Failed to load resource")] == []


@pytest.fixture
def page(open_page: Callable[..., Any]) -> Any:
    return open_page()


@pytest.fixture
def screenshot() -> Callable[[Any, str], None]:
    """Keeps a picture of a page in the folder that LSR_SCREENSHOTS names, if it does."""
    folder = os.environ.get("LSR_SCREENSHOTS")

    def taken(page: Any, name: str) -> None:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)

    return taken
