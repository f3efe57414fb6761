"""An encoder put together of two components, one for documents and one for queries.

This is the component matrix of the unified framework for learned sparse retrieval (Nguyen et al.,
ECIR 2023): every family is a choice of two kinds and of their settings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.declared import Side, side_checkpoint
from lsr.encoders.component import Component, SharedModels
from lsr.encoders.encoder import SparseEncoder, fingerprint
from lsr.encoders.masked_lm import MaskedLmConfig, PooledLogits, pooled_logits
from lsr.encoders.term_lookup import BinaryConfig, TableConfig, TermLookup
from lsr.encoders.term_weighting import TermWeighting, TermWeightingConfig
from lsr.errors import InputError, UsageError
from lsr.settings import configure, spell
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics
from lsr.trusted_code import TrustedCode

# A kind of component: its settings, where nothing else is said.
KINDS: dict[str, Any] = {
    "mlm": MaskedLmConfig(),
    "cls-mlm": MaskedLmConfig(pool="cls"),
    "mlp": TermWeightingConfig(),
    "table": TableConfig(),
    "binary": BinaryConfig(),
}
MAKERS: dict[type, Callable[[Checkpoint, Any, Side, SharedModels], Component]] = {
    MaskedLmConfig: pooled_logits,
    TermWeightingConfig: lambda checkpoint, config, side, models: TermWeighting(
        checkpoint, config, models
    ),
    TableConfig: lambda checkpoint, config, side, _: TermLookup.from_checkpoint(
        checkpoint, config, side
    ),
    BinaryConfig: lambda checkpoint, config, *_: TermLookup.binary(checkpoint.vocabulary, config),
}
SIDES: tuple[Side, Side] = ("document", "query")


@dataclass(frozen=True, slots=True)
class TwoSided:
    """The settings of both sides; the class of the settings tells the kind of component.

    ``query_checkpoint`` is the folder or hub id of the query side's own model, or empty where
    both sides share one.
    """

    document: Any
    query: Any
    query_checkpoint: str = ""


TWO_SIDED = {
    "splade": TwoSided(MaskedLmConfig(), MaskedLmConfig()),
    "inference-free": TwoSided(MaskedLmConfig(special="drop"), TableConfig()),
    "pair": TwoSided(MaskedLmConfig(), MaskedLmConfig()),
}


class TwoSidedEncoder(SparseEncoder):
    """Documents through one component, queries through another, over one vocabulary.

    Raises:
        InputError: the two have different vocabularies.
        UsageError: the document side needs the statistics of the collection, which there are
            only once documents are encoded.
    """

    def __init__(self, name: str, document: Component, query: Component) -> None:
        if document.vocabulary.digest != query.vocabulary.digest:
            raise InputError(
                f"the two sides of {name!r} have different vocabularies, of "
                f"{document.vocabulary.size} and {query.vocabulary.size} terms; give a query "
                "checkpoint that was trained with the document checkpoint"
            )
        if document.uses_statistics:
            raise UsageError(
                "the document side can't estimate IDF from the collection that it makes; "
                "give a checkpoint with a table, and document.idf=checkpoint"
            )
        self.name = name
        self.vocabulary = document.vocabulary
        self.needs_statistics = query.needs_statistics
        self.uses_statistics = query.uses_statistics
        self.inference_free = query.inference_free
        self.fingerprint = _fingerprint(document, query)
        self.document = document
        self.query = query

    @property
    def tokens_encoded(self) -> int:
        """Tokens of documents that went through a model so far."""
        return self.document.tokens_encoded

    def cuts(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Which documents are longer than what of them is encoded, bool (n,)."""
        return self.document.cuts(texts)

    def encode_documents(self, texts: Sequence[str]) -> SparseBatch:
        """What the document component makes of each text."""
        return self.document.encode(texts)

    def encode_queries(
        self, texts: Sequence[str], statistics: CollectionStatistics | None = None
    ) -> SparseBatch:
        """What the query component makes of each text."""
        return self.query.encode(texts, statistics)


def load_two_sided(
    family: str,
    base: TwoSided,
    checkpoint: Checkpoint,
    options: Mapping[str, str],
    trusted: TrustedCode,
) -> TwoSidedEncoder:
    """The encoder of a family or preset, with ``options`` over its settings.

    An option counts for both sides where both know it, and for one with ``document.`` or
    ``query.`` before it. ``query.checkpoint`` is the query side's own model; without it, a folder
    of a sentence-transformers Router may bring one. The family ``pair`` takes ``document=KIND``
    and ``query=KIND``.

    Raises:
        UsageError: an option is unknown or malformed.
    """
    chosen = dict(options)
    kinds = {side: chosen.pop(side) for side in SIDES if family == "pair" and side in chosen}
    for side, kind in kinds.items():
        if kind not in KINDS:
            raise UsageError(f"{side}={kind} is no component; allowed are {', '.join(KINDS)}")
        base = dataclasses.replace(base, **{side: KINDS[kind]})
    sides = _with_options(base, chosen)
    own = _query_model(sides, checkpoint, trusted)
    if sides.query_checkpoint and own:
        sides = dataclasses.replace(sides, query_checkpoint=own.name)
    # What ships with this package has the name of its preset.
    head = family if checkpoint.name == family else f"{family}:{checkpoint.name}"
    settings = [f"{side}={kind}" for side, kind in kinds.items()] + _changes(base, sides)
    models = SharedModels()
    document = _component(checkpoint, sides.document, "document", models)
    query = _component(own or checkpoint, sides.query, "query", models)
    return TwoSidedEncoder(",".join([head, *settings]), document, query)


