"""A collection in Qdrant answers as one in a directory does, whatever was written to both."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.collection.collection import Collection
from index.collection.field import sparse_field
from index.collection.maintenance import MaintenanceConfig
from index.filters.json_form import parse_filter_json
from index.search.arranging import spelled_out
from index.search.config import SearchConfig
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.corpus.passages import Passage
from lsr.encoders.imported import ImportedEncoder
from lsr.errors import InputError
from lsr.sparse import SparseBatch, SparseVector
from lsr.vocabulary import Vocabulary
from tests.index.filters.plain_filters import documents, filters, keys, numbers, strings
from tests.strategies import VOCABULARY, sparse_vectors, weights

TOKENS = Vocabulary.from_tokens([f"w{n}" for n in range(VOCABULARY)])
FIELD = sparse_field("sparse", ImportedEncoder(TOKENS))
QUIET = MaintenanceConfig()
asked = st.dictionaries(st.integers(0, VOCABULARY - 1), weights, min_size=1, max_size=6)


@st.composite
def batches(draw):
    """Documents with a row of weights each, or several where they are split."""
    made, rows, parts = [], [], []
    for number, metadata in enumerate(draw(documents)):
        text = "x" * 30
        size = draw(st.sampled_from([1, 1, 1, 2, 3]))
        made.append(Document(f"d{number}", text, "", json.loads(json.dumps(metadata))))
        rows += [draw(sparse_vectors) for _ in range(size)]
        parts.append([Passage(10 * n, 10 * n + 10) for n in range(size)] if size > 1 else [])
    return made, rows, parts


operations = st.one_of(
    st.tuples(st.just("upsert"), batches()),
    st.tuples(st.just("delete"), st.sets(st.integers(0, 7).map("d{}".format))),
    st.tuples(st.just("delete_matching"), filters),
)


def apply(collection, operation, argument):
    if operation == "upsert":
        made, rows, parts = argument
        batch = SparseBatch.from_rows(map(SparseVector.from_mapping, rows), VOCABULARY)
        return collection.upsert(made, {"sparse": batch}, parts)
    if operation == "delete":
        return collection.delete(sorted(argument))
    return collection.delete_matching(parse_filter_json(argument))


def answer(collection, query, **config):
    terms = sorted(query)
    asked = SearchQuery(sparse=(terms, [query[term] for term in terms]))
    return search(collection, asked, SearchConfig(**spelled_out(config)))


def compared(result):
    """All that must be the same, scores aside."""
    return (
        [(hit.id, hit.passage, hit.document, hit.group, hit.terms) for hit in result.hits],
        result.total,
        result.documents,
        [(each.documents, each.having, each.distinct, each.values) for each in result.facets],
        result.exact,
        # Whether strings are dates is told by some of them, and by others of them in Qdrant.
        [warning.partition(", and it holds")[0] for warning in result.warnings],
    )


def assert_same(native, other, query, **config):
    ours, theirs = (answer(each, query, **config) for each in (native, other))
    assert compared(theirs) == compared(ours)
    scores = [[hit.score for hit in result.hits] for result in (ours, theirs)]
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-5)


@settings(max_examples=10)
@given(st.lists(operations, min_size=1, max_size=4), asked, filters, keys, st.integers(1, 4))
def test_any_history_answers_the_same(
    tmp_path_factory, new_collection, history, query, wanted, key, limit
):
    folder = tmp_path_factory.mktemp("same") / "c"
    native = Collection.create(folder, [FIELD], QUIET, TOKENS)
    other = new_collection([FIELD], TOKENS)
    for operation, argument in history:
        assert apply(other, operation, argument) == apply(native, operation, argument)
    assert len(other) == len(native)
    assert other.ids() == native.ids()
    assert other.digest() == native.digest()
    condition = parse_filter_json(wanted)
    assert other.matching(condition) == native.matching(condition)
    for identifier in ("d0", "d5"):
        assert other.get(identifier) == native.get(identifier)
    assert_same(native, other, query, limit=limit, explain=True)
    assert_same(native, other, query, limit=20, filter=condition, facets=[key])
    assert_same(native, other, query, limit=20, sort=[f"{key}:desc"], facets=[key])
    assert_same(native, other, query, limit=limit, group_by=key, filter=condition)


values = st.lists(numbers | strings, max_size=6)
range_bounds = st.tuples(st.sampled_from(["gt", "gte"]), st.sampled_from(["lt", "lte"]))


@settings(max_examples=20)
@given(
    st.lists(values, min_size=1, max_size=8),
    st.lists(
        st.tuples(range_bounds, st.tuples(numbers, numbers) | st.tuples(strings, strings)),
        min_size=1,
        max_size=8,
    ),
)
def test_ranges_hold_for_the_same_documents(tmp_path_factory, new_collection, held, ranges):
    folder = tmp_path_factory.mktemp("ranges") / "c"
    native = Collection.create(folder, [FIELD], QUIET, TOKENS)
    other = new_collection([FIELD], TOKENS)
    made = [Document(f"d{n}", "x", "", {"k": each}) for n, each in enumerate(held)]
    batch = ("upsert", (made, [{1: 1.0}] * len(made), [[]] * len(made)))
    apply(native, *batch)
    apply(other, *batch)
    for (above, below), (low, high) in ranges:
        for bounds in ({above: low, below: high}, {above: low}, {below: high}):
            if any(isinstance(bound, str) and len(bound) > 200 for bound in bounds.values()):
                continue
            wanted = parse_filter_json({"key": "k", "range": bounds})
            assert other.matching(wanted) == native.matching(wanted), bounds


def test_a_range_over_values_of_another_kind_holds_for_none(tmp_path_factory, new_collection):
    native = Collection.create(tmp_path_factory.mktemp("kinds") / "c", [FIELD], QUIET, TOKENS)
    other = new_collection([FIELD], TOKENS)
    held = [{}, [{}], {"other": 1}, None, [], True, "x", 1]
    metadata = {f"k{n}": value for n, value in enumerate(held)}
    batch = ("upsert", ([Document("d0", "x", "", metadata)], [{1: 1.0}], [[]]))
    for collection in (native, other):
        apply(collection, *batch)
    for key in metadata:
        for bounds in ({"gt": ""}, {"gt": 0}, {"gt": 2**60 + 1}, {"gte": "2020"}):
            wanted = parse_filter_json({"key": key, "range": bounds})
            assert other.matching(wanted) == native.matching(wanted), (key, bounds)
        assert_same(native, other, {1: 1.0}, limit=3, facets=[key], sort=[key])


def test_a_range_that_would_have_to_be_looked_up_in_too_many_values_is_refused(
    new_collection, monkeypatch
):
    monkeypatch.setattr("index.qdrant.filters.MOST_LOOKED_UP", 3)
    collection = new_collection([FIELD], TOKENS)
    made = [Document(f"d{n}", "x", "", {"k": f"v{n}", "at": f"2020-01-0{n + 1}"}) for n in range(4)]
    apply(collection, "upsert", (made, [{1: 1.0}] * 4, [[]] * 4))
    dates = parse_filter_json({"key": "at", "range": {"gt": "2020-01-02"}})
    assert collection.matching(dates) == ["d2", "d3"]
    with pytest.raises(InputError, match="'k'"):
        collection.matching(parse_filter_json({"key": "k", "range": {"gt": "v1"}}))
