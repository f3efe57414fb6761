"""What is stored of the documents of a collection in Qdrant, as of one state."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from index.collection.field import Field
from index.qdrant.conditions import Between, Condition, Match, Neither, Points, every
from index.qdrant.layout import (
    DOCUMENT_PARTS,
    ID,
    PLACE,
    document_of,
    number_of,
    passages_of,
    unpack_counts,
)
from index.qdrant.port import Point, QdrantPort
from index.qdrant.state import State
from index.qdrant.words import WordList
from lsr.corpus.documents import Document
from lsr.corpus.passages import Passage
from lsr.errors import CorruptionError
from lsr.sparse import SparseVector

# Larger than the number of any row.
LAST = (1 << 62) - 1
# Ids that one condition names.
IDS_AT_ONCE = 256
FIRST_ROWS = Match(PLACE, (0,))
NO_TERMS = SparseVector(np.empty(0, np.int32), np.empty(0, np.float32))
log = logging.getLogger(__name__)


class QdrantStore:
    """Documents, passages, words and vectors as of ``state``; as what reads of ``Store`` gives.

    ``passages``, ``dictionary`` and ``vectors`` are what those of ``Store`` are.
    """

    def __init__(self, port: QdrantPort, state: State, words: WordList, tokens: WordList) -> None:
        self._port = port
        self._tokens = tokens
        self.state = state
        self.fields = state.field_list
        self.dictionary = QdrantDictionary(state, words)
        self.passages = QdrantPassages(self)
        self.vectors = QdrantVectors(self)

    @property
    def name(self) -> str:
        """Of the collection."""
        return self._port.name

    @property
    def place(self) -> str:
        """Of the collection, as messages call it."""
        return self.name

    def setting(self, name: str, absent: str | None = None) -> str:
        """A text that is kept with the documents; ``absent`` where it never was."""
        text = self.state.settings.get(name, absent)
        if text is None:
            raise CorruptionError(self.damage(f"setting {name!r}"))
        return text

    def check_writable(self) -> None:
        """Nothing: whether the key may write, Qdrant says when it comes to that."""

    @property
    def identity(self) -> str:
        """32 hexadecimal digits that no other collection has."""
        return self.state.identity

    def revision(self) -> int:
        """A number that grows with each write."""
        return self.state.revision

    def tokens(self) -> list[str]:
        """The tokens of the vocabulary of imported vectors."""
        return list(self._tokens.first(self.state.tokens)[: self.state.tokens])

    def count(self) -> int:
        """Number of live documents."""
        return self.state.documents

    def count_rows(self) -> int:
        """Number of rows of vectors: documents, or passages of those split."""
        return self.state.rows

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Nothing: all reads are of one state anyhow, but for what is deleted meanwhile."""
        yield

    def living(self) -> Condition | None:
        """Holds for the rows that count, where others are there; None: all count."""
        dying = Neither(Points(self.state.dying)) if self.state.dying else None
        begun = None
        if self.state.reserved > self.state.written:
            begun = Between("n", None, float(self.state.written))
        return every([dying, begun])

    def counts(self, number: int) -> bool:
        """Whether a row is one that counts."""
        return number < number_of(self.state.written + 1) and number not in self.state.dying

    def points(
        self,
        numbers: Sequence[int],
        payload: bool | Sequence[str] = True,
        vectors: Sequence[str] = (),
    ) -> dict[int, Point]:
        """Those of some rows that are there and count, in ascending order of numbers."""
        found = self._port.retrieve(sorted(set(numbers)), payload, vectors)
        return {number: found[number] for number in sorted(found) if self.counts(number)}

    def ids(self, sequence: Sequence[int]) -> dict[int, str]:
        """Id of each of some documents that live, by number."""
        found = self.points(sequence, [ID])
        names = {number: point.payload.get(ID) for number, point in found.items()}
        for number in sequence:
            if not isinstance(names.get(number), str):
                raise CorruptionError(self.damage(f"row of the document number {number}"))
        return {number: str(name) for number, name in names.items()}

    def sequences(self, ids: Sequence[str]) -> dict[str, int]:
        """The number of each id that is there."""
        found: dict[str, int] = {}
        for start in range(0, len(ids), IDS_AT_ONCE):
            condition = Match(ID, tuple(dict.fromkeys(ids[start : start + IDS_AT_ONCE])))
            for point in self._port.scroll(condition, payload=[ID]):
                if self.counts(point.number):
                    found[str(point.payload[ID])] = point.number
        return found

    def digests(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Digest of each id that is there; empty where its text is damaged."""
        numbers = self.sequences(ids)
        documents = self._documents(list(numbers.values()))
        return {
            identifier: b"" if (document := documents.get(number)) is None else document.digest()
            for identifier, number in numbers.items()
        }

    def all_ids(self) -> list[str]:
        """Every id, in the order of writing."""
        points = self._port.scroll(FIRST_ROWS, payload=[ID])
        return [str(point.payload.get(ID)) for point in points if self.counts(point.number)]

    def all_digests(self) -> list[bytes]:
        """Every document's digest, ascending; as written, its text is not looked at."""
        points = self._port.scroll(FIRST_ROWS, payload=["digest"])
        try:
            return sorted(
                bytes.fromhex(point.payload["digest"])
                for point in points
                if self.counts(point.number)
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptionError(self.damage("digest of a document")) from error

    def live(
        self,
        after: int = 0,
        until: int = LAST,
        most: int = -1,
        condition: Condition | None = None,
    ) -> NDArray[np.int64]:
        """Numbers of the documents that live after one, up to another, ascending.

        The first ``most`` for which ``condition`` holds; below 0: all.
        """
        found: list[int] = []
        wanted = every([FIRST_ROWS, condition])
        limit = None if most < 0 else most + len(self.state.dying)
        for point in self._port.scroll(wanted, after, limit, payload=False):
            if point.number > until or len(found) == most:
                break
            if self.counts(point.number):
                found.append(point.number)
        return np.array(found, dtype=np.int64)

    def documents(self, sequence: Sequence[int]) -> dict[int, Document]:
        """The document of each number that is there; raises CorruptionError for a damaged one."""
        found = {}
        for number, document in self._documents(sequence).items():
            if document is None:
                raise CorruptionError(self.damage(f"text of the document number {number}"))
            found[number] = document
        return found

    def sound_documents(self, sequence: Sequence[int]) -> dict[int, Document]:
        """As ``documents``, without those that are damaged; these are logged."""
        found = {}
        for number, document in self._documents(sequence).items():
            if document is None:
                log.error("%s", self.damage(f"text of the document number {number}"))
            else:
                found[number] = document
        return found

    def damage(self, what: str) -> str:
        """The sentence that something in here is damaged."""
        return (
            f"the {what} is damaged in the collection {self.name!r} of Qdrant; push or index into "
            "another name, or recover a snapshot of Qdrant's"
        )

    def _documents(self, sequence: Sequence[int]) -> dict[int, Document | None]:
        points = self.points(sequence, DOCUMENT_PARTS)
        return {number: document_of(point.payload) for number, point in points.items()}


class QdrantDictionary:
    """The words of the open fields: those that a state has."""

    def __init__(self, state: State, words: WordList) -> None:
        self._state = state
        self._words = words

    def __len__(self) -> int:
        return self._state.words

    def terms(self, field: Field) -> int:
        """How many terms a sparse field has: the ids from 0 on."""
        return field.size + (len(self) if field.open else 0)

    def numbers(self, field: Field, words: Iterable[str]) -> dict[str, int]:
        """The term ids of those of the words that an open field has."""
        found = self._words.numbers(words, len(self)) if field.open else {}
        return {word: field.size + number for word, number in found.items()}

    def words(self, field: Field, terms: Sequence[int]) -> dict[int, str]:
        """The words that some terms of an open field stand for; terms below its size aren't."""
        known = self.all() if any(term >= field.size for term in terms) else []
        places = [(term, term - field.size) for term in terms if term >= field.size]
        return {term: known[place] for term, place in places if place < len(known)}

    def beginning(self, field: Field, start: str) -> dict[str, int]:
        """The term ids of the words of an open field that begin with some letters."""
        found = self._words.beginning(start, len(self)) if field.open and start else {}
        return {word: field.size + number for word, number in found.items()}

    def all(self) -> Sequence[str]:
        """Every word, by its number."""
        return self._words.first(len(self))[: len(self)]


class QdrantPassages:
    """The passages of documents that are split."""

    def __init__(self, store: QdrantStore) -> None:
        self._store = store

    def count(self) -> tuple[int, int]:
        """How many documents are split, and into how many passages."""
        return self._store.state.split, self._store.state.split_rows

    def of(self, sequence: Sequence[int]) -> dict[int, list[Passage]]:
        """The passages of those of some documents that are split; damaged ones are logged."""
        found: dict[int, list[Passage]] = {}
        if not self._store.state.split:
            return found
        for number, point in self._store.points(sequence, ["passages"]).items():
            try:
                parts = passages_of(point.payload)
            except CorruptionError:
                what = f"passages of the document number {number}"
                log.error("%s", self._store.damage(what))
                continue
            if parts:
                found[number] = parts
        return found

    def sizes(self, sequence: Sequence[int]) -> dict[int, int]:
        """How many rows each of some documents has."""
        sizes = {number: len(parts) for number, parts in self.of(sequence).items()}
        return dict.fromkeys(sequence, 1) | sizes


class QdrantVectors:
    """Vectors as they were written: counts where a field stores counts, else its weights."""

    def __init__(self, store: QdrantStore) -> None:
        self._store = store

    def sound_rows(self, field: Field, sequence: Sequence[int]) -> dict[int, SparseVector]:
        """Those of some rows of a sparse field that are there and not damaged."""
        if not field.weighed:
            return self.scored(field, sequence)
        found = {}
        for number, point in self._store.points(sequence, ["counts"]).items():
            counts = point.payload.get("counts")
            try:
                found[number] = unpack_counts(counts.get(field.name) if counts else None)
            except CorruptionError:
                what = f"vector {field.name!r} of the row number {number}"
                log.error("%s", self._store.damage(what))
        return found

    def rows(self, field: Field, sequence: Sequence[int]) -> dict[int, SparseVector]:
        """As ``sound_rows``; raises CorruptionError where one is damaged."""
        found = self.sound_rows(field, sequence)
        for number in sequence:
            if number not in found:
                what = f"vector {field.name!r} of the row number {number}"
                raise CorruptionError(self._store.damage(what))
        return found

    def scored(self, field: Field, sequence: Sequence[int]) -> dict[int, SparseVector]:
        """The weights that Qdrant scores of those of some rows that are there."""
        found = {}
        for number, point in self._store.points(sequence, False, [field.name]).items():
            vector = point.vectors.get(field.name, NO_TERMS)
            if isinstance(vector, SparseVector):
                found[number] = vector
        return found

    def sound_dense_rows(
        self, field: Field, sequence: Sequence[int]
    ) -> dict[int, NDArray[np.float32]]:
        """Those of some rows of a dense field, float32 (dimension,), that are there."""
        found = {}
        for number, point in self._store.points(sequence, False, [field.name]).items():
            vector = point.vectors.get(field.name)
            if isinstance(vector, np.ndarray) and vector.shape == (field.size,):
                found[number] = vector
        return found


def rows_of_documents(store: QdrantStore, numbers: Sequence[int]) -> list[int]:
    """The numbers of all rows of some documents."""
    sizes = store.passages.sizes(numbers)
    return [row for number in numbers for row in range(number, number + sizes[number])]
