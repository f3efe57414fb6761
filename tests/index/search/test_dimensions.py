"""Dimensions: the cells of a query equal a plain loop over the documents and their phrases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.extracting import extract_dimensions
from index.filters.text_form import parse_filter_text
from index.indexing import index_documents
from index.opening import open_or_create
from index.patching import Patch, patch_document
from index.search.config import SearchConfig
from index.search.dimension_settings import Dimensions
from index.search.dimensions import LONGEST_PHRASE, Cube, joined
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.analysis.analyzer import analyzer
from lsr.corpus.dimensions import extractors_of
from lsr.corpus.documents import Document
from lsr.corpus.items import Item
from lsr.errors import InputError, UsageError

WORDS = analyzer("auto")
PHRASES = ["gene expression", "Gene Expressions", "gene", "owl", "the", "night owl", "  ", "no one"]


def build(folder, documents):
    collection = open_or_create(folder, "bm25")
    index_documents(collection, [Item("made", n, each) for n, each in enumerate(documents)])
    return collection


def runs(text):
    """The phrases that a text may be asked by, the longest first, as lists of analysed words."""
    terms = WORDS.terms(text)
    for length in range(min(LONGEST_PHRASE, len(terms)), 0, -1):
        for start in range(len(terms) - length + 1):
            run = terms[start : start + length]
            if not set(run) <= set(WORDS.stop_words):
                yield " ".join(run)


def cells_of(documents, query, keys):
    """The cells that each document is in, by a loop over all."""
    found = {}
    for key in keys:
        everywhere = {" ".join(WORDS.terms(p)) for d in documents for p in d.metadata.get(key, [])}
        asked = []
        for run in runs(query):
            if run in everywhere and not any(f" {run} " in f" {longer} " for longer in asked):
                asked.append(run)
        for document in documents:
            there = {" ".join(WORDS.terms(phrase)) for phrase in document.metadata.get(key, [])}
            for run in asked:
                if run in there:
                    found.setdefault(document.id, set()).add((key, run))
    return found


def check(collection, documents, query, keys, weight=0.5):
    config = SearchConfig(limit=100, dimensions=Dimensions(keys, weight), using="sparse")
    result = search(collection, SearchQuery(query), config)
    plain = search(collection, SearchQuery(query), SearchConfig(limit=100, using="sparse"))
    cells = cells_of(documents, query, keys)
    highest = max((hit.score for hit in plain.hits), default=0.0)
    most = max(map(len, cells.values()), default=1)
    scores = {hit.id: hit.score / highest for hit in plain.hits}
    for identifier, there in cells.items():
        scores[identifier] = scores.get(identifier, 0.0) + weight * len(there) / most
    assert {hit.id: hit.score for hit in result.hits} == pytest.approx(scores)
    assert [hit.score for hit in result.hits] == sorted(scores.values(), reverse=True)
    assert {hit.id: set(hit.cells) for hit in result.hits if hit.cells} == cells


ASKED = ["gene expressions", "owls", "night", "the", "of no one"]
METADATA = st.fixed_dictionaries(
    {}, optional={key: st.lists(st.sampled_from(PHRASES), max_size=3) for key in ("a", "b")}
)


@given(
    st.lists(METADATA, min_size=1, max_size=6),
    st.lists(
        st.sampled_from(["gene expressions", "owls", "night", "the", "of no one"]), max_size=4
    ),
)
def test_cells_equal_a_loop_over_all_documents(tmp_path_factory, metadata, asked):
    documents = [
        Document(f"d{n}", ["owl at night", "gene"][n % 2], metadata=each)
        for n, each in enumerate(metadata)
    ]
    collection = build(tmp_path_factory.mktemp("c") / "c", documents)
    # One goes, one comes anew, and one is in the tail.
    collection.delete(["d0"])
    late = [Document("late", "an owl", metadata={"a": ["owl", "gene expression"]})]
    changed = [Document("d1", "night", metadata={"b": ["owl"]})] if len(documents) > 1 else []
    index_documents(collection, [Item("", n, each) for n, each in enumerate(changed + late)])
    living = {each.id: each for each in [*documents[1:], *changed, *late]}
    query = " ".join(asked) or "owl"
    check(collection, list(living.values()), query, ("a", "b"))
    collection.close()


def test_a_filter_holds_for_cells_too(tmp_path):
    documents = [
        Document("x", "plum", metadata={"a": ["owl"], "lang": "en"}),
        Document("y", "plum", metadata={"a": ["owl"], "lang": "de"}),
    ]
    collection = build(tmp_path / "c", documents)
    config = SearchConfig(dimensions=Dimensions(("a",)), filter=parse_filter_text("lang = en"))
    assert [hit.id for hit in search(collection, SearchQuery("owl"), config).hits] == ["x"]


def test_extracted_dimensions_are_found_by_themselves_and_a_run_goes_on(tmp_path):
    documents = [
        Document("a", "In 1999 the law of Isaac Newton was found at Trinity."),
        Document("b", "Owls hunt, said Isaac Newton in 2001."),
    ]
    collection = build(tmp_path / "c", documents)
    before = {each.id: each.digest() for each in documents}
    extractors = extractors_of(["dates", "names"])
    report = extract_dimensions(collection, extractors)
    assert (report.read, report.extracted) == (2, 2)
    assert extract_dimensions(collection, extractors).extracted == 0
    stored = {name: collection.get(name) for name in "ab"}
    assert stored["a"].metadata["_dimensions"]["dates"] == ["1999"]
    assert {name: each.digest() for name, each in stored.items()} == before
    again = index_documents(collection, [Item("", n, each) for n, each in enumerate(documents)])
    assert again.unchanged == 2
    config = SearchConfig(dimensions=Dimensions(weight=2))
    hits = search(collection, SearchQuery("what did Newton Isaac Newton do in 2001"), config).hits
    assert hits[0].id == "b"
    assert set(hits[0].cells) == {
        ("_dimensions.dates", "2001"),
        ("_dimensions.names", "isaac newton"),
    }


def test_like_phrases_are_cells_by_cosine(hybrid_collection):
    hybrid = hybrid_collection({"a": "apple pie", "b": "plum cake"})
    found = hybrid.get("a")
    assert found is not None
    patch_document(hybrid, "a", Patch(metadata={"what": ["apple", "cherry plum"]}))
    exact = SearchConfig(dimensions=Dimensions(("what",)), using="sparse")
    like = SearchConfig(dimensions=Dimensions(("what",), similarity=1e-6), using="sparse")
    query = SearchQuery("banana")
    assert [hit.cells for hit in search(hybrid, query, exact).hits if hit.cells] == []
    dense = hybrid.fields.dense_encoder(hybrid.fields.named("dense"))
    asked, phrases = (
        dense.encode_queries(["banana"])[0],
        dense.encode_documents(["apple", "cherry plum"]),
    )
    wanted = bool((phrases @ asked > 0).any())
    assert bool([hit.cells for hit in search(hybrid, query, like).hits if hit.cells]) == wanted


def test_nothing_is_joined_where_nothing_matches():
    assert joined([(3, 2.0), (1, 1.0)], Cube((), {}), 0.5) == [(3, 1.0), (1, 0.5)]
    assert joined([], Cube((), {}), 0.5) == []


@pytest.mark.parametrize("text", ["", ",", "weight=1", "auto,weight=x", "a,colour=1"])
def test_settings_that_are_none_are_refused(text):
    with pytest.raises(UsageError):
        Dimensions.parse(text)


@pytest.mark.parametrize(
    "settings", [{"weight": -1}, {"weight": float("nan")}, {"similarity": 0.0}, {"similarity": 2}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(InputError):
        Dimensions(("a",), **settings)


def test_settings_are_parsed():
    assert Dimensions.parse("auto") == Dimensions()
    assert Dimensions.parse("lang,kind,weight=2,similarity=0.9") == Dimensions(
        ("lang", "kind"), 2.0, 0.9
    )


def test_what_lacks_is_told(tmp_path):
    collection = build(tmp_path / "c", [Document("a", "owl")])
    with pytest.raises(UsageError, match="lsr dimensions"):
        search(collection, SearchQuery("owl"), SearchConfig(dimensions=Dimensions()))
    with pytest.raises(InputError, match="text"):
        search(
            collection,
            SearchQuery(tokens={"owl": 1.0}),
            SearchConfig(dimensions=Dimensions(("a",))),
        )
    with pytest.raises(UsageError, match="dense"):
        search(
            collection,
            SearchQuery("owl"),
            SearchConfig(dimensions=Dimensions(("a",), similarity=0.9)),
        )
