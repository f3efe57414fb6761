"""Max pooling without logits equals autograd through the dense logits, gradients included."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.backbones.projection import VocabularyProjection
from lsr.encoders.term_pooling import owners
from lsr.encoders.term_pruning import TermPruning
from lsr.train.max_pooling import PooledMaxima, winning_positions

LENGTHS = [4, 1, 7, 2]


def random_inputs(lengths, width, terms, seed, dtype=torch.float32, with_bias=True):
    generator = torch.Generator().manual_seed(seed)
    states, weight, bias = (
        torch.randn(shape, generator=generator, dtype=dtype)
        for shape in ((sum(lengths), width), (terms, width), (terms,))
    )
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return states, weight, bias if with_bias else None, offsets


def dense_maxima(states, weight, bias, offsets):
    """(texts, terms): relu of the largest logit, with the whole logits tensor, by autograd."""
    logits = states @ weight.T
    if bias is not None:
        logits = logits + bias
    parts = [logits[first:last] for first, last in itertools.pairwise(offsets)]
    return torch.stack([part.max(dim=0).values for part in parts]).relu()


def pooled(states, weight, bias, offsets, terms=None, keep=None):
    """The same as a dense tensor, from ``PooledMaxima``."""
    terms = terms or len(weight)
    projection = VocabularyProjection(weight, bias, terms)
    maxima = PooledMaxima(states, weight, bias, offsets, projection, keep)
    dense = states.new_zeros(len(offsets) - 1, terms)
    return dense.index_put((maxima.rows, maxima.terms), maxima.values)


def gradients(function, tensors, direction):
    """Value, and the gradient of its product with ``direction`` for each tensor."""
    leaves = [None if t is None else t.clone().requires_grad_() for t in tensors]
    value = function(*leaves)
    (value * direction).sum().backward()
    return value.detach(), [None if leaf is None else leaf.grad for leaf in leaves]


@pytest.fixture(params=["native", "a GPU's way"])
def way(request, monkeypatch):
    """Both ways to find the largest logits."""
    if request.param != "native":
        monkeypatch.setattr("lsr.train.max_pooling.HOST", "nowhere")
        # A few terms at a time.
        monkeypatch.setattr("lsr.backbones.dense_maxima.LOGITS_AT_A_TIME", 7 * 28)


def assert_like_dense(states, weight, bias, offsets, terms=None, **tolerance):
    terms = terms or len(weight)
    direction = torch.randn(
        len(offsets) - 1, terms, generator=torch.Generator().manual_seed(9), dtype=states.dtype
    )
    tensors = states, weight, bias
    found, ours = gradients(lambda *t: pooled(*t, offsets, terms), tensors, direction)
    wanted, theirs = gradients(lambda *t: dense_maxima(*t, offsets)[:, :terms], tensors, direction)
    torch.testing.assert_close(found, wanted, **tolerance)
    for own, other in zip(ours, theirs, strict=True):
        if other is not None:
            torch.testing.assert_close(own, other, **tolerance)


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize(("terms", "width"), [(3, 1), (600, 16), (1300, 24)])
def test_float32_values_and_gradients(way, terms, width, with_bias):
    inputs = random_inputs(LENGTHS, width, terms, 1, with_bias=with_bias)
    assert_like_dense(*inputs, rtol=1e-4, atol=1e-4)


@settings(max_examples=40)
@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=5),
    st.integers(1, 5),
    st.integers(1, 12),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_float64_values_and_gradients(lengths, width, terms, with_bias, seed):
    inputs = random_inputs(lengths, width, terms, seed, torch.float64, with_bias)
    # The maximum itself goes through float32 only to be chosen, not to be given.
    assert_like_dense(*inputs, rtol=1e-12, atol=1e-12)


def test_finite_differences():
    states, weight, bias, offsets = random_inputs([3, 1, 4], 3, 7, 5, torch.float64)
    inputs = [tensor.requires_grad_() for tensor in (states, weight, bias)]
    assert torch.autograd.gradcheck(lambda *tensors: pooled(*tensors, offsets), inputs)


def test_rows_that_pad_the_projection_are_no_terms():
    states, weight, bias, offsets = random_inputs(LENGTHS, 8, 40, 2)
    bias[30:] = 100
    assert_like_dense(states, weight, bias, offsets, terms=30, rtol=1e-4, atol=1e-4)


def test_of_tied_positions_the_first_gets_the_gradient():
    states = torch.tensor([[1.0, 0.0], [2.0, 1.0], [2.0, 1.0], [2.0, 1.0]], requires_grad=True)
    weight = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    maxima = pooled(states, weight, None, np.array([0, 4]))
    maxima.sum().backward()
    assert maxima.tolist() == [[2.0, 1.0]]
    assert states.grad.tolist() == [[0.0, 0.0], [1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]


def test_nothing_positive_is_no_weight_and_no_gradient():
    states, weight, bias, offsets = random_inputs(LENGTHS, 4, 20, 3)
    bias -= 100
    projection = VocabularyProjection(weight, bias, 20)
    leaves = [tensor.requires_grad_() for tensor in (states, weight, bias)]
    maxima = PooledMaxima(*leaves, offsets, projection)
    assert len(maxima.rows) == len(maxima.terms) == len(maxima.values) == 0
    maxima.values.sum().backward()
    assert all(not leaf.grad.any() for leaf in leaves)


def test_a_logit_of_zero_is_not_positive():
    states = torch.zeros(2, 3, requires_grad=True)
    weight = torch.ones(5, 3)
    maxima = PooledMaxima(
        states, weight, None, np.array([0, 1, 2]), VocabularyProjection(weight, None, 5)
    )
    assert len(maxima.values) == 0


def places(batch):
    """A number for each weight's text and term, (nnz,)."""
    return owners(batch) * batch.vocabulary_size + batch.indices


