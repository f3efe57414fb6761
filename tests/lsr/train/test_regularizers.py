"""Regularisers against loops over Python floats, gradients against finite differences."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.encoders.term_pruning import TermPruning
from lsr.errors import InputError, UsageError
from lsr.sparse import SparseBatch
from lsr.train.regularizers import (
    SMALLEST_SUM,
    DfFlops,
    DocumentFrequencies,
    anti_zero,
    flops,
    idf_flops,
    l0_flops,
    l1,
    saturate,
    top_k,
)
from tests.lsr.train.finite_differences import (
    assert_like_loop,
    central_differences,
    value_and_gradient,
)

WEIGHTS = st.sampled_from([0.0, 0.0, 0.5, 0.5, 1.25, 3.0])


@st.composite
def vectors(draw, values=WEIGHTS):
    """Weights (N, V) with zeros and ties."""
    texts, terms = draw(st.integers(1, 9)), draw(st.integers(1, 3))
    row = st.lists(values, min_size=terms, max_size=terms)
    rows = draw(st.lists(row, min_size=texts, max_size=texts))
    return torch.tensor(rows, dtype=torch.float64)


def flops_loop(weights, scale=None, counts=None):
    """Σ over terms j of (scale_j / N Σ_i counts_i |w_ij|)²."""
    rows = weights.tolist()
    total = 0.0
    for term in range(len(rows[0])):
        mean = 0.0
        for number, row in enumerate(rows):
            if counts is None or counts[number]:
                mean += abs(row[term]) / len(rows)
        total += (mean * (1 if scale is None else scale[term])) ** 2
    return total


def l1_loop(weights):
    rows = weights.tolist()
    return sum(abs(value) for row in rows for value in row) / len(rows)


@settings(max_examples=50)
@given(vectors())
def test_flops_equals_its_loop(weights):
    assert_like_loop(flops, flops_loop, weights)


@settings(max_examples=50)
@given(vectors())
def test_l1_equals_its_loop(weights):
    assert_like_loop(l1, l1_loop, weights)


@settings(max_examples=50)
@given(vectors(), st.integers(0, 3))
def test_l0_flops_equals_its_loop(weights, threshold):
    # The mask is a constant of the gradient, as it is of autograd.
    counts = [sum(value != 0 for value in row) > threshold for row in weights.tolist()]
    assert_like_loop(
        lambda w: l0_flops(w, threshold),
        lambda w: flops_loop(w, counts=counts),
        weights,
    )


@settings(max_examples=50)
@given(vectors(), st.lists(st.sampled_from([0.0, 0.1, 1.0, 15.6]), min_size=3, max_size=3))
def test_idf_flops_equals_its_loop(weights, idf):
    idf = idf[: weights.shape[1]]
    assert_like_loop(
        lambda w: idf_flops(w, torch.tensor(idf, dtype=torch.float64)),
        lambda w: flops_loop(w, [1 / max(value, 0.1) for value in idf]),
        weights,
    )


def test_idf_flops_presses_a_common_term_harder_than_a_rare_one():
    """At the same activation, as FLOPS does not; against the loop's own differences."""
    # Of terms in 9 of 10, 3 of 10 and 1 of 10,000 documents.
    idf = torch.tensor([0.105, 1.2, 8.8], dtype=torch.float64)
    weights = torch.tensor([[0.5, 0.5, 0.5], [2.0, 2.0, 2.0], [0.0, 0.0, 0.0]]).double()
    _, gradient = value_and_gradient(lambda w: idf_flops(w, idf), weights)
    by_hand = central_differences(lambda w: flops_loop(w, (1 / idf).tolist()), weights)
    np.testing.assert_allclose(gradient, by_hand, rtol=1e-5)
    for row in gradient[:2].tolist():
        assert row[0] > row[1] > row[2] > 0
    _, plain = value_and_gradient(flops, weights)
    assert plain[0].tolist() == [plain[0][0]] * 3
    # In no document, as special tokens, or in all: pressed no harder than one in nine of ten.
    bound = idf_flops(weights, torch.full((3,), 0.1).double())
    for least in (0.0, 1e-5):
        found = idf_flops(weights, torch.full((3,), least).double())
        torch.testing.assert_close(found, bound)


