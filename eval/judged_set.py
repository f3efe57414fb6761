"""A small judged set in memory, for scoring an encoder while it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eval.datasets import Dataset, load_dataset
from eval.measures import measure
from eval.run import Run
from index.engines.searcher import TopK
from index.mining import Ranking, rank
from lsr.corpus.qrels import Qrels
from lsr.encoders.encoder import SparseEncoder
from lsr.sparse import SparseBatch
from lsr.train.pairs import HeldOut

if TYPE_CHECKING:
    from lsr.train.config import TrainingConfig
    from lsr.train.trainer import Evaluate

MEASURES = ("nDCG@10", "Recall@100")
DEPTH = 100


def training_judge(config: TrainingConfig, held_out: HeldOut) -> Evaluate:
    """What scores a student in training: the configured dataset, or the held-out pairs."""
    name, split = config.evaluation.dataset, config.evaluation.split
    judged = (
        JudgedSet.from_dataset(load_dataset(name, split))
        if name
        else JudgedSet.from_held_out(held_out)
    )
    return lambda encoder: judged.score(encoder).named()


@dataclass(frozen=True)
class JudgedScore:
    """An encoder's score on a judged set.

    ``measures`` by name; ``nnz`` mean number of non-zeros of a document; ``flops`` mean number of
    terms that a query and a document share, the product of activation probabilities summed over
    terms (Paria et al. 2020); ``run`` the rankings.
    """

    measures: dict[str, float]
    nnz: float
    flops: float
    run: Run = field(repr=False)

    def named(self) -> dict[str, float]:
        """All numbers by name."""
        return self.measures | {"nnz": self.nnz, "flops": self.flops}


@dataclass(frozen=True)
class JudgedSet:
    """Documents and queries, texts by id, and their judgements."""

    name: str
    documents: dict[str, str]
    queries: dict[str, str]
    qrels: Qrels

    @classmethod
    def from_dataset(cls, dataset: Dataset) -> JudgedSet:
        """All documents of a dataset that can be read."""
        found = [item.document for item in dataset.corpus() if item.document is not None]
        documents = {document.id: document.contents for document in found}
        queries = {query.id: query.text for query in dataset.queries}
        return cls(dataset.name, documents, queries, dataset.qrels)

    @classmethod
    def from_held_out(cls, held_out: HeldOut) -> JudgedSet:
        """The pairs that a training keeps aside: each query's own document is to be found."""
        return cls("held-out", held_out.documents, held_out.queries, held_out.qrels)

    def head(self, queries: int) -> JudgedSet:
        """The first so many queries and the documents judged for them: a smaller, easier set."""
        kept = dict(islice(self.queries.items(), queries))
        qrels = {query: self.qrels[query] for query in kept}
        judged = {document for grades in qrels.values() for document in grades}
        documents = {name: text for name, text in self.documents.items() if name in judged}
        return JudgedSet(self.name, documents, kept, qrels)

    def score(self, encoder: SparseEncoder, names: Sequence[str] = MEASURES) -> JudgedScore:
        """Rank all documents for each query by our exact engine, and measure the rankings."""
        return self.judge(self.rank(encoder), names)

    def rank(self, encoder: SparseEncoder) -> Ranking:
        """The documents for each query, and the vectors of both, by our exact engine."""
        return rank(encoder, list(self.documents.values()), list(self.queries.values()), DEPTH)

    def judge(self, ranking: Ranking, names: Sequence[str] = MEASURES) -> JudgedScore:
        """Measure the rankings."""
        run = self.run(ranking.best)
        return JudgedScore(
            measure(self.qrels, run, names),
            ranking.documents.nnz / max(len(self.documents), 1),
            float(_active_share(ranking.queries) @ _active_share(ranking.documents)),
            run,
        )

    def run(self, best: TopK) -> Run:
        """Rankings of the queries, from rows of the documents."""
        identifiers = list(self.documents)
        return {
            query: [
                (identifiers[row], float(score))
                for row, score in zip(rows, scores, strict=True)
                if row >= 0
            ]
            for query, rows, scores in zip(self.queries, best.documents, best.scores, strict=True)
        }


def _active_share(vectors: SparseBatch) -> NDArray[np.float64]:
    share: NDArray[np.float64] = vectors.document_frequency() / max(len(vectors), 1)
    return share
