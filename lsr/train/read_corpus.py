"""The texts of a training corpus as the student takes them, made once and kept in files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.backbones.batching import Batcher, Tokens
from lsr.backbones.tensor_files import read_arrays
from lsr.encoders.term_counts import count_terms
from lsr.errors import CorruptionError
from lsr.sparse import SparseBatch
from lsr.vocabulary import Vocabulary
from lsr.whole_file import replacing

TEXTS_AT_A_TIME = 4096
Arrays = dict[str, NDArray[Any]]


class CorpusTokens:
    """The tokens of each text of a corpus.

    Args:
        ids: of all tokens, one text after the other.
        offsets: int64 (texts + 1,), where each text's begin; a blank text has none.
    """

    def __init__(self, ids: NDArray[np.uint32], offsets: NDArray[np.int64]) -> None:
        self._ids = ids
        self._offsets = offsets

    def of(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[Tokens]]:
        """What ``Batcher.tokenize`` gives of the texts of these rows."""
        first, last = self._offsets[rows], self._offsets[rows + 1]
        filled = np.flatnonzero(last > first)
        tokens = [Tokens(self._ids[first[place] : last[place]]) for place in filled]
        return filled.astype(np.int64), tokens


def corpus_tokens(
    batcher: Batcher, texts: Sequence[str], digest: str, cache: Path | None
) -> CorpusTokens:
    """All tokens, from the folder ``cache`` where they are there.

    Args:
        batcher: cuts texts into tokens.
        texts: of the corpus.
        digest: of the texts.
        cache: None: they are not kept.

    Raises:
        CorruptionError: the file there is damaged, or of other texts.
    """
    path = cache and cache / f"tokens-{batcher.key}-{digest}.safetensors"
    arrays = _kept(path, lambda: _tokenized(batcher, texts))
    offsets, ids = arrays["offsets"], arrays["ids"]
    _check(path, len(texts), offsets, ids)
    return CorpusTokens(ids, offsets)


def corpus_counts(
    vocabulary: Vocabulary, texts: Sequence[str], digest: str, cache: Path | None
) -> SparseBatch:
    """How often each term occurs in each text, as ``count_terms`` says; likewise."""
    path = cache and cache / f"counts-{vocabulary.digest}-{digest}.safetensors"
    arrays = _kept(path, lambda: _counted(vocabulary, texts))
    indptr, indices, values = arrays["indptr"], arrays["indices"], arrays["values"]
    _check(path, len(texts), indptr, indices)
    if len(values) != len(indices) or indices.max(initial=0) >= vocabulary.size:
        raise _damaged(path)
    return SparseBatch(indptr, indices, values, vocabulary.size)


def _tokenized(batcher: Batcher, texts: Sequence[str]) -> Arrays:
    lengths = np.zeros(len(texts), dtype=np.int64)
    parts = [np.empty(0, np.uint32)]
    for start in range(0, len(texts), TEXTS_AT_A_TIME):
        rows, encodings = batcher.tokenize(texts[start : start + TEXTS_AT_A_TIME])
        found = [encoding.ids for encoding in encodings]
        counts = [len(ids) for ids in found]
        lengths[start + rows] = counts
        parts.append(np.fromiter(chain.from_iterable(found), np.uint32, sum(counts)))
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    return {"ids": np.concatenate(parts), "offsets": offsets}


def _counted(vocabulary: Vocabulary, texts: Sequence[str]) -> Arrays:
    parts = [
        count_terms(vocabulary, texts[start : start + TEXTS_AT_A_TIME])
        for start in range(0, len(texts), TEXTS_AT_A_TIME)
    ]
    counts = SparseBatch.concatenate(parts, vocabulary.size)
    return {"indptr": counts.indptr, "indices": counts.indices, "values": counts.values}


def _kept(path: Path | None, make: Callable[[], Arrays]) -> Arrays:
    from safetensors.numpy import save_file

    if path is None:
        return make()
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            save_file(make(), partial)
    try:
        return read_arrays(path)
    except Exception as error:  # what safetensors raises has no common base
        raise _damaged(path) from error


def _check(path: Path | None, texts: int, offsets: NDArray[np.int64], items: NDArray[Any]) -> None:
    whole = len(offsets) == texts + 1 and offsets[0] == 0 and offsets[-1] == len(items)
    if not whole or (np.diff(offsets) < 0).any():
        raise _damaged(path)


def _damaged(path: Path | None) -> CorruptionError:
    return CorruptionError(f"{path} is damaged, or of other texts; delete it")
