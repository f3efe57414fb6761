"""Publishing, in a folder and in the object stores of fsspec."""

import re
import time

import pytest

from index.collection import snapshot_files
from index.collection.collection import Collection
from index.collection.snapshot import replicate
from index.collection.snapshot_files import MANIFEST, Manifest
from index.indexing import upsert_documents
from index.snapshots import object_store, publishing
from index.snapshots.address import check_store_address, snapshot_store
from index.snapshots.publishing import publish
from index.snapshots.store import published
from lsr.corpus.documents import Document
from lsr.errors import (
    CorruptionError,
    LsrError,
    MissingDependencyError,
    NotFoundError,
    UnavailableError,
    UsageError,
)

TEXTS = {"a": "apple plum", "b": "apple apple banana", "c": "plum"}


@pytest.fixture
def clock(monkeypatch):
    """Each look at the clock is a second later."""
    now = [time.time() + 1000]

    def later(form):
        now[0] += 1
        return time.strftime(form, time.gmtime(now[0]))

    monkeypatch.setattr(publishing, "_now", later)
    return now


@pytest.fixture
def collection(bm25_collection):
    return bm25_collection(TEXTS)


def write(collection, number):
    upsert_documents(collection, [Document(f"n{number}", f"quince number {number}")])


def copied(store, name, snapshot, folder):
    with store.opened(name, snapshot) as taken:
        replicate(taken, folder)
    return Collection.open(folder)


def test_what_is_published_is_the_collection(store, collection, tmp_path):
    done = publish(collection, store, "fruit")
    assert done.is_new
    assert re.fullmatch(r"\d{8}T\d{6}Z", done.name)
    assert store.collections() == ["fruit"]
    (found,) = published(store, "fruit")
    assert (found.name, found.manifest.documents) == (done.name, 3)
    copy = copied(store, "fruit", done.name, tmp_path / "copy")
    assert copy.digest() == collection.digest()
    assert copy.store.identity == collection.store.identity == found.manifest.commit.identity


def test_the_same_state_is_published_once_and_old_ones_go(store, collection, clock):
    names = [publish(collection, store, "fruit").name]
    again = publish(collection, store, "fruit")
    assert (again.is_new, again.name, again.report.documents) == (False, names[0], 3)
    for number in range(3):
        write(collection, number)
        names.append(publish(collection, store, "fruit").name)
    assert names == sorted(set(names))
    assert [each.name for each in published(store, "fruit")] == names
    kept = publish(collection, store, "fruit", keep=2)
    assert (kept.is_new, kept.deleted) == (False, names[:2])
    assert [each.name for each in published(store, "fruit")] == store.names("fruit") == names[2:]
    write(collection, 3)
    assert publish(collection, store, "fruit", keep=1).deleted == names[2:]
    # Another collection has a folder, and a retention, of its own.
    publish(collection, store, "other", keep=1)
    assert store.collections() == ["fruit", "other"]
    assert len(published(store, "fruit")) == 1
    with pytest.raises(NotFoundError, match="no snapshot 'none'"):
        store.delete("fruit", "none")


def test_what_fails_on_the_way_is_not_there(store, collection, clock, monkeypatch):
    publish(collection, store, "fruit")
    write(collection, 0)

    def fails(*_):
        raise OSError("no space")

    monkeypatch.setattr(Manifest, "write", fails)
    with pytest.raises(LsrError, match="no space"):
        publish(collection, store, "fruit")
    assert len(store.names("fruit")) == len(published(store, "fruit")) == 1


def test_an_upload_that_breaks_is_not_there(collection, clock, monkeypatch, tmp_path):
    store = snapshot_store(f"file://{tmp_path}/published")
    put, seen = store._fs.put_file, []

    def breaks(local, remote):
        seen.append(remote.rpartition("/")[2])
        if remote.endswith(MANIFEST):
            raise ConnectionError("cut")
        # Whatever is there before the manifest is no snapshot.
        assert published(store, "fruit") == []
        put(local, remote)

    monkeypatch.setattr(store._fs, "put_file", breaks)
    with pytest.raises(UnavailableError, match="cut"):
        publish(collection, store, "fruit")
    assert seen[-1] == MANIFEST
    assert len(seen) > 1
    assert store.names("fruit") == []


