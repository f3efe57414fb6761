"""The native projection, with each set of kernels, against plain loops over all logits."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr import _core

KERNELS = _core.kernels()


def projection(kernels, weight, bias=None, center=None):
    center = np.zeros(weight.shape[1], np.float32) if center is None else center
    return _core.Projection(weight, bias, center, kernels)


def dense(found, shape):
    ends, terms, values, _, _ = found
    array = np.zeros(shape, np.float32)
    array[np.repeat(np.arange(shape[0]), np.diff(ends)), terms] = values
    return array


def every_logit(states, weight, bias):
    return states.astype(np.float64) @ weight.T.astype(np.float64) + (0 if bias is None else bias)


def pooled(states, offsets, weight, bias, floor):
    logits = every_logit(states, weight, bias)
    largest = np.stack(
        [logits[start:end].max(axis=0) for start, end in itertools.pairwise(offsets)]
    )
    return np.where(largest > floor, largest, 0)


@st.composite
def problems(draw):
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    width = draw(st.sampled_from([1, 2, 3, 4, 7, 8, 9, 33, 128]))
    terms = draw(st.sampled_from([1, 2, 15, 16, 17, 31, 32, 33, 100]))
    lengths = draw(st.lists(st.integers(1, 30), min_size=1, max_size=5))
    scale = 10.0 ** draw(st.integers(-6, 6))
    spread = draw(st.sampled_from([0.0, 1.0, 3.0]))
    # Some coordinates far larger than others, as transformers have them.
    stretch = np.exp(spread * random.normal(size=width))
    states = (scale * stretch * random.normal(size=(sum(lengths), width))).astype(np.float32)
    states[random.random(len(states)) < 0.1] = 0
    weight = random.normal(size=(terms, width)).astype(np.float32)
    weight[random.random(terms) < 0.1] = 0
    bias = None
    if draw(st.booleans()):
        bias = (scale * random.normal(size=terms) - scale).astype(np.float32)
    center = states.mean(axis=0) if draw(st.booleans()) else np.zeros(width, np.float32)
    floor = draw(st.sampled_from([0.0, 1.5, -1.0]))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return states, offsets, weight, bias, center.astype(np.float32), floor


def assert_tokens_win(found, problem):
    """Each weight's token is of its own document and has, but for rounding, the largest logit."""
    states, offsets, weight, bias, _, _ = problem
    ends, terms, values, _, tokens = found
    documents = np.repeat(np.arange(len(offsets) - 1), np.diff(ends))
    assert (tokens >= offsets[documents]).all()
    assert (tokens < offsets[documents + 1]).all()
    sizes = np.abs(states[tokens]).astype(np.float64) * np.abs(weight[terms])
    added = np.zeros(len(terms)) if bias is None else bias[terms]
    logits = every_logit(states, weight, bias)[tokens, terms]
    assert (np.abs(logits - values) <= 1e-5 * (sizes.sum(axis=1) + np.abs(added))).all()


@settings(max_examples=150)
@given(problems())
def test_the_largest_logits_are_those_of_all_logits(problem):
    states, offsets, weight, bias, center, floor = problem
    expected = pooled(states, offsets, weight, bias, floor)
    magnitude = np.abs(states).max(initial=0) * np.abs(weight).sum(axis=1).max() + 1
    answers = []
    for kernels in KERNELS:
        found = projection(kernels, weight, bias, center).largest(states, offsets, floor)
        array = dense(found, expected.shape)
        # A logit at the floor may fall to either side of it.
        close = np.abs(array - expected) <= 1e-6 * magnitude
        edge = np.abs(np.where(array == 0, expected, array) - floor) <= 1e-6 * magnitude
        assert (close | edge).all()
        assert (np.abs(array[~edge] - expected[~edge]) <= 1e-6 * magnitude).all()
        for start, end in zip(found[0], found[0][1:], strict=False):
            assert (np.diff(found[1][start:end]) > 0).all()
        assert_tokens_win(found, problem)
        answers.append(array)
    for other in answers[1:]:
        np.testing.assert_array_equal(answers[0], other)


