"""The page for everyone: keyboard alone, small screens, dark mode, axe, and a server with keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.api.app import create_app
from service.settings import ServerSettings
from tests.service.static.conftest import served

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect

KAYAK = "index=library&q=kayak+quickly"
JUDGED = f"view=judged&{KAYAK}&b.using=bm25"
VIEWS = {
    "introduction": "?index=library",
    "search": f"?{KAYAK}&using=sparse%2Bbm25&f.kind=kayak&f.open=false",
    "side-by-side": f"?view=compare&{KAYAK}&b.using=bm25&f.kind=kayak",
    "judged": f"?{JUDGED}",
    "index": f"?view=index&{KAYAK}",
    "error": "?index=missing&q=kayak",
}
AXE = {"resultTypes": ["violations"]}
OPENED = "#hits summary:visible, #about summary:visible, #after-hits summary:visible"


def filled(page: Any, name: str) -> None:
    """All that a view can show is shown."""
    if name == "judged":
        page.locator("#judge-queries").fill("q1\tkayak\nq2\tferry to the other shore")
        page.locator("#judge-qrels").fill("q1\tboat-3\t1\nq2\tboat-1\t2\nq2\tboat-2\t1")
        page.get_by_role("button", name="Measure").click()
        expect(page.locator(".queries tbody tr")).to_have_count(2)
    elif name in ("search", "side-by-side"):
        expect(page.locator(".hit").first).to_be_visible()
        for summary in page.locator(OPENED).all()[:4]:
            summary.click()
        expect(page.locator("table").first).to_be_visible()
    elif name == "index":
        expect(page.locator(".numbers:visible").first).to_be_visible()
    elif name == "error":
        expect(page.locator("#status.error")).to_be_visible()
    else:
        expect(page.locator("#intro")).to_contain_text("library")
    if name == "search":
        expect(page.locator("#facets fieldset").first).to_be_attached()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
def test_axe_finds_nothing_and_nothing_overflows(
    open_page: Callable[..., Any], address: str, scheme: str, width: int, screenshot: Any
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    size = {"width": width, "height": 800}
    # Axe is a script of its own, which the page's policy would refuse.
    page = open_page(color_scheme=scheme, viewport=size, bypass_csp=True, reduced_motion="reduce")
    found = {}
    for name, query in VIEWS.items():
        page.goto(f"{address}/{query}")
        filled(page, name)
        screenshot(page, f"{name}-{scheme}-{width}")
        assert page.evaluate("document.documentElement.scrollWidth") == width, name
        for violation in axe.run(page, options=AXE).response["violations"]:
            found[name, violation["id"]] = [node["html"] for node in violation["nodes"]]
    assert found == {}


def test_dark_mode_is_dark(open_page: Callable[..., Any], address: str) -> None:
    shades = {}
    for scheme in ("light", "dark"):
        page = open_page(color_scheme=scheme)
        page.goto(address)
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        shades[scheme] = sum(map(int, colour.strip("rgb()").split(",")))
    assert shades["dark"] < 150 < 600 < shades["light"]


def test_the_keyboard_reaches_everything_from_the_first_tab(page: Any, address: str) -> None:
    page.goto(f"{address}/?{KAYAK}")
    hits = page.locator("#hits > li")
    expect(hits).to_have_count(10)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#found")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator("#about summary").first).to_be_focused()
    page.goto(f"{address}/?{KAYAK}")
    expect(hits).to_have_count(10)
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert {"to-search", "to-compare", "to-judged", "to-index", "index", "q", "sort"} <= reached
    assert {"filter", "facet-kind-0", "range-built-from", "SUMMARY", "A"} <= reached


def test_the_keys_of_the_footer_work_wherever_the_focus_is(page: Any, address: str) -> None:
    page.goto(f"{address}/?{KAYAK}")
    hits = page.locator("#hits > li")
    expect(hits).to_have_count(10)
    # Nothing has the focus yet.
    page.keyboard.press("ArrowDown")
    expect(hits.nth(0)).to_be_focused()
    page.keyboard.press("j")
    expect(hits.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(hits.nth(1).locator("tfoot")).to_be_visible()
    page.keyboard.press("k")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("jk/")
    expect(page.locator("#q")).to_have_value("jk/")
    page.keyboard.press("Escape")
    page.keyboard.type("ferry")
    expect(hits.nth(0).locator("h3")).to_contain_text("Ferry")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(hits.nth(1)).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#q")).to_be_focused()
    page.get_by_role("link", name="Side by side").focus()
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.get_by_label("Sort by").focus()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Sort by")).to_be_focused()
    opened = []
    page.route("**boats.example.org/**", lambda route: (opened.append(1), route.abort()))
    hits.nth(0).focus()
    with page.expect_request("**boats.example.org/**"):
        page.keyboard.press("o")


def test_a_server_that_asks_for_a_key_gets_it_from_this_tab_alone(
    open_page: Callable[..., Any], folder: Path, tmp_path: Path
) -> None:
    page = open_page()
    app = create_app(ServerSettings(paths=[folder], state=tmp_path / "state.sqlite"))
    _, token = app.state.keys.create("reader", ["search"])
    with served(app) as address:
        page.goto(f"{address}/?{KAYAK}")
        expect(page.locator("#key")).to_be_focused()
        expect(page.locator("#notice")).to_contain_text("key")
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#notice")).to_contain_text("key")
        page.locator("#key").fill(token)
        page.keyboard.press("Enter")
        expect(page.locator("#hits > li")).to_have_count(10)
        expect(page.locator("#key-form")).to_be_hidden()
        expect(page.locator("#notice")).to_be_empty()
        page.reload()
        expect(page.locator("#hits > li")).to_have_count(10)
        assert page.evaluate("localStorage.length") == 0
        assert page.evaluate("document.cookie") == ""
        assert token not in page.url
        page.get_by_role("button", name="Forget the key").click()
        expect(page.locator("#key")).to_be_visible()
