"""The fit of term vectors against a loop, and against what made its targets."""

import numpy as np
import pytest

from lsr.errors import InputError, UsageError
from lsr.sparse import SparseBatch, SparseVector
from lsr.train.dense_terms.config import DenseTermsConfig
from lsr.train.dense_terms.fitting import Queries, fit_term_vectors

TERMS, DIMENSION = 40, 8


def settings(**changed):
    values = {"epochs": 30, "batch_size": 16, "learning_rate": 0.05, "held_out": 0.1}
    return DenseTermsConfig("base", "model", **(values | changed))


@pytest.fixture(scope="module")
def true():
    return np.random.default_rng(1).normal(size=(TERMS, DIMENSION)).astype(np.float32)


@pytest.fixture(scope="module")
def queries(true):
    """The last term is in none; the first query has no term, the second no vector."""
    random = np.random.default_rng(2)
    rows = [{}] + [
        {int(term): random.uniform(0.5, 2) for term in random.choice(TERMS - 1, 4, replace=False)}
        for _ in range(400)
    ]
    weights = SparseBatch.from_rows(map(SparseVector.from_mapping, rows), TERMS)
    vectors = weights.to_scipy().toarray() @ true
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    vectors[0], vectors[1] = 1, 0
    return Queries(weights, vectors.astype(np.float16))


def cosine(queries, vectors, row):
    """By a loop over the terms of a query."""
    total = np.zeros(DIMENSION)
    begin, end = queries.weights.indptr[row : row + 2]
    for place in range(begin, end):
        total += queries.weights.values[place] * vectors[queries.weights.indices[place]]
    target = queries.vectors[row].astype(np.float64)
    return total @ target / np.linalg.norm(total) / np.linalg.norm(target)


def length(queries, vectors, row):
    return np.linalg.norm(queries.weights.to_scipy().toarray()[row] @ vectors)


def test_sums_point_where_the_queries_are(queries, true):
    start = np.random.default_rng(3).normal(size=true.shape).astype(np.float32)
    told = []
    fitted = fit_term_vectors(queries, start, settings(), lambda *step: told.append(step))
    before, after = (
        np.mean([cosine(queries, vectors, row) for row in range(2, 401)])
        for vectors in (start, fitted)
    )
    assert before < 0.3
    assert after > 0.98
    assert [step for step, *_ in told] == list(range(1, told[0][1] + 1))
    reached = [each[-1] for each in told if each[-1] is not None]
    assert len(reached) == 30
    assert reached[-1] == pytest.approx(after, abs=0.02)
    # What no query has keeps its direction, and sums have a mean length of 1.
    ratio = fitted[-1] / start[-1]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)
    assert np.mean([length(queries, fitted, row) for row in range(2, 401)]) == pytest.approx(
        1, abs=0.05
    )


def test_the_first_loss_is_that_of_a_loop_and_the_seed_decides(queries, true):
    start = np.random.default_rng(4).normal(size=true.shape).astype(np.float32)
    config = settings(epochs=1, batch_size=1000, held_out=0.0)
    told = []
    first = fit_term_vectors(queries, start, config, lambda *step: told.append(step))
    wanted = 1 - np.mean([cosine(queries, start, row) for row in range(2, 401)])
    assert told[0][2] == pytest.approx(wanted, abs=1e-4)
    assert told[0][4] is None
    again = fit_term_vectors(queries, start, config, lambda *step: None)
    np.testing.assert_array_equal(first, again)


def test_queries_without_terms_are_refused(true):
    weights = SparseBatch.from_rows([SparseVector.from_mapping({})] * 3, TERMS)
    empty = Queries(weights, np.ones((3, DIMENSION), np.float16))
    with pytest.raises(InputError, match="no query has both"):
        fit_term_vectors(empty, true, settings(), lambda *step: None)


@pytest.mark.parametrize(
    "wrong",
    [{"weight": 0.0}, {"top": 0}, {"epochs": 0}, {"held_out": 1.0}, {"learning_rate": 0.0}],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        settings(**wrong)