def test_what_a_killed_upload_left_goes_when_it_is_old(collection, monkeypatch, tmp_path):
    store = snapshot_store(f"file://{tmp_path}/published")
    place = tmp_path / "published" / "fruit"
    for name in ("20200101T000000Z", "mine", time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())):
        (place / name).mkdir(parents=True)
        (place / name / "snapshot.sqlite").write_bytes(b"half")
    before = set(store.names("fruit"))
    monkeypatch.setattr(object_store, "ABANDONED_SECONDS", 3600.0)
    done = publish(collection, store, "fruit", keep=1)
    assert {*store.names("fruit")} == (before | {done.name}) - {"20200101T000000Z"}


def test_a_store_of_one_collection_has_its_snapshots_itself(address, collection, clock, tmp_path):
    publish(collection, snapshot_store(address), "fruit")
    inner = snapshot_store(f"{address}/fruit")
    assert inner.collections() == ["fruit"]
    write(collection, 1)
    done = publish(collection, inner, "fruit")
    assert done.place.endswith(f"/fruit/{done.name}")
    assert "fruit/fruit" not in done.place
    assert len(published(snapshot_store(address), "fruit")) == 2
    with pytest.raises(UsageError, match="into the folder above it"):
        publish(collection, inner, "other")


def test_a_snapshot_beside_the_collections_hides_none(collection, tmp_path, clock):
    store = snapshot_store(str(tmp_path / "published"))
    first = publish(collection, store, "fruit").name
    write(collection, 1)
    publish(collection, store, "fruit")
    (tmp_path / "published" / "fruit" / first).rename(tmp_path / "published" / first)
    assert "fruit" in store.collections()
    assert len(published(store, "fruit")) == 1


def test_names_and_clocks_that_cannot_be_are_one_sentence(store, collection, clock):
    for name in ("", ".hidden", "a/b", "a\nb", "x" * 200):
        with pytest.raises(UsageError, match="can't be the name of a collection"):
            publish(collection, store, name)
    with pytest.raises(UsageError, match="keep 1 or more"):
        publish(collection, store, "fruit", keep=0)
    publish(collection, store, "fruit")
    write(collection, 1)
    # The manifest is of the real clock.
    clock[0] = 0
    with pytest.raises(UsageError, match=r"the clock of this machine says 1970"):
        publish(collection, store, "fruit")


def test_a_copy_is_compared_with_its_checksums(store, collection, tmp_path, monkeypatch):
    done = publish(collection, store, "fruit")
    parse = snapshot_files.parse_manifest

    def other(content, place):
        return parse(content.replace(b'"documents": 3', b'"documents": 4'), place)

    def read(changed):
        for module in (snapshot_files, object_store):
            monkeypatch.setattr(module, "parse_manifest", changed)

    read(other)
    with pytest.raises(CorruptionError, match="its manifest says 4 documents, and its store 3"):
        copied(store, "fruit", done.name, tmp_path / "copy")
    identity = collection.store.identity.encode()
    read(lambda content, place: parse(content.replace(identity, b"0" * 32), place))
    with pytest.raises(CorruptionError, match="another collection than its manifest says"):
        copied(store, "fruit", done.name, tmp_path / "again")


@pytest.mark.parametrize(
    ("address", "error", "sentence"),
    [
        ("nonsense://x", UsageError, "no object store that fsspec knows"),
        ("s3://key:secret@bucket/x", UsageError, "holds a name or password"),
        ("s3://a b", UsageError, "is no address of snapshots"),
    ],
)
def test_an_address_that_cannot_be_is_one_sentence(address, error, sentence):
    for check in (check_store_address, snapshot_store):
        with pytest.raises(error, match=sentence) as raised:
            check(address)
        assert "secret" not in str(raised.value)


def test_what_speaks_with_s3_is_named_where_it_is_missing(monkeypatch):
    import fsspec

    def lacks(scheme):
        raise ImportError(f"install it for {scheme}")

    monkeypatch.setattr(fsspec, "get_filesystem_class", lacks)
    with pytest.raises(MissingDependencyError, match=r"pip install 'lsr-search\[s3\]'"):
        check_store_address("s3://bucket/folder")
    with pytest.raises(UsageError, match="install it for gs"):
        check_store_address("gs://bucket/folder")


def test_a_store_that_is_away_says_so(tmp_path):
    with pytest.raises(UnavailableError, match="or mounted"):
        snapshot_store(str(tmp_path / "none")).collections()
    assert snapshot_store(str(tmp_path / "none")).names("fruit") == []
