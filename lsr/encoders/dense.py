"""Dense encoders: one vector a text, compared by inner product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lsr.backbones.checkpoint import HUB_ID, Checkpoint
from lsr.backbones.pooled import DenseConfig, PooledTransformer
from lsr.corpus.files import user_path
from lsr.encoders.encoder import fingerprint, split_name
from lsr.errors import InputError, UsageError
from lsr.settings import changed, configure


class DenseEncoder(Protocol):
    """Turns documents and queries into vectors whose inner product scores them.

    ``name`` loads the same encoder again; ``fingerprint`` changes with anything that changes a
    vector and not with where the checkpoint lies; ``dimension`` is the vectors' length.
    """

    name: str
    fingerprint: str
    dimension: int

    @staticmethod
    def load(name: str) -> DenseEncoder:
        """The dense encoder of a name; weights are read at first use.

        ``MODEL`` is a hub id or folder, with the options of ``DenseConfig`` behind it;
        ``MODEL+LAMBDA,weight=0.5`` two of them, joined as ``ConcatenatedEncoder`` says.

        Raises:
            InputError: a checkpoint can't be used as a dense encoder.
            NotFoundError: no such checkpoint.
            UsageError: an option is malformed.
        """
        if user_path(name).is_dir():
            return TransformerEncoder(Checkpoint.resolve(name))
        models, *options = split_name(name)
        first, plus, second = _parted(models)
        given = dict(option.partition("=")[::2] for option in options)
        if not plus:
            return TransformerEncoder(Checkpoint.resolve(models), configure(DenseConfig, given))
        return ConcatenatedEncoder(
            TransformerEncoder(Checkpoint.resolve(first)),
            TransformerEncoder(Checkpoint.resolve(second)),
            configure(ConcatenationConfig, given),
        )

    @property
    def tokens_encoded(self) -> int:
        """Tokens that went through a model so far."""
        ...

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 (n, dimension), one row a text; a blank text gets zeros."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As ``encode_documents``, for queries."""
        ...


class TransformerEncoder(DenseEncoder):
    """A transformer with pooling, or one for documents and one for queries.

    Two come as a sentence-transformers Router. The folder says whether vectors are scaled to
    length 1, so that the inner product is the cosine; see ``PooledTransformer.of_side``.

    Raises:
        InputError: the checkpoint asks for what is not supported, or its two sides differ in
            dimension.
    """

    def __init__(self, checkpoint: Checkpoint, config: DenseConfig | None = None) -> None:
        self._documents = PooledTransformer.of_side(checkpoint, "document", config)
        queries = PooledTransformer.of_side(checkpoint, "query", config)
        if queries.checkpoint.folder == self._documents.checkpoint.folder:
            shared = self._documents.checkpoint
            queries = replace(queries, checkpoint=shared, sharing=self._documents)
        self._queries = queries if _differ(queries, self._documents) else self._documents
        self.dimension = self._documents.dimension
        if queries.dimension != self.dimension:
            raise InputError(
                f"the two sides of {checkpoint.name!r} make vectors of {self.dimension} and "
                f"{queries.dimension} values; they must have the same dimension"
            )
        settings = changed(config or DenseConfig())
        self.name = ",".join([checkpoint.name, *(f"{k}={v}" for k, v in settings.items())])
        parts = self._documents.identity
        if self._queries is not self._documents:
            parts = {"document": parts, "query": self._queries.identity}
        self.fingerprint = fingerprint("dense", **parts)

    @property
    def tokens_encoded(self) -> int:
        """Tokens that went through the model so far."""
        return sum(tower.tokens_encoded for tower in {self._documents, self._queries})

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 (n, dimension), one row a text; a blank text gets zeros."""
        return self._documents.encode(texts)

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The same, by the model of queries where they have their own."""
        return self._queries.encode(texts)


@dataclass(frozen=True, slots=True)
class ConcatenationConfig:
    """How much the second encoder counts."""

    # Multiplies its part of a query, above 0; it is tuned on held-out queries. SPAR's published
    # weights go from 0.001 to 1.43, by the lengths of the two encoders' vectors.
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not (isfinite(self.weight) and self.weight > 0):
            raise UsageError(f"weight is {self.weight}; allowed are finite numbers above 0")


class ConcatenatedEncoder(DenseEncoder):
    """Two dense encoders as one, whose inner product is s1 + weight s2.

    Queries are [q1; weight q2], documents [d1; d2]: SPAR (Chen et al. 2022, "Salient Phrase Aware
    Dense Retrieval", section 3.2), where the second encoder is the lexical model Lambda.
    """

    def __init__(
        self,
        first: DenseEncoder,
        second: DenseEncoder,
        config: ConcatenationConfig | None = None,
    ) -> None:
        self._parts = first, second
        self.weight = (config or ConcatenationConfig()).weight
        self.dimension = first.dimension + second.dimension
        self.name = f"{first.name}+{second.name},weight={self.weight}"
        self.fingerprint = fingerprint(
            "dense", concatenated=[first.fingerprint, second.fingerprint], weight=self.weight
        )

    @property
    def tokens_encoded(self) -> int:
        """Tokens that went through both models so far."""
        return sum(part.tokens_encoded for part in self._parts)

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 (n, dimension): the first encoder's vector, then the second's."""
        return np.hstack([part.encode_documents(texts) for part in self._parts])

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The same for queries, the second part times the weight."""
        first, second = (part.encode_queries(texts) for part in self._parts)
        return np.hstack([first, np.float32(self.weight) * second])


def _differ(queries: PooledTransformer, documents: PooledTransformer) -> bool:
    """Whether two towers of one checkpoint make different vectors of a text."""
    same_body = queries.checkpoint.folder == documents.checkpoint.folder
    return not same_body or queries.identity != documents.identity


def _parted(models: str) -> tuple[str, str, str]:
    """Two models and the plus between them, as ``str.partition``; a folder's name may hold one."""
    places = [place for place, character in enumerate(models) if character == "+"]
    if not places:
        return models, "", ""

    def found(place: int) -> int:
        sides = models[:place], models[place + 1 :]
        return sum(user_path(side).is_dir() or bool(HUB_ID.fullmatch(side)) for side in sides)

    place = max(places, key=found)
    return models[:place], "+", models[place + 1 :]
