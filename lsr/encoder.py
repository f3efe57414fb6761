"""What an encoder is, and how it is found by name."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from lsr.checkpoint import Checkpoint
from lsr.errors import UsageError
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics
from lsr.vocabulary import Vocabulary

ConfigT = TypeVar("ConfigT")


class SparseEncoder(Protocol):
    """Turns documents and queries into sparse term weights over one vocabulary.

    ``name`` loads the same encoder again; ``fingerprint`` changes with anything that changes a
    vector (family, weights, vocabulary, settings) and not with where the checkpoint lies.
    ``stores_counts`` is true where document vectors are raw term counts that become weights only
    with the statistics of the collection (BM25). ``needs_statistics`` is true where
    ``encode_queries`` needs the statistics of the collection's term counts.
    """

    name: str
    vocabulary: Vocabulary
    fingerprint: str
    stores_counts: bool = False
    needs_statistics: bool = False

    @property
    def tokens_encoded(self) -> int:
        """Tokens that were encoded so far, for progress; 0 where none are counted."""
        return 0

    def encode_documents(self, texts: Sequence[str]) -> SparseBatch:
        """One row a text, as it is stored."""
        ...

    def encode_queries(
        self, texts: Sequence[str], statistics: CollectionStatistics | None = None
    ) -> SparseBatch:
        """One row a text, ready to be scored against ``impacts``."""
        ...

    def impacts(self, stored: SparseBatch, statistics: CollectionStatistics | None) -> SparseBatch:
        """The weights that are scored, from the weights that are stored: the same, but for BM25."""
        return stored

    def statistics(self, stored: SparseBatch) -> CollectionStatistics:
        """Statistics of stored vectors, where ``stores_counts``; else raises UsageError."""
        raise UsageError(f"the encoder {self.name} stores weights, which have no statistics")


def fingerprint(family: str, **parts: Any) -> str:
    """``family-`` and 16 hexadecimal digits over everything that changes a vector."""
    canonical = json.dumps([family, parts], sort_keys=True)
    return f"{family}-{hashlib.sha256(canonical.encode()).hexdigest()[:16]}"


@dataclass(frozen=True, slots=True)
class EncoderName:
    """A parsed encoder name: ``[FAMILY:][MODEL][,key=value...]``.

    ``bm25``, ``bm25,k1=1.2``, ``naver/splade-v3``, ``splade:./folder,max_length=512`` and
    ``inference-free:./folder,idf=collection`` are names.
    """

    family: str | None
    model: str
    options: Mapping[str, str]

    @classmethod
    def parse(cls, name: str) -> EncoderName:
        """Split a name.

        Raises:
            UsageError: the name is empty, or an option is not ``key=value`` or stands twice.
        """
        head, *settings = name.strip().split(",")
        options = dict(setting.partition("=")[::2] for setting in settings)
        whole = all(options) and all(options.values()) and len(options) == len(settings)
        if not head or not whole:
            raise UsageError(
                f"{name!r} is not an encoder name; write NAME or NAME,key=value, "
                "for example bm25, bm25,k1=1.2, splade:MODEL or MODEL,max_length=512"
            )
        if head in FAMILIES:
            return cls(head, "", options)
        family, colon, model = head.partition(":")
        if colon and family in FAMILIES:
            return cls(family, model, options)
        return cls(None, head, options)


def configure(config: type[ConfigT], options: Mapping[str, str]) -> ConfigT:
    """Fill a settings dataclass from ``key=value`` strings.

    Raises:
        UsageError: an unknown key, or a value that its field can't hold.
    """
    fields = {field.name: field for field in dataclasses.fields(config)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, text in options.items():
        if key not in fields:
            raise UsageError(
                f"{key!r} is not an option of this encoder; allowed are {', '.join(fields)}"
            )
        kind: Callable[[str], Any] = type(fields[key].default)
        try:
            values[key] = kind(text)
        except ValueError:
            raise UsageError(f"the encoder option {key}={text} is not a valid number") from None
    return config(**values)


def load_encoder(name: str) -> SparseEncoder:
    """The encoder of that name; its weights are read when something is first encoded.

    Raises:
        NotFoundError: no such checkpoint.
        UsageError: the name or one of its options is malformed.
    """
    parsed = EncoderName.parse(name)
    if parsed.family == "bm25" and not parsed.model:
        return FAMILIES["bm25"](None, parsed.options)
    if not parsed.model:
        raise UsageError(f"{name!r} names no model; write {parsed.family}:MODEL")
    checkpoint = Checkpoint.resolve(parsed.model)
    family = parsed.family
    if family is None:
        family = "inference-free" if checkpoint.path("idf.json") else "splade"
    return FAMILIES[family](checkpoint, parsed.options)


def canonical_name(family: str, checkpoint: Checkpoint | None, options: object) -> str:
    """The name that loads the same encoder again: family, model, and each non-default option."""
    head = family if checkpoint is None else f"{family}:{checkpoint.name}"
    changed = [
        f"{field.name}={getattr(options, field.name)}"
        for field in dataclasses.fields(options)  # type: ignore[arg-type]
        if getattr(options, field.name) != field.default
    ]
    return ",".join([head, *changed])


def short_name(encoder: str) -> str:
    """An encoder's name without the path to its folder, for display."""
    head, *options = encoder.split(",")
    family, colon, model = head.rpartition(":")
    name = Path(model).name if Path(model).is_absolute() else model
    return ",".join([family + colon + name, *options])


def _bm25(checkpoint: Checkpoint | None, options: Mapping[str, str]) -> SparseEncoder:
    from lsr.lexical import Bm25Config, Bm25Encoder

    return Bm25Encoder(configure(Bm25Config, options), checkpoint)


def _splade(checkpoint: Checkpoint, options: Mapping[str, str]) -> SparseEncoder:
    from lsr.splade import SpladeConfig, SpladeEncoder

    return SpladeEncoder(checkpoint, configure(SpladeConfig, options))


def _inference_free(checkpoint: Checkpoint, options: Mapping[str, str]) -> SparseEncoder:
    from lsr.inference_free import InferenceFreeConfig, InferenceFreeEncoder

    return InferenceFreeEncoder(checkpoint, configure(InferenceFreeConfig, options))


FAMILIES: dict[str, Callable[..., SparseEncoder]] = {
    "bm25": _bm25,
    "splade": _splade,
    "inference-free": _inference_free,
}
