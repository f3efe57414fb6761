"""A collection that was pushed to Qdrant is the same there, and stays so."""

import itertools
from contextlib import suppress

import numpy as np
import pytest

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.importing import import_vectors, open_for_import
from index.indexing import upsert_documents
from index.qdrant import writing
from index.qdrant.collection import QdrantCollection
from index.qdrant.layout import number_of
from index.qdrant.port import Layout, Point
from index.qdrant.pushing import push, stand_for
from index.qdrant.state import read_state
from index.search.config import SearchConfig
from index.search.defaults import change_defaults, read_defaults
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.errors import ConflictError, EncoderMismatchError, UsageError
from lsr.vectors.formats import open_vectors
from tests.index.qdrant.stopping import Killed, StoppingPort
from tests.index.qdrant.test_writing import check_whole, counted, rows_there, texts


@pytest.fixture
def collection(tmp_path):
    """Words beside a model, BM25, passages, metadata, deleted and replaced documents."""
    made = Collection.create(tmp_path / "c", encoder_fields(None, bm25=True), passages="auto")
    upsert_documents(made, texts(1, 9))
    upsert_documents(made, texts(2, 5))
    made.delete(["3"])
    made.maintenance.flush()
    return made


def check_same(there, here):
    """The same documents, counts, weights and answers."""
    assert there.ids() == here.ids()
    assert there.digest() == here.digest()
    assert counted(there) == counted(here)
    assert read_defaults(there) == read_defaults(here)
    check_whole(there)
    for using in [field.name for field in here.fields if field.kind == "sparse"]:
        for query in ("zebra and yak", "the plum", "engine oil"):
            asked = SearchQuery(query), SearchConfig(using=using)
            found, wanted = search(there, *asked), search(here, *asked)
            assert [hit.id for hit in found.hits] == [hit.id for hit in wanted.hits]
            scores = [hit.score for hit in wanted.hits]
            np.testing.assert_allclose([hit.score for hit in found.hits], scores, rtol=1e-6)


def test_scores_and_counts_are_those_of_the_source(collection, new_port):
    port = new_port()
    change_defaults(collection, {"bm25": {"feedback": "rm3"}})
    report = push(collection, port, "there")
    assert (report.sent, report.deleted) == (len(collection), 0)
    assert report.digest == collection.digest()
    assert report.sampled > 0
    check_same(QdrantCollection(port), collection)


def test_an_unchanged_collection_sends_nothing_and_a_changed_one_its_changes(collection, new_port):
    port = new_port()
    push(collection, port, "there")
    before = read_state(port).revision
    report = push(collection, port, "there")
    assert (report.sent, report.deleted, report.weighed) == (0, 0, 0)
    assert read_state(port).revision == before
    with pytest.raises(UsageError, match="leave the numbers out"):
        push(collection, port, "there", shards=2)
    replaced = collection.ids()[0]
    upsert_documents(collection, [Document(replaced, "yak"), Document("new", "a zebra walks")])
    collection.delete([collection.ids()[1]])
    collection.maintenance.flush()
    report = push(collection, port, "there")
    assert (report.sent, report.deleted) == (2, 1)
    check_same(QdrantCollection(port), collection)


def test_vectors_of_other_kinds_are_copied_too(tmp_path, new_port, masked_lm, dense_model):
    """Dense ones, imported ones whose vocabulary grows, and documents without terms."""
    dense = Collection.create(tmp_path / "dense", encoder_fields("bm25", str(dense_model)))
    upsert_documents(dense, [*texts(1, 5), Document("empty", "")])
    port = new_port()
    push(dense, port, "there")
    asked = SearchQuery("apple plum"), SearchConfig(using="dense")
    found, wanted = search(QdrantCollection(port), *asked), search(dense, *asked)
    assert [hit.id for hit in found.hits] == [hit.id for hit in wanted.hits]

    file = tmp_path / "vectors.jsonl"
    file.write_text('{"id": "a", "contents": "x", "vector": {"apple": 1.5, "pie": 2}}\n')
    imported = open_for_import(tmp_path / "imported", open_vectors(str(file)))
    import_vectors(imported, open_vectors(str(file)))
    port = new_port()
    push(imported, port, "there")
    file.write_text('{"id": "b", "contents": "y", "vector": {"zebra": 3, "pie": 1}}\n')
    import_vectors(imported, open_vectors(str(file)))
    assert push(imported, port, "there").sent == 1
    there = QdrantCollection(port)
    assert there.fields.vocabulary(there.fields[0]).tokens == ["apple", "pie", "zebra"]
    found = search(there, SearchQuery(tokens={"zebra": 1.0, "pie": 1.0})).hits
    assert [(hit.id, hit.score) for hit in found] == [("b", 4.0), ("a", 2.0)]


