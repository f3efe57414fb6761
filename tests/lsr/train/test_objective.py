"""The loss of a batch is its parts, each computed by plain loops, times their weights."""

import numpy as np
import pytest
import torch

from lsr.train.batches import TrainingBatch
from lsr.train.config import (
    BatchConfig,
    LossConfig,
    OptimizerConfig,
    SourceConfig,
    SparsityConfig,
    TeacherConfig,
    TrainingConfig,
)
from lsr.train.model_config import ModelConfig
from lsr.train.objective import Penalty, RankingLoss, zero_penalty
from lsr.train.sparsity import SparsityController, SparsityTarget

TERMS = 9
IDF = np.linspace(0.1, 3, TERMS).astype(np.float32)
# Three queries, five documents; the second lacks a negative, the third has a second answer in
# the batch, which is one of its listed documents too.
BATCH = TrainingBatch(
    np.array([4, 0, 7]),
    np.array([1, 2, 5, 6, 9]),
    np.array([[0, 2, 3], [4, 1, -1], [2, 0, 4]]),
    np.array([[1, 1, 1, 1, 1], [1, 1, 1, 1, 1], [0, 1, 1, 1, 1]], dtype=bool),
)


def vectors(seed, count):
    values = torch.randn(count, TERMS, generator=torch.Generator().manual_seed(seed))
    return values.relu().double()


def config(losses, **settings):
    return TrainingConfig(
        ModelConfig("base", queries="model"),
        OptimizerConfig(1),
        (SourceConfig("pairs"),),
        losses,
        **{"teachers": (TeacherConfig("bm25"),)} | settings,
    )


def listed_by_hand(candidates, query):
    """Documents that count for a query, and the place of its positive among them."""
    columns = range(5) if candidates == "batch" else BATCH.listed[query].tolist()
    counted = [c for c in columns if c >= 0 and BATCH.allowed[query, c]]
    return counted, counted.index(BATCH.listed[query, 0])


def loss_by_hand(loss, queries, documents, teacher):
    total = 0.0
    for query in range(3):
        counted, positive = listed_by_hand(loss.candidates, query)
        ours = np.array([float(queries[query] @ documents[c]) for c in counted])
        theirs = np.array([0.0 if teacher is None else float(teacher[query, c]) for c in counted])
        if loss.name == "margin-mse":
            margins = [
                ((ours[i] - ours[j]) - (theirs[i] - theirs[j])) ** 2
                for i in range(len(ours))
                for j in range(len(ours))
            ]
            total += np.mean(margins)
            continue
        ours = np.exp(ours / loss.temperature)
        ours /= ours.sum()
        if loss.name == "info-nce":
            total -= np.log(ours[positive])
        else:
            theirs = np.exp(theirs / loss.temperature)
            theirs /= theirs.sum()
            total += (theirs * np.log(theirs / ours)).sum()
    return total / 3


ALL = [
    LossConfig(name, weight, temperature, candidates)
    for name, weight, temperature in (("kl", 0.7, 2.0), ("margin-mse", 0.2, 1.0))
    for candidates in ("batch", "list")
] + [LossConfig("info-nce", 1.5, 3.0, "batch"), LossConfig("info-nce", 0.0, 0.5, "list")]


@pytest.mark.parametrize("losses", [(one,) for one in ALL if one.weight] + [tuple(ALL)])
def test_the_sum_of_losses(losses):
    queries, documents = vectors(1, 3), vectors(2, 5)
    scaled, raw = np.random.default_rng(3).normal(0, 3, (2, 3, 5)).astype(np.float32)
    settings = config(losses, batches=BatchConfig(3, 2))
    total, parts = RankingLoss(settings)(queries, documents, BATCH, scaled, raw)
    # MarginMSE learns the margins of one teacher as they are, unless it is told otherwise.
    learned = {"margin-mse": raw, "kl": scaled, "info-nce": None}
    expected = {
        f"{one.name}-{one.candidates}": loss_by_hand(one, queries, documents, learned[one.name])
        for one in losses
    }
    assert parts == pytest.approx(expected, rel=1e-6)
    weighted = sum(one.weight * expected[f"{one.name}-{one.candidates}"] for one in losses)
    assert float(total) == pytest.approx(weighted, rel=1e-6)


@pytest.mark.parametrize("name", ["kl", "margin-mse"])
@pytest.mark.parametrize(
    ("wanted", "teachers", "raw"),
    [
        ("auto", 1, {"margin-mse"}),
        ("auto", 2, set()),
        ("raw", 1, {"kl", "margin-mse"}),
        ("scaled", 1, set()),
        ("scaled", 2, set()),
    ],
)
def test_what_is_learned_of_the_teachers(name, wanted, teachers, raw):
    loss = LossConfig(name, teacher_scores=wanted)
    settings = config(
        (loss,),
        teachers=(*(TeacherConfig("bm25") for _ in range(teachers)), TeacherConfig("m", 0)),
    )
    ranking = RankingLoss(settings)
    assert (ranking.needs_raw, ranking.needs_scaled) == (name in raw, name not in raw)
    queries, documents = vectors(1, 3), vectors(2, 5)
    scores = np.random.default_rng(3).normal(0, 3, (2, 3, 5)).astype(np.float32)
    _, parts = ranking(queries, documents, BATCH, *scores)
    learned = scores[int(name in raw)]
    assert parts == pytest.approx(
        {f"{name}-batch": loss_by_hand(loss, queries, documents, learned)}, rel=1e-6
    )