@settings(max_examples=50)
@given(vectors(), st.sampled_from([0.05, 0.1, 0.5]), st.sampled_from([1.0, 2.5, 10.0]))
def test_df_flops_equals_its_loop(weights, alpha, beta):
    share = [
        sum(row[j] != 0 for row in weights.tolist()) / len(weights) for j in range(len(weights[0]))
    ]
    exponent = math.log(2, alpha)
    scale = [1 / (1 + (max(x**exponent, 1) - 1) ** beta) if x else 0.0 for x in share]

    def penalty(w):
        return DfFlops(DocumentFrequencies(weights.shape[1], alpha, beta, every=1))(w)

    frequencies = DocumentFrequencies(weights.shape[1], alpha, beta, every=1)
    frequencies.observe(weights)
    np.testing.assert_allclose(frequencies.weights, scale, rtol=1e-5)
    assert_like_loop(
        penalty,
        lambda w: flops_loop(w, frequencies.weights.double().tolist()),
        weights,
    )


def test_autograd_of_anti_zero_and_saturation_passes_torchs_own_check():
    generator = torch.Generator().manual_seed(4)
    weights = torch.rand(6, 5, generator=generator, dtype=torch.float64) + 0.1
    weights.requires_grad_()
    assert torch.autograd.gradcheck(anti_zero, (weights, 2 * weights.detach()))
    for logs in range(5):
        assert torch.autograd.gradcheck(lambda z, logs=logs: saturate(z - 0.5, logs), (weights,))


# Anti-zero


@settings(max_examples=50)
@given(vectors(), vectors())
def test_anti_zero_equals_its_formula(queries, documents):
    sides = [weights + 0.01 for weights in (queries, documents)]

    def loop(moved):
        sums = [sum(sum(row) for row in side.tolist()) for side in (moved, sides[1])]
        return sum(1 / (total * total) for total in sums)

    value, gradient = value_and_gradient(lambda w: anti_zero(w, sides[1]), sides[0])
    assert value == pytest.approx(loop(sides[0]))
    torch.testing.assert_close(gradient, central_differences(loop, sides[0]), rtol=1e-4, atol=1e-6)


def test_anti_zero_stays_finite_where_all_weights_are_zero():
    value, gradient = value_and_gradient(anti_zero, torch.zeros(3, 4))
    assert value == pytest.approx(1 / SMALLEST_SUM**2)
    assert gradient.isfinite().all()
    some = torch.full((1, 1), 0.5)
    assert anti_zero(some).item() == pytest.approx(4)
    assert anti_zero(some, some).item() == pytest.approx(8)


# Top-k


@settings(max_examples=100)
@given(vectors(), st.integers(1, 4))
def test_top_k_keeps_the_largest_and_of_equals_the_first(weights, k):
    value = torch.arange(1.0, weights.numel() + 1).double().view_as(weights)
    found, gradient = value_and_gradient(lambda w: (top_k(w, k) * value).sum(), weights)
    expected = torch.zeros_like(weights)
    passed = torch.zeros_like(weights)
    for i, row in enumerate(weights.tolist()):
        for j in sorted(range(len(row)), key=lambda j: (-row[j], j))[:k]:
            expected[i, j], passed[i, j] = row[j], value[i, j]
    assert torch.equal(top_k(weights, k), expected)
    assert torch.equal(gradient, passed)
    assert found == pytest.approx((expected * value).sum().item())


@settings(max_examples=50)
@given(vectors(), st.integers(1, 4))
def test_top_k_in_training_is_that_of_inference(weights, k):
    dense = weights.float()
    rows, terms = dense.numpy().nonzero()
    indptr = np.searchsorted(rows, np.arange(len(dense) + 1)).astype(np.int64)
    batch = SparseBatch(indptr, terms.astype(np.int32), dense.numpy()[rows, terms], dense.shape[1])
    pruned = TermPruning(top_k=k)(batch).to_scipy().toarray()
    np.testing.assert_array_equal(top_k(dense, k).numpy(), pruned)


