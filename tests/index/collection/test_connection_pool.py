"""Connections of many stores and threads: few at a time, and never one in two hands."""

import gc
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from index.collection import connection_pool
from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.collection.maintenance import MaintenanceConfig
from index.indexing import index_documents, upsert_documents
from lsr.corpus.documents import Document
from tests.index.conftest import items

QUIET = MaintenanceConfig(flush_documents=1_000_000)


@pytest.fixture
def open_files():
    """Number of descriptors of files of collections that this process holds."""
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("only Linux lists descriptors")

    def count(folder):
        targets = []
        for link in Path("/proc/self/fd").iterdir():
            try:
                targets.append(str(link.readlink()))
            except FileNotFoundError:
                continue
        return sum(target.startswith(str(folder)) and "sqlite" in target for target in targets)

    return count


@pytest.fixture
def collections(tmp_path):
    made = []
    for number in range(6):
        made.append(Collection.create(tmp_path / f"c{number}", encoder_fields("bm25"), QUIET))
        upsert_documents(made[-1], [Document("a", f"apple {number}")])
    yield made
    for collection in made:
        collection.close()


def test_threads_over_many_collections_hold_few_connections(
    collections, tmp_path, open_files, monkeypatch
):
    monkeypatch.setattr(connection_pool, "MOST_KEPT", 4)
    threads = 8
    together = threading.Barrier(threads)

    def read(number):
        for turn in range(40):
            collection = collections[(number + turn) % len(collections)]
            assert len(collection) == 1
            assert collection.get("a").text == f"apple {(number + turn) % len(collections)}"
            assert len(collection.view()) == 1
        together.wait()
        return open_files(tmp_path)

    with ThreadPoolExecutor(threads) as pool:
        held = max(pool.map(read, range(threads)))
    # A connection has a descriptor of the store and one of its log, and one of a shared-memory
    # file that all of a store share. Each thread may still have one.
    assert held <= 2 * (threads + 4) + len(collections)
    assert open_files(tmp_path) <= 2 * (threads + 4) + len(collections)


def test_the_limit_of_descriptors_bounds_what_is_kept(
    collections, tmp_path, open_files, monkeypatch
):
    monkeypatch.setattr(connection_pool, "descriptor_limit", lambda: 16)
    for collection in collections * 2:
        assert len(collection) == 1
        collection.view()
    # One that is kept, and the one of this thread.
    assert open_files(tmp_path) <= 2 * (2 + 1)


def test_a_transaction_is_of_one_thread_and_survives_reads_of_other_stores(collections):
    first, *others = collections
    with first.store.reading():
        connection = first.store.connection
        assert len(first) == 1
        upsert_in_a_thread(first, "b")
        for other in others:
            assert len(other) == 1
        assert first.store.connection is connection
        assert len(first) == 1
    assert len(first) == 2


def upsert_in_a_thread(collection, identifier):
    thread = threading.Thread(
        target=upsert_documents, args=(collection, [Document(identifier, "plum")])
    )
    thread.start()
    thread.join()


def test_a_connection_goes_from_thread_to_thread(collections):
    used = []

    def read():
        with collections[0].store.reading():
            used.append(collections[0].store.connection)

    for _ in range(5):
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
    assert len(set(map(id, used))) == 1


def test_one_whose_transaction_can_not_be_ended_is_not_used_again(collections):
    store = collections[0].store
    connection = store.connection
    connection.execute("BEGIN")
    collections[0].close()
    assert store.connection is not connection
    with pytest.raises(sqlite3.ProgrammingError):
        connection.execute("SELECT 1")


def test_a_store_that_is_forgotten_takes_its_connections_along(tmp_path, open_files):
    collection = Collection.create(tmp_path / "c", encoder_fields("bm25"), QUIET)
    index_documents(collection, items({"a": "apple"}))
    assert open_files(tmp_path)
    del collection
    gc.collect()
    other = Collection.create(tmp_path / "d", encoder_fields("bm25"), QUIET)
    assert len(other) == 0
    assert open_files(tmp_path / "c") == 0
    other.close()
    assert open_files(tmp_path) == 0


def test_what_many_threads_write_and_read_at_once_is_whole(collections):
    def work(number):
        collection = collections[number % 3]
        for turn in range(10):
            name = f"{number}-{turn}"
            upsert_documents(collection, [Document(name, "plum")])
            assert collection.get(name).text == "plum"
            len(collections[(number + turn) % 6])

    with ThreadPoolExecutor(9) as pool:
        list(pool.map(work, range(9)))
    assert [len(collection) for collection in collections] == [31, 31, 31, 1, 1, 1]
