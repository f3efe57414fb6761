"""The HTML report: it holds what it was given, escaped, and refers to nothing outside."""

import re
from html.parser import HTMLParser

import pytest

from eval.cell import Cell, Provenance
from eval.report import report_page
from eval.results import Results
from eval.suite_plots import plots_of, write_plots
from lsr.errors import UsageError

pytest.importorskip("matplotlib")
EVIL = "</script><script>alert(1)</script><img src=http://evil.example/x onerror='a()'>\"&"


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.data = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.data.append(data)


def cell(encoder, dataset="scifact", shift=0.0, using="sparse", **parts):
    provenance = Provenance({"sparse": "f"}, "a/b", "native", "auto", {"lsr": "0"})
    values = {f"q{place}": min(1.0, place / 12 + shift) for place in range(10)}
    mean = sum(values.values()) / len(values)
    costs = {"ms_p50": 1.0 + shift, "flops": 3.5, "document_nonzeros": 120 + 9 * shift}
    return Cell(
        dataset, encoder, using, "native", 5183, 300, provenance=provenance,
        **{"measures": {"nDCG@10": mean, "P@5": 0.2}, "per_query": {"nDCG@10": values},
           "costs": costs} | parts,
    )  # fmt: skip


SUITE = [
    cell("bm25"),
    cell("splade", shift=0.2),
    cell("bm25", "my-own", costs={}),
    cell("splade", "my-own", 0.2, costs={}),
]


@pytest.fixture(scope="module")
def page():
    return report_page(Results(SUITE), command="lsr eval scifact my-own")


def test_the_page_holds_tables_plots_and_queries(page):
    read = Page(page)
    text = " ".join(read.data)
    assert read.tags.count("svg") == 7  # for each set bars and one difference, for one three costs
    assert "Means over 2 data sets" in text
    assert "significantly better than these rows" in text
    assert "lsr eval scifact my-own" in text
    assert "OpenSearch doc-v3-gte" in text
    assert text.count("nDCG@10 of each of 10 queries") == 2
    assert "b  splade" in text


def test_the_parts_of_a_data_set_count_once_in_the_means():
    values = {"android": 0.0, "gaming": 0.3, "scifact": 0.6}
    cells = [
        cell("bm25", name, measures={"nDCG@10": value}, per_query={}, costs={})
        for name, value in values.items()
    ]
    read = Page(report_page(Results(cells, {"android": "cqadupstack", "gaming": "cqadupstack"})))
    text = " ".join(each.strip() for each in read.data if each.strip())
    assert "Means over the 2 parts of cqadupstack system nDCG@10 bm25 0.1500" in text
    assert "Means over 2 data sets system nDCG@10 bm25 0.3750" in text


def test_nothing_is_fetched_and_ids_are_distinct(page):
    read = Page(page)
    ids = [value for name, value in read.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    for name, value in read.attributes:
        if name in ("src", "href", "xlink:href", "data", "action"):
            assert value.startswith("#"), (name, value)
            assert value[1:] in ids
    for reference in re.findall(r"url\(#?([^)]*)\)", page):
        assert reference in ids
    assert "default-src 'none'" in page


def test_whatever_comes_from_results_is_escaped():
    nasty = cell(
        EVIL, EVIL, using=EVIL, caveats=[EVIL], per_query={"nDCG@10": {EVIL: 0.5, "q2": 1.0}}
    )
    read = Page(report_page(Results([nasty, cell("b", EVIL)]), command=EVIL))
    assert read.tags.count("script") == 1
    assert "img" not in read.tags
    assert not any(name.startswith("on") for name, _ in read.attributes)
    assert " ".join(read.data).count(EVIL) >= 5


def test_results_without_queries_or_costs_have_a_page_too():
    bare = cell("bm25", per_query={}, costs={})
    assert "<svg" not in report_page(Results([bare]))
    with pytest.raises(UsageError, match="there is no result"):
        report_page(Results([]))
    with pytest.raises(UsageError, match=r"no P@50; it has nDCG@10, P@5"):
        report_page(Results(SUITE), "P@50")


def test_plots_are_written_as_png_and_svg_under_distinct_names(tmp_path):
    cells = [cell("a", "x/y", costs={}), cell("a", "x:y", costs={})]
    written = write_plots(cells, tmp_path / "plots")
    assert len(written) == len({str(path).lower() for path in written}) == 4
    assert all(path.stat().st_size for path in written)


def test_there_is_a_plot_for_each_cost_that_results_have():
    assert [plot.kind for plot in plots_of(SUITE)] == [
        *("means", "latency", "flops", "non-zeros", "splade-against-bm25"),
        *("means", "splade-against-bm25"),
    ]
