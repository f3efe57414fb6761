import logging
import multiprocessing
import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import document_encoders, index_documents, upsert_documents
from index.search.config import SearchConfig
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.errors import (
    CorruptionError,
    EncoderMismatchError,
    InputError,
    LockedError,
    LsrError,
    NotFoundError,
    UsageError,
)
from tests.index.conftest import items

WORDS = ["apple", "banana", "cherry", "lemon", "plum"]
identifiers = st.sampled_from(["a", "b", "c", "d", "e", "f"])
contents = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("upsert"), st.dictionaries(identifiers, contents, min_size=1)),
        st.tuples(st.just("delete"), st.sets(identifiers)),
        st.tuples(st.just("flush"), st.none()),
        st.tuples(st.just("reopen"), st.none()),
    ),
    max_size=12,
)


def ranking(collection, text, engine="native"):
    result = search(collection, SearchQuery(text), SearchConfig(engine=engine))
    return [(hit.id, hit.score) for hit in result.hits]


def upsert(collection, texts):
    documents = [Document(identifier, text) for identifier, text in texts.items()]
    return upsert_documents(collection, documents)


@settings(max_examples=25)
@given(operations)
def test_any_history_ends_like_a_collection_of_what_is_left(tmp_path_factory, history):
    path = tmp_path_factory.mktemp("history")
    collection = Collection.create(path / "live", encoder_fields("bm25"))
    expected = {}
    for operation, argument in history:
        if operation == "upsert":
            upsert(collection, argument)
            for identifier, text in argument.items():
                if expected.get(identifier) != text:
                    expected.pop(identifier, None)
                    expected[identifier] = text
        elif operation == "delete":
            assert collection.delete(argument) == argument & expected.keys()
            for identifier in argument:
                expected.pop(identifier, None)
        elif operation == "flush":
            collection.maintenance.flush()
        else:
            collection = Collection.open(path / "live")
        for word in WORDS[:2]:
            found = {identifier for identifier, _ in ranking(collection, word)}
            assert found == {i for i, text in expected.items() if word in text.split()}
            assert ranking(collection, word) == ranking(collection, word, "reference")
    assert collection.ids() == list(expected)
    assert {i: collection.get(i).text for i in collection.ids()} == expected
    collection.maintenance.flush()
    fresh = Collection.create(path / "fresh", encoder_fields("bm25"))
    index_documents(fresh, items(expected))
    for word in WORDS:
        assert ranking(collection, word) == ranking(fresh, word)


def test_a_segment_of_empty_documents_weighs_nothing_wrong(bm25_collection):
    collection = bm25_collection({"a": "", "b": "the of and"})
    upsert(collection, {"c": "apple"})
    alone = bm25_collection({"c": "apple"}, "alone")
    ((_, weight),) = ranking(alone, "apple")
    ((identifier, score),) = ranking(collection, "apple")
    assert identifier == "c"
    assert score > weight  # the same document in a larger collection: a larger IDF


def test_a_reader_sees_what_another_handle_has_written(bm25_collection):
    writer = bm25_collection({"a": "apple"})
    reader = Collection.open(writer.path)
    assert [i for i, _ in ranking(reader, "apple")] == ["a"]
    upsert(writer, {"b": "apple apple"})
    assert {i for i, _ in ranking(reader, "apple")} == {"a", "b"}
    writer.delete(["a"])
    assert [i for i, _ in ranking(reader, "apple")] == ["b"]
    writer.maintenance.flush()
    assert [i for i, _ in ranking(reader, "apple")] == ["b"]


def test_upsert_replaces_and_says_so(bm25_collection):
    collection = bm25_collection({"a": "apple", "b": "banana"})
    document = Document("a", "cherry", "A title", {"year": 1999, "tags": ["x"]})
    assert collection.upsert([document], encode(collection, [document])) == [False]
    assert collection.get("a") == document
    assert len(collection) == 2
    assert ranking(collection, "apple") == []
    assert [i for i, _ in ranking(collection, "cherry")] == ["a"]


def test_get_of_an_unknown_id_is_none(bm25_collection):
    assert bm25_collection({"a": "apple"}).get("z") is None


def test_a_repeated_id_in_one_upsert_is_refused_whole(bm25_collection):
    collection = bm25_collection({})
    twice = [Document("a", "apple"), Document("a", "banana")]
    with pytest.raises(InputError, match="more than once"):
        collection.upsert(twice, encode(collection, twice))
    assert len(collection) == 0


def test_a_missing_field_is_named(hybrid_collection):
    collection = hybrid_collection({})
    document = Document("a", "apple")
    vectors = dict(encode(collection, [document]))
    del vectors["dense"]
    with pytest.raises(InputError, match="'dense'"):
        collection.upsert([document], vectors)


def test_a_failing_write_leaves_nothing_behind(bm25_collection):
    collection = bm25_collection({"a": "apple"})
    documents = [Document("b", "banana"), Document("c", "\ud800")]
    vectors = encode(collection, [Document("b", "banana"), Document("c", "cherry")])
    with pytest.raises(UnicodeEncodeError):
        collection.upsert(documents, vectors)
    assert collection.ids() == ["a"]