@pytest.mark.parametrize("new_port", ["edge"], indirect=True)
@pytest.mark.parametrize("after", [False, True])
def test_a_killed_push_goes_on(monkeypatch, collection, new_port, after):
    """Whichever of its calls was the last; and so does one that brings changes."""
    monkeypatch.setattr(writing, "LEASE", 0.0)
    monkeypatch.setattr("index.qdrant.source.DOCUMENTS_AT_ONCE", 3)
    first, second = new_port(), new_port()
    push(collection, second, "there")
    change = collection.ids()[0]
    upsert_documents(collection, [Document(change, "yak"), Document("new", "a zebra")])
    collection.delete([collection.ids()[1]])
    collection.maintenance.flush()
    for port in (first, second):
        sent = 0
        for calls in itertools.count(0, 3):
            stopping = StoppingPort(port, calls, after)
            with suppress(Killed):
                push(collection, stopping, "there")
            if port.exists() and stopping.stopped:
                with suppress(UsageError):
                    sent = max(sent, len(rows_there(port)))
            if not stopping.stopped:
                break
        assert calls > 5
        check_same(QdrantCollection(port), collection)
        assert push(collection, port, "there").sent == 0


@pytest.mark.parametrize("new_port", ["edge"], indirect=True)
def test_what_another_hand_has_changed_is_sent_again(collection, new_port):
    port = new_port()
    push(collection, port, "there")
    number = next(n for n in rows_there(port) if n % number_of(1) == 0)
    port.set_payload(number, {"digest": "00"})
    port.write([Point(number_of(1 << 30), {"id": "stray", "place": 0, "n": 1 << 30})])
    report = push(collection, port, "there")
    assert (report.sent, report.deleted) == (1, 1)
    check_same(QdrantCollection(port), collection)
    port.write([], rows_there(port)[:2])
    push(collection, port, "there")
    check_same(QdrantCollection(port), collection)


@pytest.mark.parametrize("new_port", ["edge"], indirect=True)
def test_other_collections_are_refused(collection, new_port, tmp_path):
    port = new_port()
    push(collection, port, "there")
    other = Collection.create(tmp_path / "other", list(collection.fields))
    upsert_documents(other, texts(1, 2))
    with pytest.raises(ConflictError, match="a copy of another collection"):
        push(other, port, "there")
    fewer = Collection.create(tmp_path / "fewer", encoder_fields("bm25"))
    empty = new_port()
    push(fewer, empty, "there")
    with pytest.raises(EncoderMismatchError, match="push to another name"):
        push(other, empty, "there")
    upsert_documents(QdrantCollection(port), [Document("by itself", "yak")])
    with pytest.raises(ConflictError, match="was written to by itself"):
        push(collection, port, "there")
    strange = new_port()
    strange.create(Layout(("words",), {}))
    strange.write([Point(1, {})])
    with pytest.raises(UsageError, match="was not made by lsr"):
        push(collection, strange, "there")


@pytest.mark.parametrize("new_port", ["edge"], indirect=True)
def test_a_making_that_was_interrupted_is_begun_again(collection, new_port):
    port = new_port()
    for calls in range(2):
        with pytest.raises(Killed):
            QdrantCollection.create_at(StoppingPort(port, calls), list(collection.fields))
    push(collection, port, "there")
    check_same(QdrantCollection(port), collection)


@pytest.mark.parametrize("new_port", ["local"], indirect=True)
def test_an_alias_is_switched_while_searches_run(collection, new_port, tmp_path, masked_lm):
    """A view that was pinned before goes on with what it began with."""
    port = new_port()
    push(collection, port, "there")
    stand_for(port, "there", "current")
    opened = QdrantCollection(port.at("current"))
    assert opened.digest() == collection.digest()
    other = Collection.create(tmp_path / "other", encoder_fields(str(masked_lm)))
    upsert_documents(other, [Document(f"o{n}", "apple pie") for n in range(3)])
    new = port.at(f"{port.name}-2")
    push(other, new, "there")
    with opened.pinned() as view:
        stand_for(new, "there", "current")
        assert view.store.all_ids() == collection.ids()
    assert opened.ids() == other.ids()
    assert [field.encoder for field in opened.fields] == [other.fields[0].encoder]
    assert search(opened, SearchQuery("apple")).hits
    upsert_documents(opened, [Document("o9", "cherry pie")])
    assert len(QdrantCollection(new)) == 4
    with pytest.raises(ConflictError, match="the name of a collection"):
        stand_for(new, "there", port.name)
    new.drop()


def test_counts_that_another_average_weighed_are_weighed_anew(collection, new_port):
    port = new_port()
    push(collection, port, "there")
    upsert_documents(collection, [Document(f"long{n}", "apple yak " * 30) for n in range(9)])
    collection.maintenance.flush()
    report = push(collection, port, "there")
    assert report.weighed > 0
    check_same(QdrantCollection(port), collection)


@pytest.mark.parametrize("new_port", ["edge"], indirect=True)
def test_who_writes_where_a_copy_is_not_whole_is_told(monkeypatch, collection, new_port):
    port = new_port()
    monkeypatch.setattr(writing, "LEASE", 0.0)
    with pytest.raises(Killed):
        push(collection, StoppingPort(port, 8), "there")
    opened = QdrantCollection(port)
    with pytest.raises(ConflictError, match="finish it with the same lsr push"):
        upsert_documents(opened, [Document("x", "yak")])
