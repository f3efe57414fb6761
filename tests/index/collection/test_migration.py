"""Collections of the release before, made here by taking out of new ones what is new."""

import json
import os
import signal
import sqlite3
from contextlib import closing
from dataclasses import asdict

import pytest

from benches.crash import CONTEXT
from index.collection.check import check
from index.collection.collection import STORE_FILE, Collection
from index.collection.field import encoder_fields, load_fields
from index.collection.file_lock import FileLock
from index.collection.migration import migrate
from index.collection.packed_text import unpack_text
from index.collection.schema import MIGRATED_SCHEMA
from index.collection.settings import read_setting, write_settings
from index.collection.snapshot import restore
from index.collection.snapshot_files import STORE_COPY, Manifest, describe_file
from index.collection.vector_rows import sparse_vector
from index.engines.posting_list import half
from index.indexing import index_documents, upsert_documents
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.corpus.items import given_items
from lsr.errors import CorruptionError, LockedError, LsrError, NotFoundError, UsageError

COLUMNS = {
    "documents": "sequence, id, title, text, metadata, digest",
    "vectors": "field, sequence, terms, weights",
    "tombstones": "number, sequence",
    "segments": "generation, after, last, documents, deleted",
    "metadata": "key, kind, value, sequence",
}
NEW = ("identity", "commit", "previous", "written", "deletions", "documents")
WORDS = ["apple", "plum", "cherry", "lemon", "fig"]


def unpacked_document(row):
    return (*row[:3], unpack_text(row[3]).decode(), *row[4:])


def unpacked_vector(row):
    field, number, terms, weights = row
    if terms is None:
        return row
    vector = sparse_vector(terms, weights)
    return field, number, vector.indices.tobytes(), half(vector.values).tobytes()


UNPACKED = {"documents": unpacked_document, "vectors": unpacked_vector}


def downgrade(collection):
    """The folder of a collection, as the release before would have written it."""
    folder = collection.path
    new = sqlite3.connect(folder / STORE_FILE)
    old = sqlite3.connect(folder / "old")
    old.execute("PRAGMA journal_mode = WAL")
    old.executescript(MIGRATED_SCHEMA)
    for table, columns in COLUMNS.items():
        rows = [
            UNPACKED.get(table, tuple)(row) for row in new.execute(f"SELECT {columns} FROM {table}")
        ]
        marks = ", ".join("?" * len(columns.split(",")))
        old.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
    settings = dict(new.execute("SELECT name, value FROM settings"))
    for table, name in (("documents", "written"), ("tombstones", "deletions")):
        old.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
        old.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (table, settings[name]))
    kept = [(name, value) for name, value in settings.items() if name not in NEW]
    old.executemany("INSERT INTO settings VALUES (?, ?)", kept)
    old.execute(f"PRAGMA application_id = {0x4C535231}")
    old.execute("PRAGMA user_version = 2")
    old.commit()
    old.close()
    new.close()
    collection.close()
    for path in folder.glob("collection.*"):
        path.unlink()
    (folder / "old").rename(folder / STORE_FILE)
    return folder


@pytest.fixture
def old(hybrid_collection):
    """A folder of the release before, and what it answers."""
    texts = {f"d{n}": " ".join(WORDS[: n % 5 + 1]) for n in range(30)}
    collection = hybrid_collection(texts)
    metadata = {"year": 1999, "by": {"name": "Ann"}, "x": 1.5}
    documents = [Document("e", "fig pie", "a title", metadata), Document("f", "plum plum")]
    upsert_documents(collection, documents)
    collection.delete(["d3", "f"])
    expected = answers(collection)
    return downgrade(collection), expected


def answers(collection):
    numbers = collection.store.live().tolist()
    hits = [
        [(hit.id, hit.score, hit.document) for hit in search(collection, SearchQuery(text)).hits]
        for text in ("apple", "cherry fig", "lemon plum")
    ]
    describe = collection.describe()
    # Segments are made anew, without what is deleted.
    del describe["bytes"], describe["generation"], describe["deleted"]
    return collection.store.documents(numbers), hits, describe, collection.digest()


