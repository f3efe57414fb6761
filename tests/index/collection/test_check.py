import sqlite3

import numpy as np
import pytest

from index.collection.builder import Rows
from index.collection.check import check, repair
from index.collection.collection import Collection
from index.collection.segment import write_segment
from index.indexing import upsert_documents
from lsr.corpus.documents import Document

TEXTS = {"a": "apple plum", "b": "apple apple banana", "c": "plum", "d": "", "e": "cherry pie"}


@pytest.fixture(params=["bm25", "hybrid"])
def collection(request):
    """A collection with a segment, a tail, and deletions from both."""
    made = request.getfixturevalue(f"{request.param}_collection")(TEXTS)
    documents = [Document("f", "plum plum"), Document("g", "lemon"), Document("a", "banana")]
    upsert_documents(made, documents)
    made.delete(["g"])
    return made


def segment_path(collection):
    (entry,) = collection.segments.current().segments
    return collection.maintenance.path(entry.generation)


def test_a_sound_collection_has_no_problem_and_every_weight_is_counted(collection):
    report = check(collection)
    assert report.problems == []
    assert (report.documents, report.segments) == (6, 1)
    in_segment = [i for i in TEXTS if i != "a"]
    numbers = sorted(collection.store.sequences(in_segment).values())
    expected = 0
    for item in collection.fields:
        if item.kind == "dense":
            expected += len(numbers) * item.size
        else:
            expected += sum(map(len, collection.store.sparse_rows(item, numbers).values()))
    assert report.weights == expected


def test_an_empty_collection_is_sound(bm25_collection):
    assert check(bm25_collection({})).problems == []


@pytest.mark.parametrize("damage", ["flip", "remove"])
def test_damaged_bytes_are_found_and_repaired(collection, damage):
    path = segment_path(collection)
    data = bytearray(path.read_bytes())
    path.unlink()
    if damage == "flip":
        data[-1] ^= 0xFF
        path.write_bytes(data)
    report = check(collection)
    (problem,) = report.problems
    assert path.name in problem
    assert "--repair" in problem
    assert repair(collection, report) == 1
    assert check(collection).problems == []
    assert check(Collection.open(collection.path)).problems == []


def altered(rows, part):
    """The rows with one thing changed."""
    sequence, sparse, vectors = rows.sequence.copy(), dict(rows.sparse), dict(rows.vectors)
    if part == "sequence":
        sequence[-1] -= 1
        sequence[-2] -= 1
    elif part == "dense":
        vectors["dense"] = vectors["dense"] + np.float32(1e-3)
    elif part == "averages":
        return Rows(sequence, sparse, vectors, dict.fromkeys(rows.average_lengths, 9.0))
    else:
        sparse[part].values[0] *= 1.01
    return Rows(sequence, sparse, vectors, rows.average_lengths)


@pytest.mark.parametrize(
    ("collection", "part"),
    [
        *(("bm25", part) for part in ("sequence", "averages", "sparse")),
        *(("hybrid", part) for part in ("sequence", "averages", "sparse", "bm25", "dense")),
    ],
    indirect=["collection"],
)
def test_a_segment_that_is_not_what_the_store_says_is_found_and_repaired(collection, part):
    current = collection.segments.current()
    (entry,) = current.segments
    rows = collection.builder.rows(entry.after, entry.last, current.average_lengths)
    path, identity = segment_path(collection), collection.store.identity
    digest = write_segment(path, altered(rows, part).segment(), identity, entry.generation)
    assert f"the segment {path} is not the one" in check(collection).problems[0]
    with sqlite3.connect(collection.store.path) as connection:
        connection.execute("UPDATE segments SET digest = ?, documents = ?", (digest, len(rows)))
    report = check(collection)
    assert report.damaged, part
    said = {"sequence": "other documents", "averages": "average lengths"}.get(part, repr(part))
    assert said in report.problems[0]
    repair(collection, report)
    assert check(collection).problems == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("DELETE FROM vectors WHERE sequence = 2 AND field = 'sparse'", "lack each other"),
        ("INSERT INTO vectors VALUES ('sparse', 999, x'', x'')", "lack each other"),
        ("INSERT INTO metadata VALUES ('year', 2, 1999, 2)", "metadata of 1 documents"),
        ("DELETE FROM metadata WHERE value = 'en'", "metadata of 2 documents"),
        ("UPDATE metadata SET kind = 3 WHERE kind = 2", "metadata of 1 documents"),
        ("UPDATE documents SET text = 'pear' WHERE sequence = 2", "'b' differs from its digest"),
        ("UPDATE documents SET metadata = 'x' WHERE sequence = 2", "can't be read"),
        ("UPDATE vectors SET terms = x'ffffffff', weights = x'003c' WHERE sequence = 2", "malform"),
        ("UPDATE vectors SET weights = x'00' WHERE sequence = 2", "malformed"),
        ("UPDATE segments SET after = 1", "does not follow 0"),
    ],
)
def test_a_damaged_store_is_one_sentence(bm25_collection, change, reason):
    collection = bm25_collection(TEXTS)
    metadata = {"lang": ["en", "fr"], "by": {"name": "Ann"}}
    upsert_documents(collection, [Document("f", "fig", metadata=metadata)])
    upsert_documents(collection, [Document("g", "fig", metadata={"lang": "en", "year": 2000.0})])
    assert check(collection).problems == []
    with sqlite3.connect(collection.path / "collection.sqlite") as connection:
        connection.execute(change)
    assert any(reason in problem for problem in check(collection).problems)


def test_a_damaged_page_of_the_store_is_found(bm25_collection):
    collection = bm25_collection({f"d{n}": f"apple {n} " * 40 for n in range(60)})
    collection.close()
    path = collection.path / "collection.sqlite"
    sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    data = bytearray(path.read_bytes())
    data[6 * 4096 : 7 * 4096] = b"\xa5" * 4096
    path.write_bytes(data)
    assert check(Collection.open(collection.path)).problems
