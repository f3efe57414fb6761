"""Facets, ranges, filters and order on the search page, against the library's own documents."""

from __future__ import annotations

from typing import Any

import pytest

from tests.service.static.conftest import LIBRARY

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect

WATER = "index=library&q=water&using=sparse"


def having(**wanted: Any) -> set[str]:
    """Titles of the documents that have these values."""
    return {
        each.title
        for each in LIBRARY
        if all(each.metadata[key] == value for key, value in wanted.items())
    }


def facet(page: Any, key: str) -> Any:
    legend = page.locator("legend", has_text=key)
    return page.locator("#facets fieldset").filter(has=legend)


def shown(page: Any) -> set[str]:
    """Titles of all hits, further pages included."""
    while page.locator("#more").is_visible():
        count = page.locator("#hits > li").count()
        page.locator("#more").click()
        expect(page.locator("#hits > li").nth(count)).to_be_visible()
    return set(page.locator("#hits h3").all_inner_texts())


def test_a_click_on_values_narrows_and_a_chip_takes_it_back(page: Any, address: str) -> None:
    page.goto(f"{address}/?{WATER}")
    kind = facet(page, "kind")
    expect(kind.locator(".count")).to_have_text(["6"] * 4)
    kind.get_by_label("ferry").check()
    expect(page.locator("#status")).to_contain_text("6 results")
    assert shown(page) == having(kind="ferry")
    # The other values can still be chosen beside it, and other keys count what is left.
    expect(kind.locator(".count")).to_have_text(["6"] * 4)
    expect(facet(page, "open").locator(".count")).to_have_text(["6"])
    expect(kind.get_by_label("ferry")).to_be_focused()
    kind.get_by_label("canoe").check()
    expect(page.locator("#status")).to_contain_text("12 results")
    facet(page, "open").get_by_label("true").check()
    expect(page.locator("#status")).to_contain_text("6 results")
    assert shown(page) == having(kind="canoe")
    assert "f.kind=ferry&f.kind=canoe&f.open=true" in page.url
    page.reload()
    expect(page.locator(".chip")).to_have_text(["kind: ferry×", "kind: canoe×", "open: true×"])
    page.get_by_role("button", name="Remove the filter kind: canoe").click()
    expect(page.locator("#hits")).to_have_attribute("aria-busy", "false")
    expect(page.locator(".chip")).to_have_count(2)
    page.get_by_role("button", name="Remove all").click()
    expect(page.locator(".chip")).to_have_count(0)
    expect(page.locator("#status")).to_contain_text("24 results")


def test_a_string_that_looks_like_a_number_is_still_a_string(page: Any, address: str) -> None:
    page.goto(f"{address}/?{WATER}")
    facet(page, "grade").get_by_label("4").check()
    expect(page.locator("#status")).to_contain_text("6 results")
    assert shown(page) == having(grade="4")
    page.reload()
    expect(page.locator("#status")).to_contain_text("6 results")
    expect(page.locator(".chip")).to_have_text(["grade: 4×"])


def test_numbers_and_dates_are_narrowed_by_ranges(page: Any, address: str) -> None:
    page.goto(f"{address}/?{WATER}")
    page.get_by_label("built from").fill("1960")
    page.get_by_label("built from").press("Enter")
    expect(page.locator("#status")).to_contain_text("14 results")
    page.get_by_label("built to").fill("1970")
    page.get_by_label("built to").press("Enter")
    expect(page.locator("#status")).to_contain_text("11 results")
    # The last day is in it to its end.
    page.get_by_label("seen to").fill("2026-01-12")
    page.get_by_label("seen to").press("Enter")
    expect(page.locator("#status")).to_contain_text("2 results")
    assert shown(page) == {"Barge 10", "Kayak 11"}
    expect(page.locator(".chip").first).to_have_text("built: 1960 – 1970×")


def test_a_filter_in_words_goes_with_the_rest_and_its_mistakes_are_told(
    page: Any, address: str
) -> None:
    page.goto(f"{address}/?{WATER}&f.kind=ferry")
    expect(page.locator("#status")).to_contain_text("6 results")
    page.get_by_label("Filter", exact=True).fill("built < 1955 or open = true")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#status")).to_contain_text("1 result ·")
    assert shown(page) == {"Ferry 1"}
    page.get_by_label("Filter", exact=True).fill("built <")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#status.error")).to_contain_text("filter")
    expect(page.locator(".chip")).to_have_count(2)


def test_hits_are_sorted_by_metadata(page: Any, address: str) -> None:
    page.goto(f"{address}/?{WATER}")
    expect(page.locator("#hits > li")).to_have_count(10)
    page.get_by_label("Sort by").select_option(label="built, highest first")
    newest = [each.title for each in reversed(LIBRARY)]
    expect(page.locator("#hits h3")).to_have_text(newest[:10])
    page.locator("#more").click()
    expect(page.locator("#hits h3")).to_have_text(newest[:20])
    page.go_back()
    expect(page.get_by_label("Sort by")).to_have_value("")