def test_an_old_collection_is_refused_with_the_command_and_migrated_whole(old):
    folder, expected = old
    with pytest.raises(CorruptionError, match=f"with: lsr migrate {folder}$"):
        Collection.open(folder)
    steps = []
    report = migrate(folder, lambda done, total: steps.append((done, total)))
    assert (report.version, report.documents, report.segments) == (2, 30, 1)
    assert steps[-1] == (60, 60)
    collection = Collection.open(folder)
    assert answers(collection) == expected
    assert check(collection).problems == []
    (outcome,) = upsert_documents(collection, [Document("g", "lemon")])
    assert outcome.status == "created"
    assert max(collection.store.live()) == 33
    assert not list(folder.glob("*.migrating*"))
    with pytest.raises(UsageError, match="has format version 4 already"):
        migrate(folder)


@pytest.fixture
def older(hybrid_collection):
    """A collection of version 3, made by taking out what is new, and what it answers."""
    collection = hybrid_collection({f"d{n}": " ".join(WORDS[: n % 5 + 1]) for n in range(30)})
    collection.delete(["d3"])
    expected = answers(collection)
    collection.close()
    with sqlite3.connect(collection.path / STORE_FILE) as store:
        store.execute("DROP TABLE frequencies")
        store.execute("DELETE FROM settings WHERE name = 'frequencies'")
        fields = load_fields(read_setting(store, collection.path, "fields"))
        entries = [asdict(field) for field in fields]
        for entry in entries:
            del entry["counted"]
        write_settings(store, {"fields": json.dumps(entries)})
        store.execute("PRAGMA user_version = 3")
    store.close()
    for path in collection.path.glob("segments/*"):
        path.write_bytes(path.read_bytes()[:8] + (4).to_bytes(4, "little") + bytes(100))
    return collection.path, expected


def test_a_collection_of_version_3_gets_what_it_lacks_and_new_segments(older):
    folder, expected = older
    with pytest.raises(CorruptionError, match=f"with: lsr migrate {folder}$"):
        Collection.open(folder)
    report = migrate(folder)
    assert (report.version, report.documents, report.segments) == (3, 29, 1)
    collection = Collection.open(folder)
    assert check(collection).problems == []
    assert answers(collection) == expected
    (outcome,) = upsert_documents(collection, [Document("g", "lemon")])
    assert outcome.status == "created"


def test_a_collection_of_version_3_stays_as_it_is_where_its_migration_fails(older, monkeypatch):
    folder, _ = older

    def fail(*_):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr("index.collection.migration.write_settings", fail)
    with pytest.raises(LsrError, match="is as it was"):
        migrate(folder)
    monkeypatch.undo()
    assert migrate(folder).version == 3


def _migrate_and_die(folder, at):
    def die(done, total):
        if done >= at:
            os.kill(os.getpid(), signal.SIGKILL)

    migrate(folder, die)


@pytest.mark.parametrize("at", [0, 10, 20, 30, 45, 60])
def test_a_killed_migration_leaves_the_old_collection_and_goes_on(old, at, monkeypatch):
    folder, expected = old
    monkeypatch.setattr("index.collection.migration.ROWS_AT_A_TIME", 10)
    before = rows_of(folder)
    process = CONTEXT.Process(target=_migrate_and_die, args=(folder, at))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert rows_of(folder) == before
    steps = []
    migrate(folder, lambda done, total: steps.append(done))
    assert at < 30 or steps[0] == 30
    assert answers(Collection.open(folder)) == expected


def test_long_documents_stay_whole_and_are_not_encoded_again(tmp_path, monkeypatch):
    """A collection of a release that split none, its migration killed, then indexed again."""
    monkeypatch.setattr("index.collection.migration.ROWS_AT_A_TIME", 2)
    documents = [Document(f"d{n}", f"Sentence {n} of a long text. " * 100) for n in range(8)]
    made = Collection.create(tmp_path / "c", encoder_fields("bm25,analyzer=wordpiece"))
    upsert_documents(made, documents)
    folder = downgrade(made)
    for at in (2, 8, 16):
        process = CONTEXT.Process(target=_migrate_and_die, args=(folder, at))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    assert migrate(folder).documents == 8
    with closing(Collection.open(folder)) as collection:
        given = []
        encoder = collection.fields.encoder(collection.fields[0])
        monkeypatch.setattr(type(encoder), "encode_documents", given.extend)
        report = index_documents(collection, given_items(documents))
        assert (report.unchanged, report.split, given) == (8, 0, [])
        assert (collection.passages, collection.describe()["split"]) == ("off", 0)
        monkeypatch.undo()
        longer = Document("d9", "Sentence 9 of a longer text. " * 200)
        assert index_documents(collection, given_items([longer])).split == 0
        assert search(collection, SearchQuery("longer")).hits[0].passage is None
        assert check(collection).problems == []


