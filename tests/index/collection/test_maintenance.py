import dataclasses
import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benches.crash import CONFIG, DENSE, SPARSE, examine, upsert
from index.collection import maintenance
from index.collection.check import check
from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.collection.maintenance import Build, MaintenanceConfig, next_build
from index.collection.segment_opening import open_segment
from index.collection.segment_table import Current, SegmentEntry
from index.indexing import index_documents
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.errors import LsrError, UsageError
from lsr.sparse import SparseBatch, SparseVector
from tests.index.conftest import items
from tests.waiting import wait_until

SMALL = MaintenanceConfig(flush_documents=10, merge_factor=3, fewest_deleted=1, retry_seconds=0.02)


def current(sizes, tail, deleted=()):
    entries, end = [], 0
    for number, size in enumerate(sizes):
        dead = dict(deleted).get(number, 0)
        entries.append(SegmentEntry(number + 1, end, end + size, size, dead))
        end += size
    return Current(len(entries), tuple(entries), end + tail, 0, {}, 0)


@pytest.mark.parametrize(
    ("sizes", "tail", "deleted", "expected"),
    [
        ([], 9, {}, None),
        ([], 10, {}, ((), True)),
        ([10], 10, {}, ((), True)),
        ([10, 10], 10, {}, ((1, 2), True)),
        ([10, 10, 10], 0, {}, ((1, 2, 3), False)),
        ([100, 10, 10], 10, {}, ((2, 3), True)),
        ([30, 30, 10, 10], 10, {}, ((3, 4), True)),
        ([30, 30, 30], 5, {}, ((1, 2, 3), False)),
        ([30, 10, 30, 10, 30], 5, {}, ((1, 2, 3, 4, 5), False)),
        ([10, 10, 10, 90, 10], 0, {}, ((1, 2, 3), False)),
        ([100], 0, {0: 20}, None),
        ([100], 0, {0: 21}, ((1,), False)),
        ([1000, 100], 0, {1: 30}, ((2,), False)),
    ],
)
def test_what_is_due(sizes, tail, deleted, expected):
    found = next_build(current(sizes, tail, deleted.items()), SMALL)
    assert (found and (tuple(e.generation for e in found.replaced), found.tail)) == expected


def test_a_flush_takes_any_tail():
    assert next_build(current([100], 1), SMALL, flush=True) == Build((), True)
    assert next_build(current([100], 0), SMALL, flush=True) is None


def test_rewriting_grows_with_the_logarithm_of_the_collection():
    sizes, written = [], 0
    for _ in range(729):
        found = next_build(current(sizes, 10), SMALL)
        kept = [size for place, size in enumerate(sizes) if place + 1 not in
                {entry.generation for entry in found.replaced}]  # fmt: skip
        merged = 10 + sum(entry.live for entry in found.replaced)
        sizes, written = [*kept, merged], written + merged
        assert len(sizes) <= 2 * 7
    assert written <= 8 * 7290


@pytest.mark.parametrize(
    ("sizes", "tail", "expected"),
    [
        # All together would be too many for one segment.
        ([30, 30, 30], 0, ((1, 2), False)),
        ([50, 30, 30], 0, ((2, 3), False)),
        ([30, 50, 30], 0, None),
        # The large one is not written anew for the sake of a small one.
        ([50, 10, 50, 50], 0, None),
        ([50, 50, 50, 20, 20], 20, ((4, 5), True)),
        ([55, 55, 55], 10, ((), True)),
    ],
)
def test_what_is_due_where_segments_are_full(sizes, tail, expected):
    config = dataclasses.replace(SMALL, largest_segment=60)
    found = next_build(current(sizes, tail), config)
    assert (found and (tuple(e.generation for e in found.replaced), found.tail)) == expected


