"""Pooling of a term's weights against a plain loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.encoders.term_pooling import owners, pool_terms

TERMS, TEXTS = 5, 4
weights = st.sampled_from([-1.5, 0.0, 0.25, 0.5, 0.5, 2.0])
entries = st.lists(
    st.tuples(st.integers(0, TEXTS - 1), st.integers(0, TERMS - 1), weights), max_size=30
)
ONE_OF = {"max": max, "sum": sum, "first": lambda values: values[0]}


@pytest.mark.parametrize("how", ONE_OF)
@given(entries)
def test_weights_of_a_term_become_one(how, entries):
    texts = sorted(entries, key=lambda entry: entry[0])
    groups = {}
    for row, term, weight in texts:
        groups.setdefault((row, term), []).append(weight)
    expected = np.zeros((TEXTS, TERMS), dtype=np.float32)
    for place, values in groups.items():
        expected[place] = max(ONE_OF[how](values), 0)
    rows = np.array([row for row, _, _ in texts], dtype=np.int64)
    terms = np.array([term for _, term, _ in texts], dtype=np.int64)
    values = np.array([weight for _, _, weight in texts], dtype=np.float32)
    batch = pool_terms(rows, terms, values, (TEXTS, TERMS), how)
    np.testing.assert_array_equal(batch.to_scipy().toarray(), expected)
    assert (batch.values > 0).all()
    assert owners(batch).tolist() == [row for row, _ in np.argwhere(expected > 0).tolist()]


def test_no_text_and_no_weight_are_no_rows():
    nothing = np.empty(0, dtype=np.int64)
    for texts in (0, 3):
        batch = pool_terms(nothing, nothing, np.empty(0, np.float32), (texts, TERMS))
        assert (len(batch), batch.nnz) == (texts, 0)
