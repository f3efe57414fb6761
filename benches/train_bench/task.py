"""What both trainers are given: model, pairs in one order, loss and optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lsr.errors import UsageError
from lsr.train.batches import BatchOrder
from lsr.train.config import (
    BatchConfig,
    EvaluationConfig,
    LossConfig,
    OptimizerConfig,
    SourceConfig,
    SparsityConfig,
    TrainingConfig,
)
from lsr.train.model_config import ModelConfig
from lsr.train.pairs import PairSource, TrainingCorpus, normal

LEARNING_RATE = 5e-5
STRENGTH = 3e-3
SEED = 1
TABLE, MODEL = "table", "model"
QUERIES = {TABLE: "idf", MODEL: "model"}


@dataclass(frozen=True)
class Task:
    """``pairs`` are (query, document), each text once, ``batch`` of them a step.

    ``queries`` go through a fixed table or through the model; ``dropout`` is the probability of
    all dropout layers.
    """

    base: str
    pairs: Sequence[tuple[str, str]]
    queries: str
    dropout: float
    batch: int
    max_length: int

    @property
    def steps(self) -> int:
        """So many as the pairs last for."""
        return len(self.pairs) // self.batch

    @property
    def corpus(self) -> TrainingCorpus:
        """The pairs as rows."""
        queries, documents = zip(*self.pairs, strict=True)
        return TrainingCorpus(queries, documents, np.arange(len(self.pairs)))

    @property
    def config(self) -> TrainingConfig:
        """The settings of our trainer. Both clip gradients at a norm of 1, neither warms up."""
        return TrainingConfig(
            model=ModelConfig(
                base=self.base,
                queries=QUERIES[self.queries],
                max_length=self.max_length,
                query_length=self.max_length,
                export_length=self.max_length,
                dropout=self.dropout,
            ),
            optimizer=OptimizerConfig(
                steps=self.steps, learning_rate=LEARNING_RATE, warm_up=0.0, max_norm=1.0
            ),
            sources=(SourceConfig("pairs"),),
            losses=(LossConfig("info-nce"),),
            documents=SparsityConfig("flops", strength=STRENGTH, warm_up=0.0),
            batches=BatchConfig(self.batch),
            evaluation=EvaluationConfig(every=0),
            checkpoint_every=self.steps + 1,
            seed=SEED,
        )

    def in_order(self) -> list[tuple[str, str]]:
        """The pairs in the order in which our trainer takes them."""
        order = BatchOrder(self.corpus, BatchConfig(self.batch), SEED, None)
        rows = np.concatenate([order(step).queries for step in range(self.steps)])
        return [self.pairs[row] for row in rows]


def load_pairs(files: Sequence[Path], count: int) -> list[tuple[str, str]]:
    """So many pairs, no text twice.

    Raises:
        UsageError: the files have too few.
    """
    sources = [PairSource(str(path), 2 * count) for path in files]
    corpus = TrainingCorpus.build(sources, SEED)
    found: dict[str, tuple[str, str]] = {}
    seen: set[int] = set()
    for query, row in zip(corpus.queries, corpus.positives.tolist(), strict=True):
        if row not in seen and normal(query) not in found:
            seen.add(row)
            found[normal(query)] = query, corpus.documents[row]
    if len(found) < count:
        raise UsageError(f"the files have {len(found)} pairs of other texts; {count} are needed")
    return list(found.values())[:count]
