"""Sparse vectors and batches against dense arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.errors import InputError
from lsr.sparse import SparseBatch, SparseVector
from tests.strategies import VOCABULARY, sparse_vectors

modest = settings(max_examples=50)
row_lists = st.lists(sparse_vectors, max_size=8)


def dense(rows):
    array = np.zeros((len(rows), VOCABULARY), dtype=np.float32)
    for place, row in enumerate(rows):
        for term, weight in row.items():
            array[place, term] = weight
    return array


def batch(rows):
    return SparseBatch.from_rows(map(SparseVector.from_mapping, rows), VOCABULARY)


@modest
@given(row_lists)
def test_batch_holds_the_rows_it_was_made_from(rows):
    made = batch(rows)
    assert len(made) == len(rows)
    assert made.nnz == sum(map(len, rows))
    for vector, row in zip(made, rows, strict=True):
        assert vector.indices.tolist() == sorted(row)
        assert vector.values.tolist() == [float(np.float32(row[term])) for term in sorted(row)]


@modest
@given(row_lists)
def test_to_scipy_is_the_same_matrix(rows):
    assert np.array_equal(batch(rows).to_scipy().toarray(), dense(rows))


@modest
@given(row_lists)
def test_document_frequency_counts_rows(rows):
    expected = [sum(term in row for row in rows) for term in range(VOCABULARY)]
    assert batch(rows).document_frequency().tolist() == expected


@modest
@given(st.lists(row_lists, max_size=4))
def test_concatenate_stacks_in_order(parts):
    stacked = SparseBatch.concatenate([batch(part) for part in parts], VOCABULARY)
    expected = dense([row for part in parts for row in part])
    assert np.array_equal(stacked.to_scipy().toarray(), expected)


@modest
@given(row_lists, st.integers(0, 12))
def test_head_is_the_first_rows(rows, count):
    assert np.array_equal(batch(rows).head(count).to_scipy().toarray(), dense(rows)[:count])


@modest
@given(row_lists, st.randoms(use_true_random=False))
def test_reorder_takes_rows_as_numpy_does(rows, random):
    order = [random.randrange(len(rows)) for _ in range(6)] if rows else []
    order = np.array(order, dtype=np.int64)
    assert np.array_equal(batch(rows).reorder(order).to_scipy().toarray(), dense(rows)[order])


@modest
@given(row_lists, st.integers(0, 9))
def test_keep_drops_weights_and_no_row(rows, least):
    made = batch(rows)
    expected = [{t: w for t, w in row.items() if t >= least} for row in rows]
    assert np.array_equal(made.keep(made.indices >= least).to_scipy().toarray(), dense(expected))


with_zeros = st.dictionaries(
    st.integers(0, VOCABULARY - 1), st.sampled_from([0.0, -0.0, 1e-60, 0.5, 2.7182817, 3e38])
)


@modest
@given(with_zeros, st.randoms(use_true_random=False))
def test_from_user_sorts_and_drops_zeros(row, random):
    pairs = list(row.items())
    random.shuffle(pairs)
    vector = SparseVector.from_user(
        [term for term, _ in pairs], [weight for _, weight in pairs], VOCABULARY
    )
    assert dict(zip(vector.indices.tolist(), vector.values.tolist(), strict=True)) == {
        term: float(np.float32(weight)) for term, weight in row.items() if np.float32(weight) > 0
    }
    assert vector.indices.tolist() == sorted(vector.indices.tolist())


@modest
@given(
    st.lists(st.integers(-2, VOCABULARY + 1) | st.just(2**70), max_size=5),
    st.lists(st.floats(width=64), max_size=5),
)
def test_from_user_takes_exactly_what_is_allowed(indices, values):
    with np.errstate(over="ignore"):
        singles = [np.float32(value) for value in values]
    allowed = (
        len(indices) == len(values)
        and len(set(indices)) == len(indices)
        and all(0 <= index < VOCABULARY for index in indices)
        and all(0 <= value < np.inf for value in singles)
    )
    if allowed:
        vector = SparseVector.from_user(indices, values, VOCABULARY)
        assert sum(map(float, vector.values)) == pytest.approx(sum(map(float, singles)))
    else:
        with pytest.raises(InputError):
            SparseVector.from_user(indices, values, VOCABULARY)


@pytest.mark.parametrize(
    ("indices", "values", "complaint"),
    [
        ([1, 2], [1.0], "2 indices and 1 values"),
        ([3, 1, 3], [1.0, 1.0, 1.0], "index 3 is given more than once"),
        ([VOCABULARY], [1.0], f"index {VOCABULARY} is outside"),
        ([-1], [1.0], "index -1 is outside"),
        ([2**70], [1.0], "more than 64 bits"),
        ([1, 2], [1.0, -0.5], "weight -0.5 is not allowed"),
        ([1], [float("nan")], "weight nan is not allowed"),
        ([1], [float("inf")], "weight inf is not allowed"),
        ([1], [1e39], r"weight 1e\+39 is not allowed"),
    ],
)
def test_from_user_says_what_is_wrong(indices, values, complaint):
    with pytest.raises(InputError, match=complaint):
        SparseVector.from_user(indices, values, VOCABULARY)
