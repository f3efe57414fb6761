"""What BM25 and IDF need of a whole collection in Qdrant, counted as it is written.

Frequencies of terms are a log of points, each with what one commit changed; the state says which
of them count. So their sum is at any moment what the rows that count have, whoever was killed.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from index.collection.frequency_table import LONGEST_LOG, pack_changes, unpack_changes
from index.qdrant.layout import Record, record_number
from index.qdrant.port import Point, QdrantPort
from index.qdrant.state import Counted, State
from index.qdrant.words import not_after
from lsr.encoders.encoder import SparseEncoder
from lsr.encoders.term_counts import count_terms
from lsr.errors import CorruptionError
from lsr.sparse import SparseBatch
from lsr.vocabulary import Vocabulary

# Terms of one record, at most.
TERMS_AT_ONCE = 1 << 20
DAMAGED = (
    "the term frequencies of the collection in Qdrant are damaged; push or index into another "
    "name, or recover a snapshot of Qdrant's"
)
NO_TERMS: NDArray[np.int64] = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """What rows add to the counts of one field.

    ``rows`` how many, ``length`` the sum of their lengths; ``terms`` int64 (n,), ascending, and
    ``counts``, of the same shape, by how much the frequency of each rises, not 0.
    """

    rows: int = 0
    length: int = 0
    terms: NDArray[np.int64] = field(default_factory=lambda: NO_TERMS)
    counts: NDArray[np.int64] = field(default_factory=lambda: NO_TERMS)

    def __add__(self, other: Change) -> Change:
        return self._with(other, 1)

    def __sub__(self, other: Change) -> Change:
        return self._with(other, -1)

    def applied(self, counted: Counted) -> Counted:
        """The counts of the field after it, but for the frequencies."""
        return replace(counted, rows=counted.rows + self.rows, length=counted.length + self.length)

    def _with(self, other: Change, sign: int) -> Change:
        terms, places = np.unique(np.concatenate([self.terms, other.terms]), return_inverse=True)
        counts = np.zeros(len(terms), dtype=np.int64)
        np.add.at(counts, places, np.concatenate([self.counts, sign * other.counts]))
        kept = counts != 0
        return Change(
            self.rows + sign * other.rows,
            self.length + sign * other.length,
            terms[kept],
            counts[kept],
        )


def change_of_counts(encoder: SparseEncoder, stored: SparseBatch) -> Change:
    """What rows of stored counts add to a field that weighs them."""
    average = encoder.statistics(stored).average_length
    # Lengths are whole numbers, whose sum this is but for rounding.
    return Change(len(stored), round(average * len(stored)), *_frequencies(stored))


def change_of_texts(vocabulary: Vocabulary, texts: Sequence[str]) -> Change:
    """What texts, one for each row, add to a field whose closed terms are counted in them."""
    if not texts:
        return Change()
    return Change(len(texts), 0, *_frequencies(count_terms(vocabulary, texts)))


def added_to(
    totals: Mapping[str, NDArray[np.int64]], changes: Mapping[str, Change]
) -> dict[str, NDArray[np.int64]]:
    """Frequencies by field, int64 (terms,), after changes; those given stay as they are.

    Raises:
        ValueError: one would be below 0.
    """
    found = dict(totals)
    for name, change in changes.items():
        if not len(change.terms):
            continue
        before = found.get(name, NO_TERMS)
        after = np.zeros(max(len(before), int(change.terms[-1]) + 1), dtype=np.int64)
        after[: len(before)] = before
        after[change.terms] += change.counts
        if after[change.terms].min() < 0:
            raise ValueError(f"the frequency of a term of {name!r} would be below 0")
        found[name] = after
    return found


def _frequencies(rows: SparseBatch) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    terms, counts = np.unique(rows.indices, return_counts=True)
    return terms.astype(np.int64), counts.astype(np.int64)


class FrequencyLog:
    """The frequencies of the terms of each field: the sum of a log. Safe for many threads.

    Args:
        port: of the collection.
    """

    def __init__(self, port: QdrantPort) -> None:
        self._port = port
        self._known: tuple[tuple[int, int], dict[str, NDArray[np.int64]]] = ((1, 0), {})
        self._reading = threading.Lock()

    def totals(self, state: State) -> Mapping[str, NDArray[np.int64]]:
        """By field, int64 (terms,), as of a state; terms behind the last have 0.

        Raises:
            CorruptionError: the log is damaged.
        """
        with self._reading:
            (first, last), totals = self._known
            if state.log != (first, last):
                if state.log[0] != first or state.log[1] < last:
                    last, totals = state.log[0] - 1, {}
                totals = self._read(range(last + 1, state.log[1] + 1), totals)
                self._known = state.log, totals
            return totals

    def write(self, state: State, changes: Mapping[str, Change], turn: int) -> tuple[int, int]:
        """Add to the log; returns what the state is to call it. ``turn`` as for ``WordList``."""
        first, last = state.log
        if last - first + 1 >= LONGEST_LOG:
            try:
                totals = added_to(self.totals(state), changes)
            except ValueError as error:
                raise CorruptionError(DAMAGED) from error
            return last + 1, self._append(last, _whole(totals), turn)
        return first, self._append(last, [_packed(changes)], turn)

    def replace(
        self, state: State, totals: Mapping[str, NDArray[np.int64]], turn: int
    ) -> tuple[int, int]:
        """Begin the log anew with these frequencies; as ``write``."""
        last = state.log[1]
        return last + 1, self._append(last, _whole(totals), turn)

    def forget(self, before: tuple[int, int], now: tuple[int, int]) -> None:
        """Delete the records that a committed state names no more."""
        gone = [record_number(Record.FREQUENCIES, n) for n in range(before[0], now[0])]
        if gone:
            self._port.write([], gone)

    def _append(self, last: int, entries: Sequence[Mapping[str, str]], turn: int) -> int:
        for entry in entries:
            last += 1
            number = record_number(Record.FREQUENCIES, last)
            payload = {"frequencies": dict(entry), "turn": turn}
            self._port.write_if(Point(number, payload), not_after(turn))
        return last

    def _read(
        self, wanted: range, totals: Mapping[str, NDArray[np.int64]]
    ) -> dict[str, NDArray[np.int64]]:
        numbers = [record_number(Record.FREQUENCIES, n) for n in wanted]
        found = self._port.retrieve(numbers)
        total = dict(totals)
        try:
            for number in numbers:
                total = added_to(total, _unpacked(found[number].payload["frequencies"]))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise CorruptionError(DAMAGED) from error
        return total


def _packed(changes: Mapping[str, Change]) -> dict[str, str]:
    return {
        name: base64.b64encode(pack_changes(each.terms, each.counts)).decode()
        for name, each in changes.items()
        if len(each.terms)
    }


def _unpacked(packed: Mapping[str, str]) -> dict[str, Change]:
    return {
        str(name): Change(0, 0, *unpack_changes(base64.b64decode(text, validate=True)))
        for name, text in packed.items()
    }


def _whole(totals: Mapping[str, NDArray[np.int64]]) -> list[dict[str, str]]:
    """The entries that add up to these frequencies, each of not too many terms."""
    entries = []
    for name, total in totals.items():
        terms = np.flatnonzero(total)
        for start in range(0, len(terms), TERMS_AT_ONCE):
            part = terms[start : start + TERMS_AT_ONCE]
            entries.append(_packed({name: Change(0, 0, part, total[part])}))
    return entries or [{}]
