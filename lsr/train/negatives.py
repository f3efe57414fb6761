"""Hard negatives: documents that a retriever ranks high and that do not answer the query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.encoder import SparseEncoder
from lsr.errors import CorruptionError
from lsr.train.config import MiningConfig
from lsr.train.pairs import TrainingCorpus
from lsr.train.teachers import Teacher
from lsr.whole_file import replacing

Retrieve = Callable[[SparseEncoder, Sequence[str], Sequence[str], int], NDArray[np.int64]]
"""Encoder, documents, queries and depth to int64 (queries, depth): rows of documents, best first,
-1 where there are fewer. ``index.mining.retrieve`` is one."""
QUERIES_AT_A_TIME = 256
# The folder of a training's rankings.
RANKINGS = "rankings"


class Texts(Protocol):
    """Queries to learn from and documents to rank for them; no judgements are needed."""

    @property
    def queries(self) -> Sequence[str]:
        """Texts of the queries."""
        ...

    @property
    def documents(self) -> Sequence[str]:
        """Texts of the documents."""
        ...

    @property
    def digest(self) -> str:
        """Hexadecimal digits that change with any of the texts."""
        ...


def mine(
    retrieve: Retrieve,
    encoder: SparseEncoder,
    corpus: TrainingCorpus,
    settings: MiningConfig,
    teacher: Teacher | None,
    seed: int,
    cache: Path | None = None,
) -> NDArray[np.int64]:
    """Negatives of each query: int64 (queries, pool), best rank first, -1 where fewer.

    No negative answers a pair of the same query text. The same arguments give the same negatives.

    Args:
        retrieve: what ranks the documents.
        encoder: by what it ranks them.
        corpus: queries and documents.
        settings: which of them are drawn; neither its retriever nor its rounds are used.
        teacher: judges what is too good to be a negative, by the margin; None: no one does.
        seed: of the draw, 0 or more.
        cache: a folder for the ranking, which is the same for every draw; None: it is not kept.

    Raises:
        CorruptionError: the file of the ranking is damaged.
    """
    ranking = kept_ranking(retrieve, encoder, corpus, settings.depth, cache)
    drawn = np.full((len(ranking), settings.pool), -1, dtype=np.int64)
    for start in range(0, len(ranking), QUERIES_AT_A_TIME):
        queries = np.arange(start, min(start + QUERIES_AT_A_TIME, len(ranking)))
        candidates = ranking[queries, settings.first - 1 :]
        allowed = (candidates >= 0) & ~corpus.is_relevant(queries, candidates)
        if teacher is not None and settings.margin:
            allowed &= _plainly_worse(teacher, corpus, queries, candidates, settings.margin)
        generator = np.random.default_rng([seed, start])
        drawn[queries] = _draw(candidates, allowed, settings.pool, generator)
    return drawn


def _plainly_worse(
    teacher: Teacher,
    corpus: TrainingCorpus,
    queries: NDArray[np.int64],
    candidates: NDArray[np.int64],
    margin: float,
) -> NDArray[np.bool_]:
    """Whether a candidate scores at most ``margin`` of its query's positive, bool (B, C).

    Below 0, that is the positive's score less (1 - margin) of its size.
    """
    together = np.concatenate([corpus.positives[queries][:, None], candidates], axis=1)
    scores = teacher.scores(queries, together)
    positive = scores[:, :1]
    worse: NDArray[np.bool_] = scores[:, 1:] <= positive - (1 - margin) * np.abs(positive)
    return worse


def _draw(
    candidates: NDArray[np.int64],
    allowed: NDArray[np.bool_],
    count: int,
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """``count`` of the allowed candidates of each row, in their order, -1 where there are fewer."""
    lots = np.where(allowed, generator.random(candidates.shape), np.inf)
    chosen = np.sort(np.argsort(lots, axis=1)[:, :count], axis=1)
    lots = np.take_along_axis(lots, chosen, axis=1)
    found = np.where(np.isfinite(lots), np.take_along_axis(candidates, chosen, axis=1), -1)
    # A stable sort by "is there" brings what is missing to the end.
    order = np.argsort(found < 0, axis=1, kind="stable")
    drawn = np.full((len(candidates), count), -1, dtype=np.int64)
    drawn[:, : found.shape[1]] = np.take_along_axis(found, order, axis=1)
    return drawn


def kept_ranking(
    retrieve: Retrieve,
    encoder: SparseEncoder,
    corpus: Texts,
    depth: int,
    cache: Path | None,
) -> NDArray[np.int64]:
    """What ``retrieve`` gives for all queries, from the folder ``cache`` where it is there.

    Raises:
        CorruptionError: the file there is damaged, or of another ranking.
    """
    if cache is None:
        return retrieve(encoder, corpus.documents, corpus.queries, depth)
    path = cache / f"{encoder.fingerprint}-{corpus.digest}-top-{depth}.npy"
    if not path.exists():
        ranking = retrieve(encoder, corpus.documents, corpus.queries, depth)
        cache.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial, partial.open("wb") as file:
            np.save(file, ranking, allow_pickle=False)
    try:
        ranking = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise CorruptionError(f"{path} can't be read ({error}); delete it") from error
    fits = ranking.shape == (len(corpus.queries), depth) and ranking.dtype == np.int64
    if not fits or ranking.min(initial=0) < -1 or ranking.max(initial=0) >= len(corpus.documents):
        raise CorruptionError(f"{path} holds another ranking than the one asked for; delete it")
    return cast("NDArray[np.int64]", ranking)