@given(st.lists(st.integers(1, 40), min_size=1, max_size=300), st.integers(40, 200))
def test_full_segments_are_few_and_each_document_is_written_a_few_times(flushes, largest):
    config = dataclasses.replace(SMALL, largest_segment=largest)
    sizes, written, total = [], 0, 0
    for flushed in flushes:
        tail, total = flushed, total + flushed
        while found := next_build(current(sizes, tail), config, flush=True):
            places = [entry.generation - 1 for entry in found.replaced]
            merged = sum(sizes[place] for place in places) + (tail if found.tail else 0)
            assert merged <= largest
            written += merged
            first = min(places, default=len(sizes))
            sizes[first : first + len(places)] = [merged]
            tail = 0 if found.tail else tail
        assert (sum(sizes), tail) == (total, 0)
    # Adjacent ones that are left would be too many together, or too unlike.
    assert len(sizes) <= 4 * total / largest + 12
    assert written <= 10 * total


def test_impossible_settings_are_refused():
    with pytest.raises(UsageError, match="flush_documents is 0 and merge_factor 4"):
        MaintenanceConfig(flush_documents=0)


def quiet(collection):
    return next_build(collection.segments.current(), collection.maintenance.config) is None


@pytest.fixture
def collection(tmp_path):
    made = Collection.create(tmp_path / "c", [SPARSE, DENSE], CONFIG)
    yield made
    made.close()


def batch(version, count=10):
    return [(f"{version}-{n}", version) for n in range(count)]


def test_a_growing_collection_is_kept_in_few_segments_by_itself(collection):
    expected = {}
    for version in range(1, 41):
        upsert(collection, batch(version))
        expected |= dict(batch(version))
        if version % 3 == 0:
            collection.delete([f"{version}-1", f"{version - 2}-5"])
            del expected[f"{version}-1"], expected[f"{version - 2}-5"]
    wait_until(lambda: quiet(collection))
    described = collection.describe()
    assert 1 <= described["segments"] <= 6
    assert described["unflushed"] < CONFIG.flush_documents
    collection.close()
    assert examine(collection.path, [expected]) == (expected, [])
    files = list((collection.path / "segments").iterdir())
    assert len(files) == described["segments"]


@pytest.fixture
def held_build(monkeypatch):
    """Lets every build wait, just before it writes its file, for ``go``; ``begun`` says it does."""
    begun, go = threading.Event(), threading.Event()
    write = maintenance.write_segment

    def held(*arguments):
        begun.set()
        assert go.wait(60)
        return write(*arguments)

    monkeypatch.setattr(maintenance, "write_segment", held)
    yield begun, go
    go.set()


def test_writes_and_searches_go_on_during_a_build(collection, held_build):
    begun, go = held_build
    expected = dict(batch(1, 20))
    upsert(collection, expected.items())
    assert begun.wait(60)
    collection.delete(["1-3", "1-7"])
    upsert(collection, [("1-5", 2), ("new", 2)])
    for gone in ("1-3", "1-7", "1-5"):
        del expected[gone]
    expected |= {"1-5": 2, "new": 2}
    assert collection.describe()["segments"] == 0
    everything = SparseBatch.from_rows(
        [SparseVector.from_mapping(dict.fromkeys(range(12), 1.0))], 12
    )
    found = collection.view().search_sparse(SPARSE, everything, 99, "native").documents[0]
    assert set(collection.store.ids(found.tolist()).values()) == expected.keys()
    go.set()
    wait_until(lambda: collection.describe()["segments"] == 1 and quiet(collection))
    assert examine(collection.path, [expected]) == (expected, [])


def test_closing_abandons_a_build_and_harms_nothing(collection, held_build):
    begun, go = held_build
    upsert(collection, batch(1, 20))
    assert begun.wait(60)
    closing = threading.Thread(target=collection.close)
    closing.start()
    wait_until(lambda: collection.maintenance._pauses)
    go.set()
    closing.join(60)
    reopened = Collection.open(collection.path, CONFIG)
    assert reopened.describe()["segments"] == 0
    assert examine(collection.path, [dict(batch(1, 20))])[1] == []
    reopened.maintenance.flush()
    assert len(list((collection.path / "segments").iterdir())) == 1