def test_top_k_refuses_no_terms():
    with pytest.raises(UsageError, match="k is 0"):
        top_k(torch.ones(1, 2), 0)


# Saturation


@settings(max_examples=50)
@given(st.lists(st.sampled_from([-3.0, -0.5, 0.25, 1.0, 40.0]), min_size=1, max_size=5))
def test_saturation_equals_its_formula(logits):
    logits = torch.tensor(logits, dtype=torch.float64)
    for logs in range(5):

        def loop(moved, logs=logs):
            total = 0.0
            for value in moved.tolist():
                value = max(value, 0.0)
                for _ in range(logs):
                    value = math.log(1 + value)
                total += value
            return total

        assert_like_loop(lambda z, logs=logs: saturate(z, logs).sum(), loop, logits)
    z = logits[logits > 0]
    _, one = value_and_gradient(lambda z: saturate(z, 1).sum(), z)
    _, two = value_and_gradient(lambda z: saturate(z, 2).sum(), z)
    torch.testing.assert_close(one, 1 / (1 + z))
    torch.testing.assert_close(two, 1 / ((1 + z) * (1 + z.log1p())))


def test_saturation_refuses_fewer_than_no_logarithms():
    with pytest.raises(UsageError, match="logs is -1"):
        saturate(torch.ones(1), -1)


# Document frequencies


def test_document_frequency_weights_rise_from_0_over_a_half_to_1():
    frequencies = DocumentFrequencies(5, alpha=0.1, beta=10.0, every=1)
    documents = torch.zeros(100, 5)
    for term, count in enumerate((0, 1, 10, 30, 100)):
        documents[:count, term] = 1.0
    frequencies.observe(documents)
    none, rare, at_alpha, common, everywhere = frequencies.weights.tolist()
    assert none == 0
    assert 0 <= rare < 1e-3
    assert at_alpha == pytest.approx(0.5, abs=1e-6)
    assert 0.99 < common <= everywhere == 1


def test_document_frequencies_are_those_of_the_last_full_window():
    frequencies = DocumentFrequencies(2, every=2)
    frequencies.observe(torch.tensor([[1.0, 0.0]]))
    assert frequencies.weights.tolist() == [1, 1]
    frequencies.observe(torch.tensor([[2.0, 0.0], [1.0, 0.0]]))
    assert frequencies.weights.tolist() == [1, 0]
    for _ in range(2):
        frequencies.observe(torch.tensor([[0.0, 1.0]]))
    assert frequencies.weights.tolist() == [0, 1]


def test_document_frequencies_go_on_from_their_state_bit_for_bit():
    generator = torch.Generator().manual_seed(7)
    batches = [(torch.rand(4, 6, generator=generator) - 0.6).relu() for _ in range(9)]
    whole, first = (DocumentFrequencies(6, every=4) for _ in range(2))
    for batch in batches:
        whole.observe(batch)
    for batch in batches[:5]:
        first.observe(batch)
    second = DocumentFrequencies(6, every=4)
    second.load_state_dict(first.state_dict())
    for batch in batches[5:]:
        second.observe(batch)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    assert set(whole.weights.tolist()) != {1.0}


def test_document_frequencies_refuse_another_vocabularys_state():
    frequencies = DocumentFrequencies(6)
    with pytest.raises(InputError, match="counts of shape"):
        frequencies.load_state_dict(DocumentFrequencies(5).state_dict())
    with pytest.raises(InputError, match="counts of shape"):
        frequencies.load_state_dict({})


@pytest.mark.parametrize(
    "wrong", [{"terms": 0}, {"every": 0}, {"alpha": 1.0}, {"alpha": 0.0}, {"beta": 0.0}]
)
def test_document_frequencies_refuse_impossible_settings(wrong):
    with pytest.raises(UsageError, match="allowed is"):
        DocumentFrequencies(**{"terms": 3, **wrong})


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(UsageError, match="same vocabulary"):
        idf_flops(torch.ones(3, 4), torch.ones(3))