@pytest.mark.parametrize("kernels", KERNELS)
def test_the_center_changes_no_bit(kernels):
    random = np.random.default_rng(5)
    states = random.normal(2, 1, size=(40, 24)).astype(np.float32)
    weight = random.normal(size=(70, 24)).astype(np.float32)
    offsets = np.array([0, 1, 17, 40])
    centers = [np.zeros(24), states.mean(axis=0), np.full(24, 1e4), np.full(24, -3.0)]
    first, *others = [
        projection(kernels, weight, None, center.astype(np.float32)).largest(states, offsets)
        for center in centers
    ]
    for other in others:
        for mine, theirs in zip(first[:3], other[:3], strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("kernels", KERNELS)
def test_few_terms_of_a_trained_model_are_computed_in_float(kernels):
    """Where logits lie far below zero, as in a trained model, the screen stops nearly all."""
    random = np.random.default_rng(6)
    states = random.normal(size=(64, 128)).astype(np.float32)
    weight = (random.normal(size=(3200, 128)) / 8).astype(np.float32)
    bias = np.full(3200, -4.5, np.float32)
    offsets = np.array([0, 64])
    found = projection(kernels, weight, bias).largest(states, offsets)
    nonzero = np.count_nonzero(pooled(states, offsets, weight, bias, 0.0))
    assert 0 < nonzero <= found[3] < 0.2 * len(weight)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_document_that_is_not_finite_is_marked_and_spares_the_others(kernels, value):
    random = np.random.default_rng(7)
    states = random.normal(size=(9, 5)).astype(np.float32)
    weight = random.normal(size=(40, 5)).astype(np.float32)
    offsets = np.array([0, 3, 6, 9])
    whole = dense(projection(kernels, weight).largest(states, offsets), (3, 40))
    states[4, 2] = value
    found = projection(kernels, weight).largest(states, offsets)
    array = dense(found, (3, 40))
    assert np.isnan(array[1, 0])
    assert not array[1, 1:].any()
    np.testing.assert_array_equal(array[[0, 2]], whole[[0, 2]])


@pytest.mark.parametrize("kernels", KERNELS)
def test_the_largest_finite_states_overflow_to_no_false_weight(kernels):
    weight = np.array([[1, 0], [-1, 0], [0, 0]], np.float32)
    states = np.array([[3e38, -3e38]], np.float32)
    found = projection(kernels, weight).largest(states, np.array([0, 1]))
    assert dense(found, (1, 3)).tolist() == [[np.float32(3e38), 0, 0]]


@pytest.mark.parametrize("kernels", KERNELS)
def test_a_long_document_is_one_document(kernels):
    random = np.random.default_rng(8)
    states = random.normal(size=(5000, 64)).astype(np.float32)
    weight = random.normal(size=(33, 64)).astype(np.float32)
    offsets = np.array([0, 2, 5000])
    found = dense(projection(kernels, weight).largest(states, offsets), (2, 33))
    expected = pooled(states, offsets, weight, None, 0.0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("offsets", "width", "complaint"),
    [
        ([0, 2, 2, 3], 4, "offsets must ascend"),
        ([0, 2], 4, "offsets must ascend"),
        ([1, 3], 4, "offsets must ascend"),
        ([], 4, "offsets must ascend"),
        ([0, 3], 5, "not as wide"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(offsets, width, complaint):
    head = projection("scalar", np.ones((3, 4), np.float32))
    with pytest.raises(ValueError, match=complaint):
        head.largest(np.ones((3, width), np.float32), np.array(offsets, np.int64))


def test_unknown_kernels_and_ill_fitting_centers_are_refused():
    with pytest.raises(ValueError, match="no kernels called avx9"):
        projection("avx9", np.ones((3, 4), np.float32))
    with pytest.raises(ValueError, match="center is not as wide"):
        projection("scalar", np.ones((3, 4), np.float32), None, np.ones(5, np.float32))
    with pytest.raises(ValueError, match="do not fit"):
        projection("scalar", np.ones((3, 4), np.float32), np.ones(2, np.float32))
    with pytest.raises(ValueError, match="must be finite"):
        projection("scalar", np.full((3, 4), np.nan, np.float32))


@pytest.mark.parametrize("kernels", KERNELS)
def test_of_equal_tokens_the_first_wins(kernels):
    states = np.tile(np.array([[1.0, 2.0]], np.float32), (30, 1))
    states[[0, 16]] = 0.5
    offsets = np.array([0, 15, 30])
    *_, tokens = projection(kernels, np.ones((3, 2), np.float32)).largest(states, offsets)
    assert tokens.tolist() == [1, 1, 1, 15, 15, 15]


def gradient_problem(random, count, tokens, terms, width):
    def normal(*shape):
        return random.normal(size=shape).astype(np.float32)

    chosen = random.integers(0, tokens, count), random.integers(0, terms, count)
    return normal(count), *chosen, normal(tokens, width), normal(terms, width)


@given(st.integers(0, 2**32), st.integers(0, 40), st.sampled_from([1, 3, 4, 17, 128]))
def test_gradients_are_those_of_a_loop(seed, count, width):
    random = np.random.default_rng(seed)
    gradient, tokens, terms, states, weight = gradient_problem(random, count, 6, 9, width)
    of_states, of_weight = np.ones_like(states), np.ones_like(weight)
    wanted = of_states.astype(np.float64), of_weight.astype(np.float64)
    for factor, token, term in zip(gradient, tokens, terms, strict=True):
        wanted[0][token] += float(factor) * weight[term]
        wanted[1][term] += float(factor) * states[token]
    _core.add_gradients(gradient, tokens, terms, states, weight, of_states, of_weight)
    np.testing.assert_allclose(of_states, wanted[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(of_weight, wanted[1], rtol=1e-4, atol=1e-4)
    alone = np.ones_like(weight)
    _core.add_gradients(gradient, tokens, terms, states, weight, None, alone)
    np.testing.assert_array_equal(alone, of_weight)


@pytest.mark.parametrize("place", [-1, 6, 2**40])
@pytest.mark.parametrize("which", [1, 2])
def test_a_place_outside_is_refused_before_anything_is_added(place, which):
    problem = list(gradient_problem(np.random.default_rng(1), 3, 6, 6, 4))
    problem[which][2] = place
    sums = np.zeros((6, 4), np.float32), np.zeros((6, 4), np.float32)
    with pytest.raises(ValueError, match="outside"):
        _core.add_gradients(*problem, *sums)
    assert not sums[0].any()
    assert not sums[1].any()


def test_gradients_of_other_shapes_are_refused():
    gradient, tokens, terms, states, weight = gradient_problem(np.random.default_rng(2), 3, 6, 9, 4)
    with pytest.raises(ValueError, match="a token, a term and a gradient"):
        _core.add_gradients(gradient[:2], tokens, terms, states, weight, None, None)
    with pytest.raises(ValueError, match="shapes"):
        _core.add_gradients(gradient, tokens, terms, states, weight, states[:2].copy(), None)
    with pytest.raises(ValueError, match="equally wide"):
        _core.add_gradients(gradient, tokens, terms, states[:, :2].copy(), weight, None, None)
