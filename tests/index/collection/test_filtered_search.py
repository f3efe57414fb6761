"""Filtered search against unfiltered search with the other documents left out."""

import gc
import json
from concurrent.futures import ThreadPoolExecutor
from weakref import ref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.collection import metadata, segment_masks, segment_view
from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.collection.recent import Recent
from index.filters.json_form import parse_filter_json
from index.filters.text_form import parse_filter_text
from index.indexing import index_documents, upsert_documents
from index.search.config import SearchConfig
from index.search.fusion import ReciprocalRankFusion
from index.search.pipeline import search, search_batch
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.corpus.items import Item
from tests.index.filters.test_filters import documents, filters, passes

WORDS = ["apple", "banana", "cherry", "plum", "lemon", "fig"]
DOCUMENTS = [
    Document(
        f"d{n}",
        " ".join(WORDS[(n + i) % 6] for i in range(n % 4 + 1)),
        metadata={"third": n % 3, "half": n % 2 == 0, "tags": [f"t{n % 5}", "all"], "n": n},
    )
    for n in range(60)
]
BY_ID = {document.id: document for document in DOCUMENTS}
FILTERS = {
    "third = 1": lambda m: m["third"] == 1,
    "half = true and n >= 10": lambda m: m["half"] and m["n"] >= 10,
    "tags in (t1, t2) or n < 5": lambda m: m["n"] % 5 in (1, 2) or m["n"] < 5,
    "not (third = 0)": lambda m: m["third"] != 0,
    "tags = all": lambda m: True,
    "tags = none": lambda m: False,
    "n = 17": lambda m: m["n"] == 17,
}
LANGUAGES = [("a", "en"), ("b", "fr"), ("c", "en")]
ALL = {"limit": 200, "payload": False}


@pytest.fixture(scope="module")
def collection(tmp_path_factory, masked_lm, dense_model):
    """Three fields; documents in the segment, newer than it, and deleted."""
    fields = encoder_fields(f"inference-free:{masked_lm},idf=collection", str(dense_model), True)
    made = Collection.create(tmp_path_factory.mktemp("filtered") / "c", fields)
    index_documents(made, [Item("memory", n, d) for n, d in enumerate(DOCUMENTS[:45])])
    upsert_documents(made, [Document("d7", "apple", metadata={"n": 7}), *DOCUMENTS[45:]])
    upsert_documents(made, [DOCUMENTS[7]])
    made.delete(["d3", "d50"])
    assert len(made.view().segments) > 1
    return made


def pairs(result):
    return [(hit.id, hit.score) for hit in result.hits]


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("using", ["sparse", "bm25", "dense"])
@pytest.mark.parametrize("text", FILTERS)
def test_a_filtered_ranking_is_the_rest_of_the_whole_one(collection, text, using, engine):
    query = SearchQuery("apple plum")
    whole = search(collection, query, SearchConfig(using=using, engine=engine, **ALL))
    wanted = [pair for pair in pairs(whole) if FILTERS[text](BY_ID[pair[0]].metadata)]
    config = {"using": using, "engine": engine, "filter": parse_filter_text(text)}
    living = [d for d in DOCUMENTS if d.id not in ("d3", "d50")]
    for _ in range(2):  # the second time from what is kept
        found = search(collection, query, SearchConfig(**config, **ALL))
        assert pairs(found) == wanted
        assert found.documents == sum(FILTERS[text](d.metadata) for d in living)
    page = search(collection, query, SearchConfig(**config, limit=3, offset=2, payload=False))
    assert pairs(page) == wanted[2:5]


@pytest.mark.parametrize("text", FILTERS)
def test_fusion_fuses_filtered_rankings(collection, text):
    wanted = parse_filter_text(text)
    query = SearchQuery("apple plum")
    expected = {}
    for using in ("sparse", "dense"):
        part = search(collection, query, SearchConfig(using=using, filter=wanted, **ALL))
        for rank, hit in enumerate(part.hits, start=1):
            expected[hit.id] = expected.get(hit.id, 0) + 1 / (60 + rank)
    fused = SearchConfig(using="hybrid", filter=wanted, fusion=ReciprocalRankFusion(), **ALL)
    found = search(collection, query, fused)
    assert {hit.id: hit.score for hit in found.hits} == pytest.approx(expected)


def test_a_filtered_batch_answers_as_single_queries_do(collection):
    config = SearchConfig(using="bm25", filter=parse_filter_text("third = 1"))
    queries = [SearchQuery("apple"), SearchQuery("fig"), SearchQuery("nothing at all")]
    together = search_batch(collection, queries, config)
    assert [pairs(r) for r in together] == [pairs(search(collection, q, config)) for q in queries]


def rows(collection):
    return set(collection.store.connection.execute("SELECT * FROM metadata").fetchall())


operations = st.one_of(
    st.tuples(st.just("upsert"), documents),
    st.tuples(st.just("delete"), st.sets(st.integers(0, 7))),
    st.tuples(st.just("delete_matching"), filters),
    st.tuples(st.just("flush"), st.none()),
)


