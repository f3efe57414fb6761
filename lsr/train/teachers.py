"""Teachers: what scores the candidates of a query, for a student to imitate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from lsr.encoders.catalogue import EncoderName, load_encoder
from lsr.encoders.dense import DenseEncoder
from lsr.encoders.encoder import SparseEncoder
from lsr.encoders.term_counts import collection_statistics
from lsr.errors import UsageError
from lsr.rerankers.cross_encoder import CrossEncoder, CrossEncoderConfig
from lsr.settings import configure
from lsr.sparse import SparseBatch
from lsr.train.config import TeacherConfig
from lsr.train.cross_encoder import TEACHER_CONFIG, CrossEncoderTeacher
from lsr.train.pairs import TrainingCorpus
from lsr.train.vector_cache import OnProgress, dense_vectors, no_progress, sparse_vectors
from lsr.trusted_code import NO_CODE, TrustedCode

DENSE, CROSS_ENCODER = "dense:", "cross-encoder:"
SMALLEST_RANGE = 1e-6


class Taught(Protocol):
    """What a training says of its teachers: those that have a weight, and the ensemble's scale."""

    @property
    def asked_teachers(self) -> Sequence[TeacherConfig]:
        """The teachers that have a weight."""
        ...

    @property
    def teacher_scale(self) -> float:
        """Multiplies their normalised scores."""
        ...