def test_a_failing_build_is_one_logged_sentence_and_is_tried_again(collection, caplog):
    folder = collection.path / "segments"
    folder.rmdir()
    folder.write_text("in the way")
    with caplog.at_level(logging.ERROR):
        upsert(collection, batch(1, 20))
        wait_until(lambda: caplog.records)
    message = caplog.records[0].getMessage()
    assert message.startswith("a segment build failed and is retried later: no segment can be")
    assert "\n" not in message
    with pytest.raises(LsrError, match="no segment can be written"):
        collection.maintenance.flush()
    folder.unlink()
    upsert(collection, [("another", 1)])
    wait_until(lambda: collection.describe()["segments"] == 1)
    expected = dict(batch(1, 20)) | {"another": 1}
    assert examine(collection.path, [expected])[1] == []


def test_a_view_outlives_the_files_it_was_opened_from(bm25_collection):
    collection = bm25_collection({"a": "apple", "b": "apple plum"})
    reader = Collection.open(collection.path)
    with reader.pinned() as view:
        field = reader.fields.named("sparse")
        queries = reader.fields.encoder(field).encode_queries(["apple"], view.statistics(field))
        before = view.search_sparse(field, queries, 10, "native").ranking(0)
        collection.delete(["a"])
        collection.maintenance.flush()
        assert view.search_sparse(field, queries, 10, "reference").ranking(0) == before
        assert set(reader.store.ids([1, 2]).values()) == {"a", "b"}
    assert [hit.id for hit in search(reader, SearchQuery("apple")).hits] == ["b"]


def test_a_reader_that_finds_its_segment_replaced_looks_again(bm25_collection, monkeypatch, caplog):
    collection = bm25_collection({"a": "apple", "b": "apple plum"})
    reader = Collection.open(collection.path)
    read, late = open_segment, []

    def read_late(path, *arguments, **options):
        if not late:
            late.append(path)
            collection.maintenance.flush()
        return read(path, *arguments, **options)

    monkeypatch.setattr("index.collection.segment_opening.open_segment", read_late)
    assert {hit.id for hit in search(reader, SearchQuery("apple")).hits} == {"a", "b"}
    assert not late[0].exists()
    assert not caplog.text


def test_a_flush_of_few_documents_leaves_one_segment_file(bm25_collection):
    collection = bm25_collection({"a": "apple"})
    for _ in range(4):
        collection.maintenance.flush()
    assert len(list((collection.path / "segments").iterdir())) == 1


@pytest.mark.parametrize("after", [1, 23, 40, 99])
def test_an_interrupted_run_with_builds_in_between_ends_like_an_uninterrupted_one(tmp_path, after):
    texts = {f"d{n}": "apple " * (n % 7) + "plum " * (n % 3) + "banana" for n in range(100)}
    whole = Collection.create(tmp_path / "whole", encoder_fields("bm25"))
    index_documents(whole, items(texts), chunk_size=4)
    collection = Collection.create(tmp_path / "resumed", encoder_fields("bm25"), SMALL)
    index_documents(collection, items(texts)[:after], chunk_size=4)
    collection.close()
    collection = Collection.open(tmp_path / "resumed", SMALL)
    index_documents(collection, items(texts), chunk_size=4)
    # Changed by more than a tenth since it was last whole, or not at all.
    collection.close()
    assert check(collection).problems == []
    if after < 90:
        assert collection.describe()["segments"] == 1
        for word in ("apple", "plum"):
            rankings = [
                [(hit.id, hit.score) for hit in search(each, SearchQuery(word)).hits]
                for each in (whole, collection)
            ]
            assert rankings[0] == rankings[1]


def test_a_small_change_to_a_large_collection_rebuilds_only_a_little(tmp_path):
    texts = {f"d{n}": f"apple {n}" for n in range(200)}
    collection = Collection.create(tmp_path / "c", encoder_fields("bm25"), SMALL)
    index_documents(collection, items(texts))
    (before,) = collection.segments.current().segments
    index_documents(collection, items(texts | {"d7": "plum", "new": "plum"}))
    first, second = collection.segments.current().segments
    assert (first.generation, first.deleted, second.documents) == (before.generation, 1, 2)
    assert collection.maintenance.flushed()
    assert {hit.id for hit in search(collection, SearchQuery("plum")).hits} == {"d7", "new"}
