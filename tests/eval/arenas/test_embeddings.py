"""Vectors that were encoded elsewhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.arenas.embeddings import EmbeddedTexts, csr_vectors, rank_vectors
from lsr.errors import InputError, UsageError

ROWS = st.lists(st.dictionaries(st.integers(0, 30), st.floats(0, 9, width=16), max_size=8))


@given(ROWS, st.randoms(use_true_random=False))
def test_rows_in_any_order_become_the_same_matrix(rows, random):
    shuffled = [random.sample(sorted(row.items()), len(row)) for row in rows]
    flat = [pair for row in shuffled for pair in row]
    indptr = np.cumsum([0, *map(len, rows)])
    arrays = indptr, np.array([t for t, _ in flat], int), np.array([w for _, w in flat], float)
    batch = csr_vectors(*arrays, 31, "here")
    expected = np.zeros((len(rows), 31), np.float32)
    for place, row in enumerate(rows):
        expected[place, list(row)] = list(row.values())
    np.testing.assert_array_equal(batch.to_scipy().toarray(), expected)
    assert (batch.values > 0).all()
    assert all((np.diff(row.indices) > 0).all() for row in batch)


@pytest.mark.parametrize(
    ("indptr", "indices", "data", "size", "what"),
    [
        ([0, 2], [1, 1], [1.0, 2.0], 5, "the term 1 twice"),
        ([0, 1], [5], [1.0], 5, "terms from 0 to 5; allowed are 0 to 4"),
        ([0, 1], [-1], [1.0], 5, "terms from -1"),
        ([0, 1], [2**40], [1.0], None, "allowed are 0 to"),
        ([0, 1], [1], [-1.0], 5, "negative"),
        ([0, 1], [1], [np.nan], 5, "not finite"),
        ([0, 1], [1], [1e9], 5, "above 65504"),
        ([0, 2], [1], [1.0], 5, "does not rise"),
        ([1, 1], [1], [1.0], 5, "does not rise"),
        ([0, 2, 1], [1], [1.0], 5, "does not rise"),
        ([], [], [], 5, "indptr"),
        ([0, 1], [1.0], [1.0], 5, "indices is float64"),
        ([0, 1], [1], ["x"], 5, "data is"),
        ([0, 1], [[1]], [1.0], 5, "of 2 dimensions"),
        ([0, 1], [1], [1.0, 2.0], 5, "1 indices and 2 weights"),
    ],
)
def test_what_is_no_csr_is_refused(indptr, indices, data, size, what):
    with pytest.raises(InputError, match=what):
        csr_vectors(np.array(indptr), np.array(indices), np.array(data), size, "the file x")


def test_rankings_are_those_of_exhaustive_search():
    random = np.random.default_rng(3)
    dense = [(random.random((n, 12)) * (random.random((n, 12)) < 0.4)) for n in (40, 7)]
    made = []
    for rows in dense:
        indptr = np.cumsum([0, *(rows > 0).sum(axis=1)])
        vectors = csr_vectors(indptr, np.nonzero(rows)[1], rows[rows > 0], 12, "x")
        made.append(EmbeddedTexts([f"n{place}" for place in range(len(rows))], vectors))
    documents, queries = made
    found = rank_vectors(documents, queries, 10)
    run = found.run(documents, queries)
    scores = dense[1] @ dense[0].astype(np.float16).astype(float).T
    for row, ranking in enumerate(run.values()):
        best = np.argsort(-scores[row], kind="stable")[:10]
        assert [name for name, _ in ranking] == [
            f"n{place}" for place in best if scores[row][place]
        ]
    with pytest.raises(UsageError, match="k is 0"):
        rank_vectors(documents, queries, 0)
    with pytest.raises(UsageError, match="no engine"):
        rank_vectors(documents, queries, 1, "x")
    with pytest.raises(InputError, match="1 ids and 40 vectors"):
        EmbeddedTexts(["a"], documents.vectors)
    with pytest.raises(InputError, match="'a' stands for two"):
        EmbeddedTexts(["a"] * 40, documents.vectors)
