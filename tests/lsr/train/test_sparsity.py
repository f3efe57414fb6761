"""The sparsity controller on simulated trainings and on a real small one; the collapse watch."""

import json
import math
import random
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.errors import CollapseError, InputError, LsrError, UsageError
from lsr.train.losses import info_nce, match
from lsr.train.regularizers import flops, saturate
from lsr.train.sparsity import (
    PATH_POINTS,
    CollapseWatch,
    SparsityController,
    SparsityTarget,
    warm_up,
)

TERMS = 30522
STEPS = 3000


class Plant:
    """A training whose nnz follows a · strength^-power with a first-order lag and a delay.

    The strength ``needed`` gives the target. ``domain`` says whether nnz or its logarithm lags.
    Nnz grows ``asymmetry`` times more slowly than it falls, and everything slows down with the
    learning rate.
    """

    def __init__(self, nnz, target, needed, power, lag, delay, domain, asymmetry, seed):
        self.log_nnz = math.log(nnz)
        self.log_a = math.log(target) + power * math.log(needed)
        self.power, self.lag, self.domain, self.asymmetry = power, lag, domain, asymmetry
        self.waiting = [1e-9] * delay
        self.random = random.Random(seed)

    def step(self, strength, pace):
        """The batch's noisy nnz after a step with that strength and share of the peak rate."""
        self.waiting.append(strength)
        equilibrium = self.log_a - self.power * math.log(self.waiting.pop(0))
        equilibrium = min(math.log(TERMS), equilibrium)
        share = pace / self.lag
        if self.domain == "log":
            change = share * (equilibrium - self.log_nnz)
        else:
            change = math.log1p(share * math.expm1(equilibrium - self.log_nnz))
        self.log_nnz += change / (self.asymmetry if change > 0 else 1)
        return math.exp(self.log_nnz) * self.random.uniform(0.85, 1.15)


def pace(step, steps):
    """Learning rate over its peak: linear warm-up over 6 %, linear decay to 0."""
    return min(1.0, step / (0.06 * steps)) * (1 - (step - 1) / steps)


def steer(controller, plant, first=1, last=STEPS, steps=STEPS):
    """Largest undershoot is returned too: the least nnz after the first 100 steps."""
    least = math.inf
    for step in range(first, last + 1):
        controller.observe(plant.step(controller.strength, pace(step, steps)))
        if step > 100:
            least = min(least, math.exp(plant.log_nnz))
    return math.exp(plant.log_nnz), least


plants = st.builds(
    dict,
    nnz=st.floats(math.log(20), math.log(30_000)).map(math.exp),
    needed=st.floats(math.log(1e-4), math.log(1.0)).map(math.exp),
    power=st.floats(0.2, 1.0),
    lag=st.floats(30, 100),
    delay=st.sampled_from([0, 5, 20]),
    domain=st.sampled_from(["log", "linear"]),
    asymmetry=st.sampled_from([1, 4]),
    seed=st.integers(0, 2**32),
)


