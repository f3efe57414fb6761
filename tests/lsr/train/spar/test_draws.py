"""SPAR's settings, and what is drawn from a teacher's ranking."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.errors import InputError, UsageError
from lsr.train.spar.config import SparConfig
from lsr.train.spar.draws import Draws


@st.composite
def rankings(draw):
    """Rows of distinct documents, -1 at their end, and settings that go with them."""
    positives, negatives = draw(st.integers(1, 4)), draw(st.integers(0, 4))
    settings = SparConfig(
        "model",
        depth=positives + negatives + draw(st.integers(0, 4)),
        positives=positives,
        negatives=negatives,
        negatives_per_query=draw(st.integers(0, negatives)),
        batch_size=draw(st.integers(2, 9)),
        seed=draw(st.integers(0, 5)),
    )
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    lines = []
    for length in draw(st.lists(st.integers(0, settings.depth), min_size=1, max_size=8)):
        line = np.full(settings.depth, -1)
        line[:length] = random.permutation(max(settings.depth, 6))[:length]
        lines.append(line)
    return np.array(lines, dtype=np.int64), settings


@settings(max_examples=40)
@given(rankings(), st.integers(0, 40))
def test_draws_are_what_the_settings_say(drawn, step):
    ranking, config = drawn
    usable = [row for row, line in enumerate(ranking) if line[0] >= 0]
    if len(usable) < 2:
        with pytest.raises(InputError, match=f"finds documents for {len(usable)} of"):
            Draws(ranking, config)
        return
    batch = Draws(ranking, config).batch(step)
    assert len(batch.queries) == config.batch_size
    assert batch.documents.tolist() == sorted(set(batch.documents.tolist()))
    drawn, possible, least = set(), set(), 0
    for query, column, allowed in zip(batch.queries, batch.positives, batch.allowed, strict=True):
        found = [document for document in ranking[query].tolist() if document >= 0]
        right = found[: config.positives]
        wrong = found[config.positives :][-config.negatives :] if config.negatives else []
        positive = batch.documents[column]
        assert positive in right
        expected = [d == positive or d not in right for d in batch.documents.tolist()]
        assert allowed.tolist() == expected
        drawn.add(positive)
        possible.update(wrong)
        there = sum(document in wrong for document in batch.documents)
        assert there >= min(config.negatives_per_query, len(wrong))
        least = max(least, there)
    assert set(batch.documents.tolist()) <= drawn | possible


@settings(max_examples=25)
@given(rankings())
def test_every_query_is_seen_once_an_epoch_in_a_new_order(drawn):
    ranking, config = drawn
    usable = [row for row, line in enumerate(ranking) if line[0] >= 0]
    if len(usable) < 2:
        return
    draws, size = Draws(ranking, config), config.batch_size
    steps = [draws.batch(step).queries for step in range(3 * len(usable))]
    seen = np.concatenate(steps)[: 3 * len(usable)].reshape(3, -1)
    assert (np.sort(seen, axis=1) == usable).all()
    # A step's batch does not depend on the steps before it.
    np.testing.assert_array_equal(Draws(ranking, config).batch(len(steps) - 1).queries, steps[-1])
    assert len(steps[0]) == size


def test_wrong_documents_are_drawn_without_repeats_and_all_of_them_in_turn():
    config = SparConfig("m", depth=9, positives=2, negatives=3, negatives_per_query=2, batch_size=2)
    ranking = np.stack([np.arange(9), np.arange(9) + 100]).astype(np.int64)
    draws = Draws(ranking, config)
    wrong, right = set(), set()
    for step in range(30):
        batch = draws.batch(step)
        assert len(batch.documents) == 2 + 2 * 2
        right |= {int(d) for d in batch.documents if d % 100 < 2}
        wrong |= {int(d) for d in batch.documents if d % 100 >= 2}
    assert right == {0, 1, 100, 101}
    assert wrong == {6, 7, 8, 106, 107, 108}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"model": ""}, "model is empty"),
        ({"towers": "three"}, "towers is 'three'; allowed are shared and two"),
        ({"pooling": "max"}, "pooling is 'max'; allowed are mean and cls"),
        ({"max_length": 1}, "max_length is 1; allowed is 3 to"),
        ({"positives": 0}, "positives is 0; allowed is 1 or more"),
        ({"negatives": -1}, "negatives is -1; allowed is 0 or more"),
        ({"batch_size": 1}, "batch_size is 1; allowed is 2 or more"),
        ({"steps": 0}, "steps is 0"),
        ({"warm_up": 1.5}, "warm_up is 1.5; allowed is 0 to 1"),
        ({"seed": -1}, "seed is -1"),
        ({"checkpoint_every": 0}, "checkpoint_every is 0"),
        ({"temperature": 0.0}, "temperature is 0.0; allowed is 1e-06 or more"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; allowed is 1e-12 or more"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1; allowed is 0 or more"),
        ({"max_norm": float("inf")}, "max_norm is inf"),
        ({"depth": 6}, "positives=3 and negatives=4 together are more than depth=6"),
        ({"negatives_per_query": 5}, "negatives_per_query=5 is more than negatives=4"),
    ],
)
def test_settings_are_checked(changes, complaint):
    with pytest.raises(UsageError, match=complaint):
        replace(SparConfig("model", depth=12, positives=3, negatives=4), **changes)
