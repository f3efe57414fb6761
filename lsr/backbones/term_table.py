"""Tables of term weights that checkpoints carry for their query side."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.declared import term_weights
from lsr.backbones.json_files import LARGEST_JSON, read_json
from lsr.backbones.tensor_files import read_arrays
from lsr.errors import InputError
from lsr.vocabulary import Vocabulary


def read_term_table(checkpoint: Checkpoint, missing: str = "auto") -> NDArray[np.float32] | None:
    """float32 (V,): the weight of each term, never negative, 0 for special tokens.

    None where the checkpoint has no table. ``missing`` is as in ``TableConfig``. A table of
    sentence-transformers may be shorter than the vocabulary: it ends with the last term that has
    a weight.

    Raises:
        InputError: the table is malformed.
    """
    path = term_weights(checkpoint)
    words = None if path else checkpoint.root_path("query_token_weights.txt")
    if path is None and words is None:
        return None
    vocabulary = checkpoint.vocabulary
    otherwise = (1.0 if words else 0.0) if missing == "auto" else float(missing)
    table = np.full(vocabulary.size, otherwise, dtype=np.float32)
    if words is not None:
        _fill(table, vocabulary, _lines(words), words)
    elif path is not None and path.suffix == ".safetensors":
        weights = _static_embedding(path, vocabulary.size)
        table[: len(weights)] = weights
    elif path is not None:
        content = read_json(path)
        if not isinstance(content, dict):
            raise InputError(f"{path} holds no JSON object; restore the checkpoint's own file")
        _fill(table, vocabulary, content.items(), path)
    np.maximum(table, 0, out=table)
    table[list(vocabulary.special)] = 0
    return table


def _fill(
    table: NDArray[np.float32],
    vocabulary: Vocabulary,
    weights: Iterable[tuple[str, object]],
    path: Path,
) -> None:
    for token, weight in weights:
        if not isinstance(weight, int | float) or not np.isfinite(weight):
            raise InputError(
                f"{path} gives {token!r} the weight {weight!r}; weights are finite numbers"
            )
        term = vocabulary.tokenizer.token_to_id(token)
        if term is not None:
            table[term] = weight


def _lines(path: Path) -> Iterable[tuple[str, object]]:
    """Token and weight of each line of OpenSearch's format, a tab between the two."""
    if path.stat().st_size > LARGEST_JSON:
        raise InputError(f"{path} is larger than {LARGEST_JSON >> 20} MiB; no such table is read")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        token, tab, weight = line.rstrip("\r").rpartition("\t")
        try:
            yield token, float(weight) if tab else None
        except ValueError:
            raise InputError(
                f"line {number} of {path} holds no number: {line!r}; "
                "each line is a token, a tab and its weight"
            ) from None


def _static_embedding(path: Path, size: int) -> NDArray[np.float32]:
    """The tensor ``weight`` of a SparseStaticEmbedding module, float32 (at most V,)."""
    try:
        weights = read_arrays(path)["weight"].astype(np.float32)
    except Exception as error:  # what safetensors raises has no common base
        raise InputError(f"{path} holds no tensor of term weights ({error})") from error
    if weights.ndim != 1 or not np.isfinite(weights).all() or (weights[size:] != 0).any():
        raise InputError(
            f"{path} holds weights of shape {weights.shape}; allowed is one finite weight for each "
            f"of the {size} terms"
        )
    return weights[:size]
