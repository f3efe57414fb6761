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
from lsr.component import changed
from lsr.errors import NotFoundError, UsageError
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics
from lsr.vocabulary import Vocabulary

ConfigT = TypeVar("ConfigT")
# The model that ships with this package. Its name has a version, which changes with its weights.
DEFAULT_ENCODER = "lsr-tiny-v1"
SWITCH = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


class SparseEncoder(Protocol):
    """Turns documents and queries into sparse term weights over one vocabulary.

    ``name`` loads the same encoder again; ``fingerprint`` changes with anything that changes a
    vector (family, weights, vocabulary, settings) and not with where the checkpoint lies.
    ``stores_counts`` is true where document vectors are raw term counts that become weights only
    with the statistics of the collection (BM25). ``needs_statistics`` is true where
    ``encode_queries`` needs the statistics of the collection's term counts, ``uses_statistics``
    where it takes them into account if they are there.
    """

    name: str
    vocabulary: Vocabulary
    fingerprint: str
    stores_counts: bool = False
    needs_statistics: bool = False
    uses_statistics: bool = False

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
    ``inference-free:./folder,idf=collection`` are names. A preset may stand for the family, as in
    ``splade-v3`` and ``splade-v3:./folder``. A value may stand in double quotes, so that it can
    be empty, or begin or end with a space.
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
        from lsr.presets import PRESETS

        head, *settings = name.strip().split(",")
        options = dict(setting.partition("=")[::2] for setting in settings)
        whole = all(options) and all(options.values()) and len(options) == len(settings)
        if not head or not whole:
            raise UsageError(
                f"{name!r} is not an encoder name; write NAME or NAME,key=value, "
                "for example bm25, bm25,k1=1.2, splade:MODEL or MODEL,max_length=512"
            )
        options = {key: _unquoted(value) for key, value in options.items()}
        if head in FAMILIES or head in PRESETS:
            return cls(head, "", options)
        family, colon, model = head.partition(":")
        if colon and (family in FAMILIES or family in PRESETS):
            return cls(family, model, options)
        return cls(None, head, options)


def configure(
    config: type[ConfigT], options: Mapping[str, str], default: ConfigT | None = None
) -> ConfigT:
    """Fill a settings dataclass from ``key=value`` strings; ``default`` gives the rest.

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
        values[key] = _value(key, text, type(fields[key].default))
    base = config() if default is None else default
    return dataclasses.replace(base, **values)  # type: ignore[type-var]


def _value(key: str, text: str, kind: Callable[[str], Any]) -> Any:
    if kind is bool:
        if text not in SWITCH:
            raise UsageError(f"the encoder option {key}={text} is not allowed; give yes or no")
        return SWITCH[text]
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"the encoder option {key}={text} is not a valid number") from None


def spell(value: object) -> str:
    """A setting as it stands in an encoder's name."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    return f'"{text}"' if not text or text != text.strip() else text


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1] if quoted else text


def load_encoder(name: str) -> SparseEncoder:
    """The encoder of that name; its weights are read when something is first encoded.

    A preset's handling applies where the preset is named, and where its hub id is given alone.

    Raises:
        NotFoundError: no such checkpoint.
        UsageError: the name or one of its options is malformed, or the checkpoint runs code of
            its own, which was not allowed.
    """
    from lsr.presets import PRESETS, load_preset, preset_of_hub_id
    from lsr.router import side_checkpoint, static_weights

    parsed = EncoderName.parse(name)
    family = parsed.family
    if family == "bm25" and not parsed.model:
        return FAMILIES["bm25"](None, parsed.options)
    preset = PRESETS.get(family) if family else preset_of_hub_id(parsed.model)
    if preset:
        return load_preset(preset, parsed.model, parsed.options)
    _check_version(parsed.model)
    if not parsed.model:
        raise UsageError(f"{name!r} names no model; write {family}:MODEL")
    if family == "decoder":
        return FAMILIES["decoder"](parsed.model, parsed.options)
    checkpoint = Checkpoint.resolve(parsed.model, trusts_code(parsed.options))
    if family is None:
        table = checkpoint.root_path("idf.json") or static_weights(checkpoint)
        tabled = table is not None and side_checkpoint(checkpoint, "query") is None
        family = "inference-free" if tabled else "splade"
    return FAMILIES[family](checkpoint, parsed.options)


def _check_version(model: str) -> None:
    stem = DEFAULT_ENCODER.rstrip("0123456789")
    if model.removeprefix(stem).isdecimal() and not Path(model).exists():
        raise NotFoundError(
            f"the model {model!r} came with another version of lsr; this one has "
            f"{DEFAULT_ENCODER}: index again with it, or install the version that has {model}"
        )


def trusts_code(options: Mapping[str, str]) -> bool:
    """Whether the options let the checkpoint's own Python code run."""
    given = (value for key, value in options.items() if key.endswith("trust_remote_code"))
    return any(SWITCH.get(value, False) for value in given)


def canonical_name(family: str, checkpoint: Checkpoint | None, options: object) -> str:
    """The name that loads the same encoder again: family, model, and each non-default option."""
    head = family if checkpoint is None else f"{family}:{checkpoint.name}"
    settings = [f"{key}={spell(value)}" for key, value in changed(options).items()]
    return ",".join([head, *settings])


def short_name(encoder: str) -> str:
    """An encoder's name without the path to its folder, for display."""
    head, *options = encoder.split(",")
    family, colon, model = head.rpartition(":")
    # A concatenated dense encoder has two models.
    parts = model.split("+")
    names = [Path(part).name if Path(part).is_absolute() else part for part in parts]
    return ",".join([family + colon + "+".join(names), *options])


def _bm25(checkpoint: Checkpoint | None, options: Mapping[str, str]) -> SparseEncoder:
    from lsr.lexical import Bm25Config, Bm25Encoder

    return Bm25Encoder(configure(Bm25Config, options), checkpoint)


def _pair(family: str) -> Callable[..., SparseEncoder]:
    def load(checkpoint: Checkpoint, options: Mapping[str, str]) -> SparseEncoder:
        from lsr.pair import PAIRS, load_pair

        return load_pair(family, PAIRS[family], checkpoint, options)

    return load


def _decoder(model: str, options: Mapping[str, str]) -> SparseEncoder:
    from lsr.decoder import DecoderConfig, DecoderEncoder

    return DecoderEncoder.load(model, configure(DecoderConfig, options))


FAMILIES: dict[str, Callable[..., SparseEncoder]] = {
    "bm25": _bm25,
    "splade": _pair("splade"),
    "inference-free": _pair("inference-free"),
    "pair": _pair("pair"),
    "decoder": _decoder,
}
