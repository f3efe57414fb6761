"""Indexes that are mapped from a disk against those in memory, and both where memory is short."""

import json
import os
import resource
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lsr
from benches.hostile import answers, make_collection
from index.collection.collection import Collection
from index.collection.field import Field
from index.collection.segment import read_packed, read_segment
from index.engines.array_room import VARIABLE, MappedRoom, private
from lsr.corpus.documents import Document
from lsr.errors import LsrError, StorageFullError, UsageError
from lsr.sparse import SparseBatch
from tests.index.collection.test_segment import IDENTITY, same, segment_of, write
from tests.index.engines.contract import batch_of
from tests.strategies import queries, sparse_vectors


@settings(max_examples=40)
@given(st.lists(sparse_vectors, max_size=40), st.lists(queries, min_size=1, max_size=4))
def test_searches_find_the_same_to_the_bit(tmp_path_factory, documents, asked):
    folder = tmp_path_factory.mktemp("mapped")
    path = folder / "000001.segment"
    segment = segment_of(documents)
    entry = write(path, segment)
    mapped = MappedRoom(folder, least=0)
    batch = batch_of(asked)
    expected = segment.searcher("sparse", "native").search(batch, 7)
    for room in (private, mapped):
        # What is packed yet is unpacked by the search.
        found = read_packed(path, IDENTITY, entry, room).searcher("sparse", "native")
        found = found.search(batch, 7)
        assert np.array_equal(found.documents, expected.documents)
        assert np.array_equal(found.scores, expected.scores)
        assert same(read_segment(path, IDENTITY, entry, room), segment)
    assert [each.name for each in folder.iterdir()] == [path.name]


def test_a_collection_is_mapped_from_files_without_a_name(tmp_path, monkeypatch):
    path, folder = tmp_path / "c", tmp_path / "disk"
    folder.mkdir()
    make_collection(path)
    with closing(Collection.open(path)) as collection:
        expected = answers(collection)
        collection.maintenance.flush()
    # By default small arrays are not mapped.
    mapped = MappedRoom(folder, least=0)
    monkeypatch.setattr("index.collection.collection.room_in", lambda given: mapped)
    with closing(Collection.open(path)) as collection:
        assert answers(collection) == expected
        held = Path("/proc/self/maps").read_text() if sys.platform == "linux" else str(folder)
        assert str(folder) in held
        assert list(folder.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(tmp_path, monkeypatch):
    make_collection(tmp_path / "c")
    with pytest.raises(UsageError, match=r"gone.*no folder; name one"):
        lsr.open(tmp_path / "c", mapped_in=tmp_path / "gone")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="nowhere"):
        lsr.open(tmp_path / "c")
    assert lsr.open(tmp_path / "c", mapped_in=tmp_path).room == MappedRoom(tmp_path)


def test_no_space_is_one_sentence_and_no_signal(tmp_path):
    room = MappedRoom(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(StorageFullError, match=r"4 MB of an index can't be mapped .* free"):
            room(4_000_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not room(4_000_000).any()


def test_more_than_there_is_memory_is_one_sentence():
    with pytest.raises(LsrError, match=rf"no memory for .* MB of an index; .*{VARIABLE}=FOLDER"):
        private(1 << 60)


ROWS, POSTINGS, LARGEST_GAP = 16_000, 150, 25
MADE = Field("sparse", "sparse", "made-by-hand", "0" * 16, POSTINGS * LARGEST_GAP + 1)
MORE = 10_000_000
# Memory that isn't shared and may be written is limited to what is held and so many bytes more.
SEARCH = """
import json, resource, sys
from pathlib import Path
import index.engines.native
from index.collection.collection import Collection
from lsr.errors import LsrError
from tests.index.collection.test_mapped import found

path, more = Path(sys.argv[1]), int(sys.argv[2])
(held,) = (line for line in open("/proc/self/status") if line.startswith("VmData"))
limit = 1024 * int(held.split()[1]) + more
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    print(json.dumps(found(Collection.open(path))))
except LsrError as error:
    print(json.dumps(str(error)))
"""


def random_rows(count, postings, seed):
    random = np.random.default_rng(seed)
    terms = np.cumsum(random.integers(1, LARGEST_GAP + 1, (count, postings)), axis=1)
    weights = random.random(terms.size).astype(np.float16).astype(np.float32) + 0.5
    starts = np.arange(count + 1, dtype=np.int64) * postings
    return SparseBatch(starts, terms.astype(np.int32).ravel(), weights, MADE.size)


def found(collection):
    """What some searches of a collection of ``random_rows`` find: numbers and scores."""
    top = collection.view().search_sparse(MADE, random_rows(20, 30, 2), 10, "native")
    return [top.ranking(row) for row in range(20)]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems limit and count otherwise")
def test_a_collection_larger_than_memory_answers_where_it_is_mapped(tmp_path):
    path = tmp_path / "c"
    collection = Collection.create(path, [MADE])
    documents = [Document(str(number), "") for number in range(ROWS)]
    collection.upsert(documents, {"sparse": random_rows(ROWS, POSTINGS, 1)})
    collection.maintenance.flush()
    expected = json.loads(json.dumps(found(collection)))
    (index,) = (each.indexes["sparse"] for each in collection.view().segments)
    assert index.nbytes > MORE
    collection.close()

    def search(**variables):
        # Small stacks of threads, which count.
        small = {"MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        stack = resource.getrlimit(resource.RLIMIT_STACK)[1]
        command = [sys.executable, "-c", SEARCH, str(path), str(MORE)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=300, check=False,
            env=os.environ | small | variables,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (1 << 19, stack)),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert f"MB of an index; have indexes mapped from a disk, with {VARIABLE}=FOLDER" in search()
    assert search(**{VARIABLE: str(tmp_path)}) == expected
