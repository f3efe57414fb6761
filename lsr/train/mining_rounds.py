"""The order of the batches over a training, whose documents are mined several times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.catalogue import load_encoder
from lsr.errors import UsageError
from lsr.train.batches import BatchOrder
from lsr.train.config import TrainingConfig
from lsr.train.negatives import RANKINGS, Retrieve, mine
from lsr.train.pairs import TrainingCorpus
from lsr.train.teachers import Teacher
from lsr.trusted_code import NO_CODE, TrustedCode


class MiningRounds:
    """Gives the order of batches that a step belongs to; mines where a new round begins.

    Args:
        config: of the training.
        corpus: its pairs.
        output: folder for rankings, and for the students of later rounds, which are kept so that
            a resumed training mines with the same ones.
        retrieve: ranks the documents.
        teacher: judges what is too good to be a negative, where ``margin`` asks for it.
        export: gives the encoder's name of the student in a folder, which it writes there where
            there is none, or, as its second argument says, anew.
        trusted: the models whose Python code may run.
        cache: folder that trainings share, for the ranking of the first round; None: ``output``.
    """

    def __init__(
        self,
        config: TrainingConfig,
        corpus: TrainingCorpus,
        output: Path,
        retrieve: Retrieve | None,
        teacher: Teacher | None,
        export: Callable[[Path, bool], str],
        trusted: TrustedCode = NO_CODE,
        cache: Path | None = None,
    ) -> None:
        self._config = config
        self._corpus = corpus
        self._output = output
        self._retrieve = retrieve
        self._teacher = teacher
        self._export = export
        self._trusted = trusted
        self._cache = cache
        few = corpus.count_given() < config.batches.negatives
        self._needed = bool(few.any()) or config.batches.order == "topics"
        self._round = -1
        self._order: BatchOrder | None = None

    def __call__(self, step: int) -> BatchOrder:
        """The order of a step, from 0 on.

        Raises:
            UsageError: documents must be mined, and nothing retrieves them.
        """
        config = self._config
        number = self._round_of(step)
        if self._order is None or number != self._round:
            first = -(-number * config.optimizer.steps // config.mining.rounds)
            mined = self._mine(number, begins=step == first) if self._needed else None
            self._order = BatchOrder(self._corpus, config.batches, config.seed, mined)
            self._round = number
        return self._order

    def is_begun(self, step: int) -> bool:
        """Whether the round of that step has begun, so that its order needs no student."""
        return self._order is not None and self._round_of(step) == self._round

    def _round_of(self, step: int) -> int:
        config = self._config
        return step * config.mining.rounds // config.optimizer.steps if self._needed else 0

    def _mine(self, number: int, begins: bool) -> NDArray[np.int64]:
        """int64 (queries, pool): what the retriever, or in later rounds the student, ranks high.

        The student with which a round begins is kept for a training that goes on within it.
        """
        config = self._config.mining
        if self._retrieve is None:
            raise UsageError("negatives and topics need a retriever, and none was given")
        name = config.retriever
        if number:
            name = self._export(self._output / f"student-of-round-{number}", begins)
        return mine(
            self._retrieve,
            load_encoder(name, self._trusted),
            self._corpus,
            config,
            self._teacher,
            self._config.seed,
            self._output / RANKINGS if number or self._cache is None else self._cache,
        )
