"""The queries and documents of each step of a training of Lambda."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsr.errors import InputError
from lsr.train.spar.config import SparConfig


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Queries and the documents that are scored for all of them.

    ``queries`` int64 (B,) and ``documents`` int64 (U,), ascending, are rows of the texts.
    ``positives`` int64 (B,) are columns of the drawn right document; ``allowed`` bool (B, U) is
    false for a query's other right ones, which are neither right nor wrong.
    """

    queries: NDArray[np.int64]
    documents: NDArray[np.int64]
    positives: NDArray[np.int64]
    allowed: NDArray[np.bool_]


class Draws:
    """Batches from a teacher's rankings; each depends on seed and step alone.

    Args:
        ranking: int64 (queries, depth) rows of documents, best first, -1 at the end.
        config: what is right, wrong, and drawn.

    Raises:
        InputError: fewer than two queries have a document.
    """

    def __init__(self, ranking: NDArray[np.int64], config: SparConfig) -> None:
        self._config = config
        found = (ranking >= 0).sum(axis=1)
        self._queries = np.flatnonzero(found)
        if len(self._queries) < 2:
            raise InputError(
                f"the teacher {config.teacher} finds documents for {len(self._queries)} of "
                f"{len(ranking)} queries; give at least two queries that it finds documents for"
            )
        self._ranking = ranking[self._queries]
        self._found = found[self._queries]
        self._epoch = -1, np.empty(0, np.int64)

    def batch(self, step: int) -> Batch:
        """The batch of a step, counted from 0."""
        config = self._config
        chosen = self._order(step)
        random = np.random.default_rng([config.seed, 1, step])
        right = self._ranking[chosen, : config.positives]
        places = (random.random(len(chosen)) * (right >= 0).sum(axis=1)).astype(np.int64)
        positives = right[np.arange(len(chosen)), places]
        wrong = self._wrong(chosen, random)
        documents = np.unique(np.concatenate([positives, wrong[wrong >= 0]]))
        is_right = (documents[None, :, None] == right[:, None, :]).any(axis=2)
        columns = np.searchsorted(documents, positives)
        is_right[np.arange(len(chosen)), columns] = False
        return Batch(self._queries[chosen], documents, columns, ~is_right)

    def _order(self, step: int) -> NDArray[np.int64]:
        """Places of a step's queries: shuffled anew each time that all have been seen."""
        size, total = self._config.batch_size, len(self._queries)
        numbers = np.arange(step * size, (step + 1) * size)
        parts = []
        for epoch in np.unique(numbers // total):
            if self._epoch[0] != epoch:
                random = np.random.default_rng([self._config.seed, 0, epoch])
                self._epoch = epoch, random.permutation(total)
            parts.append(self._epoch[1][numbers[numbers // total == epoch] % total])
        return np.concatenate(parts)

    def _wrong(self, chosen: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
        """int64 (B, negatives_per_query): drawn without repeats from the last ones, or -1."""
        config = self._config
        last = self._found[chosen][:, None] - 1 - np.arange(config.negatives)[None, :]
        there = last >= config.positives
        keys = np.where(there, random.random(last.shape), 2.0)
        drawn = np.argsort(keys, axis=1, kind="stable")[:, : config.negatives_per_query]
        rows = np.take_along_axis(self._ranking[chosen], np.maximum(last, 0), axis=1)
        return np.take_along_axis(np.where(there, rows, -1), drawn, axis=1)