def _hold_writer_lock(path, held, release):
    with Collection.open(path).writing():
        held.set()
        release.wait(30)


def test_a_second_writing_process_is_refused_and_readers_are_not(bm25_collection, monkeypatch):
    monkeypatch.setattr("index.collection.collection.LONGEST_WAIT", 0.05)
    collection = bm25_collection({"a": "apple"})
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    other = context.Process(target=_hold_writer_lock, args=(collection.path, held, release))
    other.start()
    try:
        assert held.wait(60)
        assert [i for i, _ in ranking(collection, "apple")] == ["a"]
        with pytest.raises(LockedError, match=f"the process {other.pid} is writing"):
            upsert(collection, {"b": "banana"})
    finally:
        release.set()
        other.join()
    upsert(collection, {"b": "banana"})
    assert len(collection) == 2


def encode(collection, documents):
    return document_encoders(collection).encode([each.contents for each in documents]).vectors


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_segment_is_reported_and_never_answers_wrong(bm25_collection, caplog, damage):
    collection = bm25_collection({"a": "apple plum", "b": "apple", "c": "plum plum apple"})
    expected = ranking(collection, "apple")
    (segment,) = (collection.path / "segments").glob("*.segment")
    data = bytearray(segment.read_bytes())
    if damage == "remove":
        segment.unlink()
    elif damage == "truncate":
        segment.write_bytes(data[:-3])
    else:
        data[-1] ^= 0xFF
        segment.write_bytes(data)
    reopened = Collection.open(collection.path)
    with caplog.at_level(logging.WARNING):
        assert ranking(reopened, "apple") == expected
    assert "rebuilt from the store" in caplog.text
    reopened.maintenance.flush()
    caplog.clear()
    assert ranking(Collection.open(collection.path), "apple") == expected
    assert not caplog.text


def test_opening_nothing_says_how_to_create(tmp_path):
    with pytest.raises(NotFoundError, match="lsr index CORPUS --into"):
        Collection.open(tmp_path / "none")


def test_creating_twice_is_refused(bm25_collection):
    collection = bm25_collection({})
    with pytest.raises(UsageError, match="already"):
        Collection.create(collection.path, collection.fields)


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="no collection can be created"):
        Collection.create(tmp_path / "file", encoder_fields("bm25"))


@pytest.mark.parametrize("content", [b"not sqlite at all, but long enough to look at" * 50, None])
def test_a_store_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "collection.sqlite"
    if content is None:
        sqlite3.connect(path).executescript("CREATE TABLE t (x); PRAGMA application_id = 7")
    else:
        path.write_bytes(content)
    with pytest.raises(CorruptionError, match="not a collection"):
        Collection.open(tmp_path)


def test_a_newer_store_is_refused_with_what_to_do(bm25_collection):
    collection = bm25_collection({"a": "apple"})
    connection = sqlite3.connect(collection.path / "collection.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(CorruptionError, match="format version 99"):
        Collection.open(collection.path)


def test_a_changed_encoder_is_an_error_naming_both_fingerprints(
    hybrid_collection, masked_lm, dense_model
):
    collection = hybrid_collection({"a": "apple"})
    field = collection.fields.named("sparse")
    other = encoder_fields(f"{masked_lm},max_length=9")[0]
    collection.store.fields[0] = type(field)(
        field.name, field.kind, other.encoder, field.fingerprint, field.size
    )
    with pytest.raises(EncoderMismatchError) as raised:
        search(collection, SearchQuery("apple"), SearchConfig(using="sparse"))
    assert field.fingerprint in str(raised.value)
    assert other.fingerprint in str(raised.value)


def test_stored_vectors_are_the_encoders_in_half_precision(hybrid_collection):
    texts = {"a": "an apple a day", "b": "", "c": "plum jam"}
    collection = hybrid_collection(texts)
    sparse, dense = collection.fields.named("sparse"), collection.fields.named("dense")
    expected = collection.fields.encoder(sparse).encode_documents(list(texts.values()))
    stored = collection.store.vectors.sparse(sparse)
    np.testing.assert_array_equal(stored.indices, expected.indices)
    np.testing.assert_array_equal(stored.values, expected.values.astype(np.float16))
    vectors = collection.store.vectors.dense(dense)
    np.testing.assert_array_equal(
        vectors, collection.fields.dense_encoder(dense).encode_documents(list(texts.values()))
    )


def test_every_collection_has_an_identity_of_its_own_and_keeps_it(tmp_path, bm25_collection):
    made = bm25_collection({"a": "apple"})
    assert len(bytes.fromhex(made.store.identity)) == 16
    assert Collection.open(made.path).store.identity == made.store.identity
    other = Collection.create(tmp_path / "other", made.store.fields)
    assert other.store.identity != made.store.identity


def test_a_sqlite_that_is_too_old_is_one_sentence(bm25_collection, monkeypatch):
    made = bm25_collection({"a": "apple"})
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 23, 9))
    monkeypatch.setattr("sqlite3.sqlite_version", "3.23.9")
    with pytest.raises(LsrError, match=r"SQLite 3\.23\.9 and collections need 3\.24\.0 or newer"):
        Collection.open(made.path)
