"""The search page: searching, why a hit is one, and what of a document is shown."""

from __future__ import annotations

import re
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect

SMALL = "index=small"


def test_results_appear_with_the_matched_words_marked(page: Any, address: str) -> None:
    page.goto(f"{address}/?{SMALL}")
    expect(page.locator("#q")).to_be_focused()
    expect(page.locator("#index")).to_have_value("small")
    page.keyboard.type("genome")
    page.keyboard.press("Enter")
    expect(page.locator("#hits mark")).to_have_text(["genome", "genome"])
    expect(page.locator("#hits h3")).to_have_text(["Reading a genome"])
    expect(page.locator("#status")).to_contain_text("1 result ·")
    assert "q=genome" in page.url


def test_hits_appear_while_one_types_and_make_one_entry(page: Any, address: str) -> None:
    page.goto(f"{address}/?{SMALL}&q=genome")
    expect(page.locator("#hits h3")).to_have_text(["Reading a genome"])
    page.locator("#q").fill("")
    page.keyboard.type("riv")
    expect(page.locator("#hits > li")).to_have_count(0)
    page.keyboard.type("er ")
    expect(page.locator("#hits > li")).to_have_count(10)
    expect(page.locator("#q")).to_have_value("river ")
    expect(page.locator("#q")).to_be_focused()
    page.go_back()
    expect(page.locator("#hits h3")).to_have_text(["Reading a genome"])
    assert page.evaluate("history.length") <= 3


def test_what_needs_a_model_waits_for_enter(page: Any, address: str) -> None:
    def needing(route: Any) -> None:
        answer = route.fetch().json()
        for index in answer["indexes"]:
            for field in index["fields"]:
                field["inference_free"] = False
        route.fulfill(json=answer)

    page.route("**/v1/indexes", needing)
    page.goto(f"{address}/?{SMALL}")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("genome")
    page.wait_for_timeout(500)
    expect(page.locator("#hits > li")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page.locator("#hits > li")).to_have_count(1)


def test_why_this_result_shows_terms_that_add_up_to_the_score(page: Any, address: str) -> None:
    page.goto(f"{address}/?{SMALL}&q=genome+sequencing")
    page.locator("#hits summary", has_text="Why this result").click()
    expect(page.locator("#hits tbody .token")).to_have_text(["genom", "sequenc"])
    expect(page.locator("#hits tbody .of")).to_have_text(["of genome", "of sequencing"])
    expect(page.locator("#hits tbody .group")).to_have_text(["Words of the query"])
    total = page.locator("#hits tfoot td:last-child").inner_text()
    shown = page.locator("#hits dl").inner_text()
    score = re.search(r"score\s+([\d.]+)", shown)
    assert score is not None
    assert float(total) == pytest.approx(float(score[1]), abs=0.01)
    widths = page.locator("#hits tbody rect").evaluate_all(
        "all => all.map(each => parseFloat(each.getAttribute('width')))"
    )
    parts = page.locator("#hits tbody tr:not(.group) td:last-child").all_inner_texts()
    largest = max(map(float, parts))
    assert widths == pytest.approx([100 * float(part) / largest for part in parts], abs=0.5)


def test_expansions_stand_apart_from_the_words_of_the_query(
    page: Any, address: str, screenshot: Any
) -> None:
    page.goto(f"{address}/?index=library&q=boat+quickly&using=sparse&feedback=rocchio")
    page.locator("#hits summary", has_text="Why this result").first.click()
    groups = page.locator("#hits tbody .group")
    expect(groups.first).to_have_text("Words of the query")
    expect(groups.last).to_have_text("Added to the query")
    added = page.locator("#hits tbody.added .token").all_inner_texts()
    words = page.locator("#hits tbody.words .token").all_inner_texts()
    assert "quickly" in words
    assert added
    assert "quickly" not in added
    # The encoder gave a barge, which is nowhere called a boat, that term.
    expect(page.locator("#hits tbody.document .token")).to_have_text(["boat"])
    screenshot(page, "explanation")


