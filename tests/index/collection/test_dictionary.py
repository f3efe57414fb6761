"""The dictionary of a collection: numbers are given once, with the write that brings the word."""

import dataclasses
import json

import pytest

from index.collection.check import check
from index.collection.collection import Collection
from index.collection.field import dump_fields, encoder_fields, load_fields
from index.indexing import upsert_documents
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.errors import CorruptionError, InputError
from lsr.sparse import SparseBatch, SparseVector


@pytest.fixture
def collection(tmp_path):
    made = Collection.create(tmp_path / "c", encoder_fields("bm25"))
    upsert_documents(made, [Document("a", "apple pie"), Document("b", "plum tree")])
    return made


def ids(collection, query):
    return [hit.id for hit in search(collection, SearchQuery(query)).hits]


def test_a_number_stands_for_its_word_for_ever(collection):
    before = collection.store.dictionary.all()
    collection.delete(["a"])
    upsert_documents(collection, [Document("c", "quince pie"), Document("d", "apple")])
    collection.maintenance.flush()
    after = Collection.open(collection.path).store.dictionary.all()
    assert after[: len(before)] == before
    assert sorted(after[len(before) :]) == ["quinc"]
    assert ids(collection, "apple") == ["d"]
    assert check(collection).problems == []


def test_a_write_that_fails_leaves_no_words(collection, monkeypatch):
    before = collection.store.dictionary.all()
    monkeypatch.setattr(collection, "_weigh_before_segments", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        upsert_documents(collection, [Document("c", "quince")])
    monkeypatch.undo()
    assert collection.store.dictionary.all() == before
    upsert_documents(collection, [Document("c", "medlar"), Document("d", "quince")])
    assert (ids(collection, "medlar"), ids(collection, "quince")) == (["c"], ["d"])


def test_a_reader_sees_the_words_of_its_moment(collection):
    reader = Collection.open(collection.path)
    field = reader.fields[0]
    with reader.pinned() as view:
        size = view.terms(field)
        upsert_documents(collection, [Document("c", "quince")])
        assert view.terms(field) == size
        assert view.store.dictionary.numbers(field, ["quinc"]) == {}
    assert ids(reader, "quince") == ["c"]


@pytest.mark.parametrize("remembered", [3, 1000])
def test_what_a_view_remembers_of_words_is_what_the_store_has(collection, monkeypatch, remembered):
    monkeypatch.setattr("index.collection.dictionary.REMEMBERED", remembered)
    field = collection.fields[0]
    asked = [["appl", "pie"], ["zzz"], ["appl", "zzz", "tree"], [], ["plum", "pie", "appl", "tree"]]
    with collection.pinned() as view:
        dictionary = view.store.dictionary
        for words in [*asked, *asked]:
            numbers = dictionary.numbers(field, words)
            assert view.words.numbers(field, words) == numbers
            terms = [*numbers.values(), 0, field.size + 10**6]
            assert view.words.words(field, terms) == dictionary.words(field, terms)
    upsert_documents(collection, [Document("c", "zzz")])
    with collection.pinned() as later:
        assert later.words.numbers(field, ["zzz"]) == later.store.dictionary.numbers(field, ["zzz"])
        assert later.words.numbers(field, ["zzz"])


def test_damaged_words_are_noticed(collection):
    collection.store.connection.execute("UPDATE words SET word = 'appel' WHERE word = 'appl'")
    assert any("1 words of the dictionary" in problem for problem in check(collection).problems)
    with pytest.raises(CorruptionError, match="dictionary is damaged"):
        search(collection, SearchQuery("appel"))


def test_unknown_words_as_tokens_add_nothing(collection):
    query = SearchQuery(tokens={"appl": 1.0, "zzqqxx": 2.0})
    result = search(collection, query)
    assert [hit.id for hit in result.hits] == ["a"]
    assert result.unknown_tokens == ["zzqqxx"]
    with pytest.raises(InputError, match="not allowed"):
        search(collection, SearchQuery(tokens={"zzqqxx": -1.0}))


def test_fields_of_a_release_without_words_keep_their_encoders():
    for name, kept in [
        ("bm25,k1=1.2", "bm25,analyzer=wordpiece,k1=1.2"),
        ("lsr-tiny-v1", "lsr-tiny-v1,words=no"),
    ]:
        (field, *_) = encoder_fields(kept)
        old = dataclasses.asdict(field) | {"encoder": name}
        del old["open"], old["counts_words"]
        (found,) = load_fields(json.dumps([old]))
        assert (found.encoder, found.open) == (kept, False)
        assert load_fields(dump_fields([found])) == [found]


def test_batches_of_an_open_vocabulary_are_joined_by_their_words():
    rows = [SparseVector.from_mapping({0: 1.0, 2: 2.0}), SparseVector.from_mapping({1: 3.0})]
    first = SparseBatch.from_rows(rows[:1], 3, ("b",))
    second = SparseBatch.from_rows(rows[1:], 3, ("a", "b")[:2])
    joined = SparseBatch.concatenate([first, dataclasses.replace(second, vocabulary_size=4)], 2)
    assert joined.words == ("b", "a")
    assert joined.vocabulary_size == 4
    assert joined.to_scipy().toarray().tolist() == [[1, 0, 2, 0], [0, 3, 0, 0]]