class Teacher(Protocol):
    """Scores of candidates, the higher the better."""

    name: str

    def scores(
        self, queries: NDArray[np.int64], documents: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """float32 (B, C): the score of each candidate for its query.

        Args:
            queries: int64 (B,) rows of the corpus's queries.
            documents: int64 (B, C) rows of its documents; -1 is no candidate, which scores 0.
                Where all queries have the same candidates, ``np.broadcast_to(row, (B, C))`` lets
                a teacher of vectors score them faster.
        """
        ...


class DenseTeacher:
    """Inner products of dense vectors, as float16 rows."""

    def __init__(
        self, name: str, queries: NDArray[np.float16], documents: NDArray[np.float16]
    ) -> None:
        self.name = name
        self._queries = queries
        self._documents = documents

    def scores(
        self, queries: NDArray[np.int64], documents: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """See ``Teacher``."""
        asked = self._queries[queries].astype(np.float32)
        shared = shared_candidates(documents)
        if shared is not None:
            rows = self._documents[np.maximum(shared, 0)].astype(np.float32)
            return _without_absent(asked @ rows.T, documents)
        rows = self._documents[np.maximum(documents, 0)].astype(np.float32)
        return _without_absent(np.matmul(rows, asked[:, :, None])[:, :, 0], documents)


class SparseTeacher:
    """Inner products of sparse vectors; those of documents are the weights that are scored."""

    def __init__(self, name: str, queries: SparseBatch, documents: SparseBatch) -> None:
        self.name = name
        self._queries: scipy.sparse.csr_array = queries.to_scipy()
        self._documents: scipy.sparse.csr_array = documents.to_scipy()

    def scores(
        self, queries: NDArray[np.int64], documents: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """See ``Teacher``."""
        asked = self._queries[queries]
        shared = shared_candidates(documents)
        if shared is not None:
            rows = self._documents[np.maximum(shared, 0)]
            return _without_absent((rows @ asked.T).toarray().T, documents)
        table = asked.toarray()
        rows = self._documents[np.maximum(documents, 0).ravel()]
        owners = np.repeat(np.arange(documents.size), np.diff(rows.indptr))
        weights = table[owners // max(documents.shape[1], 1), rows.indices] * rows.data
        found = np.bincount(owners, weights.astype(np.float64), minlength=documents.size)
        return _without_absent(found.reshape(documents.shape), documents)


class Ensemble:
    """Teachers of any kind, brought to one range and averaged.

    The scores s of a teacher become (s - min) / (max - min + 1e-6) over the candidates of each
    query; their weighted mean is multiplied by ``scale``. Heterogeneous ensemble distillation of
    Geng et al. 2024 (arXiv:2411.04403), whose code has the scale 30.

    Args:
        teachers: one or more.
        weights: of each, above 0; None: all the same.
        scale: by what the mean is multiplied, above 0.
        ranged_by: what takes the place of the scale, for each query: the range of its scores of
            the candidates; None: the scale is the same for all.

    Raises:
        UsageError: there is no teacher, or a weight or the scale is not allowed.
    """

    def __init__(
        self,
        teachers: Sequence[Teacher],
        weights: Sequence[float] | None = None,
        scale: float = 30.0,
        ranged_by: Teacher | None = None,
    ) -> None:
        given = [1.0] * len(teachers) if weights is None else list(weights)
        if not teachers or len(given) != len(teachers):
            raise UsageError(
                f"an ensemble has {len(teachers)} teachers and {len(given)} weights; give one "
                "teacher or more, and a weight for each"
            )
        for number in (*given, scale):
            if not (number > 0 and np.isfinite(number)):
                raise UsageError(
                    f"a weight or the scale of an ensemble is {number}; allowed is above 0"
                )
        total = sum(given)
        scale = 1.0 if ranged_by else scale
        self._ranged_by = ranged_by
        by = f"range of {ranged_by.name}" if ranged_by else f"{scale:g}"
        self.name = f"{by} * (" + " + ".join(
            f"{weight / total:.3g} {teacher.name}"
            for weight, teacher in zip(given, teachers, strict=True)
        ) + ")"  # fmt: skip
        self._teachers = list(zip(teachers, np.array(given) * scale / total, strict=True))
        # The teacher itself where there is only one, whose scores can be learned as they are.
        self.alone = teachers[0] if len(teachers) == 1 else None

    def scores(
        self, queries: NDArray[np.int64], documents: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """See ``Teacher``; between 0 and the scale, or the range."""
        mean = np.zeros(documents.shape, dtype=np.float64)
        for teacher, weight in self._teachers:
            mean += weight * min_max(teacher.scores(queries, documents), documents >= 0)
        if self._ranged_by is not None:
            low, high = _extremes(self._ranged_by.scores(queries, documents), documents >= 0)
            mean *= np.maximum(high - low, 0)
        return mean.astype(np.float32)


def min_max(scores: NDArray[np.float32], there: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(s - min) / (max - min + 1e-6) over those of a row that are there, 0 elsewhere.

    ``scores`` and ``there`` have the shape (B, C).
    """
    low, high = _extremes(scores, there)
    with np.errstate(invalid="ignore"):
        return np.where(there, (scores - low) / (high - low + SMALLEST_RANGE), 0.0)


def _extremes(
    scores: NDArray[np.float32], there: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lowest and the highest score of a row that are there, float64 (B, 1) each."""
    wide = scores.astype(np.float64)
    low = np.min(wide, axis=1, where=there, initial=np.inf, keepdims=True)
    return low, np.max(wide, axis=1, where=there, initial=-np.inf, keepdims=True)


def shared_candidates(documents: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """The candidates (C,) that all queries have, where (B, C) is one row that was broadcast."""
    repeated = len(documents) > 1 and documents.strides[0] == 0
    return documents[0] if repeated else None


def load_ensemble(
    config: Taught,
    corpus: TrainingCorpus,
    cache: Path,
    on_progress: OnProgress,
    trusted: TrustedCode = NO_CODE,
    ranged_by: str = "",
) -> Ensemble | None:
    """The configured ensemble of the teachers that have a weight, or None without any.

    ``ranged_by`` names an encoder, as for ``Ensemble``; empty: none.
    """
    asked = config.asked_teachers
    if not asked:
        return None
    teachers = [load_teacher(one.name, corpus, cache, on_progress, trusted) for one in asked]
    ranges = load_teacher(ranged_by, corpus, cache, on_progress, trusted) if ranged_by else None
    return Ensemble(teachers, [one.weight for one in asked], config.teacher_scale, ranges)


def load_teacher(
    name: str,
    corpus: TrainingCorpus,
    cache: Path,
    on_progress: OnProgress = no_progress,
    trusted: TrustedCode = NO_CODE,
) -> Teacher:
    """The teacher of that name; its vectors of the corpus are computed unless the cache has them.

    Args:
        name: any sparse encoder, such as ``bm25`` or ``splade:MODEL``, whose statistics are those
            of the corpus; ``dense:MODEL``; or ``cross-encoder:MODEL``, with ``,max_length=N``.
        corpus: what it is to score.
        cache: a folder for vectors and scores. Names of its files tell model and corpus, so that
            trainings may share it, one at a time.
        on_progress: takes what is computed, how much of it is done, and the total.
        trusted: the models whose Python code may run.

    Raises:
        NotFoundError: there is no such model.
        UsageError: the name is malformed.
        InputError: the model gives numbers that are not finite.
        CorruptionError: a file of the cache is damaged.
    """
    if name.startswith(DENSE):
        return _dense(DenseEncoder.load(name.removeprefix(DENSE)), corpus, cache, on_progress)
    if name.startswith(CROSS_ENCODER):
        parsed = EncoderName.parse(name.removeprefix(CROSS_ENCODER))
        config = configure(CrossEncoderConfig, parsed.options, TEACHER_CONFIG)
        encoder = CrossEncoder.named(parsed.model, config, trusted)
        return CrossEncoderTeacher(encoder, corpus, cache, on_progress)
    return _sparse(load_encoder(name, trusted), corpus, cache, on_progress)


def _dense(
    encoder: DenseEncoder, corpus: TrainingCorpus, cache: Path, on_progress: OnProgress
) -> Teacher:
    stem = f"{encoder.fingerprint}-{corpus.digest}"
    queries = dense_vectors(
        cache / f"{stem}-queries.npy", encoder, corpus.queries, True, on_progress
    )
    documents = dense_vectors(
        cache / f"{stem}-documents.npy", encoder, corpus.documents, False, on_progress
    )
    return DenseTeacher(f"{DENSE}{encoder.name}", queries, documents)


def _sparse(
    encoder: SparseEncoder, corpus: TrainingCorpus, cache: Path, on_progress: OnProgress
) -> Teacher:
    stem = f"{encoder.fingerprint}-{corpus.digest}"
    path = cache / f"{stem}-documents.safetensors"
    stored = sparse_vectors(path, encoder, corpus.documents, on_progress=on_progress)
    statistics = collection_statistics(encoder, corpus.documents, stored)
    path = cache / f"{stem}-queries.safetensors"
    queries = sparse_vectors(
        path, encoder, corpus.queries, True, statistics, on_progress, stored.words
    )
    return SparseTeacher(encoder.name, queries, encoder.impacts(stored, statistics))


def _without_absent(scores: NDArray[Any], documents: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.where(documents >= 0, scores, 0).astype(np.float32)
