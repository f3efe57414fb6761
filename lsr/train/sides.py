"""Documents and queries of a training: what each goes through, and how it weighs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.backbones.declared import Side
from lsr.encoders.literal_terms import LiteralTerms
from lsr.encoders.term_counts import term_statistics
from lsr.statistics import CollectionStatistics
from lsr.train.components import TABLES
from lsr.train.config import TrainingConfig
from lsr.train.export import Exported
from lsr.train.micro_batches import Encoded, MicroBatchEncoder, ReadTexts, Weighing
from lsr.train.pairs import TrainingCorpus
from lsr.train.student import Student
from lsr.train.term_table import TermTable, initial_table

TrainedSide = TermTable | MicroBatchEncoder
# What a side takes: texts that were read, or their rows in a table.
Read = ReadTexts | NDArray[np.int64]


class Sides:
    """Both sides as the configuration has them, over one student.

    ``document`` and ``query`` encode; ``exported`` says how the trained encoder weighs texts.
    """

    def __init__(self, config: TrainingConfig, corpus: TrainingCorpus, student: Student) -> None:
        self._config = config
        self._corpus = corpus
        self._student = student
        self._literal = self._literal_terms()
        self.exported = self._exported()
        self.document = self._side("document")
        self.query = self._side("query")

    def initial_table(self, kind: str) -> NDArray[np.float32]:
        """float32 (V,): a table of a kind where it begins."""
        vocabulary, idf = self._student.vocabulary, self._config.model.idf
        return initial_table(vocabulary, kind, idf, lambda: self._statistics)

    @property
    def table(self) -> TermTable | None:
        """That of the side that has no model."""
        sides = (self.document, self.query)
        return next((side for side in sides if isinstance(side, TermTable)), None)

    @property
    def learned(self) -> dict[str, torch.nn.Parameter]:
        """The table, where it is trained."""
        table = self.table
        return {"table": table.weights} if table and table.weights.requires_grad else {}

    @cached_property
    def _statistics(self) -> CollectionStatistics:
        return term_statistics(self._student.vocabulary, self._corpus.documents)

    def _literal_terms(self) -> LiteralTerms | None:
        weight = self._config.model.literal
        if not weight:
            return None
        length = max(1.0, self._statistics.average_length)
        return LiteralTerms(self._student.vocabulary, weight, length)

    def _exported(self) -> Exported:
        model = self._config.model
        return Exported(
            queries="model" if model.encodes_queries else "table",
            logs=model.logs,
            max_length=model.export_length,
            top_k=model.top_k,
            literal=model.literal,
            literal_length=self._literal.length if self._literal else 0.0,
            query_logs=model.query_logs,
            document="table" if model.documents in TABLES else model.documents,
            query=model.query_kind if model.encodes_queries else "",
            towers=model.towers,
            mlp=model.term_weighting,
        )

    def _side(self, side: Side) -> TrainedSide:
        model, of_documents, student = self._config.model, side == "document", self._student
        kind = model.documents if of_documents else model.query_kind
        if kind in TABLES:
            texts = self._corpus.documents if of_documents else self._corpus.queries
            table, learned = self.initial_table(kind), kind == "learned"
            return TermTable(student.vocabulary, table, texts, learned, student.device)
        mlp, memory = model.term_weighting, self._config.memory
        weighing = Weighing(
            model.logs if of_documents else model.query_logs or model.logs,
            model.max_length if of_documents else model.query_length,
            self._literal if of_documents else None,
            model.top_k,
            drop_special=not self.exported.keeps_special,
            own_terms=kind == "own-terms",
            mlp=mlp if kind == "mlp" else None,
            pool=mlp.pool if of_documents else mlp.query_pool,
        )
        return MicroBatchEncoder(
            student.tower(side),
            weighing,
            memory.chunk_tokens,
            memory.gradient_cache,
            side,
            memory.precision,
        )


def read(side: TrainedSide, texts: Sequence[str], rows: NDArray[np.int64]) -> Read:
    """What of encoding the texts at some rows needs no model."""
    return rows if isinstance(side, TermTable) else side.read([texts[row] for row in rows])


def encode(side: TrainedSide, texts: Read) -> Encoded:
    """Term weights of what was read for that side."""
    if isinstance(side, TermTable):
        assert isinstance(texts, np.ndarray), "a table takes rows"
        # It has its gradient from the loss itself.
        return Encoded(side(texts), lambda gradient: None)
    assert isinstance(texts, ReadTexts), "a model takes texts that were read"
    return side(texts)
