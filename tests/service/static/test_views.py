"""Two settings side by side, the judged view and the index view."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import ir_measures
import pytest

from eval.measures import measure_queries
from index.collection.collection import Collection
from index.search.config import SearchConfig
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.qrels import read_qrels
from service.api.app import create_app
from service.settings import ServerSettings
from tests.service.static.conftest import LIBRARY, served
from tests.waiting import wait_until

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect

BOTH = "index=library&using=bm25&b.using=sparse%2Bbm25&b.fusion=rrf"
QUERIES = {"q1": "a boat that is quick", "q2": "kayak to the shore", "q3": "ferry", "q4": "ship"}


def ranked(folder: Any, text: str, using: str, limit: int) -> list[tuple[str, float]]:
    from index.search.fusion import ReciprocalRankFusion

    fusion = ReciprocalRankFusion() if "+" in using else None
    config = SearchConfig(using=using, fusion=fusion, limit=limit)
    opened = Collection.open(folder / "library")
    try:
        hits = search(opened, SearchQuery(text), config).hits
    finally:
        opened.close()
    return [(hit.id, hit.score) for hit in hits]


def test_two_settings_stand_side_by_side_with_what_moved(
    page: Any, address: str, folder: Any, screenshot: Any
) -> None:
    page.goto(f"{address}/?view=compare&{BOTH}&q=kayak+quickly")
    before = [each for each, _ in ranked(folder, "kayak quickly", "bm25", 50)]
    after = [each for each, _ in ranked(folder, "kayak quickly", "sparse+bm25", 50)]
    assert before != after
    for side, expected in (("before", before), ("after", after)):
        items = page.locator(f"#{side}-hits > li")
        expect(items).to_have_count(min(10, len(expected)))
        ids = items.evaluate_all("all => all.map(each => each.dataset.id)")
        assert ids == expected[:10]
    words = page.locator("#after-hits .badge .unseen").all_inner_texts()
    assert words == [
        "not there before"
        if each not in before
        else "same rank before"
        if before.index(each) == place
        else f"rank {before.index(each) + 1} before"
        for place, each in enumerate(after[:10])
    ]
    kept = len(set(before[:10]) & set(after[:10]))
    expect(page.locator("#moved")).to_contain_text(f"{kept} were among the first 10 before")
    page.locator("#after-hits summary", has_text="Why this result").first.click()
    expect(page.locator("#after-hits caption")).to_contain_text(["Scores", "sparse", "bm25"])
    screenshot(page, "side-by-side")


def test_sources_and_fusion_are_switched_in_place(page: Any, address: str) -> None:
    page.goto(f"{address}/?index=library&q=kayak")
    expect(page.locator("#status")).to_contain_text("· sparse ·")
    expect(page.get_by_label("Fusion")).to_have_count(0)
    page.locator("#before").get_by_label("bm25").check(force=True)
    expect(page.locator("#status")).to_contain_text("· sparse+bm25 ·")
    page.get_by_label("Fusion").select_option("rrf")
    expect(page.locator("#hits dl").first).to_contain_text("score0.0")
    assert "using=sparse%2Bbm25&fusion=rrf" in page.url
    page.get_by_role("link", name="Side by side").click()
    expect(page.locator("#before-hits > li")).to_have_count(6)
    page.locator("#after").get_by_label("sparse").click(force=True)
    # The last source stays: something has to be searched.
    expect(page.locator("#after").get_by_label("sparse")).to_be_checked()


def test_the_judged_view_measures_as_lsr_eval_does(
    page: Any, address: str, folder: Any, tmp_path: Any, screenshot: Any
) -> None:
    qrels = {
        "q1": {each.id: 1 + place % 2 for place, each in enumerate(LIBRARY[:9])},
        "q2": {each.id: 2 for each in LIBRARY if each.metadata["kind"] == "kayak"},
        "q3": {"boat-1": 1, "boat-2": 0, "nowhere": 3},
        "q4": {"boat-20": -1},
        "unasked": {"boat-1": 1},
    }
    queries = tmp_path / "queries.jsonl"
    lines = [json.dumps({"_id": key, "text": text}) for key, text in QUERIES.items()]
    queries.write_text("\n".join(lines))
    tsv = "query-id\tcorpus-id\tscore\n" + "".join(
        f"{query}\t{document}\t{grade}\n"
        for query, grades in qrels.items()
        for document, grade in grades.items()
    )
    page.goto(f"{address}/?view=judged&{BOTH}")
    page.locator("[data-into=judge-queries]").set_input_files(queries)
    page.locator("#judge-qrels").fill(tsv)
    page.get_by_role("button", name="Measure").click()
    rows = page.locator(".queries tbody tr")
    expect(rows).to_have_count(4)
    expect(page.locator("#judge-status")).to_have_text("1 judged query without a text left out.")
    known = {query: qrels[query] for query in QUERIES}
    expected = [
        measure_queries(
            known,
            {query: ranked(folder, text, using, 10) for query, text in QUERIES.items()},
            "nDCG@10",
        )
        for using in ("bm25", "sparse+bm25")
    ]
    found = {
        row.locator("a").inner_text(): row.locator("td").all_inner_texts()[1:] for row in rows.all()
    }
    for query, text in QUERIES.items():
        values = [float(value) for value in found[text][:2]]
        assert values == pytest.approx([each[query] for each in expected], abs=6e-4)
    means = [sum(each.values()) / len(each) for each in expected]
    figures = page.locator(".figures dd").all_inner_texts()
    assert [float(each) for each in figures[:2]] == pytest.approx(means, abs=6e-5)
    difference = float(figures[2].replace("−", "-").replace("±", ""))
    assert difference == pytest.approx(means[1] - means[0], abs=2e-4)
    screenshot(page, "judged")
    rows.first.locator("a").click()
    expect(page.locator("#compare-view")).to_be_visible()
    expect(page.locator("#q")).not_to_have_value("")
    page.go_back()
    expect(rows).to_have_count(4)


def test_the_pages_ndcg_is_that_of_ir_measures(page: Any, address: str) -> None:
    page.goto(address)
    made = random.Random(5)
    runs, qrels = {}, {}
    for query in map(str, range(40)):
        documents = [f"d{number}" for number in made.sample(range(60), 30)]
        runs[query] = documents[: made.randint(0, 30)]
        judged = made.sample(range(60), made.randint(1, 40))
        qrels[query] = {f"d{number}": made.randint(-1, 3) for number in judged}
    found = page.evaluate(
        """async ([runs, qrels]) => {
            const { ndcg } = await import("/static/measures.js");
            const of = (query) => ndcg(runs[query], new Map(Object.entries(qrels[query])), 10);
            return Object.fromEntries(Object.keys(runs).map((query) => [query, of(query)]));
        }""",
        [runs, qrels],
    )
    scored = {query: {d: -place for place, d in enumerate(run)} for query, run in runs.items()}
    expected = dict.fromkeys(runs, 0.0)
    measure = ir_measures.nDCG @ 10
    for each in ir_measures.iter_calc([measure], qrels, scored):
        expected[each.query_id] = each.value
    assert found == pytest.approx(expected, abs=1e-9)


def test_the_page_reads_judgements_as_lsr_does(page: Any, address: str, tmp_path: Any) -> None:
    page.goto(address)
    texts = [
        "q1\td1\t2\nq1\td2\t0\n",
        "\ufeffquery-id\tcorpus-id\tscore\r\nq1\td 1\t2\r\n\r\nq2\td2\t1\r\n",
        "q1 0 d1 2\nq1 Q0 d2 -1\nq2\t0\td3\t1\n",
        "score\tdocid\tqid\n2\td1\tq1\n",
    ]
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.tsv"
        path.write_bytes(text.encode())
        found = page.evaluate(
            """async (text) => {
                const { readQrels } = await import("/static/judgements.js");
                return [...readQrels(text)].map(([q, grades]) => [q, Object.fromEntries(grades)]);
            }""",
            text,
        )
        assert dict(found) == read_qrels(path)
    page.goto(f"{address}/?view=judged&index=library")
    for queries, judged, sentence in (
        ("", "q1\td1\t1", "no queries"),
        ("q1\tferry", "", "no judgements"),
        ("q1 ferry", "q1\td1\t1", "Line 1 of the queries"),
        ('{"_id": 1', "q1\td1\t1", "Line 1 of the queries"),
        ("q1\tferry", "q1\td1\t1\nq1\td1\tgood", "Line 2 of the judgements"),
        ("q1\tferry", "q2\td1\t1", "ids of queries and judgements differ"),
    ):
        page.locator("#judge-queries").fill(queries)
        page.locator("#judge-qrels").fill(judged)
        page.get_by_role("button", name="Measure").click()
        expect(page.locator("#judge-status.error")).to_contain_text(sentence)


def test_the_numbers_of_an_index_are_shown(page: Any, address: str, screenshot: Any) -> None:
    page.goto(f"{address}/?view=index&index=library&q=ferry")
    expect(page.locator(".figures dd")).to_have_text(["24", "2", "6"])
    fields = page.get_by_role("region", name="Fields").locator("tbody tr")
    expect(fields.nth(0)).to_contain_text("lsr-tiny-v1")
    expect(fields.nth(1)).to_contain_text("no model")
    metadata = page.get_by_role("region", name="Metadata").locator("tbody tr")
    expect(metadata).to_contain_text(["built", "grade", "kind", "open", "seen", "url"])
    expect(page.locator("#statistics .numbers")).to_contain_text("24 documents")
    expect(page.locator("#statistics .numbers")).to_contain_text("generation1")
    screenshot(page, "index")


def test_an_alias_and_what_approximate_searches_find_are_told(
    open_page: Any, folder: Any, tmp_path: Any
) -> None:
    page = open_page()
    settings = ServerSettings(paths=[folder], state=tmp_path / "state.sqlite", recall_probe=1)
    with served(create_app(settings)) as address:
        page.request.put(f"{address}/v1/aliases/boats", data={"index": "library"})
        page.goto(f"{address}/?index=boats&q=ferry&using=bm25&effort=0.25")
        expect(page.locator("#hits > li").first).to_be_visible()
        expect(page.locator("#index")).to_have_value("library")
        # The page may have searched twice.
        told = page.get_by_text(
            re.compile(r"Approximate searches found 100\.0 % of the exact hits: [12] search")
        )
        described = f"{address}/v1/indexes/library"
        wait_until(lambda: "recall_probe" in page.request.get(described).json())
        page.goto(f"{address}/?view=index&index=library")
        expect(told).to_be_visible()
        expect(page.get_by_text("Also called boats.")).to_be_visible()
