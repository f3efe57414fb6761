import hashlib
import json
import os
import sqlite3
import zlib
from contextlib import closing
from dataclasses import asdict

import pytest

from benches.crash import CONFIG, DENSE, SPARSE, upsert
from index.collection.check import check
from index.collection.collection import Collection
from index.collection.field import Field
from index.collection.packed_text import pack_text
from index.collection.schema import text_checksum, vector_checksum
from index.collection.settings import write_settings
from index.collection.snapshot import restore, snapshot
from index.indexing import upsert_documents
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.encoders.imported import IMPORTED
from lsr.errors import CorruptionError, NotFoundError, UsageError
from lsr.vocabulary import Vocabulary

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


def shape_of(place, name, damage, tmp_path):
    """Put something else in the place of a file of a snapshot."""
    path = place / name
    data = bytearray(path.read_bytes())
    path.unlink()
    if damage == "truncate":
        path.write_bytes(data[:-1])
    elif damage == "extend":
        path.write_bytes(data + b"0")
    elif damage == "flip":
        data[len(data) // 2] ^= 0x41
        path.write_bytes(data)
    elif damage == "link":
        (tmp_path / "same").write_bytes(data)
        path.symlink_to(tmp_path / "same")
    elif damage == "pipe":
        os.mkfifo(path)
    elif damage == "folder":
        path.mkdir()
    elif damage == "device":
        path.symlink_to("/dev/zero")


def everything_built_again(collection):
    """What is found when the segments are without the documents that were deleted since."""
    collection.maintenance.rebuild(collection.segments.current().segments)
    return everything(collection)


DAMAGES = ["flip", "truncate", "extend", "remove", "link", "pipe", "folder", "device"]


@pytest.mark.parametrize("name", ["snapshot.json", "snapshot.sqlite"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_store_or_manifest_is_refused_and_leaves_nothing(taken, tmp_path, name, damage):
    shape_of(taken[1], name, damage, tmp_path)
    before = sorted(tmp_path.iterdir())
    missing = (name, damage) == ("snapshot.json", "remove")
    with pytest.raises(NotFoundError if missing else CorruptionError, match="snapshot"):
        restore(taken[1], tmp_path / "restored")
    assert sorted(tmp_path.iterdir()) == before
    assert check(taken[0]).problems == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_segment_is_built_again_from_the_store(taken, tmp_path, caplog, damage):
    collection, place, _ = taken
    (segment,) = (place / "segments").iterdir()
    shape_of(place, f"segments/{segment.name}", damage, tmp_path)
    restore(place, tmp_path / "restored")
    assert "it is built again from the store" in caplog.text
    with closing(Collection.open(tmp_path / "restored")) as restored:
        assert everything(restored) == everything_built_again(collection)
        assert check(restored).problems == []


def test_a_link_in_the_place_of_the_folder_of_segments_is_not_followed(taken, tmp_path, caplog):
    collection, place, _ = taken
    (place / "segments").rename(tmp_path / "elsewhere")
    (place / "segments").symlink_to(tmp_path / "elsewhere")
    restore(place, tmp_path / "restored")
    assert "lacks segments/" in caplog.text
    with closing(Collection.open(tmp_path / "restored")) as restored:
        assert everything(restored) == everything_built_again(collection)


@pytest.mark.parametrize("name", ["../escaped", "/escaped", "segments/../../escaped", "other"])
def test_a_manifest_that_names_other_files_is_refused(taken, tmp_path, name):
    path = taken[1] / "snapshot.json"
    manifest = json.loads(path.read_text())
    manifest["files"][name] = {"bytes": 0, "blake2b": ""}
    path.write_text(json.dumps(manifest))
    with pytest.raises(CorruptionError, match="manifest"):
        restore(taken[1], tmp_path / "restored")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"format": 1, "files": ' + '{"a":' * 50_000,
        "{}",
        "[]",
        "null",
        "\x00",
        '{"format": 1, "documents": 4, "files": {}}',
        '{"format": 1, "documents": 4, "files": [1]}',
        '{"format": 1, "documents": ' + "9" * 5000 + ', "files": {}}',
        " " * ((1 << 24) + 1),
    ],
    ids=range(10),
)
def test_a_hostile_manifest_is_one_sentence(taken, tmp_path, text):
    (taken[1] / "snapshot.json").write_text(text)
    with pytest.raises(CorruptionError, match=r"the manifest .* is damaged"):
        restore(taken[1], tmp_path / "restored")
    assert not (tmp_path / "restored").exists()


@pytest.mark.parametrize("key", ["bytes", "blake2b", "documents"])
@pytest.mark.parametrize(
    "value", [None, True, -1, 1.5, 1e400, float("nan"), 2**64, "1", [], {}], ids=repr
)
def test_a_number_of_another_type_in_a_manifest_is_refused(taken, tmp_path, key, value):
    path = taken[1] / "snapshot.json"
    manifest = json.loads(path.read_text())
    if key == "documents":
        manifest[key] = value
    else:
        manifest["files"]["snapshot.sqlite"][key] = value
    path.write_text(json.dumps(manifest))
    with pytest.raises(CorruptionError, match=r"the manifest .* is damaged"):
        restore(taken[1], tmp_path / "restored")


def vouch_for(place):
    """Have the manifest say what the store now is."""
    path, content = place / "snapshot.json", (place / "snapshot.sqlite").read_bytes()
    manifest = json.loads(path.read_text())
    blake2b = hashlib.blake2b(content).hexdigest()
    manifest["files"]["snapshot.sqlite"] = {"bytes": len(content), "blake2b": blake2b}
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TRIGGER t AFTER INSERT ON documents BEGIN DELETE FROM documents; END",
        "CREATE VIEW v AS SELECT * FROM documents",
        "CREATE TABLE extra (x)",
        "CREATE INDEX i ON documents (text)",
        "ALTER TABLE documents ADD COLUMN extra",
        "ALTER TABLE documents ADD COLUMN g TEXT GENERATED ALWAYS AS (text || id)",
        "ALTER TABLE vectors RENAME COLUMN terms TO other",
        "DROP TABLE tombstones",
        "DROP TABLE vectors; CREATE VIEW vectors AS SELECT 1 AS field, 2 AS sequence",
        "CREATE VIRTUAL TABLE fts USING fts5(x)",
        "PRAGMA application_id = 1",
        "PRAGMA user_version = 99",
        "PRAGMA writable_schema = ON; UPDATE sqlite_master SET rootpage = 9999",
        "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = 'CREATE TABLE (((('",
        "UPDATE documents SET id = x'00' WHERE sequence = 2",
        "UPDATE documents SET text = x'ff' WHERE sequence = 2",
        "UPDATE documents SET text = 'text' WHERE sequence = 2",
        "UPDATE documents SET metadata = 'x' WHERE sequence = 2",
        "UPDATE vectors SET weights = 1",
        "UPDATE vectors SET terms = 'text'",
        "UPDATE segments SET digest = 1",
        "UPDATE segments SET last = 1",
        "UPDATE settings SET value = '[{\"name\": 1}]' WHERE name = 'fields'",
        "DELETE FROM settings",
        "DELETE FROM documents",
        "DELETE FROM documents WHERE sequence = 2",
        "DELETE FROM vectors",
    ],
)
def test_a_store_that_is_other_than_a_store_is_made_is_refused(taken, tmp_path, change):
    with closing(sqlite3.connect(taken[1] / "snapshot.sqlite")) as connection:
        connection.executescript(change)
    vouch_for(taken[1])
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CorruptionError, match=r"snapshot .* can't be restored: .*; nothing was"):
        restore(taken[1], tmp_path / "restored")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fields", "[" * 100_000),
        ("fields", "{}"),
        ("fields", '[{"name": 1}]'),
        ("fields", "[]"),
        ("fields", json.dumps([asdict(Field("sparse", "sparse", "x", "x", 2**24 + 1))])),
        ("fields", json.dumps([asdict(Field("sparse", "sparse", "x", "x", 2**64))])),
        ("fields", json.dumps([asdict(Field("sparse", "other", "x", "x", 3))])),
        ("fields", json.dumps([{"name": "sparse", "kind": "sparse", "encoder": "bm25"}])),
        ("average_lengths", "[" * 100_000),
        ("average_lengths", "[]"),
        ("average_lengths", '{"sparse": "x"}'),
        ("generation", "x"),
        ("written", -1),
        ("documents", "x"),
        ("identity", 1),
    ],
)
def test_a_setting_that_no_release_writes_is_refused(taken, tmp_path, name, value):
    with closing(sqlite3.connect(taken[1] / "snapshot.sqlite")) as connection, connection:
        write_settings(connection, {name: value})
    vouch_for(taken[1])
    with pytest.raises(CorruptionError, match=r"snapshot .* can't be restored: .*; nothing was"):
        restore(taken[1], tmp_path / "restored")
    assert not (tmp_path / "restored").exists()


