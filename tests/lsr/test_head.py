"""The tiled projection against the full tensor of logits."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lsr.head
from lsr.head import VocabularyProjection


def problem(seed, lengths, terms, with_bias, width=5):
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(sum(lengths), width, generator=generator)
    weight = torch.randn(terms + 2, width, generator=generator)
    bias = torch.randn(terms + 2, generator=generator) if with_bias else None
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return states, offsets, weight, bias


def logits_of(states, weight, bias, terms):
    return (states @ weight.T + (0 if bias is None else bias))[:, :terms]


problems = given(
    seed=st.integers(0, 2**32),
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=6),
    terms=st.integers(1, 20),
    with_bias=st.booleans(),
    tile=st.integers(1, 30),
    floor=st.sampled_from([0.0, 1.0, -2.0]),
)


@settings(deadline=None, max_examples=60)
@problems
def test_tiles_give_the_maximum_of_the_full_tensor(seed, lengths, terms, with_bias, tile, floor):
    states, offsets, weight, bias = problem(seed, lengths, terms, with_bias)
    logits = logits_of(states, weight, bias, terms)
    expected = torch.stack([part.amax(0) for part in logits.split(lengths)]).numpy()
    expected = np.where(expected > floor, expected, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lsr.head, "VOCABULARY_TILE", tile)
        found = VocabularyProjection(weight, bias, terms).largest(states, offsets, floor)
    np.testing.assert_allclose(found.to_scipy().toarray(), expected, rtol=1e-5, atol=1e-6)
    assert all((np.diff(row.indices) > 0).all() for row in found)


@settings(deadline=None, max_examples=60)
@problems
def test_tiles_give_the_sum_of_the_full_tensor(seed, lengths, terms, with_bias, tile, floor):
    states, offsets, weight, bias = problem(seed, lengths, terms, with_bias)

    def saturate(logits):
        return torch.log1p(torch.relu(logits - floor))

    parts = saturate(logits_of(states, weight, bias, terms)).split(lengths)
    expected = torch.stack([part.sum(0) for part in parts]).numpy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lsr.head, "VOCABULARY_TILE", tile)
        found = VocabularyProjection(weight, bias, terms).summed(states, offsets, saturate)
    np.testing.assert_allclose(found.to_scipy().toarray(), expected, rtol=1e-5, atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=6),
    terms=st.integers(1, 20),
    with_bias=st.booleans(),
    tile=st.integers(1, 30),
    k=st.integers(1, 25),
)
def test_tiles_give_the_top_of_each_row_of_the_full_tensor(
    seed, lengths, terms, with_bias, tile, k
):
    states, _, weight, bias = problem(seed, lengths, terms, with_bias)
    logits = logits_of(states, weight, bias, terms)
    values, places = logits.topk(min(k, terms), dim=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lsr.head, "VOCABULARY_TILE", tile)
        found = VocabularyProjection(weight, bias, terms).top_of_positions(states, k)
    np.testing.assert_allclose(found[0], values.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[1], places.numpy())
