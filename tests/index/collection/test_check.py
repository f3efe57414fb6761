import sqlite3

import numpy as np
import pytest

from index.collection.builder import Rows
from index.collection.check import check
from index.collection.collection import Collection
from index.collection.repair import repair
from index.collection.segment import write_segment
from index.filters.text_form import parse_filter_text
from index.indexing import upsert_documents
from index.search.config import SearchConfig
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.errors import CorruptionError

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
            expected += sum(map(len, collection.store.vectors.rows(item, numbers).values()))
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
    assert repair(collection, report).segments == 1
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
    with collection.store.writing():
        published = entry._replace(documents=len(rows), digest=digest)
        collection.segments.publish([entry], published, current.deletions)
    report = check(collection)
    assert report.damaged, part
    said = {"sequence": "other documents", "averages": "average lengths"}.get(part, repr(part))
    assert said in report.problems[0]
    repair(collection, report)
    assert check(collection).problems == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("DELETE FROM vectors WHERE sequence = 2", "vector of the document 'b' in the field 'sp"),
        ("INSERT INTO vectors VALUES ('sparse', 999, x'', x'', x'')", "are of no document"),
        ("UPDATE vectors SET weights = x'00' WHERE sequence = 2", "vector of the document 'b'"),
        ("UPDATE vectors SET checksum = x'00' WHERE sequence = 2", "vector of the document 'b'"),
        ("UPDATE vectors SET terms = 5 WHERE sequence = 2", "vector of the document 'b'"),
        ("INSERT INTO metadata VALUES ('year', 2, 1999, 2)", "metadata of 1 documents"),
        ("DELETE FROM metadata WHERE value = 'en'", "metadata of 2 documents"),
        ("UPDATE metadata SET kind = 3 WHERE kind = 2", "metadata of 1 documents"),
        ("UPDATE tallies SET total = total + 1 WHERE key = 'year'", "metadata of 0 documents"),
        ("UPDATE segments SET after = 1", "table of segments is damaged"),
        ("UPDATE segments SET deleted = 1", "of which 1 were deleted"),
        ("INSERT INTO tombstones VALUES (9, 2, x'')", "table of tombstones is damaged"),
    ],
)
def test_damage_in_the_store_is_named_and_mended_from_what_is_sound(
    bm25_collection, change, reason
):
    collection = bm25_collection(TEXTS)
    metadata = {"lang": ["en", "fr"], "by": {"name": "Ann"}}
    upsert_documents(collection, [Document("f", "fig", metadata=metadata)])
    upsert_documents(collection, [Document("g", "fig", metadata={"lang": "en", "year": 2000.0})])
    # Where segments are made anew, it is by the statistics of now.
    collection.maintenance.flush()
    assert check(collection).problems == []
    before = contents(collection)
    damage(collection, change)
    opened = Collection.open(collection.path)
    report = check(opened)
    assert any(reason in problem for problem in report.problems)
    assert repair(opened, report).repaired > 0
    assert check(opened).problems == []
    assert contents(opened) == before
    assert contents(collection) == before


def damage(collection, change):
    with sqlite3.connect(collection.path / "collection.sqlite") as connection:
        assert connection.execute(change).rowcount > 0
    connection.close()


def contents(collection):
    """All that a collection answers: documents, vectors, rankings, and what filters find."""
    store = collection.store
    numbers = store.live().tolist()
    vectors = [
        store.vectors.dense(field).tolist()
        if field.kind == "dense"
        else [(row.indices.tolist(), row.values.tolist()) for row in store.vectors.sparse(field)]
        for field in store.fields
    ]
    hits = [
        [(hit.id, hit.score) for hit in search(collection, SearchQuery(text), config).hits]
        for text in ("apple plum", "fig banana", "cherry lemon")
        for config in (SearchConfig(), SearchConfig(filter=parse_filter_text("lang = en")))
    ]
    return store.documents(numbers), vectors, hits, collection.digest()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE documents SET text = 'pear' WHERE sequence = 2",
        "UPDATE documents SET title = 'pear' WHERE sequence = 2",
        "UPDATE documents SET metadata = 'x' WHERE sequence = 2",
        "UPDATE documents SET text = CAST(x'ff' AS TEXT) WHERE sequence = 2",
        "UPDATE documents SET text = (SELECT text FROM documents WHERE sequence = 1) "
        "WHERE sequence = 2",
    ],
)
def test_a_damaged_text_is_named_never_served_and_mended_by_writing_it_again(
    bm25_collection, change, caplog
):
    collection = bm25_collection(TEXTS)
    damage(collection, change)
    report = check(collection)
    assert "the text of the document 'b' is damaged" in report.problems[0]
    repair(collection, report)
    assert check(collection).problems == report.problems
    with pytest.raises(CorruptionError, match="text of the document 'b' is damaged"):
        collection.get("b")
    hits = {hit.id: hit.document for hit in search(collection, SearchQuery("apple")).hits}
    assert hits == {"a": Document("a", TEXTS["a"]), "b": None}
    assert "document 'b' is damaged" in caplog.text
    (outcome,) = upsert_documents(collection, [Document("b", TEXTS["b"])])
    assert outcome.status == "updated"
    assert check(collection).problems == []
    assert collection.get("b") == Document("b", TEXTS["b"])


def test_a_damaged_id_is_named_by_its_number(bm25_collection):
    collection = bm25_collection(TEXTS)
    damage(collection, "UPDATE documents SET id = 'x' WHERE sequence = 2")
    assert any("document number 2" in problem for problem in check(collection).problems)
    with pytest.raises(CorruptionError, match="document number 2"):
        search(collection, SearchQuery("apple"))