@pytest.mark.parametrize(
    "tokens", ['["a"]', '["a", 1]', "{", "[" * 100_000, '{"a": 1, "b": 2}', "3"]
)
def test_a_vocabulary_that_is_none_is_refused(tmp_path, tokens):
    fields = [Field("sparse", "sparse", IMPORTED, "x", 2)]
    vocabulary = Vocabulary.from_tokens(["a", "b"])
    with closing(Collection.create(tmp_path / "c", fields, vocabulary=vocabulary)) as collection:
        snapshot(collection, tmp_path / "taken")
    restore(tmp_path / "taken", tmp_path / "restored")
    with closing(sqlite3.connect(tmp_path / "taken" / "snapshot.sqlite")) as connection, connection:
        write_settings(connection, {"vocabulary": tokens})
    vouch_for(tmp_path / "taken")
    with pytest.raises(CorruptionError, match=r"can't be restored: .*vocabulary"):
        restore(tmp_path / "taken", tmp_path / "again")


def test_metadata_that_is_too_deep_is_refused(taken, tmp_path):
    deep = b"{" + b'"a":{' * 50_000 + b"}" * 50_001
    text = pack_text(b"text")
    checksum = text_checksum(2, b"", text, deep)
    with closing(sqlite3.connect(taken[1] / "snapshot.sqlite")) as connection, connection:
        connection.execute(
            "UPDATE documents SET title = '', text = ?, metadata = ?, checksum = ? "
            "WHERE sequence = 2",
            (text, deep.decode(), checksum),
        )
    vouch_for(taken[1])
    with pytest.raises(CorruptionError, match=r"can't be restored: .*; nothing was"):
        restore(taken[1], tmp_path / "restored")
    assert not (tmp_path / "restored").exists()


