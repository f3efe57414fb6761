import json

import pytest

from benches.crash import CONFIG, DENSE, SPARSE, upsert
from index.collection.check import check
from index.collection.collection import Collection
from index.collection.snapshot import restore, snapshot
from index.indexing import upsert_documents
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.errors import CorruptionError, NotFoundError, UsageError

TEXTS = {"a": "apple plum", "b": "apple apple banana", "c": "plum"}


def everything(collection):
    found = search(collection, SearchQuery("apple plum"))
    documents = [collection.get(identifier) for identifier in collection.ids()]
    return documents, [(hit.id, hit.score) for hit in found.hits]


@pytest.fixture
def taken(bm25_collection, tmp_path):
    """A collection with a segment, a tail and a deletion; its snapshot; what it held then."""
    collection = bm25_collection(TEXTS)
    upsert_documents(collection, [Document("d", "plum plum"), Document("a", "banana")])
    snapshot(collection, tmp_path / "taken")
    return collection, tmp_path / "taken", everything(collection)


def test_restoring_gives_the_collection_as_it_was(taken, tmp_path):
    collection, place, then = taken
    collection.delete(["b"])
    upsert_documents(collection, [Document("e", "apple")])
    collection.maintenance.flush()
    report = restore(place, tmp_path / "restored")
    restored = Collection.open(tmp_path / "restored")
    assert everything(restored) == then
    assert report.documents == len(restored) == 4
    assert check(restored).problems == []
    upsert_documents(restored, [Document("f", "cherry")])
    restored.maintenance.flush()
    assert check(restored).problems == []
    assert [i for i, _ in everything(collection)[1]] == ["e", "d", "c"]


def test_a_snapshot_of_many_segments_survives_merges_of_the_original(tmp_path):
    collection = Collection.create(tmp_path / "c", [SPARSE, DENSE], CONFIG)
    for version in range(1, 9):
        upsert(collection, [(f"{version}-{n}", version) for n in range(10)])
    snapshot(collection, tmp_path / "taken")
    then = collection.ids()
    for version in range(9, 20):
        upsert(collection, [(f"{version}-{n}", version) for n in range(10)])
    collection.maintenance.flush()
    restore(tmp_path / "taken", tmp_path / "restored")
    restored = Collection.open(tmp_path / "restored")
    assert restored.ids() == then
    assert check(restored).problems == []


def test_progress_ends_at_the_total(taken, tmp_path):
    seen = []
    restore(taken[1], tmp_path / "restored", lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] > 0


def files(place):
    return sorted(path for path in place.rglob("*") if path.is_file())


@pytest.mark.parametrize("which", [0, 1, 2])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_snapshot_is_refused_and_leaves_nothing(taken, tmp_path, which, damage):
    path = files(taken[1])[which]
    data = bytearray(path.read_bytes())
    path.unlink()  # the original has the same file under its own name
    if damage == "truncate":
        path.write_bytes(data[:-1])
    elif damage == "flip":
        data[len(data) // 2] ^= 0x41
        path.write_bytes(data)
    missing = path.name == "snapshot.json" and damage == "remove"
    before = sorted(tmp_path.iterdir())
    with pytest.raises(NotFoundError if missing else CorruptionError, match="snapshot"):
        restore(taken[1], tmp_path / "restored")
    assert sorted(tmp_path.iterdir()) == before
    assert check(taken[0]).problems == []


@pytest.mark.parametrize("name", ["../escaped", "/escaped", "segments/../../escaped", "other"])
def test_a_manifest_that_names_other_files_is_refused(taken, tmp_path, name):
    path = taken[1] / "snapshot.json"
    manifest = json.loads(path.read_text())
    manifest["files"][name] = {"bytes": 0, "blake2b": ""}
    path.write_text(json.dumps(manifest))
    with pytest.raises(CorruptionError, match="manifest"):
        restore(taken[1], tmp_path / "restored")


def test_a_snapshot_of_a_newer_format_says_what_to_do(taken, tmp_path):
    path = taken[1] / "snapshot.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
    with pytest.raises(CorruptionError, match=r"format version 99 .* use the release"):
        restore(taken[1], tmp_path / "restored")


def test_nothing_is_overwritten(taken, tmp_path):
    collection, place, _ = taken
    with pytest.raises(UsageError, match="exists already"):
        snapshot(collection, place)
    with pytest.raises(UsageError, match="exists already"):
        restore(place, collection.path)


def test_a_snapshot_inside_its_collection_is_refused(taken):
    with pytest.raises(UsageError, match="is inside the collection"):
        snapshot(taken[0], taken[0].path / "segments" / "taken")


def test_a_snapshot_is_not_opened_as_a_collection(taken):
    with pytest.raises(NotFoundError):
        Collection.open(taken[1])


def test_a_missing_segment_is_named_with_what_to_do(taken, tmp_path):
    collection, _, _ = taken
    for path in (collection.path / "segments").iterdir():
        path.unlink()
    with pytest.raises(CorruptionError, match=r"is missing; rebuild it with: lsr check"):
        snapshot(collection, tmp_path / "another")
    assert not (tmp_path / "another").exists()