def rows_of(folder):
    connection = sqlite3.connect(folder / STORE_FILE)
    found = {
        table: connection.execute(f"SELECT * FROM {table}").fetchall()
        for table in (*COLUMNS, "settings")
    }
    connection.close()
    return found


def test_what_the_old_release_wrote_after_a_killed_migration_is_not_lost(old):
    folder, _ = old

    def stop(done, total):
        if done == total:
            raise InterruptedError

    with pytest.raises(Exception, match="migrated"):
        migrate(folder, stop)
    connection = sqlite3.connect(folder / STORE_FILE)
    document = Document("late", "fig")
    values = (document.id, "", document.text, json.dumps({}), document.digest())
    number = connection.execute(
        "INSERT INTO documents (id, title, text, metadata, digest) VALUES (?, ?, ?, ?, ?)", values
    ).lastrowid
    connection.execute(
        "INSERT INTO vectors SELECT field, ?, terms, weights FROM vectors WHERE sequence = 1",
        (number,),
    )
    connection.execute("UPDATE settings SET value = value + 1 WHERE name = 'revision'")
    connection.commit()
    connection.close()
    assert migrate(folder).documents == 31
    collection = Collection.open(folder)
    assert collection.get("late") == document
    assert check(collection).problems == []


def test_a_handle_of_the_old_release_can_not_write_into_the_void(old):
    folder, _ = old
    handle = sqlite3.connect(folder / STORE_FILE)
    assert handle.execute("SELECT COUNT(*) FROM documents").fetchone() == (30,)
    migrate(folder)
    with pytest.raises(sqlite3.OperationalError, match="5 columns but 4 values"):
        handle.execute("INSERT INTO vectors VALUES ('sparse', 99, x'', x'')")


def test_a_damaged_document_stops_a_migration_with_its_name(old):
    folder, _ = old
    connection = sqlite3.connect(folder / STORE_FILE)
    connection.execute("UPDATE documents SET text = 'pear' WHERE id = 'd7'")
    connection.commit()
    connection.close()
    before = rows_of(folder)
    with pytest.raises(CorruptionError, match="the document 'd7' is damaged"):
        migrate(folder)
    assert rows_of(folder) == before


@pytest.mark.parametrize("terms", ["x'0100000001000000'", "x'01000000'", "x'01'", "NULL"])
def test_a_vector_that_is_none_stops_a_migration(old, terms):
    folder, _ = old
    connection = sqlite3.connect(folder / STORE_FILE)
    change = f"UPDATE vectors SET terms = {terms} WHERE sequence = 7 AND field = 'sparse'"
    assert connection.execute(change.replace("WHERE", ", weights = x'003c003c' WHERE")).rowcount
    connection.commit()
    connection.close()
    before = rows_of(folder)
    with pytest.raises(CorruptionError, match="vector of the field 'sparse' is malformed"):
        migrate(folder)
    assert rows_of(folder) == before


def test_what_can_not_be_migrated_is_one_sentence(old, tmp_path):
    folder, _ = old
    with pytest.raises(NotFoundError, match="nothing can be migrated"):
        migrate(tmp_path)
    connection = sqlite3.connect(folder / STORE_FILE)
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    with pytest.raises(UsageError, match=r"format version 1, .* use the release that wrote it"):
        migrate(folder)


def test_a_migration_waits_for_no_writer(old):
    folder, _ = old
    with FileLock(folder / "writer.lock").held(wait=0) as locked:
        assert locked
        with pytest.raises(LockedError, match="stop it first"):
            migrate(folder)


def test_a_snapshot_of_the_release_before_is_restored(old, tmp_path):
    folder, expected = old
    taken = tmp_path / "taken"
    taken.mkdir()
    with (
        sqlite3.connect(taken / STORE_COPY) as copy,
        sqlite3.connect(folder / STORE_FILE) as source,
    ):
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
    Manifest(30, {STORE_COPY: describe_file(taken / STORE_COPY)}, "").write(taken)
    assert restore(taken, tmp_path / "restored").documents == 30
    assert answers(Collection.open(tmp_path / "restored")) == expected
    with sqlite3.connect(taken / STORE_COPY) as copy:
        copy.execute("CREATE VIEW more AS SELECT 1")
    Manifest(30, {STORE_COPY: describe_file(taken / STORE_COPY)}, "").write(taken)
    with pytest.raises(CorruptionError, match="view 'more'"):
        restore(taken, tmp_path / "other")
