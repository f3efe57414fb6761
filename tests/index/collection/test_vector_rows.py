import struct

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from index._core import pack_rows, unpack_rows
from index.collection.vector_rows import SparseRows, dense_rows, sparse_rows, sparse_vector
from index.engines.posting_list import half
from lsr.sparse import SparseBatch, SparseVector

LARGEST_TERM = 2**31 - 1
# All bits of float16: subnormal, zero, negative, infinite ones and NaN too.
bits = st.integers(0, 2**16 - 1)
terms = st.one_of(
    st.integers(0, LARGEST_TERM), st.integers(0, 300), st.integers(LARGEST_TERM - 300, LARGEST_TERM)
)
rows = st.lists(
    st.one_of(
        st.dictionaries(terms, bits, max_size=80),
        st.dictionaries(st.integers(0, 200), st.sampled_from([0x3C00, 0x4000, 0x4200])),
    ),
    max_size=6,
)


def arrays(rows):
    """Starts, terms and weights of rows, each a mapping of a term to the bits of its weight."""
    starts = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    found = [sorted(row.items()) for row in rows]
    return (
        starts,
        np.array([term for row in found for term, _ in row], dtype=np.int32),
        np.array([weight for row in found for _, weight in row], dtype=np.uint16),
    )


@given(rows)
@example([{}])
@example([{LARGEST_TERM: 0xFFFF}])
@example([{0: 0, LARGEST_TERM: 1}, {}, {LARGEST_TERM - 1: 1, LARGEST_TERM: 0x7BFF}])
@example([dict.fromkeys(range(33), 0x3C00)])
@example([dict.fromkeys(range(0, 2**31, 2**20), 0x3C00)])
def test_every_bit_comes_back(rows):
    given_arrays = arrays(rows)
    packed = pack_rows(*given_arrays)
    for array, expected in zip(unpack_rows(*packed), given_arrays, strict=True):
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)
    content, starts, weights, weight_starts = packed
    for row, items in enumerate(rows):
        empty = starts[row] == starts[row + 1], weight_starts[row] == weight_starts[row + 1]
        assert empty == (not items, not items)
    assert len(content) == starts[-1]
    assert len(weights) == weight_starts[-1]


