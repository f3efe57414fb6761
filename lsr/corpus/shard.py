"""Which part of a corpus one machine of several takes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lsr.errors import UsageError

MOST_SHARDS = 100_000


@dataclass(frozen=True, slots=True)
class Shard:
    """Every ``of``-th chunk of a corpus, beginning with the ``number``-th (counted from 1).

    So it depends on nothing but the corpus: neither on the machine nor on what other machines
    do. Whole chunks are taken, for a text's vector may depend, in its last bits, on the texts that
    are encoded beside it. Shards differ by one chunk at most, and a corpus that is sorted by length
    or by date gives each shard some of all its places.

    Raises:
        UsageError: ``of`` is not 1 to 100,000, or ``number`` not 1 to ``of``.
    """

    number: int = 1
    of: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of <= MOST_SHARDS:
            raise UsageError(
                f"the shard is {self}; allowed are 1/N to N/N, with N up to {MOST_SHARDS:,}"
            )

    @classmethod
    def parse(cls, text: str) -> Shard:
        """The shard ``NUMBER/OF``, as in ``3/8``.

        Raises:
            UsageError: it is not written so, or out of range.
        """
        if not (parts := re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)):
            raise UsageError(f"the shard is {text!r}; give its number and how many there are: 3/8")
        return cls(int(parts[1]), int(parts[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def has(self, chunk: int) -> bool:
        """Whether the chunk of that number, counted from 0, is one of its own."""
        return chunk % self.of == self.number - 1

    def chunks(self, items: int, size: int) -> range:
        """The numbers of its chunks in a corpus of so many items, ``size`` of them in a chunk."""
        return range(self.number - 1, -(-items // size), self.of)

    def items(self, items: int, size: int) -> int:
        """How many of the items of a corpus are in its chunks."""
        chunks = self.chunks(items, size)
        cut = len(chunks) > 0 and (chunks[-1] + 1) * size > items
        return len(chunks) * size - (-items % size if cut else 0)


WHOLE = Shard()
