"""Inference-free retrieval: documents through a model, queries through a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from lsr.checkpoint import Checkpoint
from lsr.encoder import SparseEncoder, canonical_name, fingerprint
from lsr.errors import InputError, UsageError
from lsr.sparse import SparseBatch, SparseVector
from lsr.splade import TermWeights, check_length_and_logs
from lsr.statistics import CollectionStatistics


@dataclass(frozen=True, slots=True)
class InferenceFreeConfig:
    """``idf`` is ``checkpoint`` (its idf.json), ``collection`` (estimated), or ``auto``.

    ``auto`` takes the checkpoint's table where there is one. ``max_length`` and ``logs`` shape
    documents, as in ``SpladeConfig``.
    """

    max_length: int = 256
    logs: int = 0
    idf: str = "auto"

    def __post_init__(self) -> None:
        check_length_and_logs(self.max_length, self.logs)
        if self.idf not in ("auto", "checkpoint", "collection"):
            raise UsageError(f"idf is {self.idf!r}; allowed are auto, checkpoint and collection")


class InferenceFreeEncoder(SparseEncoder):
    """Documents by a masked language model, queries by tokenizer and IDF table.

    q_j = idf_j if term j occurs in the query, else 0: presence, not count (Geng et al. 2024,
    eq. 3). Special tokens get no weight on either side, for no query can hold one. A term that
    is missing from idf.json gets 0, as in sentence-transformers.
    """

    def __init__(self, checkpoint: Checkpoint, config: InferenceFreeConfig | None = None) -> None:
        self.config = config or InferenceFreeConfig()
        self.vocabulary = checkpoint.vocabulary
        self._weights = TermWeights(checkpoint, self.config.max_length, self.config.logs)
        self._table = None if self.config.idf == "collection" else self._read_table(checkpoint)
        if self.config.idf == "checkpoint" and self._table is None:
            raise InputError(
                f"the checkpoint {checkpoint.name!r} has no idf.json; "
                "use idf=collection to estimate the table from the documents"
            )
        self.needs_statistics = self._table is None
        self.name = canonical_name("inference-free", checkpoint, self.config)
        table = "collection" if self._table is None else self._table.tobytes().hex()
        self.fingerprint = fingerprint(
            "inference-free",
            vocabulary=self.vocabulary.digest,
            checkpoint=checkpoint.digest,
            config=asdict(self.config) | {"logs": self._weights.logs, "idf": table},
        )

    @property
    def tokens_encoded(self) -> int:
        """Tokens that went through the model so far."""
        return self._weights.tokens_encoded

    def encode_documents(self, texts: Sequence[str]) -> SparseBatch:
        """SPLADE weights of each text, special tokens left out."""
        batch = self._weights.encode(texts)
        kept = ~np.isin(batch.indices, list(self.vocabulary.special))
        before = np.concatenate([[0], np.cumsum(kept)])
        return SparseBatch(
            before[batch.indptr].astype(np.int64),
            batch.indices[kept],
            batch.values[kept],
            batch.vocabulary_size,
        )

    def encode_queries(
        self, texts: Sequence[str], statistics: CollectionStatistics | None = None
    ) -> SparseBatch:
        """The IDF of each distinct term of each text; no forward pass."""
        table = self._table
        if table is None:
            if statistics is None:
                raise UsageError("this encoder estimates IDF and needs a collection's statistics")
            table = statistics.idf
        rows = []
        for terms in self.vocabulary.tokenize(texts):
            present = np.unique(np.array(terms, dtype=np.int32))
            present = present[table[present] > 0]
            rows.append(SparseVector(present, table[present]))
        return SparseBatch.from_rows(rows, self.vocabulary.size)

    def _read_table(self, checkpoint: Checkpoint) -> NDArray[np.float32] | None:
        """float32 (V,): relu(idf) of each term, 0 where the file has none."""
        weights = checkpoint.json("idf.json")
        if weights is None:
            return None
        table = np.zeros(self.vocabulary.size, dtype=np.float32)
        for token, weight in weights.items():
            if not isinstance(weight, int | float) or not np.isfinite(weight):
                raise InputError(
                    f"the idf.json of {checkpoint.name!r} gives {token!r} the weight {weight!r}; "
                    "weights are finite numbers"
                )
            term = self.vocabulary.tokenizer.token_to_id(token)
            if term is not None and weight > 0:
                table[term] = weight
        table[list(self.vocabulary.special)] = 0
        return table