def in_one_part(weights):
    """Bytes of weights as the release before wrote them: never in two parts."""
    least = min(weights)
    shift = 0
    while any(weights) and shift < 15 and all((w - least) % 2 ** (shift + 1) == 0 for w in weights):
        shift += 1
    shift = shift if max(weights) > least else 0
    above = [(weight - least) >> shift for weight in weights]
    width = max(above).bit_length()
    whole, place = least | shift << 16 | width << 20, 25
    for each in above:
        whole |= each << place
        place += width
    return whole.to_bytes(-(-place // 8), "little")


@given(st.lists(bits, min_size=1, max_size=80))
def test_weights_in_one_part_are_read_and_two_parts_are_shorter(weights):
    terms = np.arange(len(weights), dtype=np.int32)
    starts = np.array([0, len(weights)])
    content, term_starts, packed, _ = pack_rows(starts, terms, np.array(weights, dtype=np.uint16))
    before = np.frombuffer(in_one_part(weights), dtype=np.uint8)
    assert len(packed) <= len(before)
    found = unpack_rows(content, term_starts, before, np.array([0, len(before)]))
    np.testing.assert_array_equal(found[2], weights)


@given(rows)
def test_rows_of_a_store_are_those_of_the_batch(rows):
    starts, found, weights = arrays(rows)
    values = np.abs(np.nan_to_num(weights.view(np.float16).astype(np.float32)))
    batch = SparseBatch(starts, found, values, 2**31)
    gathered = SparseRows()
    for number, (got, row, row_weights) in enumerate(sparse_rows(range(len(rows)), batch)):
        gathered.append(row, row_weights)
        vector = sparse_vector(row, row_weights)
        assert got == number
        np.testing.assert_array_equal(vector.indices, batch[number].indices)
        np.testing.assert_array_equal(vector.values, batch[number].values)
    unpacked = gathered.unpack(2**31)
    np.testing.assert_array_equal(unpacked.indptr, batch.indptr)
    np.testing.assert_array_equal(unpacked.indices, batch.indices)
    np.testing.assert_array_equal(unpacked.values, half(batch.values).astype(np.float32))


def test_a_row_takes_few_bits():
    random = np.random.default_rng(1)
    found = np.sort(random.choice(30_000, 150, replace=False)).astype(np.int32)
    vector = SparseVector(found, random.uniform(0.1, 3.0, 150).astype(np.float32))
    ((_, row, weights),) = sparse_rows([1], SparseBatch.from_rows([vector], 30_000))
    # Gaps of 200 in the mean hold 9.1 bits each; weights of 5 exponents and all mantissas 12.3.
    assert len(row) < 150 * 9.6 / 8 + 4
    assert len(weights) <= 150 * 13 / 8 + 5
    ones = SparseVector(found, np.tile(np.float32([1, 2, 3]), 50))
    ((_, _, counts),) = sparse_rows([1], SparseBatch.from_rows([ones], 30_000))
    assert len(counts) <= 150 * 2 / 8 + 5


@pytest.mark.parametrize("wrong", [[3, 2], [2, 2], [-1, 2], [-(2**31)]])
def test_terms_out_of_order_are_refused(wrong):
    vector = SparseVector(np.array(wrong, np.int32), np.ones(len(wrong), np.float32))
    with pytest.raises(ValueError, match="not strictly ascending"):
        list(sparse_rows([1], SparseBatch.from_rows([vector], 9)))


def test_rows_that_do_not_fit_are_refused():
    one = np.ones(1, np.int32)
    for starts, weights in (([0, 2], [1]), ([1, 1], [1]), ([0, 1], [1, 1]), ([], [1])):
        with pytest.raises(ValueError, match=r"don't fit|as many"):
            pack_rows(np.array(starts, np.int64), one, np.array(weights, np.uint16))
    content, starts, weights, weight_starts = pack_rows(*arrays([{1: 1}, {2: 2}]))
    for wrong in ([0, 9, 3], [0, -1, len(content)], [0, len(content)], []):
        with pytest.raises(ValueError, match=r"don't fit|as many"):
            unpack_rows(content, np.array(wrong, np.int64), weights, weight_starts)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_any_bytes_are_a_vector_or_refused(row, weights):
    vector = sparse_vector(row, weights)
    if vector is not None:
        assert len(vector.indices) == len(vector.values) <= 8 * len(row)
        assert (np.diff(vector.indices.astype(np.int64), prepend=-1) > 0).all()


@given(st.dictionaries(terms, bits, min_size=1, max_size=80))
def test_bytes_that_are_cut_or_go_on_are_refused(row):
    content, _, weights, _ = (array.tobytes() for array in pack_rows(*arrays([row])))
    assert sparse_vector(content, weights) is not None
    for wrong in (content[:-1], content + b"\0", b""):
        assert sparse_vector(wrong, weights) is None
    for wrong in (weights[:-1], weights + b"\0", b""):
        assert sparse_vector(content, wrong) is None


@given(st.dictionaries(terms, bits, min_size=1, max_size=80), st.data())
def test_flipped_bits_are_a_vector_or_refused(row, data):
    content, _, weights, _ = (bytearray(array.tobytes()) for array in pack_rows(*arrays([row])))
    for part in (content, weights):
        for place in data.draw(st.lists(st.integers(0, 8 * len(part) - 1), max_size=3)):
            part[place // 8] ^= 1 << place % 8
    vector = sparse_vector(bytes(content), bytes(weights))
    if vector is not None:
        assert len(vector.indices) == len(vector.values)
        assert (np.diff(vector.indices.astype(np.int64), prepend=-1) > 0).all()


def test_a_row_that_names_more_terms_than_it_has_bytes_takes_no_memory():
    # 31 bits of a count of 2**31 - 1, and then nothing.
    row = struct.pack("<Q", 31 | (2**31 - 1) << 5)
    assert sparse_vector(row, b"\0" * 64) is None


def test_dense_rows_are_their_float32():
    vectors = np.float32([[1, -2], [0.5, np.pi]])
    assert list(dense_rows([4, 7], vectors)) == [
        (4, None, vectors[0].tobytes()),
        (7, None, vectors[1].tobytes()),
    ]
