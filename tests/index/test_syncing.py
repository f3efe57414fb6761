"""After a sync a collection has what its source has, and loses nothing that it can't be sure of."""

import os
import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from index.syncing import sync_documents
from lsr.corpus.items import Item, given_items
from lsr.corpus.readers.corpus import Corpus


@pytest.fixture
def collection(tmp_path):
    made = Collection.create(tmp_path / "c", encoder_fields("bm25"))
    yield made
    made.close()


def documents(*ids, text="text"):
    return list(given_items({"id": each, "text": text} for each in ids))


def test_what_is_gone_is_deleted_and_counted(collection):
    index_documents(collection, documents("a", "b", "c"))
    report = sync_documents(collection, documents("b", "d"))
    assert (report.created, report.unchanged, report.deleted) == (1, 1, 2)
    assert set(collection.ids()) == {"b", "d"}


def test_what_is_rejected_with_its_id_stays(collection):
    index_documents(collection, documents("a", "b"))
    report = sync_documents(collection, [Item("f", 1, None, "broken", "a"), *documents("c")])
    assert (report.deleted, report.rejected, report.not_deleted) == (1, 1, "")
    assert set(collection.ids()) == {"a", "c"}


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ([Item("f", 7, None, "broken"), *documents("c")], "1 items could not be read .* f:7"),
        ([], "holds no document at all"),
    ],
)
def test_nothing_is_deleted_where_the_source_may_hold_more(collection, items, reason):
    index_documents(collection, documents("a", "b"))
    report = sync_documents(collection, items)
    assert report.deleted == 0
    assert re.search(reason, report.not_deleted)
    assert {"a", "b"} <= set(collection.ids())


def test_nothing_is_deleted_where_an_extra_is_missing(collection, tmp_path, monkeypatch):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "c.txt").write_text("text")
    (folder / "a.pdf").write_bytes(b"any")
    index_documents(collection, documents("a.pdf", "b"))
    monkeypatch.setitem(sys.modules, "pypdf", None)
    report = sync_documents(collection, Corpus(str(folder)))
    assert (report.created, report.deleted) == (1, 0)
    assert "a part of the source was not read, .pdf (" in report.not_deleted
    (folder / "a.pdf").unlink()
    assert sync_documents(collection, Corpus(str(folder))).deleted == 2


def test_what_others_write_meanwhile_stays(collection):
    def source():
        yield from documents("a")
        index_documents(collection, documents("other"))

    index_documents(collection, documents("gone"))
    assert sync_documents(collection, source()).deleted == 1
    assert set(collection.ids()) == {"a", "other"}


IDS = st.sets(st.sampled_from("abcdefgh"))


@settings(max_examples=25)
@given(st.lists(IDS, min_size=1, max_size=4))
def test_a_collection_follows_its_source(tmp_path_factory, states):
    made = Collection.create(tmp_path_factory.mktemp("sync") / "c", encoder_fields("bm25"))
    held = set()
    for state in states:
        report = sync_documents(made, documents(*sorted(state), text=str(len(state))))
        assert report.deleted == (len(held - state) if state else 0)
        held = state or held
        assert set(made.ids()) == held
    made.close()


@pytest.mark.skipif(sys.platform == "darwin", reason="there every name is Unicode")
def test_a_file_whose_name_is_no_unicode_stands_in_nobodys_way(collection, tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in (b"a.txt", b"b.txt", b"caf\xe9.txt"):
        (folder / os.fsdecode(name)).write_text("text")
    assert sync_documents(collection, Corpus(str(folder))).rejected == 1
    (folder / "b.txt").unlink()
    report = sync_documents(collection, Corpus(str(folder)))
    assert (report.rejected, report.deleted, collection.ids()) == (1, 1, ["a.txt"])