@pytest.mark.parametrize("top_k", [1, 5, 1000])
def test_what_is_left_out_has_no_gradient(top_k):
    states, weight, bias, offsets = random_inputs(LENGTHS, 8, 60, 4)
    dropped = torch.arange(0, 60, 3)

    def keep(batch):
        left = batch.keep(~np.isin(batch.indices, dropped.numpy()))
        return np.isin(places(batch), places(TermPruning(top_k=top_k)(left)))

    def by_hand(*tensors):
        dense = dense_maxima(*tensors, offsets)
        allowed = torch.ones(60, dtype=torch.bool)
        allowed[dropped] = False
        dense = torch.where(allowed, dense, 0)
        least = dense.topk(min(top_k, 60), dim=1).values[:, -1:]
        return torch.where(dense >= least, dense, 0)

    direction = torch.randn(len(LENGTHS), 60, generator=torch.Generator().manual_seed(8))
    tensors = states, weight, bias
    found, ours = gradients(lambda *t: pooled(*t, offsets, keep=keep), tensors, direction)
    wanted, theirs = gradients(by_hand, tensors, direction)
    assert (found > 0).sum(dim=1).max() <= top_k
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    for own, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)


def test_only_what_needs_a_gradient_gets_one():
    states, weight, bias, offsets = random_inputs(LENGTHS, 4, 20, 6)
    states.requires_grad_()
    pooled(states, weight, bias, offsets).sum().backward()
    assert states.grad is not None
    assert weight.grad is None
    assert bias.grad is None


def test_winners_of_more_terms_than_a_tile():
    states, weight, bias, offsets = random_inputs([5, 3], 16, 1500, 7)
    batch = VocabularyProjection(weight, bias, 1500).largest(states, offsets)
    assert np.diff(batch.indptr).max() > 512
    winners = winning_positions(states, weight, offsets, batch).tolist()
    logits = states @ weight.T
    place = 0
    for text, row in enumerate(batch):
        own = logits[offsets[text] : offsets[text + 1], torch.from_numpy(row.indices).long()]
        for column in range(len(row)):
            assert own[winners[place] - offsets[text], column] >= own[:, column].max() - 1e-5
            place += 1
    assert place == len(winners)


def test_no_tensor_of_all_logits_is_made():
    """What autograd keeps is the inputs and a place for each weight, not (tokens, terms)."""
    terms = 5000
    states, weight, bias, offsets = random_inputs([40, 40], 8, terms, 11)
    bias -= 6
    sizes = []

    class Sizes(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                sizes.append(result.numel())
            return result

    leaves = [tensor.requires_grad_() for tensor in (states, weight, bias)]
    projection = VocabularyProjection(weight, bias, terms)
    with Sizes():
        maxima = PooledMaxima(*leaves, offsets, projection)
        maxima.values.sum().backward()
    assert len(maxima.values) > 0
    assert max(sizes) <= max(weight.numel(), 80 * 512, 8 * len(maxima.values))
    assert max(sizes) < 80 * terms
