"""What the rows of the recipe table score on the test collections."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.datasets import load_dataset
from eval.judged_set import DEPTH, MEASURES, JudgedSet
from eval.measures import measure, measure_queries
from index.engines.inverted_index import InvertedIndex
from index.engines.native import NativeSearcher
from index.engines.searcher import TopK
from index.mining import Ranking
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.dense import DenseEncoder
from lsr.encoders.encoder import SparseEncoder
from lsr.train.vector_cache import dense_vectors

DENSE = "dense:"
# The measure whose values for each query are compared.
TESTED = MEASURES[0]
# How often each query is timed.
REPEATS = 5


@dataclass(frozen=True)
class Score:
    """An encoder on a collection; ``per_query`` has nDCG@10 of each query.

    ``nnz`` and ``flops`` as in ``JudgedScore``, and ``microseconds`` of a query alone, on one core:
    mean over the queries. The three are None for a dense encoder.
    """

    ndcg_at_10: float
    recall_at_100: float
    nnz: float | None
    flops: float | None
    microseconds: float | None
    per_query: dict[str, float]
    # Of a query, as ``nnz`` of a document.
    query_nnz: float | None = None


class Scorer:
    """Scores encoders on collections.

    Args:
        collections: with their test queries.
        folder: where the vectors of dense encoders are kept.
    """

    def __init__(self, collections: Sequence[JudgedSet], folder: Path) -> None:
        self.collections = collections
        self._folder = folder

    def __call__(self, name: str) -> dict[str, Score]:
        """Collection to score, of an encoder's name, or of ``dense:`` and a dense one's."""
        if name.startswith(DENSE):
            dense = DenseEncoder.load(name.removeprefix(DENSE))
            return {judged.name: self._dense(dense, judged) for judged in self.collections}
        sparse = load_encoder(name)
        return {judged.name: _sparse(sparse, judged) for judged in self.collections}

    def _dense(self, encoder: DenseEncoder, judged: JudgedSet) -> Score:
        stem = f"{encoder.fingerprint}-{_digest(judged)}"
        documents = list(judged.documents.values())
        stored = dense_vectors(self._folder / f"{stem}-documents.npy", encoder, documents)
        queries = encoder.encode_queries(list(judged.queries.values()))
        run = judged.run(exhaustive(queries, stored, DEPTH))
        ndcg, recall = measure(judged.qrels, run, MEASURES).values()
        per_query = measure_queries(judged.qrels, run, TESTED)
        return Score(ndcg, recall, None, None, None, per_query)


def exhaustive(queries: NDArray[Any], documents: NDArray[Any], depth: int) -> TopK:
    """The best documents by inner product, of every document; the first of equal ones first."""
    scores = queries.astype(np.float32) @ documents.astype(np.float32).T
    best = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    return TopK.exhaustive(best, np.take_along_axis(scores, best, axis=1), "dense")


def load_collections(data: Path, names: Sequence[str], queries: int) -> list[JudgedSet]:
    """The collections with their test queries, or with the first of them where not 0."""
    # Absolute, so that a missing folder is not taken for an ir_datasets id.
    found = [JudgedSet.from_dataset(load_dataset(str((data / name).resolve()))) for name in names]
    return [judged.head(queries) for judged in found] if queries else found


def _sparse(encoder: SparseEncoder, judged: JudgedSet) -> Score:
    ranking = judged.rank(encoder)
    score = judged.judge(ranking)
    ndcg, recall = (score.measures[name] for name in MEASURES)
    per_query = measure_queries(judged.qrels, score.run, TESTED)
    asked = ranking.queries.nnz / max(len(ranking.queries), 1)
    return Score(ndcg, recall, score.nnz, score.flops, microseconds(ranking), per_query, asked)


def microseconds(ranking: Ranking, repeats: int = REPEATS) -> float:
    """Of our engine for the best ten of a query: one query a call, on one core, without encoding.

    The mean over queries of the least of several times, which leaves out what the machine did
    meanwhile.
    """
    searcher = NativeSearcher(InvertedIndex.build(ranking.documents), threads=1)
    queries = [ranking.queries.select(rows) for rows in np.eye(len(ranking.queries), dtype=bool)]
    least = np.full(len(queries), np.inf)
    for _ in range(repeats):
        for place, query in enumerate(queries):
            started = time.perf_counter_ns()
            searcher.search(query, 10)
            least[place] = min(least[place], time.perf_counter_ns() - started)
    return float(least.mean()) / 1000


def _digest(judged: JudgedSet) -> str:
    canonical = json.dumps([judged.documents, judged.queries, judged.qrels], sort_keys=True)
    return hashlib.blake2b(canonical.encode(), digest_size=6).hexdigest()