def test_scores_are_drawn_by_source(page: Any, address: str) -> None:
    page.goto(f"{address}/?index=library&q=ferry&using=sparse%2Bbm25&fusion=rrf")
    page.locator("#hits summary", has_text="Why this result").first.click()
    table = page.locator("#hits .scores").first
    expect(table.locator("td:first-child")).to_have_text(["sparse", "bm25"])
    expect(page.locator("#hits caption")).to_contain_text(["Scores", "sparse", "bm25"])


def test_the_terms_of_the_query_are_shown_on_demand(page: Any, address: str) -> None:
    page.goto(f"{address}/?{SMALL}&q=gate")
    page.locator("#about summary", has_text="Query terms").click()
    expect(page.locator("#about tbody .token")).to_have_text(["gate"])


def test_an_answer_tells_how_it_came_about(page: Any, address: str) -> None:
    page.goto(f"{address}/?{SMALL}&q=river&effort=0.5")
    page.locator("#about summary", has_text="About this answer").click()
    facts = page.locator("#about .numbers")
    expect(facts).to_contain_text("generation")
    expect(facts).to_contain_text("searched18 documents")
    # A page that searches twice gets the answer that the server has kept, which had no stages.
    expect(page.locator("#about")).to_contain_text(
        re.compile("encode.*rank|from an earlier search", re.DOTALL)
    )


def test_a_kept_answer_is_told_as_such(page: Any, address: str) -> None:
    for _ in range(2):
        page.goto(f"{address}/?{SMALL}&q=river+number")
        page.locator("#about summary", has_text="About this answer").click()
        expect(page.locator("#about .numbers")).to_contain_text("generation")
    expect(page.locator("#about .numbers")).to_contain_text("keptfrom an earlier search")
    expect(page.locator("#about .scores")).to_have_count(0)


def test_the_servers_error_sentence_is_shown_in_place(page: Any, address: str) -> None:
    page.goto(f"{address}/?index=missing&q=genome")
    expect(page.locator("#status.error")).to_contain_text("no index 'missing'")
    expect(page.locator("#hits > li")).to_have_count(0)


def test_an_unreachable_server_is_said_in_place(page: Any, address: str) -> None:
    page.goto(f"{address}/?{SMALL}")
    expect(page.locator("#intro")).to_contain_text("search small")
    page.route("**/search", lambda route: route.abort())
    page.locator("#q").fill("genome")
    page.keyboard.press("Enter")
    expect(page.locator("#status.error")).to_contain_text("can’t be reached")


def test_markup_in_documents_is_shown_as_text_without_its_tags(page: Any, address: str) -> None:
    page.goto(f"{address}/?{SMALL}&q=gate")
    expect(page.locator("#hits .snippet")).to_have_text(["opens a gate"])
    expect(page.locator("#hits h3")).to_have_text(["gate"])
    expect(page.locator("#hits mark")).to_have_text(["gate", "gate"])
    expect(page.locator("#hits :is(img, b, i)")).to_have_count(0)
    expect(page.locator("#hits a")).to_have_count(1)
    expect(page.locator("#hits a")).to_have_attribute("href", "https://example.org/a")
    expect(page).to_have_title("gate – lsr")
    page.goto(f"{address}/?{SMALL}&q=comparison")
    expect(page.locator("#hits h3")).to_have_text(["comparison of a<b"])
    expect(page.locator("#hits .snippet")).to_have_text(
        ["if a<b and c>d then <b and so on, a &lt; b"]
    )


PAGES = [
    "<p>One <b>two</b></p><p>three &amp; four &lt;five&gt; &#233;&#x1F9EC; &nbsp;six</p>",
    "<!-- a <b>comment</b> --><div class='x > y' data-n=1>seven<br/>eight</div>",
    "<script>if (a<b) alert('</p>')</script><style>p{}</style><h1 id=\"a\">Nine</h1> ten",
    '<ul><li>one<li>two</ul><img alt="a>b" src=x> 3 < 4 and 5 > 4 &copy',
    "\U0001f9ec<I>gene</I>\U0001f9ec <A HREF='https://x'>link</A> &amp;lt;",
]
PLAIN = ["if a<b and c>d", "List<String> x; a &lt; b", "<thing> is no tag", "", "a <b c", "x</y>z"]


