"""Token batches: texts of like length together, a bounded number of tokens at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from lsr.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True, eq=False)
class TokenBatch:
    """``rows`` int64 (b,) are places in the input; ``ids`` and ``mask`` int64 (b, length)."""

    rows: NDArray[np.int64]
    ids: NDArray[np.int64]
    mask: NDArray[np.int64]


class Batcher:
    """Tokenises with special tokens, truncates, and yields padded batches, longest first."""

    def __init__(self, vocabulary: Vocabulary, max_length: int, token_budget: int) -> None:
        self._tokenizer = Tokenizer.from_str(vocabulary.tokenizer.to_str())
        self._tokenizer.enable_truncation(max_length)
        self._token_budget = token_budget

    def __call__(self, texts: Sequence[str]) -> Iterator[TokenBatch]:
        """Batches over the texts that have tokens; blank ones are in no batch."""
        rows = [row for row, text in enumerate(texts) if text.strip()]
        encodings = self._tokenizer.encode_batch_fast([texts[row] for row in rows])
        tokens = [encoding.ids for encoding in encodings]
        order = [place for place, ids in enumerate(tokens) if ids]
        order.sort(key=lambda place: -len(tokens[place]))
        start = 0
        while start < len(order):
            width = len(tokens[order[start]])
            members = order[start : start + max(1, self._token_budget // width)]
            start += len(members)
            ids = np.zeros((len(members), width), dtype=np.int64)
            mask = np.zeros_like(ids)
            for line, place in enumerate(members):
                ids[line, : len(tokens[place])] = tokens[place]
                mask[line, : len(tokens[place])] = 1
            yield TokenBatch(np.array([rows[place] for place in members]), ids, mask)
