"""A view of a collection in Qdrant sees what is committed, and nothing else."""

from dataclasses import replace

import pytest

from index.filters.text_form import parse_filter_text
from index.qdrant.collection import QdrantCollection
from index.qdrant.layout import Record, number_of, record_number, row_payloads
from index.qdrant.port import Layout, Point
from index.qdrant.state import Weighing, read_state
from index.search.arranging import spelled_out
from index.search.config import SearchConfig
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.errors import CorruptionError, UsageError
from lsr.sparse import SparseBatch, SparseVector
from tests.index.qdrant.test_same_answers import FIELD, TOKENS

QUERY = SearchQuery(sparse=([1], [1.0]))
ROW = SparseVector.from_mapping({1: 1.0})


@pytest.fixture
def collection(new_collection):
    made = new_collection([FIELD], TOKENS)
    documents = [Document(f"d{n}", "text", "", {"k": n}) for n in range(4)]
    made.upsert(documents, {"sparse": SparseBatch.from_rows([ROW] * 4, FIELD.size)})
    return made


def commit(collection, **changes):
    """What a writer's commit leaves, without what it does before and after it."""
    state = replace(read_state(collection.port), **changes)
    collection.port.write([Point(record_number(Record.STATE), state.payload)])


def seen(collection, **config):
    result = search(collection, QUERY, SearchConfig(**spelled_out(config)))
    return [hit.id for hit in result.hits]


def everything(collection):
    """All that tells which documents there are."""
    result = search(collection, QUERY, SearchConfig(**spelled_out({"facets": ["k"], "sort": "k"})))
    return {
        "hits": [hit.id for hit in result.hits],
        "total": result.total.value,
        "documents": result.documents,
        "facets": result.facets[0].values,
        "ids": collection.ids(),
        "matching": collection.matching(parse_filter_text("k >= 0")),
        "held": [collection.get(name) is not None for name in ("d0", "d1", "new")],
    }


def test_rows_of_a_write_that_is_not_committed_do_not_count(collection):
    before = everything(collection)
    written = read_state(collection.port).written
    commit(collection, reserved=written + 1)
    payload = row_payloads(written + 1, Document("new", "text", "", {"k": 7}))[0]
    collection.port.write([Point(number_of(written + 1), payload, {"sparse": ROW})])
    assert everything(collection) == before
    assert seen(collection, limit=1) == ["d0"]
    assert seen(collection, filter=parse_filter_text("k = 7")) == []
    commit(collection, written=written + 1, documents=5, rows=5)
    assert seen(collection) == ["d0", "d1", "d2", "d3", "new"]
    assert seen(collection, filter=parse_filter_text("k = 7")) == ["new"]


def test_rows_that_are_to_be_deleted_do_not_count(collection):
    number = collection.store.sequences(["d1"])["d1"]
    commit(collection, dying=(number,), documents=3, rows=3)
    there = everything(collection)
    assert there["hits"] == there["ids"] == there["matching"] == ["d0", "d2", "d3"]
    assert there["held"] == [True, False, False]
    assert there["facets"] == [(0, 1), (2, 1), (3, 1)]
    assert (there["total"], there["documents"]) == (3, 3)


def test_what_is_pinned_stays_though_more_is_written(collection):
    with collection.pinned() as view:
        batch = SparseBatch.from_rows([ROW], FIELD.size)
        collection.upsert([Document("new", "text")], {"sparse": batch})
        with collection.pinned() as again:
            assert again is view
        assert len(collection) == 4
        assert seen(collection) == ["d0", "d1", "d2", "d3"]
    assert len(collection) == 5


def test_weights_that_are_being_renewed_are_told(collection):
    assert search(collection, QUERY).warnings == []
    commit(collection, weighing={"sparse": Weighing(3.0, 1)}, revision=100)
    (warning,) = search(collection, QUERY).warnings
    assert "'sparse'" in warning


def test_what_lsr_did_not_make_is_refused(new_port):
    port = new_port()
    port.create(Layout(("sparse",), {}))
    with pytest.raises(UsageError, match="not made by lsr"):
        QdrantCollection(port)


@pytest.mark.parametrize("name", ["state", "checksum"])
def test_a_damaged_state_is_noticed(collection, name):
    number = record_number(Record.STATE)
    payload = collection.port.retrieve([number])[number].payload
    collection.port.write([Point(number, {**payload, name: payload[name][:-2]})])
    with pytest.raises(CorruptionError):
        search(collection, QUERY)


def test_a_damaged_document_is_found_and_not_served(collection, caplog):
    number = collection.store.sequences(["d1"])["d1"]
    collection.port.set_payload(number, {"text": "other"})
    hits = search(collection, QUERY).hits
    assert [hit.id for hit in hits if hit.document is None] == ["d1"]
    assert "damaged" in caplog.text
    with pytest.raises(CorruptionError):
        collection.get("d1")