def test_a_text_without_its_markup_is_what_a_browser_reads(open_page: Any, address: str) -> None:
    # The browser's own parser, which is the oracle, would complain about styles in texts.
    page = open_page(bypass_csp=True)
    page.goto(address)
    found = page.evaluate(
        """async ([pages, plain]) => {
            const { withoutMarkup, excerpt } = await import("/static/markup.js");
            const words = (text) => text.split(/\\s+/).filter(Boolean).join(" ");
            const read = (text) => {
                const body = new DOMParser().parseFromString(text, "text/html").body;
                for (const each of body.querySelectorAll("script, style")) each.remove();
                // Blocks and line breaks part words.
                for (const each of body.querySelectorAll("p, div, br, h1, li, ul")) {
                    each.before(" ");
                    each.append(" ");
                    each.after(" ");
                }
                return words(body.textContent);
            };
            const marked = (text, start, end) =>
                excerpt(text, text, [[start, end]]).filter(([, isMarked]) => isMarked);
            return {
                pages: pages.map((text) => [words(withoutMarkup(text)), read(text)]),
                plain: plain.map((text) => withoutMarkup(text)),
                endless: withoutMarkup("<b>write</b> <!-- and " + "<!--".repeat(1e5)).slice(0, 16),
                marked: marked("\\u{1f9ec}<i>gene</i> x", 4, 8),
            };
        }""",
        [PAGES, PLAIN],
    )
    for without, read in found["pages"]:
        assert without == read.replace("\u00a9", "&copy")
    assert found["plain"] == PLAIN
    # A comment without an end is text, found to be so in one pass.
    assert found["endless"] == "write <!-- and <"
    assert found["marked"] == [["gene", True]]


def test_a_passage_is_shown_with_its_page_and_a_link_to_it(page: Any, address: str) -> None:
    page.goto(f"{address}/?{SMALL}&q=lever+valve")
    expect(page.locator("#hits h3")).to_have_text(["The pump"])
    expect(page.locator("#hits .where")).to_contain_text("Valves · page 25 · passage")
    link = page.locator("#hits h3 a")
    expect(link).to_have_attribute("href", "https://example.org/manual.pdf#page=25")
    expect(link).to_have_attribute("rel", re.compile("noopener"))
    page.goto(f"{address}/?{SMALL}&q=gangway")
    expect(page.locator("#hits h3")).to_have_text(["Gangway"])
    expect(page.locator("#hits a")).to_have_count(0)


def test_what_is_written_from_right_to_left_is_laid_out_so(page: Any, address: str) -> None:
    page.goto(f"{address}/?{SMALL}&q=البحر")
    expect(page.locator("#hits h3")).to_have_css("direction", "rtl")
    expect(page.locator("#hits .snippet")).to_have_css("direction", "rtl")
    expect(page.locator("#q")).to_have_css("direction", "rtl")
    expect(page.locator("#status")).to_have_css("direction", "ltr")


def test_more_results_follow_and_back_returns(page: Any, address: str) -> None:
    page.goto(f"{address}/?{SMALL}&q=genome")
    expect(page.locator("#hits > li")).to_have_count(1)
    page.locator("body").press("/")
    page.keyboard.type("river")
    page.keyboard.press("Enter")
    expect(page.locator("#hits > li")).to_have_count(10)
    page.get_by_role("button", name="More results").click()
    expect(page.locator("#hits > li")).to_have_count(12)
    expect(page.locator("#more")).to_be_hidden()
    page.locator("#hits > li").nth(11).locator("summary").first.click()
    expect(page.locator("#hits > li").nth(11).locator(".token")).to_have_text(["river"])
    page.go_back()
    expect(page.locator("#hits > li")).to_have_count(1)
    expect(page.locator("#q")).to_have_value("genome")