@settings(max_examples=60)
@given(plants, st.sampled_from([60, 120, 240]))
def test_training_ends_within_a_tenth_of_the_target(plant, target):
    controller = SparsityController(SparsityTarget(target, warm_up_steps=STEPS // 10))
    end, least = steer(controller, Plant(target=target, **plant))
    assert end == pytest.approx(target, rel=0.1)
    assert least > min(target / 6, 0.9 * plant["nnz"])


@pytest.mark.parametrize("steps", [600, 1000, 1440])
def test_a_short_training_comes_closer_when_it_is_steered_faster(steps):
    drawn = random.Random(steps)
    off = {"faster": [], "as ever": []}
    for seed in range(60):
        plant = {
            "nnz": math.exp(drawn.uniform(math.log(20), math.log(30_000))),
            "needed": math.exp(drawn.uniform(math.log(1e-4), 0)),
            "power": drawn.uniform(0.2, 1),
            "lag": drawn.uniform(30, 100),
            "delay": drawn.choice([0, 5, 20]),
            "domain": drawn.choice(["log", "linear"]),
            "asymmetry": drawn.choice([1, 4]),
            "seed": seed,
        }
        for name, target in (
            ("faster", SparsityTarget.within(steps, 120, 0.01, steps // 3)),
            ("as ever", SparsityTarget(120, 0.01, steps // 3)),
        ):
            model = Plant(target=120, **plant)
            end, least = steer(SparsityController(target), model, last=steps, steps=steps)
            off[name].append(abs(math.log(end / 120)))
            assert least > min(20, 0.9 * plant["nnz"])
    medians = {name: sorted(each)[len(each) // 2] for name, each in off.items()}
    if steps < 1440:
        assert medians["faster"] < 0.75 * medians["as ever"]
    else:
        assert off["faster"] == off["as ever"]


@settings(max_examples=20)
@given(plants, st.integers(1, STEPS - 1), st.sampled_from([60, 240]))
def test_a_resumed_controller_goes_on_bit_for_bit(plant, cut, target):
    wanted = SparsityTarget(target, warm_up_steps=150)
    whole, whole_plant = SparsityController(wanted), Plant(target=target, **plant)
    steer(whole, whole_plant)
    first, same_plant = SparsityController(wanted), Plant(target=target, **plant)
    steer(first, same_plant, last=cut)
    second = SparsityController(wanted)
    second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    assert second.state_dict() == first.state_dict()
    assert second.strength == first.strength
    steer(second, same_plant, first=cut + 1)
    assert second.state_dict() == whole.state_dict()
    assert second.path == whole.path


def test_a_real_small_training_ends_within_a_tenth_of_the_target():
    """A linear encoder with Adam, InfoNCE and FLOPS, the learning rate decaying to 0."""
    generator = torch.Generator().manual_seed(0)
    terms, width, documents, steps, target = 500, 32, 200, 800, 40
    words = torch.randint(0, terms, (documents, 20), generator=generator)
    embedding = torch.randn(terms, width, generator=generator) / 6
    states = embedding[words].sum(1)
    weight = (embedding + 0.05 * torch.randn(terms, width, generator=generator)).requires_grad_()
    bias = torch.zeros(terms, requires_grad=True)
    optimiser = torch.optim.Adam([weight, bias])
    controller = SparsityController(SparsityTarget(target, warm_up_steps=80))
    for step in range(1, steps + 1):
        optimiser.param_groups[0]["lr"] = 3e-3 * pace(step, steps)
        rows = torch.randint(0, documents, (32,), generator=generator)
        vectors = saturate(states[rows] @ weight.T + bias, 1)
        queries = torch.zeros(32, terms).scatter_(1, words[rows, :4], 2.0)
        loss = info_nce(match(queries, vectors), torch.arange(32))
        loss = loss + controller.strength * flops(vectors)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        controller.observe(vectors.count_nonzero().item() / 32)
    vectors = saturate(states @ weight.T + bias, 1)
    assert controller.path[0][2] > 4 * target
    assert vectors.count_nonzero().item() / documents == pytest.approx(target, rel=0.1)


# Warm-up


def test_the_warm_up_is_quadratic_and_full_at_its_last_step():
    assert [warm_up(step, 4, 0.8) for step in (1, 2, 4, 5, 100)] == pytest.approx(
        [0.05, 0.2, 0.8, 0.8, 0.8]
    )
    assert warm_up(1, 0, 0.8) == 0.8


def test_the_controller_warms_up_quadratically_and_then_takes_over():
    controller = SparsityController(SparsityTarget(100, initial=0.5, warm_up_steps=50))
    strengths = []
    for _ in range(60):
        strengths.append(controller.strength)
        controller.observe(5000)
    assert strengths[:50] == pytest.approx([0.5 * (step / 50) ** 2 for step in range(1, 51)])
    assert all(b > a for a, b in pairwise(strengths[50:]))


def test_the_warm_up_ends_where_nnz_is_about_to_fall_below_the_target():
    controller = SparsityController(SparsityTarget(100, initial=0.5, warm_up_steps=500))
    strengths = []
    for step in range(100):
        strengths.append(controller.strength)
        controller.observe(3000 * 0.95**step)
    assert max(strengths) < 0.5 * (70 / 500) ** 2
    assert strengths[-1] < max(strengths)


def test_strength_moves_against_the_error_and_stays_within_bounds():
    for nnz, bound in ((1000, 2.0), (0, 1e-3)):
        target = SparsityTarget(100, initial=0.1, warm_up_steps=0, lowest=1e-3, highest=2.0)
        controller = SparsityController(target)
        assert controller.strength == pytest.approx(0.1)
        for _ in range(500):
            before = controller.strength
            controller.observe(nnz)
            ratio = controller.strength / before
            assert math.exp(-0.0501) <= ratio <= math.exp(0.0501)
        assert controller.strength == pytest.approx(bound)


# Reporting and state


def test_the_path_has_every_step_of_a_short_training_and_a_bounded_part_of_a_long_one():
    controller = SparsityController(SparsityTarget(100, warm_up_steps=0))
    seen = []
    for step in range(1, 5 * PATH_POINTS):
        seen.append((step, controller.strength, float(step)))
        controller.observe(step)
        if step <= 100:
            assert controller.path == seen
    path = controller.path
    assert len(path) <= PATH_POINTS + 2
    assert set(path) <= set(seen)
    assert path[0] == seen[0]
    assert path[-1] == seen[-1]
    gaps = {b[0] - a[0] for a, b in pairwise(path[:-1])}
    assert gaps == {8}


@pytest.mark.parametrize("nnz", [math.nan, math.inf, -1.0])
def test_an_impossible_observation_is_refused(nnz):
    with pytest.raises(UsageError, match="mean nnz is"):
        SparsityController(SparsityTarget(100)).observe(nnz)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"nnz": 0.5}, "below 1"),
        ({"nnz": math.nan}, "nnz is nan"),
        ({"initial": 0.0}, "initial strength 0.0"),
        ({"initial": 1.0, "highest": 0.5}, "initial strength 1.0"),
        ({"smoothing": 0.0}, "smoothing is 0.0"),
        ({"trend_smoothing": 1.5}, "trend_smoothing is 1.5"),
        ({"gain": 0.0}, "gain is 0.0"),
        ({"largest_error": -1.0}, "largest_error is -1.0"),
        ({"horizon": -1.0}, "horizon is -1.0"),
        ({"warm_up_steps": -1}, "warm_up_steps is -1"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        SparsityTarget(**{"nnz": 100.0, **wrong})


@pytest.mark.parametrize(
    "damage",
    [
        {"step": None},
        {"step": -1},
        {"stride": 0},
        {"level": "x"},
        {"trend": math.nan},
        {"path": [[1, 2]]},
        {"path": 3},
        {"last": []},
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(damage):
    controller = SparsityController(SparsityTarget(100))
    controller.observe(50)
    before = controller.state_dict()
    for state in ({**before, **damage}, {}):
        with pytest.raises(InputError, match="another checkpoint"):
            controller.load_state_dict(state)
    assert controller.state_dict() == before


# Collapse


def test_empty_documents_stop_training_after_a_window():
    watch = CollapseWatch(terms=1000, window=5)
    for step in range(1, 5):
        watch.observe(step, 1.0, 0.0)
    watch.observe(5, 1.0, 30.0)
    for step in range(6, 10):
        watch.observe(step, 1.0, 0.3)
    with pytest.raises(CollapseError, match=r"step 10 .* 0\.30 active terms .* before step 6$"):
        watch.observe(10, 1.0, 0.3)
    assert issubclass(CollapseError, LsrError)


def test_full_documents_stop_training_after_grace_and_window():
    watch = CollapseWatch(terms=1000, window=5, grace=20)
    for step in range(1, 25):
        watch.observe(step, 1.0, 990.0)
    with pytest.raises(CollapseError, match=r"step 25 .* 990 of 1000 terms .* raise its strength"):
        watch.observe(25, 1.0, 990.0)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_training_at_once(loss):
    with pytest.raises(CollapseError, match=f"step 7 because its loss is {loss}"):
        CollapseWatch(terms=1000).observe(7, loss, 100.0)


def test_a_healthy_training_is_left_alone():
    watch = CollapseWatch(terms=1000, window=1, grace=0)
    for step in range(1, 200):
        watch.observe(step, 0.0, 1.0 + step)


def test_the_watch_goes_on_from_its_state():
    first, second = (CollapseWatch(terms=1000, window=3) for _ in range(2))
    first.observe(1, 1.0, 0.0)
    first.observe(2, 1.0, 0.0)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    with pytest.raises(CollapseError):
        second.observe(3, 1.0, 0.0)
    with pytest.raises(InputError, match="another checkpoint"):
        second.load_state_dict({"empty_steps": "many"})
    with pytest.raises(UsageError, match="window 0"):
        CollapseWatch(terms=1, window=0)
