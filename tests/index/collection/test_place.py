"""A handle of a collection whose folder was deleted, or taken by another collection."""

import threading

import pytest

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import upsert_documents
from lsr.corpus.documents import Document
from lsr.errors import LockedError, NotFoundError


@pytest.fixture
def collection(tmp_path):
    made = Collection.create(tmp_path / "fruit", encoder_fields("bm25"))
    upsert_documents(made, [Document("a", "apple")])
    return made


def write(collection):
    return upsert_documents(collection, [Document("b", "banana")])


def test_nothing_is_written_to_a_deleted_collection(collection, tmp_path):
    collection.path.rename(tmp_path / "gone")
    for change in (write, lambda each: each.delete(["a"])):
        with pytest.raises(NotFoundError, match="was deleted"):
            change(collection)
    assert Collection.open(tmp_path / "gone").ids() == ["a"]


@pytest.mark.parametrize("connected", [True, False])
def test_nothing_is_written_to_the_collection_that_took_the_place(collection, tmp_path, connected):
    collection.path.rename(tmp_path / "gone")
    Collection.create(tmp_path / "fruit", encoder_fields("bm25")).close()
    if not connected:
        collection.store.close()
    with pytest.raises(LockedError, match="took the place"):
        write(collection)
    collection.close()
    assert Collection.open(tmp_path / "gone").ids() == ["a"]
    assert Collection.open(tmp_path / "fruit").ids() == []


def test_who_waits_to_write_notices_that_the_collection_goes(collection, tmp_path):
    """As a deletion or a swap does it: under the writer lock."""
    waiting = Collection.open(collection.path)
    failures = []

    def wait():
        try:
            write(waiting)
        except (LockedError, NotFoundError) as error:
            failures.append(type(error))

    for takes_place, expected in ((False, {NotFoundError}), (True, {NotFoundError, LockedError})):
        held = Collection.open(collection.path)
        waiting = Collection.open(collection.path)
        thread = threading.Thread(target=wait)
        with held.writing():
            thread.start()
            # Whether it waits already or begins later, it comes after the change.
            collection.path.rename(tmp_path / "gone")
            if takes_place:
                Collection.create(tmp_path / "fruit", encoder_fields("bm25")).close()
        thread.join()
        assert failures.pop() in expected
        if not takes_place:
            (tmp_path / "gone").rename(collection.path)
    assert Collection.open(tmp_path / "gone").ids() == ["a"]
