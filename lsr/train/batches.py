"""What each step of a training sees: queries, their documents, and which are right."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lsr.errors import UsageError
from lsr.train.config import BatchConfig
from lsr.train.pairs import TrainingCorpus

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TrainingBatch:
    """Rows of a training corpus.

    ``queries`` int64 (B,); ``documents`` int64 (N,), each once; ``listed`` int64 (B, G) are the
    columns, among ``documents``, of each query's positive and then of its negatives, -1 where it
    has fewer. ``allowed`` bool (B, N) is false for documents that answer the query too and are not
    the positive: they are no negatives.
    """

    queries: Rows
    documents: Rows
    listed: Rows
    allowed: NDArray[np.bool_]

    @property
    def positives(self) -> Rows:
        """The column of each query's positive, int64 (B,)."""
        return self.listed[:, 0]


class BatchOrder:
    """The batch of every step: a function of seed, step and mined documents, with no state.

    Every pass over the pairs has an order of its own and leaves out the pairs that would not fill
    a batch.

    Args:
        corpus: the pairs.
        config: size and order.
        seed: decides the order, and which of the mined documents are taken.
        mined: int64 (queries, depth), document rows, the best first, -1 where there are fewer;
            needed for topics, and for the negatives that pairs don't come with.

    Raises:
        UsageError: there are fewer pairs than a batch has.
    """

    def __init__(
        self, corpus: TrainingCorpus, config: BatchConfig, seed: int, mined: Rows | None
    ) -> None:
        self.corpus = corpus
        self.config = config
        self._seed = seed
        self._mined = mined
        self.batches_per_pass = len(corpus.queries) // config.queries
        if not self.batches_per_pass:
            raise UsageError(
                f"[batches] queries is {config.queries}, and there are only "
                f"{len(corpus.queries)} pairs to train on; give fewer, or more sources"
            )
        self._order = lru_cache(maxsize=1)(self._order_of_pass)

    def __call__(self, step: int) -> TrainingBatch:
        """The batch of a step, from 0 on."""
        number, place = divmod(step, self.batches_per_pass)
        rows = self._order(number)[place]
        listed = [self.corpus.positives[rows][:, None]]
        if self.config.negatives:
            listed.append(self._negatives(rows, step))
        rows_listed = np.concatenate(listed, axis=1)
        documents, columns = np.unique(rows_listed, return_inverse=True)
        columns = columns.reshape(rows_listed.shape)
        if documents[0] == -1:
            documents, columns = documents[1:], columns - 1
        allowed = ~self.corpus.is_relevant(
            rows, np.broadcast_to(documents, (len(rows), len(documents)))
        )
        allowed[np.arange(len(rows)), columns[:, 0]] = True
        return TrainingBatch(rows, documents, columns, allowed)

    def _random(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, *key])

    def _negatives(self, rows: Rows, step: int) -> Rows:
        """int64 (B, negatives): a sample of each query's documents, -1 for missing ones.

        Those that its pair came with are taken first, the mined ones after them.
        """
        mined = np.empty((len(rows), 0), np.int64) if self._mined is None else self._mined[rows]
        keys = self._random(1, step).random(mined.shape)
        keys[mined < 0] = 2.0
        if self.corpus.given.size:
            given = self.corpus.given[rows]
            given = np.where(self.corpus.is_relevant(rows, given), -1, given)
            keys[(mined[:, :, None] == given[:, None, :]).any(axis=2)] = 2.0
            # Before all that were mined.
            first = self._random(2, step).random(given.shape) - 1
            first[given < 0] = 2.0
            mined, keys = np.hstack([given, mined]), np.hstack([first, keys])
        mined = np.where(keys < 2, mined, -1)
        chosen = np.argsort(keys, axis=1, kind="stable")[:, : self.config.negatives]
        found = np.take_along_axis(mined, chosen, axis=1)
        missing = self.config.negatives - found.shape[1]
        return np.pad(found, ((0, 0), (0, missing)), constant_values=-1)

    def _order_of_pass(self, number: int) -> Rows:
        """int64 (batches, B): the queries of each batch."""
        random = self._random(0, number)
        order = random.permutation(len(self.corpus.queries))
        if self.config.order == "topics":
            order = self._by_topic(order)
        batches = order[: self.batches_per_pass * self.config.queries]
        batches = batches.reshape(self.batches_per_pass, self.config.queries)
        return batches[random.permutation(len(batches))]

    def _by_topic(self, order: Rows) -> Rows:
        """The queries so that neighbours stand together: each batch grows around its first.

        A query's neighbours are those that are answered by its mined documents.
        """
        assert self._mined is not None
        answered = np.full(len(self.corpus.documents) + 1, -1, dtype=np.int64)
        answered[self.corpus.positives[order[::-1]]] = order[::-1]
        waiting = dict.fromkeys(order.tolist())
        result: list[int] = []
        while waiting:
            first = next(iter(waiting))
            del waiting[first]
            batch = [first]
            for query in answered[self._mined[first]].tolist():
                if len(batch) == self.config.queries:
                    break
                if query in waiting:
                    del waiting[query]
                    batch.append(query)
            result += batch
        return np.array(result, dtype=np.int64)
