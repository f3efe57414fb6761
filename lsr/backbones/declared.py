"""What a sentence-transformers folder declares of the document side and of the query side.

``modules.json`` and, for a Router, ``router_config.json`` say which modules those are. In a folder
that lacks them, their names tell: ``document_0_MLMTransformer``, ``document_1_SpladePooling``,
``query_0_SparseStaticEmbedding``, and ``1_SpladePooling`` for both sides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.json_files import read_json_object
from lsr.backbones.pipeline import MODULES, TABLES, TRANSFORMERS, pipeline
from lsr.backbones.transformer_settings import whole_number
from lsr.errors import InputError
from lsr.settings import MOST_LOGS

Side = Literal["document", "query"]
OTHER: dict[Side, Side] = {"document": "query", "query": "document"}
MODEL_SETTINGS = "config_sentence_transformers.json"
SPLADE = "SpladePooling"
LITERAL = ("literal", "literal_length")
DENSE_TERMS = ("dense_terms", "dense_terms_top")
COMPONENTS = "components"
# One logarithm more than the prefixes; behind a slash, that of queries.
_ONE = r"(?:log1p_){0,3}relu"
_ACTIVATION = re.compile(rf"({_ONE})(?:/({_ONE}))?")


def side_checkpoint(checkpoint: Checkpoint, side: Side) -> Checkpoint | None:
    """The language model of a side's own, where its folder has one."""
    if modules := pipeline(checkpoint.root, side):
        first = modules[0]
        folder = checkpoint.root / first.path
        if first.kind not in TRANSFORMERS or not first.path or _is_shared(checkpoint, folder, side):
            return None
        name = f"{checkpoint.name}/{first.path}"
        return replace(checkpoint, name=name, folder=folder, within=checkpoint.root)
    for path in sorted(checkpoint.root.glob(f"{side}_*Transformer/config.json")):
        name = f"{checkpoint.name}/{path.parent.name}"
        return replace(checkpoint, name=name, folder=path.parent, within=checkpoint.root)
    return None


def _is_shared(checkpoint: Checkpoint, folder: Path, side: Side) -> bool:
    return side == "query" and folder == checkpoint.folder


def check_modules(checkpoint: Checkpoint, side: Side) -> None:
    """See that a masked language model with SPLADE pooling is all that a side's texts go through.

    Where a side goes through a table, it is asked of the other.

    Raises:
        InputError: there are other modules, or the model is compared by something other than the
            inner product.
    """
    kinds = [module.kind for module in pipeline(checkpoint.root, side)]
    if kinds and kinds[0] in TABLES and not kinds[1:]:
        kinds = [module.kind for module in pipeline(checkpoint.root, OTHER[side])]
    if kinds and (kinds[0] not in TRANSFORMERS or kinds[1:] != [SPLADE]):
        raise InputError(
            f"the modules of {checkpoint.name!r} are {', '.join(kinds)}; a sparse encoder is "
            f"Transformer and {SPLADE}, with or without SparseStaticEmbedding for queries, and "
            "nothing behind them: give a dense model to --dense, and save another without them"
        )
    check_similarity(checkpoint, ("dot",), "a sparse encoder")


def check_similarity(checkpoint: Checkpoint, allowed: tuple[str, ...], what: str) -> None:
    """Raise InputError if the folder says that its vectors are compared in a way not allowed.

    It is refused, too, if it is a model of another sort than an encoder.
    """
    declared = checkpoint.json(MODEL_SETTINGS) or {}
    similarity, sort = declared.get("similarity_fn_name"), declared.get("model_type")
    if similarity is not None and similarity not in allowed:
        raise InputError(
            f"{MODEL_SETTINGS} of {checkpoint.name!r} gives similarity_fn_name as {similarity!r}; "
            f"{what} is compared by {' or '.join(allowed)}"
        )
    if sort not in (None, "SparseEncoder", "SentenceTransformer"):
        raise InputError(
            f"{MODEL_SETTINGS} of {checkpoint.name!r} says that it is a {sort}; give a "
            "SparseEncoder, or a SentenceTransformer to --dense"
        )


def static_module(checkpoint: Checkpoint) -> Path | None:
    """The folder of the query side's table of term weights, where there is one."""
    if modules := pipeline(checkpoint.root, "query"):
        return checkpoint.root / modules[0].path if modules[0].kind in TABLES else None
    found = (path for kind in TABLES for path in checkpoint.root.glob(f"query_*{kind}"))
    return min(found, default=None)


def term_weights(checkpoint: Checkpoint) -> Path | None:
    """The file of the query side's term weights, JSON or safetensors, where there is one.

    Where ``modules.json`` names a table, it is that; else ``idf.json`` comes first.
    """
    module, beside = static_module(checkpoint), checkpoint.root_path("idf.json")
    if module is None:
        return beside
    if beside and not (checkpoint.root / MODULES).is_file():
        return beside
    settings = module / "config.json"
    named = read_json_object(settings).get("path") if settings.is_file() else None
    if isinstance(named, str) and (path := checkpoint.root / Path(named).name).is_file():
        return path
    path = module / "model.safetensors"
    return path if path.is_file() else beside


