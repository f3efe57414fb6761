"""Margins of all pairs, or of the positive alone, as the configuration of a cross-encoder says."""

import numpy as np
import pytest
import torch

from lsr.errors import UsageError
from lsr.train.batches import TrainingBatch
from lsr.train.reranker.config import PairLossConfig
from lsr.train.reranker.run import _Training
from lsr.train.teachers import DenseTeacher, Ensemble


@pytest.mark.parametrize("pairs", ["all", "positive"])
def test_margins_are_those_of_a_loop(pairs):
    random = np.random.default_rng(2)
    queries = random.normal(size=(3, 4)).astype(np.float16)
    documents = random.normal(size=(9, 4)).astype(np.float16)
    listed = np.array([[0, 1, 2], [3, 4, -1], [5, 6, 7]])
    rows = np.array([8, 1, 2, 3, 4, 5, 6, 7])
    allowed = np.ones((3, 8), dtype=bool)
    allowed[2, 6] = False
    batch = TrainingBatch(np.arange(3), rows, listed, allowed)
    training = object.__new__(_Training)
    training._teacher = Ensemble([DenseTeacher("d", queries, documents)])
    scores = torch.randn(3, 3)
    counts = (listed >= 0) & np.take_along_axis(allowed, np.maximum(listed, 0), axis=1)
    config = PairLossConfig("margin-mse", pairs=pairs)
    found = training._loss(config, scores, torch.from_numpy(counts), batch)
    expected = 0.0
    for query in range(3):
        there = [place for place in range(3) if counts[query, place]]
        taught = {p: float(queries[query].astype(np.float32) @ documents[rows[listed[query, p]]])
                  for p in there}  # fmt: skip
        chosen = [
            (one, other)
            for one in there
            for other in there
            if pairs == "all" or (one == 0 and other != 0)
        ]
        errors = [
            (float(scores[query, a] - scores[query, b]) - (taught[a] - taught[b])) ** 2
            for a, b in chosen
        ]
        expected += np.mean(errors) / 3
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_pairs_are_of_margin_mse():
    with pytest.raises(UsageError, match="pairs is for margin-mse, not for kl"):
        PairLossConfig("kl", pairs="positive")
    with pytest.raises(UsageError, match="pairs is 'some'"):
        PairLossConfig("margin-mse", pairs="some")
