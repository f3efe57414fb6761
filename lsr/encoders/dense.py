"""Dense encoders: one vector a text, compared by inner product."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from lsr.backbones.checkpoint import HUB_ID, Checkpoint
from lsr.backbones.pooled import DenseConfig, PooledTransformer
from lsr.corpus.files import user_path
from lsr.encoders.encoder import fingerprint, split_name
from lsr.encoding.query_batches import encoded_together
from lsr.errors import InputError, UsageError
from lsr.settings import changed, configure

# Stands before options of the second of two models.
LAMBDA = "lambda."
QUERY_CHECKPOINT = "query.checkpoint"


class DenseEncoder(Protocol):
    """Turns documents and queries into vectors whose inner product scores them.

    ``name`` loads the same encoder again; ``fingerprint`` changes with anything that changes a
    document's vector or how it is compared, and not with where the checkpoint lies; ``former`` are
    fingerprints that earlier releases gave it; ``dimension`` is the vectors' length.
    """

    name: str
    fingerprint: str
    dimension: int
    former: tuple[str, ...] = ()

    @staticmethod
    def load(name: str) -> DenseEncoder:
        """The dense encoder of a name; weights are read at first use.

        ``MODEL`` is a hub id or folder, with the options of ``DenseConfig`` behind it, and
        ``query.checkpoint=MODEL`` where queries have a model of their own.
        ``MODEL+LAMBDA,weight=0.5`` are two of them, joined as ``ConcatenatedEncoder`` says; options
        are of the first, and with ``lambda.`` before them of the second.

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
            return TransformerEncoder.with_options(models, given)
        weight = {"weight": given.pop("weight")} if "weight" in given else {}
        own = {key: value for key, value in given.items() if not key.startswith(LAMBDA)}
        of_lambda = {key.removeprefix(LAMBDA): given[key] for key in given if key not in own}
        return ConcatenatedEncoder(
            TransformerEncoder.with_options(first, own),
            TransformerEncoder.with_options(second, of_lambda),
            configure(ConcatenationConfig, weight),
        )

    def weighed(self, weight: float) -> DenseEncoder:
        """The same, but that the second of two models counts so much in queries.

        Raises:
            UsageError: it is one model.
        """
        raise UsageError(
            f"the dense encoder {self.name} is one model, and a dense weight is of the second of "
            "two, as in MODEL+LAMBDA; leave it out"
        )

    def as_queries(self, documents: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors of documents, float32 (n, dimension), in the scale of those of queries."""
        return documents

    @property
    def tokens_encoded(self) -> int:
        """Tokens that went through a model so far."""
        ...

    def cuts(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Which documents are longer than what of them is encoded, bool (n,)."""
        ...

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 (n, dimension), one row a text; a blank text gets zeros."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As ``encode_documents``, for queries."""
        ...


class TransformerEncoder(DenseEncoder):
    """A transformer with pooling, or one for documents and one for queries.

    Two come as a sentence-transformers Router, or as two checkpoints. The folder says whether
    vectors are scaled to length 1, so that the inner product is the cosine; see
    ``PooledTransformer.of_side``.

    Raises:
        InputError: the checkpoint asks for what is not supported, or its two sides differ in
            dimension.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        config: DenseConfig | None = None,
        query_checkpoint: Checkpoint | None = None,
    ) -> None:
        self._documents = PooledTransformer.of_side(checkpoint, "document", config)
        queries = PooledTransformer.of_side(query_checkpoint or checkpoint, "query", config)
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
        self.model = checkpoint.name
        settings: dict[str, object] = changed(config or DenseConfig())
        if query_checkpoint is not None:
            settings[QUERY_CHECKPOINT] = query_checkpoint.name
        self.settings = [f"{key}={value}" for key, value in settings.items()]
        self.name = ",".join([self.model, *self.settings])
        parts = self._documents.identity
        if self._queries is not self._documents:
            parts = {"document": parts, "query": self._queries.identity}
        self.fingerprint = fingerprint("dense", **parts)

    @classmethod
    def with_options(cls, model: str, options: Mapping[str, str]) -> Self:
        """That of a hub id or folder, as options say; see ``DenseEncoder.load``."""
        others = dict(options)
        queries = others.pop(QUERY_CHECKPOINT, None)
        config = configure(DenseConfig, others)
        own = None if queries is None else Checkpoint.resolve(queries)
        return cls(Checkpoint.resolve(model), config, own)

    @property
    def tokens_encoded(self) -> int:
        """Tokens that went through the model so far."""
        return sum(tower.tokens_encoded for tower in {self._documents, self._queries})

    def cuts(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Which documents have more tokens than are encoded, bool (n,)."""
        return self._documents.cuts(texts)

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 (n, dimension), one row a text; a blank text gets zeros."""
        return self._documents.encode(texts)

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The same, by the model of queries where they have their own."""
        return encoded_together(self.fingerprint, texts, self._queries.encode, np.stack)


@dataclass(frozen=True, slots=True)
class ConcatenationConfig:
    """How much the second encoder counts."""

    # Multiplies its part of a query, above 0, where a search says nothing else; it is tuned on
    # held-out queries. SPAR's published weights go from 0.001 to 1.43, by the lengths of the two
    # encoders' vectors.
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not (isfinite(self.weight) and self.weight > 0):
            raise UsageError(f"weight is {self.weight}; allowed are finite numbers above 0")


class ConcatenatedEncoder(DenseEncoder):
    """Two dense encoders as one, whose inner product is s1 + weight s2.

    Queries are [q1; weight q2], documents [d1; d2]: SPAR (Chen et al. 2022, "Salient Phrase Aware
    Dense Retrieval"), where the second encoder is the lexical model Lambda. The weight
    is of queries alone, so vectors of documents serve any.
    """

    def __init__(
        self,
        first: TransformerEncoder,
        second: TransformerEncoder,
        config: ConcatenationConfig | None = None,
    ) -> None:
        self._parts = first, second
        self.weight = (config or ConcatenationConfig()).weight
        self.dimension = first.dimension + second.dimension
        settings = [*first.settings, *(LAMBDA + each for each in second.settings)]
        self.name = ",".join([f"{first.model}+{second.model}", *settings, f"weight={self.weight}"])
        parts = [first.fingerprint, second.fingerprint]
        self.fingerprint = fingerprint("dense", concatenated=parts)
        # Of releases in which the weight was one of the collection.
        self.former = (fingerprint("dense", concatenated=parts, weight=self.weight),)

    def weighed(self, weight: float) -> ConcatenatedEncoder:
        """The same two models, the second counting so much in queries."""
        return ConcatenatedEncoder(*self._parts, ConcatenationConfig(weight))

    def as_queries(self, documents: NDArray[np.float32]) -> NDArray[np.float32]:
        """See ``DenseEncoder``: the second part times the weight."""
        first, second = np.split(documents, [self._parts[0].dimension], axis=1)
        return np.hstack([first, np.float32(self.weight) * second])

    @property
    def tokens_encoded(self) -> int:
        """Tokens that went through both models so far."""
        return sum(part.tokens_encoded for part in self._parts)

    def cuts(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Which documents one of the two doesn't read to the end, bool (n,)."""
        first, second = (part.cuts(texts) for part in self._parts)
        return first | second

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 (n, dimension): the first encoder's vector, then the second's."""
        return np.hstack([part.encode_documents(texts) for part in self._parts])

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The same for queries, the second part times the weight."""
        return self.as_queries(np.hstack([part.encode_queries(texts) for part in self._parts]))


def is_concatenated(name: str) -> bool:
    """Whether a dense encoder's name is of two models."""
    return not user_path(name).is_dir() and bool(_parted(split_name(name)[0])[1])


def without_weight(name: str) -> tuple[str, float | None]:
    """The name of a dense encoder without the weight of its second model, and that weight.

    Raises:
        UsageError: the weight is malformed.
    """
    if not is_concatenated(name):
        return name, None
    models, *options = split_name(name)
    kept = [option for option in options if option.partition("=")[0] != "weight"]
    if kept == options:
        return name, None
    given = dict(option.partition("=")[::2] for option in options)
    weight = configure(ConcatenationConfig, {"weight": given["weight"]}).weight
    return ",".join([models, *kept]), weight


def _differ(queries: PooledTransformer, documents: PooledTransformer) -> bool:
    """Whether two towers of one checkpoint make different vectors of a text."""
    same_body = queries.checkpoint.folder == documents.checkpoint.folder
    return not same_body or queries.identity != documents.identity


def _parted(models: str) -> tuple[str, str, str]:
    """Two models and the plus between them, as ``str.partition``; a folder's name may hold one."""
    places = [place for place, character in enumerate(models) if character == "+"]
    if not places or user_path(models).is_dir():
        return models, "", ""

    def found(place: int) -> int:
        sides = models[:place], models[place + 1 :]
        return sum(user_path(side).is_dir() or bool(HUB_ID.fullmatch(side)) for side in sides)

    place = max(places, key=found)
    return models[:place], "+", models[place + 1 :]