def declared_prompt(checkpoint: Checkpoint, side: Side) -> str:
    """What sentence-transformers puts before each text of a side; empty for nothing.

    Of queries it is the prompt ``query``, of documents the prompt ``document``. Other names, such
    as ``passage``, and the default prompt are what a user of that library asks for by name: its
    ``encode_query`` and ``encode_document`` pass over them.

    Raises:
        InputError: it is no text.
    """
    if not pipeline(checkpoint.root, side):
        return ""
    prompts = (checkpoint.json(MODEL_SETTINGS) or {}).get("prompts") or {}
    prompt = prompts.get(side) if isinstance(prompts, dict) else prompts
    if not isinstance(prompt, str | None):
        raise InputError(
            f"{MODEL_SETTINGS} of {checkpoint.name!r} gives the {side} prompt as {prompt!r}; "
            "allowed is a text"
        )
    return prompt or ""


def declared_logs(checkpoint: Checkpoint, side: Side) -> int:
    """Logarithms that a SpladePooling module declares, else 1.

    Beyond sentence-transformers' relu and log1p_relu, which have one and two, ``lsr train`` writes
    activations of three and four, and two names with a slash between them: of documents and of
    queries.

    Raises:
        InputError: it declares another activation.
    """
    activation = _pooling(checkpoint, side).get("activation_function", "relu")
    found = _ACTIVATION.fullmatch(activation) if isinstance(activation, str) else None
    if found is None:
        raise InputError(
            f"the checkpoint {checkpoint.name!r} asks for the activation {activation!r}; known are "
            f"relu and log1p_relu; name one with logs=1 to logs={MOST_LOGS}"
        )
    of_documents, of_queries = found.group(1, 2)
    named = of_queries if side == "query" and of_queries is not None else of_documents
    return 1 + str(named).count("log1p_")


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


def declared_top_k(checkpoint: Checkpoint) -> int:
    """Terms of a vector that the checkpoint's ``max_active_dims`` lets stay, else 0 for all.

    sentence-transformers cuts vectors of documents and of queries alike.

    Raises:
        InputError: it is no number of terms.
    """
    return _number(checkpoint, MODEL_SETTINGS, "max_active_dims", 1) or 0


class DeclaredLiteral(NamedTuple):
    """``weight`` and ``length`` of ``LiteralTerms``; weight 0 is none."""

    weight: float
    length: float


def declared_literal(checkpoint: Checkpoint) -> DeclaredLiteral:
    """What an encoder that ``lsr train`` wrote says of its literal terms.

    Raises:
        InputError: they are no numbers that are allowed.
    """
    weight, length = _own_numbers(checkpoint, LITERAL)
    return DeclaredLiteral(weight, length or 100.0)


class DeclaredDenseTerms(NamedTuple):
    """``weight`` and ``top`` of ``DenseTerms``; weight 0 is none."""

    weight: float
    top: int

    @property
    def settings(self) -> dict[str, float]:
        """As they stand in an encoder's settings."""
        return dict(zip(DENSE_TERMS, self, strict=True))


def declared_dense_terms(checkpoint: Checkpoint) -> DeclaredDenseTerms:
    """What an encoder that ``lsr train`` wrote says of its dense terms.

    Raises:
        InputError: they are no numbers that are allowed.
    """
    weight, top = _own_numbers(checkpoint, DENSE_TERMS)
    return DeclaredDenseTerms(weight, int(top) or 100)


def _own_numbers(checkpoint: Checkpoint, names: Sequence[str]) -> list[float]:
    """Numbers of ours in the checkpoint's settings; 0 where they lack one."""
    found = (checkpoint.json(MODEL_SETTINGS) or {}).get("lsr", {})
    values = [found.get(name, 0) if isinstance(found, dict) else None for name in names]
    numbers = [
        float(value)
        for value in values
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1e6
    ]
    if len(numbers) < len(names):
        raise InputError(
            f"the {MODEL_SETTINGS} of {checkpoint.name!r} has lsr={found!r}; "
            f"allowed are numbers from 0 for {' and '.join(names)}"
        )
    return numbers


def declared_components(checkpoint: Checkpoint) -> dict[str, str]:
    """Options of the family ``pair`` that a folder of ``lsr train`` asks for; none in most.

    Raises:
        InputError: they are no options.
    """
    own = (checkpoint.json(MODEL_SETTINGS) or {}).get("lsr", {})
    found = own.get(COMPONENTS, {}) if isinstance(own, dict) else {}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise InputError(
            f"the {MODEL_SETTINGS} of {checkpoint.name!r} has lsr.{COMPONENTS}={found!r}; allowed "
            "are options of an encoder, each a text"
        )
    return found


def _number(checkpoint: Checkpoint, file: str, key: str, least: int) -> int | None:
    """A whole number that the checkpoint may give; null and a missing one are None."""
    value = (checkpoint.json(file) or {}).get(key)
    return (
        None if value is None else whole_number(value, f"{file} of {checkpoint.name!r}", key, least)
    )


def _pooling(checkpoint: Checkpoint, side: Side) -> Mapping[str, Any]:
    """The side's SpladePooling settings; those of the other side stand for it."""
    for asked in (side, OTHER[side]):
        for module in pipeline(checkpoint.root, asked):
            if module.kind == SPLADE:
                path = checkpoint.root / module.path / "config.json"
                return read_json_object(path) if path.is_file() else {}
    if (checkpoint.root / MODULES).is_file():
        return {}
    own = sorted(checkpoint.root.glob(f"{side}_*SpladePooling/config.json"))
    for path in own or sorted(checkpoint.root.glob("*SpladePooling/config.json")):
        return read_json_object(path)
    return {}
