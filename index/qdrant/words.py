"""The words of a collection in Qdrant, and the tokens of imported vectors: lists in records.

A word keeps its number for ever. Only as many count as the state says; so what a writer that was
killed left behind is written over by the next.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from index.collection.field import Field
from index.qdrant.conditions import Between
from index.qdrant.layout import WORDS_AT_ONCE, Record, record_number
from index.qdrant.port import Point, QdrantPort
from lsr.errors import CorruptionError
from lsr.sparse import SparseBatch

LAST_LETTER = "\U0010ffff"


class WordList:
    """The words by number, read as far as they are needed, and kept. Safe for many threads.

    Args:
        port: of the collection.
        kind: of the records.
    """

    def __init__(self, port: QdrantPort, kind: Record) -> None:
        self._port = port
        self._kind = kind
        self._words: list[str] = []
        self._numbers: dict[str, int] = {}
        self._sorted: list[str] = []
        self._reading = threading.Lock()

    def first(self, count: int) -> Sequence[str]:
        """The first ``count`` words, by number; at least so many are in the list.

        Raises:
            CorruptionError: the records do not have so many.
        """
        if len(self._words) < count:
            with self._reading:
                self._read(count)
        return self._words

    def numbers(self, words: Iterable[str], count: int) -> dict[str, int]:
        """The number of each of the words that is among the first ``count``."""
        self.first(count)
        found = ((word, self._numbers.get(word, count)) for word in words)
        return {word: number for word, number in found if number < count}

    def beginning(self, start: str, count: int) -> dict[str, int]:
        """The number of each of the first ``count`` words that begins so."""
        words = self.first(count)
        with self._reading:
            if len(self._sorted) < len(words):
                self._sorted = sorted(words)
            ordered = self._sorted
        span = ordered[bisect_left(ordered, start) : bisect_left(ordered, start + LAST_LETTER)]
        return self.numbers(span, count)

    def write(self, words: Sequence[str], count: int, turn: int) -> None:
        """Write words behind the first ``count``, of which the state does not tell yet.

        ``turn`` is the version of the state that let this writer write: what a later one wrote
        stays.
        """
        start = count - count % WORDS_AT_ONCE
        pending = [*self.first(count)[start:count], *words]
        for place in range(0, len(pending), WORDS_AT_ONCE):
            number = record_number(self._kind, (start + place) // WORDS_AT_ONCE)
            part = pending[place : place + WORDS_AT_ONCE]
            self._port.write_if(Point(number, {"words": part, "turn": turn}), not_after(turn))

    def _read(self, count: int) -> None:
        held = len(self._words)
        if held >= count:
            return
        first, last = held // WORDS_AT_ONCE, (count - 1) // WORDS_AT_ONCE
        places = [record_number(self._kind, place) for place in range(first, last + 1)]
        found = self._port.retrieve(places)
        words = self._words[: first * WORDS_AT_ONCE]
        for number in places:
            part = found[number].payload.get("words") if number in found else None
            if not isinstance(part, list) or not all(isinstance(word, str) for word in part):
                raise CorruptionError(
                    "the words of the collection in Qdrant are damaged; push or index into another "
                    "name, or recover a snapshot of Qdrant's"
                )
            words += part[:WORDS_AT_ONCE]
        words = words[:count]
        if len(words) < count or len(set(words)) < count:
            raise CorruptionError(
                f"{len(set(words))} words are found in Qdrant where {count} were written; push or "
                "index into another name, or recover a snapshot of Qdrant's"
            )
        self._numbers.update(zip(words[held:], range(held, count), strict=True))
        # A new list: others go on with the one they have.
        self._words = words


def not_after(turn: int) -> Between:
    """That a record was written by the writer of this turn, or by one before."""
    return Between("turn", None, float(turn))


def numbered(
    field: Field,
    rows: SparseBatch | NDArray[np.float32],
    numbers: Mapping[str, int],
    count: int,
) -> SparseBatch | NDArray[np.float32]:
    """Rows whose words have their terms, of which there are ``count``."""
    if not isinstance(rows, SparseBatch) or not rows.words:
        return rows
    used = used_words(rows)
    ids = np.full(len(rows.words), -1, dtype=np.int64)
    ids[list(used)] = [field.size + numbers[word] for word in used.values()]
    return rows.numbered(ids.tolist(), field.size + count)


def used_words(rows: SparseBatch) -> dict[int, str]:
    """The words of a batch that some row has, by their place in it."""
    places = np.unique(rows.indices[rows.indices >= rows.closed_size]) - rows.closed_size
    return {place: rows.words[place] for place in places.tolist()}