def test_only_distillation_needs_a_teacher():
    alone = RankingLoss(config((LossConfig("info-nce"),)))
    assert not alone.needs_raw | alone.needs_scaled
    total, _ = alone(vectors(1, 3), vectors(2, 5), BATCH, None)
    assert torch.isfinite(total)
    assert RankingLoss(config((LossConfig("info-nce"), LossConfig("kl")))).needs_scaled


def penalty_by_hand(name, weights, threshold=0):
    """Of all documents, divided by how many there are."""
    total = 0.0
    if name == "l1":
        return sum(float(row.sum()) for row in weights) / len(weights)
    for term in range(TERMS):
        mean = sum(float(row[term]) for row in weights if int((row > 0).sum()) > threshold) / len(
            weights
        )
        factor = 1 / max(float(IDF[term]), 0.1) if name == "idf-flops" else 1.0
        total += (factor * mean) ** 2
    return total


@pytest.mark.parametrize("name", ["flops", "l1", "l0-flops", "idf-flops", "df-flops"])
def test_penalties_of_all_documents(name):
    threshold = 4 if name == "l0-flops" else 0
    penalty = Penalty(SparsityConfig(name, strength=2.0, threshold=threshold), 10, len(IDF), IDF)
    weights = vectors(4, 5)
    found = float(penalty(weights, BATCH.listed))
    assert found == pytest.approx(penalty_by_hand(name, weights, threshold), rel=1e-6)


@pytest.mark.parametrize("name", ["flops", "l1", "l0-flops", "idf-flops"])
def test_penalties_by_place_are_those_of_opensearch(name):
    """Each place of the list on its own, over the number of queries, and the sum of them."""
    threshold = 4 if name == "l0-flops" else 0
    config = SparsityConfig(name, strength=2.0, threshold=threshold, by_place=True)
    weights = vectors(4, 5)
    expected = 0.0
    for place in range(3):
        rows = [weights[row] if row >= 0 else torch.zeros(TERMS) for row in BATCH.listed[:, place]]
        expected += penalty_by_hand(name, rows, threshold)
    found = Penalty(config, 10, len(IDF), IDF)(weights, BATCH.listed)
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_no_regularizer_is_no_penalty():
    assert Penalty(SparsityConfig(), 10, len(IDF), IDF)(vectors(4, 5), BATCH.listed) is None


def test_strength_warms_up_quadratically():
    penalty = Penalty(SparsityConfig("flops", strength=0.5, warm_up=0.25), 40, len(IDF), IDF)
    found = []
    for _ in range(15):
        found.append(penalty.strength)
        penalty.observe(100)
    assert found == pytest.approx([0.5 * min(1, (step / 10) ** 2) for step in range(1, 16)])


def test_a_target_is_steered_to_by_the_controller():
    config = SparsityConfig("flops", target_nnz=30, warm_up=0.1, initial=0.2)
    penalty = Penalty(config, 100, len(IDF), IDF)
    controller = SparsityController(SparsityTarget.within(100, 30, 0.2, 10))
    for step in range(60):
        assert penalty.strength == controller.strength
        penalty.observe(200 - 2 * step)
        controller.observe(200 - 2 * step)


@pytest.mark.parametrize(
    "settings", [{"strength": 0.5}, {"target_nnz": 30}], ids=["strength", "target"]
)
def test_a_penalty_goes_on_from_its_state(settings):
    config = SparsityConfig("df-flops", **settings)

    def step(penalty, number):
        value = float(penalty(vectors(number, 5), BATCH.listed)) * penalty.strength
        penalty.observe(50.0 - number % 7)
        return value

    whole, before, after = (Penalty(config, 300, len(IDF), IDF) for _ in range(3))
    for number in range(130):
        step(whole, number)
        step(before, number)
    after.load_state_dict(before.state_dict())
    after.load_tensors(before.tensors())
    values = [step(whole, number) for number in range(130, 260)]
    assert values == [step(after, number) for number in range(130, 260)]
    assert len(set(values)) > 100


def test_anti_zero():
    one, two = vectors(5, 3), vectors(6, 5)
    expected = 0.3 * (1 / float(one.sum()) ** 2 + 1 / float(two.sum()) ** 2)
    assert float(zero_penalty(0.3, one, two)) == pytest.approx(expected)
    assert zero_penalty(0.0, one, two) is None
