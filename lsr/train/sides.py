"""Documents and queries of a training: what each goes through, and how it weighs."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.backbones.declared import Side
from lsr.encoders.literal_terms import LiteralTerms
from lsr.encoders.term_counts import count_terms, counted_statistics
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics
from lsr.train.components import TABLES
from lsr.train.config import TrainingConfig
from lsr.train.export import Exported
from lsr.train.micro_batches import Encoded, MicroBatchEncoder, ReadTexts, Weighing
from lsr.train.pairs import TrainingCorpus
from lsr.train.read_corpus import CorpusTokens, corpus_counts, corpus_tokens
from lsr.train.student import Student
from lsr.train.term_table import TermTable, initial_table

TrainedSide = TermTable | MicroBatchEncoder
# What a side takes: texts that were read, or their rows in a table.
Read = ReadTexts | NDArray[np.int64]


class Sides:
    """Both sides as the configuration has them, over one student.

    ``document`` and ``query`` encode; ``exported`` says how the trained encoder weighs texts. What
    of the documents needs no model is made once, and kept in the folder ``cache``, if any.
    """

    def __init__(
        self,
        config: TrainingConfig,
        corpus: TrainingCorpus,
        student: Student,
        cache: Path | None = None,
    ) -> None:
        self._config = config
        self._corpus = corpus
        self._student = student
        self._cache = cache
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
        return counted_statistics(self._student.vocabulary, [self._counts])

    @cached_property
    def _counts(self) -> SparseBatch:
        vocabulary, corpus = self._student.vocabulary, self._corpus
        return corpus_counts(vocabulary, corpus.documents, corpus.digest, self._cache)

    @cached_property
    def _literal_parts(self) -> SparseBatch | None:
        """Of all documents."""
        return self._literal.of_counts(self._counts) if self._literal else None

    @cached_property
    def _tokens(self) -> CorpusTokens | None:
        """Of all documents, where a training sees more of them than there are."""
        batches, corpus, side = self._config.batches, self._corpus, self.document
        seen = self._config.optimizer.steps * batches.queries * (1 + batches.negatives)
        if seen <= len(corpus.documents) or isinstance(side, TermTable):
            return None
        return corpus_tokens(side.batcher, corpus.documents, corpus.digest, self._cache)

    def read_documents(self, rows: NDArray[np.int64]) -> Read:
        """What of encoding the documents of these rows needs no model."""
        if isinstance(self.document, TermTable):
            return rows
        if self._tokens is None:
            return self.document.read([self._corpus.documents[row] for row in rows])
        parts, only_own = self._literal_parts, self.document.weighing.own_terms
        return self.document.read_tokens(
            len(rows),
            *self._tokens.of(rows),
            None if parts is None else parts.reorder(rows),
            self._counts.reorder(rows) if only_own else None,
        )

    def read_queries(self, rows: NDArray[np.int64]) -> Read:
        """The same of queries."""
        if isinstance(self.query, TermTable):
            return rows
        return self.query.read([self._corpus.queries[row] for row in rows])

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
            dense_terms=model.kept_dense_terms(),
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
            queries = self._corpus.queries
            terms = self._counts if of_documents else count_terms(student.vocabulary, queries)
            return TermTable(terms, self.initial_table(kind), kind == "learned", student.device)
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


def encode(side: TrainedSide, texts: Read) -> Encoded:
    """Term weights of what was read for that side."""
    if isinstance(side, TermTable):
        assert isinstance(texts, np.ndarray), "a table takes rows"
        # It has its gradient from the loss itself.
        return Encoded(side(texts), lambda gradient: None)
    assert isinstance(texts, ReadTexts), "a model takes texts that were read"
    return side(texts)