@pytest.mark.parametrize("name", ["sparse", "bm25", "dense"])
@pytest.mark.parametrize("place", ["segment", "tail"])
def test_a_damaged_vector_comes_back_exactly_or_is_encoded_again(hybrid_collection, name, place):
    collection = hybrid_collection(TEXTS)
    upsert_documents(collection, [Document("f", "fig pie"), Document("g", "fig lemon")])
    field = collection.fields.named(name)
    (number,) = collection.store.sequences(["b" if place == "segment" else "f"]).values()
    before = contents(collection)
    flip = "UPDATE vectors SET weights = x'ffffffffffff' WHERE sequence = {} AND field = '{}'"
    damage(collection, flip.format(number, name))
    report = check(collection)
    assert report.vectors == {name: [number]}
    assert report.damaged == []
    assert len(report.problems) == 1
    done = repair(collection, report)
    exact = place == "segment" and not field.counts
    assert (done.recovered, done.encoded) == ((1, 0) if exact else (0, 1))
    assert check(collection).problems == []
    documents, vectors, hits, digest = contents(collection)
    assert (documents, digest) == (before[0], before[3])
    if exact or field.counts:
        assert (vectors, hits) == (before[1], before[2])


def test_a_merge_refuses_a_damaged_vector_and_searches_go_on(bm25_collection):
    collection = bm25_collection(TEXTS)
    before = contents(collection)
    upsert_documents(collection, [Document("f", "fig")])
    damage(collection, "UPDATE vectors SET weights = x'003c' WHERE sequence = 2")
    with pytest.raises(CorruptionError, match="vector of the document 'b'"):
        collection.maintenance.flush()
    collection.delete(["f"])
    assert [(hit.id, hit.score) for hit in search(collection, SearchQuery("apple plum")).hits]
    opened = Collection.open(collection.path)
    repair(opened, check(opened))
    opened.maintenance.flush()
    assert contents(opened) == before


def test_a_vector_of_the_tail_that_is_damaged_is_refused_with_its_name(bm25_collection):
    collection = bm25_collection({})
    upsert_documents(collection, [Document("f", "fig"), Document("g", "fig pie")])
    damage(collection, "UPDATE vectors SET weights = x'003e' WHERE sequence = 1")
    with pytest.raises(CorruptionError, match="vector of the document 'f' in the field 'sparse'"):
        search(Collection.open(collection.path), SearchQuery("fig"))


def test_a_filter_over_damaged_values_is_refused(bm25_collection):
    collection = bm25_collection(TEXTS)
    documents = [Document("f", "fig", metadata={"year": 1999, "lang": "en"})]
    upsert_documents(collection, documents)
    damage(collection, "UPDATE metadata SET value = 2000 WHERE key = 'year'")
    opened = Collection.open(collection.path)
    for year in (1999, 2000):
        with pytest.raises(CorruptionError, match="metadata key 'year'"):
            search(
                opened, SearchQuery("fig"), SearchConfig(filter=parse_filter_text(f"year = {year}"))
            )
    config = SearchConfig(filter=parse_filter_text("lang = en"))
    assert [hit.id for hit in search(opened, SearchQuery("fig"), config).hits] == ["f"]


def test_a_damaged_page_of_the_store_is_found(bm25_collection):
    collection = bm25_collection({f"d{n}": f"apple {n} " * 40 for n in range(60)})
    collection.close()
    path = collection.path / "collection.sqlite"
    sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    data = bytearray(path.read_bytes())
    data[6 * 4096 : 7 * 4096] = b"\xa5" * 4096
    path.write_bytes(data)
    assert check(Collection.open(collection.path)).problems


def root_page(path, name):
    """The first page of a table or an index, once the file has all that was written."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        (page,) = connection.execute(query, (name,)).fetchone()
    connection.close()
    return page


def test_vectors_that_a_damaged_index_does_not_find_are_kept(hybrid_collection):
    collection = hybrid_collection(TEXTS)
    upsert_documents(collection, [Document("f", "fig pie")])
    before = contents(collection)
    collection.close()
    path = collection.path / "collection.sqlite"
    page = root_page(path, "sqlite_autoindex_vectors_1")
    with path.open("r+b") as stream:
        stream.seek((page - 1) * 4096)
        stream.write(b"\xa5" * 4096)
    opened = Collection.open(collection.path)
    done = repair(opened, check(opened))
    assert (done.recovered, done.encoded, done.said) == (0, 0, [])
    assert check(opened).problems == []
    assert contents(opened) == before


@pytest.mark.parametrize(
    ("written", "damaged"), [("d07", b"d0w"), ("d00", b"d/0"), ("d29", b"d2~")]
)
def test_an_id_that_a_damaged_index_does_not_find_is_not_written_twice(
    bm25_collection, written, damaged
):
    collection = bm25_collection({f"d{n:02}": f"apple {n}" for n in range(30)})
    collection.close()
    path = collection.path / "collection.sqlite"
    page = root_page(path, "sqlite_autoindex_documents_1")
    data = bytearray(path.read_bytes())
    entry = data.index(written.encode(), (page - 1) * 4096, page * 4096)
    data[entry : entry + 3] = damaged
    path.write_bytes(data)
    opened = Collection.open(collection.path)
    # Far more new ids than one statement takes, on both sides of it.
    others = [f"{letter}{n}" for letter in "ce" for n in range(400)]
    for ids in ([written], [*others[:400], written, *others[400:]]):
        with pytest.raises(CorruptionError, match="index of ids is damaged"):
            upsert_documents(opened, [Document(identifier, "fig") for identifier in ids])
    assert len(opened) == 30
