"""What a sentence-transformers folder declares of the document side and of the query side.

A Router saves the modules of a side as ``SIDE_NUMBER_CLASS``, such as
``document_0_MLMTransformer``, ``document_1_SpladePooling``, ``query_0_SparseStaticEmbedding``;
a module that reads text may lie in the root instead. One that is not routed saves
``1_SpladePooling``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from lsr.backbones.checkpoint import Checkpoint
from lsr.errors import InputError

Side = Literal["document", "query"]
# Tokens of a text that count where a checkpoint says nothing, as in SPLADE's own evaluation.
LENGTH = 256

LITERAL = ("literal", "literal_length")


def side_checkpoint(checkpoint: Checkpoint, side: Side) -> Checkpoint | None:
    """The language model of a side's own, where its folder has one."""
    for path in sorted(checkpoint.root.glob(f"{side}_*Transformer/config.json")):
        name = f"{checkpoint.name}/{path.parent.name}"
        return Checkpoint(name, path.parent, checkpoint.root, checkpoint.trusted)
    return None


def static_weights(checkpoint: Checkpoint) -> Path | None:
    """The file of the query side's static term weights, where there is one.

    It is the module's safetensors, or the JSON file that its configuration names.
    """
    modules = [
        *checkpoint.root.glob("query_*SparseStaticEmbedding"),
        *checkpoint.root.glob("query_*IDF"),
    ]
    for module in sorted(modules):
        if (path := module / "model.safetensors").is_file():
            return path
        settings = checkpoint.json(f"{module.name}/config.json") or {}
        named = settings.get("path")
        if isinstance(named, str) and (path := checkpoint.root / Path(named).name).is_file():
            return path
    return None


def declared_logs(checkpoint: Checkpoint, side: Side) -> int:
    """Logarithms that a SpladePooling module declares, else 1."""
    return 2 if _pooling(checkpoint, side).get("activation_function") == "log1p_relu" else 1


def declared_pool(checkpoint: Checkpoint, side: Side) -> str:
    """Pooling that a SpladePooling module declares, else ``max``.

    Raises:
        InputError: it is neither ``max`` nor ``sum``.
    """
    pool = _pooling(checkpoint, side).get("pooling_strategy", "max")
    if pool not in ("max", "sum"):
        raise InputError(
            f"the checkpoint {checkpoint.name!r} asks for the pooling {pool!r}; known are max and "
            "sum; name one with pool="
        )
    return str(pool)


def declared_length(checkpoint: Checkpoint) -> int:
    """Tokens of a text that the checkpoint's ``max_seq_length`` lets count, else 256.

    Raises:
        InputError: it is no length.
    """
    length = _number(checkpoint, "sentence_bert_config.json", "max_seq_length", least=3)
    return LENGTH if length is None else length


def declared_top_k(checkpoint: Checkpoint) -> int:
    """Terms of a vector that the checkpoint's ``max_active_dims`` lets stay, else 0 for all.

    sentence-transformers cuts vectors of documents and of queries alike.

    Raises:
        InputError: it is no number of terms.
    """
    return _number(checkpoint, "config_sentence_transformers.json", "max_active_dims", 1) or 0


class DeclaredLiteral(NamedTuple):
    """``weight`` and ``length`` of ``LiteralTerms``; weight 0 is none."""

    weight: float
    length: float


def declared_literal(checkpoint: Checkpoint) -> DeclaredLiteral:
    """What an encoder that ``lsr train`` wrote says of its literal terms.

    Raises:
        InputError: they are no numbers that are allowed.
    """
    found = (checkpoint.json("config_sentence_transformers.json") or {}).get("lsr", {})
    values = [found.get(key, 0) if isinstance(found, dict) else None for key in LITERAL]
    numbers = [
        float(value)
        for value in values
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1e6
    ]
    if len(numbers) < len(LITERAL):
        raise InputError(
            f"the config_sentence_transformers.json of {checkpoint.name!r} has lsr={found!r}; "
            f"allowed are numbers from 0 for {' and '.join(LITERAL)}"
        )
    weight, length = numbers
    return DeclaredLiteral(weight, length or 100.0)


def _number(checkpoint: Checkpoint, file: str, key: str, least: int) -> int | None:
    """A whole number that the checkpoint may give; null and a missing one are None."""
    value = (checkpoint.json(file) or {}).get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= 1_000_000:
        raise InputError(
            f"{file} of the checkpoint {checkpoint.name!r} gives {key} as {value!r}; allowed is "
            f"{least} to 1000000"
        )
    return value


def _pooling(checkpoint: Checkpoint, side: Side) -> Mapping[str, Any]:
    """The side's SpladePooling settings; those of the other side stand for it."""
    own = sorted(checkpoint.root.glob(f"{side}_*SpladePooling/config.json"))
    for path in own or sorted(checkpoint.root.glob("*SpladePooling/config.json")):
        settings: Mapping[str, Any] = checkpoint.json(f"{path.parent.name}/config.json")
        return settings
    return {}