def _component(checkpoint: Checkpoint, config: Any, side: Side, models: SharedModels) -> Component:
    return MAKERS[type(config)](checkpoint, config, side, models)


def _query_model(
    sides: TwoSided, checkpoint: Checkpoint, trusted: TrustedCode
) -> Checkpoint | None:
    if sides.query_checkpoint:
        return Checkpoint.resolve(sides.query_checkpoint, trusted)
    if isinstance(sides.query, MaskedLmConfig | TermWeightingConfig):
        return side_checkpoint(checkpoint, "query")
    return None


def _with_options(base: TwoSided, options: Mapping[str, str]) -> TwoSided:
    allowed = {side: _fields(getattr(base, side)) for side in SIDES}
    given: dict[str, dict[str, str]] = {side: {} for side in SIDES}
    query_checkpoint = base.query_checkpoint
    for key, text in options.items():
        first, dot, rest = key.partition(".")
        sides = [side for side in SIDES if key in allowed[side]]
        if dot and first in allowed and rest in allowed[first]:
            given[first][rest] = text
        elif key == "query.checkpoint":
            query_checkpoint = text
        elif sides:
            for side in sides:
                given[side].setdefault(key, text)
        else:
            known = dict.fromkeys([*allowed["document"], *allowed["query"], "query.checkpoint"])
            raise UsageError(
                f"{key!r} is not an option of this encoder; allowed are {', '.join(known)}; "
                "with document. or query. before it, an option counts for one side"
            )
    document, query = (
        configure(type(getattr(base, side)), given[side], getattr(base, side)) for side in SIDES
    )
    return TwoSided(document, query, query_checkpoint)


def _changes(base: TwoSided, sides: TwoSided) -> list[str]:
    """The options that make ``sides`` of ``base``."""
    before = {side: _fields(getattr(base, side)) for side in SIDES}
    after = {side: _fields(getattr(sides, side)) for side in SIDES}
    settings: list[str] = []
    for key in dict.fromkeys([*after["document"], *after["query"]]):
        having = [side for side in SIDES if key in after[side]]
        new = [side for side in having if after[side][key] != before[side][key]]
        values = [after[side][key] for side in new]
        if new and new == having and all(value == values[0] for value in values):
            settings.append(f"{key}={spell(values[0])}")
        else:
            settings += [f"{side}.{key}={spell(after[side][key])}" for side in new]
    if sides.query_checkpoint != base.query_checkpoint:
        settings.append(f"query.checkpoint={sides.query_checkpoint}")
    return settings


def spell_side(config: Any) -> str:
    """Kind and settings of one side, as ``mlm,max_length=512,special=drop``."""
    names = [name for name, base in KINDS.items() if type(base) is type(config)]
    fitting = [name for name in names if getattr(KINDS[name], "pool", "") == "cls"]
    name = fitting[0] if fitting and config.pool == "cls" else names[0]
    base = _fields(KINDS[name])
    settings = [
        f"{key}={spell(value)}" for key, value in _fields(config).items() if value != base[key]
    ]
    return ",".join([name, *settings])


def _fields(config: Any) -> dict[str, Any]:
    return {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}


def _fingerprint(document: Component, query: Component) -> str:
    """The fingerprint of two components.

    Where both sides are one masked language model, or queries are a table, it is that of the
    families ``splade`` and ``inference-free``, whatever preset was named.
    """
    vocabulary = document.vocabulary.digest
    if isinstance(document, PooledLogits) and document.identity == query.identity:
        return fingerprint("splade", vocabulary=vocabulary, **document.identity)
    if isinstance(document, PooledLogits) and query.identity.get("kind") == "table":
        config = dict(document.identity["config"])
        special = config.pop("special", "keep")
        config |= {"special": special} if special != "drop" else {}
        config["idf"] = query.identity["idf"]
        if "top_k" in query.identity:
            config["query_top_k"] = query.identity["top_k"]
        for key in ("prior", "prefix", "max_length", "tokenizer"):
            if key in query.identity:
                config[key if key == "prior" else f"query_{key}"] = query.identity[key]
        parts = {**document.identity, "config": config}
        return fingerprint("inference-free", vocabulary=vocabulary, **parts)
    return fingerprint(
        "pair", vocabulary=vocabulary, document=document.identity, query=query.identity
    )
