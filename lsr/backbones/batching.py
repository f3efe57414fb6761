"""Token batches: texts of like length together, a bounded number of tokens at a time."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

from lsr.backbones.batch_threads import map_batches
from lsr.sparse import SparseBatch, SparseVector
from lsr.vocabulary import Vocabulary

if TYPE_CHECKING:
    import torch

EMPTY = SparseVector.from_mapping({})


@dataclass(frozen=True, slots=True, eq=False)
class TokenBatch:
    """Some texts, padded to the longest of them.

    ``rows`` int64 (b,) are places in the input; ``ids``, ``mask`` and ``types`` int64 (b, length).
    Types tell the two texts of a pair apart.
    """

    rows: NDArray[np.int64]
    ids: NDArray[np.int64]
    mask: NDArray[np.int64]
    types: NDArray[np.int64]

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Where each text's tokens begin when the padding is left out, int64 (b + 1,)."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.mask.sum(axis=1))])

    def to(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and mask on a device, int64 (b, length)."""
        import torch

        return torch.from_numpy(self.ids).to(device), torch.from_numpy(self.mask).to(device)


class Tokenized(Protocol):
    """The tokens of a text, or of a pair of texts, which types tell apart."""

    @property
    def ids(self) -> Sequence[int] | NDArray[np.integer[Any]]:
        """Of the tokens, special ones included."""
        ...

    @property
    def type_ids(self) -> Sequence[int] | int:
        """Of each of them, or one for all."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """Those of one text, which were made before."""

    ids: NDArray[np.integer[Any]]
    type_ids: int = 0


class Batcher:
    """Tokenises with special tokens, truncates, and yields padded batches, longest first.

    ``prefix`` goes before each text that is not blank. ``tokens`` counts the tokens of all batches
    so far, padding left out.
    """

    def __init__(
        self, vocabulary: Vocabulary, max_length: int, token_budget: int, prefix: str = ""
    ) -> None:
        self.tokens = 0
        self._prefix = prefix
        self._size = vocabulary.size
        self._tokenizer = vocabulary.cutting(max_length)
        self._token_budget = token_budget

    def __call__(self, texts: Sequence[str]) -> Iterator[TokenBatch]:
        """Batches over the texts that have tokens; blank ones are in no batch."""
        return self.batches(*self.tokenize(texts))

    def batches(
        self, rows: NDArray[np.int64], encodings: Sequence[Tokenized]
    ) -> Iterator[TokenBatch]:
        """The same of what ``tokenize`` gave."""
        for batch in padded(encodings, self._token_budget):
            yield self._counted(batch, rows)

    def split(
        self, rows: NDArray[np.int64], encodings: Sequence[Tokenized], parts: int
    ) -> list[TokenBatch]:
        """At most so many batches, of about the same number of tokens each, likewise."""
        order = longest_first(encodings)
        ends = np.cumsum([len(encodings[place].ids) for place in order])
        total = ends[-1] if len(ends) else 0
        cuts = np.searchsorted(ends, total * np.arange(1, parts) / parts) + 1
        bounds = np.unique([0, *np.minimum(cuts, len(order)).tolist(), len(order)]).tolist()
        return [
            self._counted(pad(encodings, order[start:end]), rows)
            for start, end in itertools.pairwise(bounds)
        ]

    def tokenize(self, texts: Sequence[str]) -> tuple[NDArray[np.int64], list[Encoding]]:
        """The places of the texts that are not blank, and their tokens."""
        rows = [row for row, text in enumerate(texts) if text.strip()]
        encodings = self._tokenizer.encode_batch_fast([self._prefix + texts[row] for row in rows])
        return np.array(rows, dtype=np.int64), encodings

    @property
    def key(self) -> str:
        """Hexadecimal digits that change with anything that changes tokens."""
        parts = self._tokenizer.to_str(), self._prefix
        return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()

    def _counted(self, batch: TokenBatch, rows: NDArray[np.int64]) -> TokenBatch:
        self.tokens += int(batch.mask.sum())
        return replace(batch, rows=rows[batch.rows])

    def encode(
        self, texts: Sequence[str], weigh: Callable[[TokenBatch], SparseBatch]
    ) -> SparseBatch:
        """One row of term weights a text, in the order of the texts; a blank text gets none.

        ``weigh`` turns a batch into a row for each of its texts; it is called in several
        threads at once.
        """
        rows: list[int] = []

        def counted() -> Iterator[TokenBatch]:
            for batch in self(texts):
                rows.extend(batch.rows.tolist())
                yield batch

        parts = map_batches(weigh, counted())
        blank = sorted(set(range(len(texts))) - set(rows))
        empty = SparseBatch.from_rows([EMPTY] * len(blank), self._size)
        places = np.empty(len(texts), dtype=np.int64)
        places[np.array(rows + blank, dtype=np.int64)] = np.arange(len(texts))
        return SparseBatch.concatenate([*parts, empty], self._size).reorder(places)


def padded(encodings: Sequence[Tokenized], token_budget: int) -> Iterator[TokenBatch]:
    """Batches of at most that many tokens, padding included, longest texts first.

    A text of more is a batch of its own; one without tokens is in no batch.
    """
    order = longest_first(encodings)
    start = 0
    while start < len(order):
        end = start + max(1, token_budget // len(encodings[order[start]].ids))
        yield pad(encodings, order[start:end])
        start = end


def longest_first(encodings: Sequence[Tokenized]) -> list[int]:
    """The places of those that have tokens."""
    lengths = [len(encoding.ids) for encoding in encodings]
    return sorted(
        (place for place, n in enumerate(lengths) if n), key=lambda place: -lengths[place]
    )


def pad(encodings: Sequence[Tokenized], places: Sequence[int]) -> TokenBatch:
    """The batch of these places, of which the first is the longest."""
    ids = np.zeros((len(places), len(encodings[places[0]].ids)), dtype=np.int64)
    mask, types = np.zeros_like(ids), np.zeros_like(ids)
    for line, place in enumerate(places):
        encoding = encodings[place]
        length = len(encoding.ids)
        ids[line, :length] = encoding.ids
        mask[line, :length] = 1
        types[line, :length] = encoding.type_ids
    return TokenBatch(np.array(places), ids, mask, types)
