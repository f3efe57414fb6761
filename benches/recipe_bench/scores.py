"""What the rows of the recipe table score on the test collections."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.datasets import load_dataset
from eval.judged_set import DEPTH, MEASURES, JudgedSet
from eval.measures import measure, measure_queries
from index.engines.searcher import TopK
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.dense import DenseEncoder
from lsr.encoders.encoder import SparseEncoder
from lsr.train.vector_cache import dense_vectors

DENSE = "dense:"
# The measure whose values for each query are compared.
TESTED = MEASURES[0]


@dataclass(frozen=True)
class Score:
    """An encoder on a collection; ``per_query`` has nDCG@10 of each query.

    ``nnz`` and ``flops`` as in ``JudgedScore``, None for a dense encoder.
    """

    ndcg_at_10: float
    recall_at_100: float
    nnz: float | None
    flops: float | None
    per_query: dict[str, float]


class Scorer:
    """Scores encoders on collections, and keeps the scores in files.

    Args:
        collections: with their test queries.
        folder: where scores, and the vectors of dense encoders, are kept.
    """

    def __init__(self, collections: Sequence[JudgedSet], folder: Path) -> None:
        self.collections = collections
        self._folder = folder
        self._digests = {judged.name: _digest(judged) for judged in collections}

    def __call__(self, name: str) -> dict[str, Score]:
        """Collection to score, of an encoder's name, or of ``dense:`` and a dense one's."""
        if name.startswith(DENSE):
            dense = DenseEncoder.load(name.removeprefix(DENSE))
            return {
                judged.name: self._kept(dense.fingerprint, judged, partial(self._dense, dense))
                for judged in self.collections
            }
        sparse = load_encoder(name)
        return {
            judged.name: self._kept(sparse.fingerprint, judged, partial(_sparse, sparse))
            for judged in self.collections
        }

    def _kept(
        self, fingerprint: str, judged: JudgedSet, score: Callable[[JudgedSet], Score]
    ) -> Score:
        path = self._folder / f"{fingerprint}-{self._digests[judged.name]}.json"
        if not path.is_file():
            self._folder.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".partial")
            unfinished.write_text(json.dumps(asdict(score(judged))), encoding="utf-8")
            unfinished.replace(path)
        return Score(**json.loads(path.read_text(encoding="utf-8")))

    def _dense(self, encoder: DenseEncoder, judged: JudgedSet) -> Score:
        stem = f"{encoder.fingerprint}-{self._digests[judged.name]}"
        documents = list(judged.documents.values())
        stored = dense_vectors(self._folder / f"{stem}-documents.npy", encoder, documents)
        queries = encoder.encode_queries(list(judged.queries.values()))
        run = judged.run(exhaustive(queries, stored, DEPTH))
        ndcg, recall = measure(judged.qrels, run, MEASURES).values()
        return Score(ndcg, recall, None, None, measure_queries(judged.qrels, run, TESTED))


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
    score = judged.score(encoder)
    ndcg, recall = (score.measures[name] for name in MEASURES)
    per_query = measure_queries(judged.qrels, score.run, TESTED)
    return Score(ndcg, recall, score.nnz, score.flops, per_query)


def _digest(judged: JudgedSet) -> str:
    canonical = json.dumps([judged.documents, judged.queries, judged.qrels], sort_keys=True)
    return hashlib.blake2b(canonical.encode(), digest_size=6).hexdigest()
