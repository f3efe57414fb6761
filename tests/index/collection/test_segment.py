import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.collection.segment import Segment, read_segment, write_segment
from index.collection.segment_table import SegmentEntry
from index.engines.inverted_index import InvertedIndex
from lsr.errors import CorruptionError
from tests.index.engines.contract import batch_of
from tests.strategies import sparse_vectors


def segment_of(documents):
    count = len(documents)
    return Segment(
        np.arange(3, 3 + 2 * count, 2, dtype=np.int64),
        {"sparse": InvertedIndex.build(batch_of(documents))},
        {"dense": np.arange(count * 4, dtype=np.float32).reshape(count, 4)},
        {"sparse": 2.5},
    )


IDENTITY = "0123456789abcdef0123456789abcdef"


def write(path, segment):
    """Write a segment; what the store would say of it."""
    digest = write_segment(path, segment, IDENTITY, 1)
    last = int(segment.sequence[-1]) if len(segment) else 2
    return SegmentEntry(1, 2, last, len(segment), 0, digest)


def read(path, entry):
    return read_segment(path, IDENTITY, entry)


def same(a, b):
    index, other = a.indexes["sparse"], b.indexes["sparse"]
    return (
        np.array_equal(a.sequence, b.sequence)
        and index.arrays.keys() == other.arrays.keys()
        and all(np.array_equal(index.arrays[name], other.arrays[name]) for name in index.arrays)
        and index.vocabulary_size == other.vocabulary_size
        and np.array_equal(a.vectors["dense"], b.vectors["dense"])
        and a.average_lengths == b.average_lengths
    )


@settings(max_examples=40)
@given(st.lists(sparse_vectors, max_size=10))
def test_round_trip(tmp_path_factory, documents):
    path = tmp_path_factory.mktemp("segment") / "000001.segment"
    segment = segment_of(documents)
    assert same(read(path, write(path, segment)), segment)


def test_a_segment_without_vectors_keeps_nothing_of_the_bytes_that_were_read(tmp_path):
    whole = segment_of([{1: 1.0}, {2: 2.0}])
    owners = np.array([3, 3], dtype=np.int64)
    segment = Segment(np.array([3, 4]), whole.indexes, {}, whole.average_lengths, owners)
    path = tmp_path / "000001.segment"
    kept = read(path, write(path, segment))
    assert kept.owners is not None
    for array in (kept.sequence, kept.owners):
        assert array.base is None
        assert not array.flags.writeable


@pytest.fixture
def written(tmp_path):
    segment = segment_of([{1: 1.0, 2: 0.5}, {2: 2.0}])
    path = tmp_path / "000001.segment"
    return path, write(path, segment)


def test_every_flipped_byte_is_detected(written):
    path, entry = written
    intact = path.read_bytes()
    for place in range(len(intact)):
        damaged = bytearray(intact)
        damaged[place] ^= 0x41
        path.write_bytes(damaged)
        with pytest.raises(CorruptionError):
            read(path, entry)


def test_every_truncation_is_detected(written):
    path, entry = written
    intact = path.read_bytes()
    for length in range(len(intact)):
        path.write_bytes(intact[:length])
        with pytest.raises(CorruptionError):
            read(path, entry)


def test_a_newer_version_is_refused_with_what_to_do(written):
    path, entry = written
    data = bytearray(path.read_bytes())
    data[8] = 99
    path.write_bytes(data)
    with pytest.raises(CorruptionError, match=r"format version 99 .* use the release"):
        read(path, entry)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CorruptionError, match=r"gone\.segment"):
        read(tmp_path / "gone.segment", SegmentEntry(1, 0, 1, 1, 0))
