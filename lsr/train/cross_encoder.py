"""Cross-encoders as teachers: logits of pairs, kept in a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsr.rerankers.cross_encoder import CrossEncoder, CrossEncoderConfig
from lsr.train.pairs import TrainingCorpus
from lsr.train.vector_cache import OnProgress, no_progress

PAIRS_AT_A_TIME = 256
# How a teacher reads pairs where its name doesn't say, whatever its folder declares.
TEACHER_CONFIG = CrossEncoderConfig(max_length=512)


class CrossEncoderTeacher:
    """A ``Teacher`` that scores a pair when it is first asked for, and keeps scores in a file.

    Args:
        encoder: what scores.
        corpus: the texts.
        cache: the folder of the file.
        on_progress: takes what is computed, how much of it is done, and the total of a call.
    """

    def __init__(
        self,
        encoder: CrossEncoder,
        corpus: TrainingCorpus,
        cache: Path,
        on_progress: OnProgress = no_progress,
    ) -> None:
        self.name = encoder.name
        self._encoder = encoder
        self._corpus = corpus
        self._on_progress = on_progress
        self._file = ScoreFile(cache / f"{encoder.fingerprint}-{corpus.digest}.scores")

    def scores(
        self, queries: NDArray[np.int64], documents: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """See ``Teacher``."""
        width = len(self._corpus.documents)
        keys = queries[:, None] * width + documents
        there = documents >= 0
        wanted = np.unique(keys[there])
        missing = [key for key in wanted.tolist() if key not in self._file.scores]
        for start in range(0, len(missing), PAIRS_AT_A_TIME):
            part = missing[start : start + PAIRS_AT_A_TIME]
            pairs = [
                (self._corpus.queries[key // width], self._corpus.documents[key % width])
                for key in part
            ]
            self._file.append(part, self._encoder.logits(pairs))
            self._on_progress(f"pairs by {self.name}", start + len(part), len(missing))
        found = np.zeros(documents.shape, dtype=np.float32)
        found[there] = [self._file.scores[key] for key in keys[there].tolist()]
        return found


class ScoreFile:
    """Scores by key, in a file of records that only grows: int64 key, float32 score.

    A record that was cut off by an interruption is dropped.
    """

    RECORD = np.dtype([("key", "<i8"), ("score", "<f4")])

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        whole = path.stat().st_size // self.RECORD.itemsize
        records = np.fromfile(path, self.RECORD, whole)
        os.truncate(path, whole * self.RECORD.itemsize)
        self._path = path
        finite = records[np.isfinite(records["score"])]
        self.scores: dict[int, float] = dict(
            zip(finite["key"].tolist(), finite["score"].tolist(), strict=True)
        )

    def append(self, keys: Sequence[int], scores: NDArray[np.float32]) -> None:
        """Keep some scores; they are in the file when this returns."""
        records = np.empty(len(keys), self.RECORD)
        records["key"], records["score"] = keys, scores
        with self._path.open("ab") as file:
            file.write(records.tobytes())
        self.scores.update(zip(keys, scores.tolist(), strict=True))
