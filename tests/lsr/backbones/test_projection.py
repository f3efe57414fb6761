"""The tiled projection against the full tensor of logits."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lsr.backbones.projection
from lsr.backbones.projection import VocabularyProjection


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


@settings(max_examples=60)
@problems
def test_tiles_give_the_maximum_of_the_full_tensor(seed, lengths, terms, with_bias, tile, floor):
    states, offsets, weight, bias = problem(seed, lengths, terms, with_bias)
    logits = logits_of(states, weight, bias, terms)
    expected = torch.stack([part.amax(0) for part in logits.split(lengths)]).numpy()
    expected = np.where(expected > floor, expected, 0)
    head = VocabularyProjection(weight, bias, terms)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lsr.backbones.projection, "VOCABULARY_TILE", tile)
        for found in ways(head, states, offsets, floor):
            np.testing.assert_allclose(found.to_scipy().toarray(), expected, rtol=1e-5, atol=1e-6)
            assert all((np.diff(row.indices) > 0).all() for row in found)


def ways(head, states, offsets, floor):
    """What ``largest`` does with this processor, without fast kernels, and on a GPU."""
    yield head.largest(states, offsets, floor)
    yield head._tiled_largest(states, offsets, floor)
    yield head._largest_at_once(states, offsets, floor)


def test_bfloat16_gives_nearly_the_same_weights():
    states, offsets, weight, bias = problem(3, [5, 9, 1], 700, True, width=64)
    expected = VocabularyProjection(weight, bias, 700).largest(states, offsets, 1.0)
    half = VocabularyProjection(weight.bfloat16(), bias.bfloat16(), 700)
    for found in ways(half, states.bfloat16(), offsets, 1.0):
        assert found.values.dtype == np.float32
        difference = found.to_scipy() - expected.to_scipy()
        # Bfloat16 keeps 8 bits; a logit near the floor may fall to either side of it.
        assert (abs(difference) > 0.3).nnz <= 0.01 * expected.nnz


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_states_that_are_not_finite_never_pass_for_an_empty_text(value):
    states, offsets, weight, bias = problem(4, [2, 3], 40, True)
    states[1, 0] = value
    for found in ways(VocabularyProjection(weight, bias, 40), states, offsets, 0.0):
        assert not np.isfinite(found[0].values).all()
        assert np.isfinite(found[1].values).all()


@settings(max_examples=60)
@problems
def test_tiles_give_the_sum_of_the_full_tensor(seed, lengths, terms, with_bias, tile, floor):
    states, offsets, weight, bias = problem(seed, lengths, terms, with_bias)

    def saturate(logits):
        return torch.log1p(torch.relu(logits - floor))

    parts = saturate(logits_of(states, weight, bias, terms)).split(lengths)
    expected = torch.stack([part.sum(0) for part in parts]).numpy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lsr.backbones.projection, "VOCABULARY_TILE", tile)
        found = VocabularyProjection(weight, bias, terms).summed(states, offsets, saturate)
    np.testing.assert_allclose(found.to_scipy().toarray(), expected, rtol=1e-5, atol=1e-6)


@settings(max_examples=60)
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
        patch.setattr(lsr.backbones.projection, "VOCABULARY_TILE", tile)
        found = VocabularyProjection(weight, bias, terms).top_of_positions(states, k)
    np.testing.assert_allclose(found[0], values.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[1], places.numpy())
