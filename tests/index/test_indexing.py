import numpy as np
import pytest

from index.collection import Collection
from index.field import encoder_fields
from index.indexing import index_documents
from lsr.documents import Document
from lsr.mlm import PooledLogits
from lsr.readers import Item
from tests.index.conftest import items

TEXTS = {f"d{n}": "apple " * (n % 7) + f"banana number {n}" for n in range(50)}


@pytest.fixture
def splade(tmp_path, masked_lm):
    def make(name):
        return Collection.create(tmp_path / name, encoder_fields(str(masked_lm)))

    return make


@pytest.fixture
def encoded_texts(monkeypatch):
    """Every text that goes through the model, in order."""
    seen = []
    encode = PooledLogits.encode

    def record(self, texts, statistics=None):
        seen.extend(texts)
        return encode(self, texts, statistics)

    monkeypatch.setattr(PooledLogits, "encode", record)
    return seen


class Interrupted(Exception):
    pass


def interrupted(source, after):
    for number, item in enumerate(source):
        if number == after:
            raise Interrupted
        yield item


@pytest.mark.parametrize("after", [1, 8, 9, 30, 49])
def test_an_interrupted_run_goes_on_and_ends_as_if_never_interrupted(splade, encoded_texts, after):
    whole, resumed = splade("whole"), splade("resumed")
    index_documents(whole, items(TEXTS), chunk_size=8)
    encoded_texts.clear()
    with pytest.raises(Interrupted):
        index_documents(resumed, interrupted(items(TEXTS), after), chunk_size=8)
    stored = len(resumed)
    assert stored == after // 8 * 8
    report = index_documents(resumed, items(TEXTS), chunk_size=8)
    assert (report.unchanged, report.created) == (stored, len(TEXTS) - stored)
    assert encoded_texts == list(TEXTS.values())
    assert resumed.ids() == whole.ids()
    assert resumed.digest() == whole.digest()
    field = whole.field("sparse")
    expected, found = whole.store.sparse_vectors(field), resumed.store.sparse_vectors(field)
    np.testing.assert_array_equal(found.indptr, expected.indptr)
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_array_equal(found.values, expected.values)


def test_only_changed_documents_are_encoded_again(splade, encoded_texts):
    collection = splade("changed")
    index_documents(collection, items(TEXTS))
    encoded_texts.clear()
    report = index_documents(collection, items(TEXTS | {"d3": "cherry", "new": "plum"}))
    assert (report.updated, report.created, report.unchanged) == (1, 1, len(TEXTS) - 1)
    assert encoded_texts == ["cherry", "plum"]


def test_bad_items_are_reported_by_place_and_the_good_ones_kept(splade):
    collection, said = splade("bad"), []
    source = [
        Item("file", 1, Document("a", "apple")),
        Item("file", 2, None, "not valid JSON"),
        Item("file", 5, Document("a", "another apple")),
        Item("file", 6, Document("b", "banana")),
    ]
    report = index_documents(collection, source, on_rejected=said.append)
    assert (report.created, report.rejected, report.read) == (2, 2, 4)
    assert said[0] == "file:2: not valid JSON"
    assert said[1].startswith("file:5: the id 'a' was given before, at file:1")
    assert collection.get("a").text == "apple"


def test_duplicates_are_found_across_chunks(splade):
    report = index_documents(
        splade("far"), items([("a", "x"), ("b", "y"), ("c", "z"), ("a", "w")]), chunk_size=2
    )
    assert (report.created, report.rejected) == (3, 1)


def test_nothing_to_index_makes_an_empty_searchable_collection(splade):
    collection = splade("empty")
    assert index_documents(collection, []).read == 0
    assert collection.view().statistics is None
    assert len(collection) == 0


def test_progress_is_told_after_every_chunk(splade):
    seen = []
    index_documents(
        splade("told"), items(TEXTS), on_chunk=lambda report: seen.append(report.read),
        chunk_size=20,
    )  # fmt: skip
    assert seen == [20, 40, 50]
