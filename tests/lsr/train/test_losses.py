"""Losses against loops over Python floats, gradients against finite differences of the loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.errors import UsageError
from lsr.train.losses import (
    WeightedLosses,
    binary_cross_entropy,
    info_nce,
    kl_divergence,
    margin_mse,
    match,
    symmetric_info_nce,
)
from tests.lsr.train.finite_differences import assert_like_loop, value_and_gradient

TEMPERATURES = st.sampled_from([0.3, 1.0, 2.0])


@st.composite
def problems(draw):
    """Scores of student and teacher with ties, and a mask (or None)."""
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    scores = st.sampled_from([0.0, 0.0, 1.0, -2.5, 3.25, 7.0])

    def matrix(values):
        row = st.lists(values, min_size=columns, max_size=columns)
        return torch.tensor(draw(st.lists(row, min_size=rows, max_size=rows)))

    student, teacher = matrix(scores).double(), matrix(scores).double()
    allowed = matrix(st.booleans()) if draw(st.booleans()) else None
    positives = draw(st.lists(st.integers(0, columns - 1), min_size=rows, max_size=rows))
    return student, teacher, allowed, torch.tensor(positives)


def candidates(allowed, row, columns):
    return [j for j in range(columns) if allowed is None or bool(allowed[row, j])]


def softmax(scores, temperature):
    powers = [math.exp(score / temperature) for score in scores]
    return [power / sum(powers) for power in powers]


def info_nce_loop(scores, positives, temperature, allowed):
    total = 0.0
    for row, values in enumerate(scores.tolist()):
        kept = candidates(allowed, row, len(values))
        positive = int(positives[row])
        if len(kept) >= 2 and positive in kept:
            shares = softmax([values[j] for j in kept], temperature)
            total -= math.log(shares[kept.index(positive)])
    return total / len(scores)


def margin_mse_loop(student, teacher, allowed, positives=None):
    total = 0.0
    for row, (ours, theirs) in enumerate(zip(student.tolist(), teacher.tolist(), strict=True)):
        kept = candidates(allowed, row, len(ours))
        if len(kept) < 2:
            continue
        chosen = [(i, j) for i in kept for j in kept]
        if positives is not None:
            positive = int(positives[row])
            chosen = [(i, j) for i, j in chosen if i == positive != j]
            if not chosen:
                continue
        errors = [((ours[i] - ours[j]) - (theirs[i] - theirs[j])) ** 2 for i, j in chosen]
        total += sum(errors) / len(errors)
    return total / len(student)


def bce_loop(scores, positives, allowed):
    total = 0.0
    for row, values in enumerate(scores.tolist()):
        kept = candidates(allowed, row, len(values))
        if len(kept) < 2:
            continue
        signs = {j: 1 if j == int(positives[row]) else -1 for j in kept}
        total += sum(math.log(1 + math.exp(-signs[j] * values[j])) for j in kept) / len(kept)
    return total / len(scores)


def kl_loop(student, teacher, temperature, allowed):
    total = 0.0
    for row, (ours, theirs) in enumerate(zip(student.tolist(), teacher.tolist(), strict=True)):
        kept = candidates(allowed, row, len(ours))
        if len(kept) < 2:
            continue
        p_student = softmax([ours[j] for j in kept], temperature)
        p_teacher = softmax([theirs[j] for j in kept], temperature)
        total += sum(t * math.log(t / s) for t, s in zip(p_teacher, p_student, strict=True))
    return total / len(student)


@settings(max_examples=60)
@given(problems(), TEMPERATURES)
def test_info_nce_equals_its_loop(problem, temperature):
    scores, _, allowed, positives = problem
    assert_like_loop(
        lambda s: info_nce(s, positives, temperature, allowed),
        lambda s: info_nce_loop(s, positives, temperature, allowed),
        scores,
    )


def backward_loop(scores, positives, temperature, allowed):
    """Of each positive over the queries."""
    total, columns = 0.0, positives.tolist()
    for row, column in enumerate(columns):
        kept = [
            other
            for other in range(len(columns))
            if (allowed is None or bool(allowed[other, column]))
            and (other == row or columns[other] != column)
        ]
        if len(kept) >= 2 and row in kept:
            shares = softmax([float(scores[other, column]) for other in kept], temperature)
            total -= math.log(shares[kept.index(row)])
    return total / len(columns)


@settings(max_examples=60)
@given(problems(), TEMPERATURES)
def test_symmetric_info_nce_equals_its_loops(problem, temperature):
    scores, _, allowed, positives = problem

    def loops(s):
        forward = info_nce_loop(s, positives, temperature, allowed)
        return (forward + backward_loop(s, positives, temperature, allowed)) / 2

    assert_like_loop(
        lambda s: symmetric_info_nce(s, positives, temperature, allowed), loops, scores
    )


@settings(max_examples=60)
@given(problems())
def test_binary_cross_entropy_equals_its_loop(problem):
    scores, _, allowed, positives = problem
    assert_like_loop(
        lambda s: binary_cross_entropy(s, positives, allowed),
        lambda s: bce_loop(s, positives, allowed),
        scores,
    )


@settings(max_examples=60)
@given(problems())
def test_margin_mse_equals_its_loop(problem):
    student, teacher, allowed, _ = problem
    assert_like_loop(
        lambda s: margin_mse(s, teacher, allowed),
        lambda s: margin_mse_loop(s, teacher, allowed),
        student,
    )


@settings(max_examples=60)
@given(problems())
def test_margin_mse_of_positives_equals_its_loop(problem):
    student, teacher, allowed, positives = problem
    assert_like_loop(
        lambda s: margin_mse(s, teacher, allowed, positives),
        lambda s: margin_mse_loop(s, teacher, allowed, positives),
        student,
    )


@settings(max_examples=60)
@given(problems(), TEMPERATURES)
def test_kl_divergence_equals_its_loop(problem, temperature):
    student, teacher, allowed, _ = problem
    assert_like_loop(
        lambda s: kl_divergence(s, teacher, temperature, allowed),
        lambda s: kl_loop(s, teacher, temperature, allowed),
        student,
    )


def test_autograd_of_every_loss_passes_torchs_own_check():
    generator = torch.Generator().manual_seed(5)
    student = torch.randn(3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    allowed = torch.rand(3, 4, generator=generator) < 0.8
    positives = torch.tensor([0, 1, 3])
    for loss in (
        lambda s: info_nce(s, positives, 0.5, allowed),
        lambda s: symmetric_info_nce(s, positives, 0.5, allowed),
        lambda s: margin_mse(s, teacher, allowed),
        lambda s: margin_mse(s, teacher, allowed, positives),
        lambda s: kl_divergence(s, teacher, 2.0, allowed),
        lambda s: binary_cross_entropy(s, positives, allowed),
    ):
        assert torch.autograd.gradcheck(loss, (student,))


def every_loss(teacher, allowed):
    positives = torch.zeros(len(teacher), dtype=torch.int64)
    yield lambda s: info_nce(s, positives, 1.0, allowed)
    yield lambda s: symmetric_info_nce(s, positives, 1.0, allowed)
    yield lambda s: binary_cross_entropy(s, positives, allowed)
    yield lambda s: margin_mse(s, teacher, allowed)
    yield lambda s: margin_mse(s, teacher, allowed, positives)
    yield lambda s: kl_divergence(s, teacher, 1.0, allowed)


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf, 1e30])
def test_what_does_not_count_has_no_influence_whatever_its_score(poison):
    generator = torch.Generator().manual_seed(1)
    student, teacher = torch.randn(2, 3, 4, generator=generator)
    allowed = torch.tensor([[1, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)
    spoiled_student = student.masked_fill(~allowed, poison)
    spoiled_teacher = teacher.masked_fill(~allowed, poison)
    for clean, spoiled in zip(
        every_loss(teacher, allowed), every_loss(spoiled_teacher, allowed), strict=True
    ):
        expected, gradient = value_and_gradient(clean, student)
        found, spoiled_gradient = value_and_gradient(spoiled, spoiled_student)
        assert found == expected > 0
        assert torch.equal(spoiled_gradient, gradient)
        assert not gradient[~allowed].any()


def test_nothing_to_rank_costs_nothing():
    for rows, columns in ((0, 3), (2, 1), (2, 3)):
        scores = torch.full((rows, columns), math.nan)
        allowed = torch.zeros(rows, columns, dtype=torch.bool)
        for loss in every_loss(scores, allowed):
            value, gradient = value_and_gradient(loss, scores)
            assert value == 0
            assert not gradient.any()


@pytest.mark.parametrize("size", [1e4, 1e15])
def test_large_scores_stay_finite(size):
    student = torch.tensor([[size, -size, 0.0], [-size, size, size]])
    teacher = -student
    for loss in every_loss(teacher, None):
        value, gradient = value_and_gradient(loss, student)
        assert math.isfinite(value)
        assert gradient.isfinite().all()


def test_a_teacher_that_rules_a_candidate_out_gives_it_probability_0():
    student = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64)
    teacher = torch.tensor([[0.0, -math.inf, 0.0]], dtype=torch.float64)
    value, gradient = value_and_gradient(lambda s: kl_divergence(s, teacher), student)
    shares = softmax(student[0].tolist(), 1.0)
    assert value == pytest.approx(0.5 * math.log(0.5 / shares[0]) + 0.5 * math.log(0.5 / shares[2]))
    torch.testing.assert_close(gradient[0], torch.tensor(shares).double() - teacher[0].exp() / 2)


def test_kl_of_equal_scores_is_zero_and_positive_otherwise():
    teacher = torch.tensor([[3.0, 1.0, 1.0]])
    assert kl_divergence(teacher + 5, teacher).item() == pytest.approx(0, abs=1e-7)
    assert kl_divergence(-teacher, teacher).item() > 0.5


def test_match_is_the_inner_product_of_every_pair():
    generator = torch.Generator().manual_seed(2)
    queries, documents = (torch.randn(n, 6, generator=generator).relu() for n in (2, 3))
    found = match(queries, documents)
    for i in range(2):
        for j in range(3):
            expected = sum(
                float(a) * float(b) for a, b in zip(queries[i], documents[j], strict=True)
            )
            assert found[i, j].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_not_above_0_is_refused(temperature):
    scores = torch.zeros(1, 2)
    for loss in (
        lambda: info_nce(scores, torch.tensor([0]), temperature),
        lambda: kl_divergence(scores, scores, temperature),
    ):
        with pytest.raises(UsageError, match="temperature is"):
            loss()


def test_shapes_that_would_broadcast_are_refused():
    scores = torch.zeros(2, 3)
    with pytest.raises(UsageError, match="teacher's scores"):
        kl_divergence(scores, torch.zeros(2, 1))
    with pytest.raises(UsageError, match="teacher's scores"):
        margin_mse(scores, torch.zeros(1, 3))
    with pytest.raises(UsageError, match="mask"):
        info_nce(scores, torch.tensor([0, 0]), 1.0, torch.ones(3, dtype=torch.bool))


def test_weighted_losses_add_up_and_report_each_part():
    losses = WeightedLosses({"kl": 0.99, "margin": 0.05, "off": 0.0})
    at = torch.tensor([2.0, 3.0, 5.0], dtype=torch.float64, requires_grad=True)
    total, values = losses({"margin": at[1] ** 2, "kl": at[0] ** 2, "off": at[2]})
    assert total.item() == pytest.approx(0.99 * 4 + 0.05 * 9)
    assert values == {"kl": 4.0, "margin": 9.0, "off": 5.0}
    total.backward()
    torch.testing.assert_close(at.grad, torch.tensor([0.99 * 4, 0.05 * 6, 0.0]).double())


def test_weighted_losses_refuse_what_has_no_weight():
    one = torch.ones(())
    with pytest.raises(UsageError, match="losses kl, mse were given"):
        WeightedLosses({"kl": 1.0})({"kl": one, "mse": one})
    with pytest.raises(UsageError, match="at least one"):
        WeightedLosses({})
    for weight in (-1.0, math.nan, math.inf):
        with pytest.raises(UsageError, match="weight of kl"):
            WeightedLosses({"kl": weight})