@pytest.mark.parametrize(
    ("terms", "weights"),
    [
        (b"\xff" * 9, b""),
        (b"\1", b"\0\0\0\0"),
        # A count of 2**31 - 1.
        (b"\xff\xff\xff\xff\x0f\0", b"\0" * 9),
        (b"", b"\1"),
    ],
)
def test_vectors_that_are_vouched_for_and_malformed_are_refused(taken, tmp_path, terms, weights):
    with closing(sqlite3.connect(taken[1] / "snapshot.sqlite")) as connection, connection:
        connection.execute(
            "UPDATE vectors SET terms = ?, weights = ?, checksum = ? "
            "WHERE sequence = 2 AND field = 'sparse'",
            (terms, weights, vector_checksum("sparse", 2, terms, weights)),
        )
    vouch_for(taken[1])
    with pytest.raises(CorruptionError, match="a vector of the field 'sparse' is malformed"):
        restore(taken[1], tmp_path / "restored")
    assert not (tmp_path / "restored").exists()


@pytest.mark.parametrize("kind", ["of no kind", "cut short", "of a thousand times its bytes"])
def test_texts_that_are_vouched_for_and_malformed_are_refused(taken, tmp_path, kind):
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    bomb = b"\1" + packer.compress(bytes(10_000_000)) + packer.flush()
    text = {"of no kind": b"text", "cut short": bomb[:-1]}.get(kind, bomb)
    with closing(sqlite3.connect(taken[1] / "snapshot.sqlite")) as connection, connection:
        connection.execute(
            "UPDATE documents SET title = '', text = ?, metadata = '{}', checksum = ? "
            "WHERE sequence = 2",
            (text, text_checksum(2, b"", text, b"{}")),
        )
    vouch_for(taken[1])
    with pytest.raises(CorruptionError, match=r"the text of the document 'b' is damaged"):
        restore(taken[1], tmp_path / "restored")
    assert not (tmp_path / "restored").exists()


def test_a_manifest_that_counts_other_documents_is_refused(taken, tmp_path):
    path = taken[1] / "snapshot.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"documents": 5}))
    with pytest.raises(CorruptionError, match="its manifest says 5 documents, and its store 4"):
        restore(taken[1], tmp_path / "restored")


@pytest.mark.parametrize("damaged", ["the collection", "the snapshot"])
def test_no_file_of_a_snapshot_is_one_of_the_collection(taken, tmp_path, damaged):
    collection, place, then = taken
    places = {"the collection": collection.path, "the snapshot": place}
    numbers = [{file.stat().st_ino for file in files(each)} for each in places.values()]
    assert not numbers[0] & numbers[1]
    (segment,) = (places[damaged] / "segments").iterdir()
    segment.write_bytes(b"")
    if damaged == "the snapshot":
        assert check(collection).problems == []
    else:
        restore(place, tmp_path / "restored")
        with closing(Collection.open(tmp_path / "restored")) as restored:
            assert everything(restored) == then


def test_a_damaged_collection_is_not_vouched_for(taken, tmp_path):
    collection, _, _ = taken
    (segment,) = (collection.path / "segments").iterdir()
    intact = segment.read_bytes()
    segment.write_bytes(intact[:-1] + b"x")
    with pytest.raises(CorruptionError, match=r"is damaged; rebuild it with: lsr check"):
        snapshot(collection, tmp_path / "again")
    segment.write_bytes(intact)
    with closing(sqlite3.connect(collection.store.path)) as connection, connection:
        connection.execute("UPDATE documents SET text = 'pear' WHERE sequence = 2")
    with pytest.raises(CorruptionError, match=r"the text of the document 'b' is damaged"):
        snapshot(collection, tmp_path / "again")
    assert not (tmp_path / "again").exists()


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
