"""Term weights from a table: no model, no forward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.declared import (
    Side,
    check_modules,
    declared_prompt,
    declared_top_k,
    static_module,
)
from lsr.backbones.term_table import read_term_table
from lsr.backbones.tokenizer_settings import spelling
from lsr.backbones.transformer_settings import declared_cut
from lsr.encoders.component import Component
from lsr.encoders.term_counts import count_terms
from lsr.encoders.term_pruning import TermPruning
from lsr.errors import InputError, UsageError
from lsr.settings import changed, check_choice
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics
from lsr.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class BinaryConfig:
    """One weight for each term that occurs."""

    # Above 0. The unified LSR framework learns one for all terms; SPLADE-doc's is 1.
    weight: float = 1.0
    # Times how often the term occurs.
    counts: bool = False

    def __post_init__(self) -> None:
        if not (self.weight > 0 and np.isfinite(self.weight)):
            raise UsageError(f"weight is {self.weight}; allowed is more than 0")


@dataclass(frozen=True, slots=True)
class TableConfig:
    """Where a table of term weights comes from."""

    # "checkpoint": its table; "collection": estimated; "both": the table as the IDF of ``prior``
    # documents that every collection begins with, as ``informed_idf`` says. "auto": the
    # checkpoint's table where there is one (idf.json, else the query module of a
    # sentence-transformers Router, else query_token_weights.txt), else estimated.
    idf: str = "auto"
    # Weight of a term that the table leaves out, 0 or more; "auto": 0, as in sentence-transformers,
    # but 1 for query_token_weights.txt, which lists only what differs from 1.
    missing: str = "auto"
    # Documents, 1 to 10⁹; for "both" only.
    prior: int = 5000

    def __post_init__(self) -> None:
        check_choice("idf", self.idf, ("auto", "checkpoint", "collection", "both"))
        if not 1 <= self.prior <= 1_000_000_000:
            raise UsageError(f"prior is {self.prior}; allowed is 1 to 1000000000 documents")
        if self.missing != "auto":
            try:
                weight = float(self.missing)
            except ValueError:
                weight = -1.0
            if not (weight >= 0 and np.isfinite(weight)):
                raise UsageError(f"missing is {self.missing}; allowed are auto, and 0 or more")


@dataclass(frozen=True, slots=True)
class Reading:
    """How a text becomes the terms that are looked up."""

    vocabulary: Vocabulary
    # Stands before each text that is not blank.
    prefix: str = ""
    # Tokens of a text that count, those of the prefix included; 0: all.
    max_length: int = 0
    # How the tokenizer differs from that of documents, as JSON; empty where it does not.
    tokenizer: str = ""

    @classmethod
    def declared(cls, checkpoint: Checkpoint, side: Side) -> Reading:
        """What the folder of a side's table says; of another folder, the tokenizer alone counts.

        Raises:
            InputError: a setting is malformed.
        """
        folder = static_module(checkpoint)
        if side != "query" or folder is None or not (folder / "tokenizer.json").is_file():
            return cls(checkpoint.vocabulary)
        table = Checkpoint(checkpoint.name, folder, within=folder)
        own, shared = table.vocabulary, checkpoint.vocabulary
        differs = spelling(own.tokenizer) != spelling(shared.tokenizer)
        return cls(
            own if differs else shared,
            declared_prompt(checkpoint, side),
            declared_cut(table),
            spelling(own.tokenizer) if differs else "",
        )

    @property
    def identity(self) -> dict[str, Any]:
        """JSON that changes with anything that changes a vector, but for the vocabulary."""
        return changed(self, "vocabulary")

    def count(self, texts: Sequence[str]) -> SparseBatch:
        """How often each term occurs in each text."""
        read = [self.prefix + text if text.strip() else text for text in texts]
        return count_terms(self.vocabulary, read, self.max_length)


class TermLookup(Component):
    """The table's weight of each term that occurs in a text, once or as often as it occurs.

    q_j = relu(table_j) if term j occurs in the text, else 0 (Geng et al. 2024). Special
    tokens get no weight.

    Args:
        table: float32 (V,), or None where the collection's IDF is the table.
        top_k: terms of a text that stay, those of the largest weights; 0 is all.
        prior: documents that the table stands for beside those of the collection; 0 is the table
            alone.
        reading: how a text is read.
    """

    inference_free = True

    def __init__(
        self,
        vocabulary: Vocabulary,
        table: NDArray[np.float32] | None,
        identity: Mapping[str, Any],
        counts: bool = False,
        top_k: int = 0,
        prior: int = 0,
        reading: Reading | None = None,
    ) -> None:
        self.vocabulary = vocabulary
        self.needs_statistics = table is None
        self.uses_statistics = table is None or prior > 0
        self.identity = identity
        self._table = table
        self._counts = counts
        self._prune = TermPruning(top_k=top_k)
        self._prior = prior
        self._reading = reading or Reading(vocabulary)

    @classmethod
    def binary(cls, vocabulary: Vocabulary, config: BinaryConfig) -> TermLookup:
        """The same weight for all terms."""
        table = np.full(vocabulary.size, config.weight, dtype=np.float32)
        return cls(vocabulary, table, {"kind": "binary"} | changed(config), config.counts)

    @classmethod
    def from_checkpoint(
        cls, checkpoint: Checkpoint, config: TableConfig, side: Side = "query"
    ) -> TermLookup:
        """The table of a checkpoint, or of the collection, with the checkpoint's cap on terms.

        Raises:
            InputError: the table is malformed, or asked for and not there, or the folder declares
                what is not supported.
        """
        check_modules(checkpoint, side)
        vocabulary = checkpoint.vocabulary
        table = None
        if config.idf != "collection":
            table = read_term_table(checkpoint, config.missing)
        if table is None and config.idf in ("checkpoint", "both"):
            raise InputError(
                f"the checkpoint {checkpoint.name!r} has no idf.json, no SparseStaticEmbedding and "
                "no query_token_weights.txt; use idf=collection to estimate the table from the "
                "documents"
            )
        idf = "collection" if table is None else table.tobytes().hex()
        top_k = declared_top_k(checkpoint)
        prior = config.prior if config.idf == "both" else 0
        identity = {"kind": "table", "idf": idf} | ({"top_k": top_k} if top_k else {})
        identity |= {"prior": prior} if prior else {}
        reading = Reading.declared(checkpoint, side)
        identity |= reading.identity
        return cls(vocabulary, table, identity, top_k=top_k, prior=prior, reading=reading)

    def encode(
        self, texts: Sequence[str], statistics: CollectionStatistics | None = None
    ) -> SparseBatch:
        """The weight of each distinct term of each text; no forward pass."""
        if self._table is None and statistics is None:
            raise UsageError("this encoder estimates IDF and needs a collection's statistics")
        batch = self._reading.count(texts)
        weights = self._weights(batch.indices, statistics)
        if self._counts:
            weights = weights * batch.values
        weighted = SparseBatch(batch.indptr, batch.indices, weights, batch.vocabulary_size)
        return self._prune(weighted.keep(weights > 0))

    def _weights(
        self, terms: NDArray[np.int32], statistics: CollectionStatistics | None
    ) -> NDArray[np.float32]:
        """The weight of each of some terms, none of all the others."""
        if self._table is None:
            assert statistics is not None
            return statistics.idf_of(terms)
        table = self._table[terms]
        if statistics is None or not self._prior:
            return table
        frequency = statistics.document_frequency[terms]
        counted = replace(statistics, document_frequency=frequency)
        return informed_idf(counted, table, self._prior)


def informed_idf(
    statistics: CollectionStatistics, table: NDArray[np.float32], prior: int
) -> NDArray[np.float32]:
    """IDF of a collection that ``prior`` documents stand before, float32 (V,).

    A term of the weight w in the table is in the share e^-w of those documents, which is what IDF
    says of it. In a small collection the table then decides, in a large one its own counts. A term
    without a weight in the table, such as a special token, keeps none.
    """
    shares = np.where(table > 0, np.exp(-table.astype(np.float64)), 0.0)
    frequency = statistics.document_frequency + prior * shares
    documents = statistics.documents + prior
    idf = np.log1p((documents - frequency + 0.5) / (frequency + 0.5))
    return np.where(table > 0, idf, 0.0).astype(np.float32)