@settings(max_examples=20)
@given(st.lists(operations, max_size=6), filters)
def test_any_history_filters_what_is_left(tmp_path_factory, history, wanted):
    path = tmp_path_factory.mktemp("history") / "c"
    collection = Collection.create(path, encoder_fields("bm25"))
    expected = {}
    config = SearchConfig(filter=parse_filter_json(wanted), **ALL)
    for operation, argument in history:
        gone = set()
        if operation == "upsert":
            made = {str(n): json.loads(json.dumps(m)) for n, m in enumerate(argument)}
            upsert_documents(collection, [Document(i, "apple", "", m) for i, m in made.items()])
            expected |= made
        elif operation == "delete":
            gone = {str(number) for number in argument} & expected.keys()
            assert collection.delete(map(str, argument)) == gone
        elif operation == "delete_matching":
            gone = {i for i, m in expected.items() if passes(m, argument)}
            assert collection.delete_matching(parse_filter_json(argument)) == gone
        else:
            collection.maintenance.flush()
        expected = {i: m for i, m in expected.items() if i not in gone}
        left = {i for i, m in expected.items() if passes(m, wanted)}
        assert {h.id for h in search(collection, SearchQuery("apple"), config).hits} == left
    again = search(Collection.open(path), SearchQuery("apple"), config)
    assert {h.id for h in again.hits} == {i for i, m in expected.items() if passes(m, wanted)}
    numbers = collection.store.sequences(list(expected))
    assert rows(collection) == {
        (key, kind, value, numbers[i])
        for i, m in expected.items()
        for key, (kind, value) in metadata.metadata_values(m)
    }


def test_a_failing_write_leaves_no_metadata_behind(bm25_collection):
    collection = bm25_collection({"a": "apple"})

    def fail():
        with collection.store.writing():
            collection.store.append([Document("b", "", "", {"k": 1})])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert rows(collection) == set()


def test_masks_go_with_their_view(bm25_collection):
    collection = bm25_collection({"a": "apple"})
    config = SearchConfig(filter=parse_filter_text("k = 1 or not (k exists)"))
    for number in range(4):
        upsert_documents(collection, [Document(str(number), "apple")])
        assert len(search(collection, SearchQuery("apple"), config).hits) == number + 2
    held = collection.view()
    view, masks = ref(held), ref(held.masks(config.filter)[0])
    column = ref(held.columns(["k"])[-1]["k"])
    del held
    upsert_documents(collection, [Document("last", "apple")])
    search(collection, SearchQuery("apple"), config)
    gc.collect()
    assert view() is None
    assert masks() is None
    assert column() is None


def test_masks_are_kept_up_to_a_size(bm25_collection, monkeypatch):
    monkeypatch.setattr(segment_view, "CAPACITY", 4 * segment_masks.OVERHEAD)
    collection = bm25_collection({"a": "apple"})
    for number in range(10):
        config = SearchConfig(filter=parse_filter_text(f"k != {number}"))
        assert len(search(collection, SearchQuery("apple"), config).hits) == 1
    assert 1 <= len(collection.view()._masks._values) <= 3


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 12))), st.integers(1, 20))
def test_what_is_recent_is_kept(uses, capacity):
    recent, expected = Recent(capacity), []
    for key, size in uses:
        held = [entry for entry in expected if entry[0] == key]
        assert recent.get(key) == (held[0][1] if held else None)
        recent.put(key, size, size)
        expected = [*(entry for entry in expected if entry[0] != key), (key, size)]
        while sum(entry[1] for entry in expected) > capacity and len(expected) > 1:
            expected.pop(0)


@pytest.mark.parametrize("text", ["lang = en", "not (lang = fr)"])
def test_a_pinned_view_is_not_misled_by_what_a_later_one_keeps(bm25_collection, text):
    made = bm25_collection({})
    documents = [Document(name, "apple", metadata={"lang": lang}) for name, lang in LANGUAGES]
    upsert_documents(made, documents)
    config = SearchConfig(filter=parse_filter_text(text))
    with made.pinned() as view:
        with ThreadPoolExecutor(1) as other:
            other.submit(made.delete, ["a", "b"]).result()
            later = other.submit(search, made, SearchQuery("apple"), config).result()
        assert [hit.id for hit in later.hits] == ["c"]
        assert made.view() is view
        assert [hit.id for hit in search(made, SearchQuery("apple"), config).hits] == ["a", "c"]
    assert [hit.id for hit in search(made, SearchQuery("apple"), config).hits] == ["c"]


def test_filters_follow_documents_from_the_tail_into_segments(bm25_collection):
    made = bm25_collection({})
    made.maintenance.close()
    config = SearchConfig(limit=200, filter=parse_filter_text("third = 1"))
    living = {}
    for start in range(0, 60, 7):
        part = DOCUMENTS[start : start + 7]
        upsert_documents(made, part)
        living |= {document.id: document for document in part}
        gone = made.delete_matching(parse_filter_text(f"n = {start + 3}"))
        assert gone == {f"d{start + 3}"}
        del living[f"d{start + 3}"]
        if start in (14, 35):
            made.maintenance.flush()
        found = search(made, SearchQuery("apple plum banana cherry lemon fig"), config)
        wanted = {name for name, each in living.items() if each.metadata["third"] == 1}
        assert {hit.id for hit in found.hits} == wanted
        assert found.documents == len(wanted)
    assert made.view().tail.parts
