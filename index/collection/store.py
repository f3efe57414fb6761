"""The SQLite file that is the truth of a collection."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.collection.database import Database
from index.collection.dictionary import Dictionary
from index.collection.field import Field, dump_fields, load_fields
from index.collection.frequency_table import FrequencyTable
from index.collection.metadata import (
    append_metadata,
    in_lists,
    remove_metadata,
    remove_unread_metadata,
)
from index.collection.new_database import appear, create
from index.collection.passage_table import OFF, PassageTable
from index.collection.rows import (
    DocumentRow,
    IdRow,
    append_documents,
    document_rows,
    id_rows,
)
from index.collection.schema import LAST, row_checksum
from index.collection.vector_table import VectorTable
from lsr.corpus.documents import Document
from lsr.corpus.passages import Passage
from lsr.encoders.imported import IMPORTED
from lsr.errors import CorruptionError
from lsr.vocabulary import Vocabulary

log = logging.getLogger(__name__)


class Store(Database):
    """Documents, their vectors and settings; for any number of threads.

    Every upsert appends under a new sequence number and removes the old row, so a sequence
    number stands for one version of one document for ever. A document that is split has a row of
    vectors for each passage, under its own number and those that follow. Rows are verified by their
    checksums as they are read: what is given is what was written, or CorruptionError is raised.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.dictionary = Dictionary(self)
        self.passages = PassageTable(self)
        self.frequencies = FrequencyTable(self)
        self.vectors = VectorTable(self, self.dictionary, self.row_numbers)
        self._fields = load_fields(str(self.setting("fields")))
        # 32 hexadecimal digits that no other collection has; a copy or snapshot keeps them.
        self.identity = str(self.setting("identity"))

    @property
    def name(self) -> str:
        """Of the collection."""
        return self.path.parent.name

    @property
    def place(self) -> str:
        """Directory of the collection."""
        return str(self.path.parent)

    @property
    def fields(self) -> list[Field]:
        """The fields; the vocabulary of imported vectors is that of this thread's transaction."""
        if all(field.encoder != IMPORTED for field in self._fields):
            return self._fields
        return load_fields(str(self.setting("fields")))

    @classmethod
    def create(
        cls,
        path: Path,
        fields: Sequence[Field],
        vocabulary: Vocabulary | None = None,
        passages: str = OFF,
    ) -> Store:
        """Write an empty store, with a vocabulary to keep where one is given.

        The file appears whole or not at all.
        """
        settings: dict[str, int | str] = {"fields": dump_fields(fields), "passages": passages}
        if vocabulary is not None:
            settings["vocabulary"] = json.dumps(vocabulary.tokens)
        temporary = path.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        create(temporary, settings).close()
        appear(temporary, path)
        return cls(path)

    def count(self) -> int:
        """Number of live documents."""
        return int(self.setting("documents"))

    def count_rows(self) -> int:
        """Number of rows of vectors in each field: documents, or passages of those split."""
        split, passages = self.passages.count()
        return self.count() - split + passages

    def nth_after(self, sequence: int, n: int) -> int:
        """Number of the n-th row after one, or the last before it that ends a document.

        ``LAST`` where there are fewer rows. One document is never parted.
        """
        if self.passages.count() != (0, 0):
            rows, owners = self.row_numbers(sequence)
            if len(rows) < n:
                return LAST
            last = np.diff(rows if owners is None else owners, append=LAST) != 0
            ends = np.flatnonzero(last)
            return int(rows[ends[max(int(np.searchsorted(ends, n)) - 1, 0)]])
        found = self.value(
            "SELECT sequence FROM documents WHERE sequence > ? ORDER BY sequence LIMIT 1 OFFSET ?",
            sequence,
            n - 1,
        )
        return LAST if found is None else int(found)

    def count_after(self, sequence: int) -> int:
        """Number of live documents written after a sequence number."""
        return int(self.value("SELECT COUNT(*) FROM documents WHERE sequence > ?", sequence))

    def written(self) -> int:
        """The largest sequence number given so far, live or not; 0: none."""
        return int(self.setting("written"))

    def deletions(self) -> int:
        """Number of the newest tombstone ever written; 0: none."""
        return int(self.setting("deletions"))

    def append(
        self, documents: Sequence[Document], passages: Sequence[Sequence[Passage]] = ()
    ) -> list[int]:
        """Store documents under new sequence numbers; returns those of their rows of vectors.

        ``passages`` has those of each document, fewer than two where it is not split.
        """
        first = self.written() + 1
        counts = [max(len(parts), 1) for parts in passages] or [1] * len(documents)
        rows = list(range(first, first + sum(counts)))
        numbers = [first + before for before in accumulate(counts, initial=0)][:-1]
        split = zip(numbers, passages, strict=True) if passages else ()
        self.passages.append((n, parts) for n, parts in split if len(parts) > 1)
        append_documents(
            self.connection,
            (
                (
                    number,
                    document.id,
                    document.title,
                    document.text,
                    json.dumps(dict(document.metadata)),
                    document.digest(),
                )
                for number, document in zip(numbers, documents, strict=True)
            ),
        )
        values = zip(numbers, (document.metadata for document in documents), strict=True)
        append_metadata(self.connection, values)
        count = self.count() + len(documents)
        self.change({"written": first + len(rows) - 1, "documents": count})
        return rows

    def remove(self, ids: Iterable[str]) -> set[str]:
        """Delete documents by id, damaged ones too; returns those that were there."""
        found = self.sequences(list(ids))
        numbers = list(found.values())
        rows = list(self.document_rows(numbers))
        sound = [(row.head.sequence, json.loads(row.metadata)) for row in rows if row.is_sound()]
        remove_metadata(self.connection, sound)
        remove_unread_metadata(self.connection, set(numbers).difference(n for n, _ in sound))
        first = self.deletions() + 1
        vectors = self._rows_to_remove(numbers)
        tombstones = [
            (n, number, row_checksum(n, number)) for n, number in enumerate(vectors, first)
        ]
        execute = self.connection.executemany
        execute("INSERT INTO tombstones VALUES (?, ?, ?)", tombstones)
        execute(
            "UPDATE segments SET deleted = deleted + 1 WHERE after < ?1 AND last >= ?1",
            [(number,) for number in vectors],
        )
        execute("DELETE FROM documents WHERE sequence = ?", [(number,) for number in numbers])
        self.passages.remove(numbers)
        execute(
            "DELETE FROM vectors WHERE field = ? AND sequence = ?",
            [(field.name, number) for field in self.fields for number in vectors],
        )
        count = self.count() - len(numbers)
        self.change({"deletions": first + len(vectors) - 1, "documents": count})
        return set(found)

    def _rows_to_remove(self, numbers: Sequence[int]) -> list[int]:
        """The rows of vectors of some documents, whatever is damaged."""
        sizes = self.passages.sizes(numbers)
        return [
            row
            for number, size in sizes.items()
            for row in range(number, number + (size or self._count_found(number)))
        ]

    def _count_found(self, sequence: int) -> int:
        """How many numbers may be rows of a document whose passages are damaged."""
        following = self.value("SELECT MIN(sequence) FROM documents WHERE sequence > ?", sequence)
        last = self.value(
            "SELECT MAX(sequence) FROM vectors WHERE field = ? AND sequence >= ? AND sequence < ?",
            self.fields[0].name,
            sequence,
            LAST if following is None else following,
        )
        return 1 if last is None else int(last) - sequence + 1

    def sequences(self, ids: Sequence[str]) -> dict[str, int]:
        """Sequence number of each id that is there.

        Raises:
            CorruptionError: the index of ids is damaged where one would be that isn't there.
        """
        found = self._sequences(ids)
        self._check_absent([identifier for identifier in ids if identifier not in found])
        return found

    def _sequences(self, ids: Sequence[str]) -> dict[str, int]:
        found = {}
        for marks, part in in_lists(ids):
            for row in self._id_rows(f"id IN {marks}", part):
                found[row.id.decode()] = row.sequence
        return found

    def _check_absent(self, ids: Sequence[str]) -> None:
        """An entry that is damaged stands where the id was, so it is next to where it is missed."""
        held = "SELECT CAST(id AS BLOB) FROM documents WHERE sequence = entry.sequence"
        differ = " OR ".join(
            f"(SELECT CAST(entry.id AS BLOB) IS NOT ({held}) FROM documents AS entry "  # noqa: S608
            f"WHERE entry.id {beside} absent.id ORDER BY entry.id {order} LIMIT 1)"
            for beside, order in (("<", "DESC"), (">", "ASC"))
        )
        for marks, part in in_lists(ids):
            absent = f"absent(id) AS (VALUES {marks[1:-1].replace('?', '(?)')})"
            query = f"WITH {absent} SELECT 1 FROM absent WHERE {differ} LIMIT 1"  # noqa: S608
            if self.rows(query, *part):
                raise CorruptionError(self.damage("index of ids"))

    def digests(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Digest of each id that is there; empty where its text or a vector is damaged.

        So what is damaged is not taken for what was written, and is written again.
        """
        identifiers = {number: identifier for identifier, number in self._sequences(ids).items()}
        numbers = list(identifiers)
        rows = self.document_rows(numbers)
        sound = {row.head.sequence: row.head.digest for row in rows if row.is_sound()}
        counts = self.passages.sizes(numbers)
        for field in self.fields:
            wanted = [row for n, count in counts.items() for row in range(n, n + count)]
            held = self.vectors.sound(field, wanted)
            sound = {
                number: digest
                for number, digest in sound.items()
                if counts[number] and held.issuperset(range(number, number + counts[number]))
            }
        return {identifier: sound.get(number, b"") for number, identifier in identifiers.items()}

    def all_digests(self) -> list[bytes]:
        """Every document's digest, ascending."""
        return sorted(row.digest for row in self._id_rows("TRUE"))

    def id_digests(self) -> dict[int, bytes]:
        """The digest of each document by its sequence number, ascending."""
        return {row.sequence: row.digest for row in self._id_rows("TRUE ORDER BY sequence")}

    def ids(self, sequence: Sequence[int]) -> dict[int, str]:
        """Id of each of some sequence numbers that are live."""
        found = {}
        for marks, part in in_lists(sequence):
            for row in self._id_rows(f"sequence IN {marks}", part):
                found[row.sequence] = row.id.decode()
        if missing := set(sequence) - found.keys():
            raise CorruptionError(self.damage(f"row of the document number {min(missing)}"))
        return found

    def documents(self, sequence: Sequence[int]) -> dict[int, Document]:
        """Document of each sequence number that is live.

        Raises:
            CorruptionError: one is damaged.
        """
        found = {}
        for row in self.document_rows(sequence):
            document = row.document()
            if document is None:
                raise CorruptionError(self.damage(f"text of the document {row.head.name}"))
            found[row.head.sequence] = document
        return found

    def sound_documents(self, sequence: Sequence[int]) -> dict[int, Document]:
        """As ``documents``, without those that are damaged; these are logged."""
        found = {}
        for row in self.document_rows(sequence):
            document = row.document()
            if document is None:
                log.error("%s", self.damage(f"text of the document {row.head.name}"))
            else:
                found[row.head.sequence] = document
        return found

    def all_ids(self) -> list[str]:
        """Every id, in the order of writing."""
        return [row.id.decode() for row in self._id_rows("TRUE ORDER BY sequence")]

    def live(self, after: int = 0, until: int = LAST, most: int = -1) -> NDArray[np.int64]:
        """Sequence numbers of the live documents after one, up to another, ascending.

        The first ``most``; below 0: all.
        """
        rows = self.rows(
            "SELECT sequence FROM documents WHERE sequence > ? AND sequence <= ? "
            "ORDER BY sequence LIMIT ?",
            after,
            until,
            most,
        )
        return np.array([row[0] for row in rows], dtype=np.int64)

    def row_numbers(
        self, after: int = 0, until: int = LAST
    ) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
        """Numbers of the rows of vectors of the documents that ``live`` names, and their documents.

        As ``PassageTable.row_numbers``.
        """
        return self.passages.row_numbers(self.live(after, until), after, until)

    def row_texts(self, rows: Sequence[int]) -> dict[int, str]:
        """What encoders saw of those of some rows of vectors whose text is sound."""
        numbers, owners = self.row_numbers()
        places = np.searchsorted(numbers, rows)
        of_row = dict(
            zip(rows, (numbers if owners is None else owners)[places].tolist(), strict=True)
        )
        distinct = list(dict.fromkeys(of_row.values()))
        documents, passages = self.sound_documents(distinct), self.passages.of(distinct)
        return {
            row: passages[owner][row - owner].contents(documents[owner])
            if owner in passages
            else documents[owner].contents
            for row, owner in of_row.items()
            if owner in documents
        }

    def grown_fields(self) -> list[Field]:
        """The fields, the size of an open one being how many terms it has by now."""
        return [replace(each, size=self.dictionary.terms(each)) for each in self.fields]

    def document_rows(self, sequence: Sequence[int]) -> Iterator[DocumentRow]:
        """The row of each sequence number that is live, damaged or not."""
        for marks, part in in_lists(sequence):
            yield from self.read(document_rows(self.connection, f"sequence IN {marks}", part))

    def tokens(self) -> list[str]:
        """The tokens of the vocabulary that is kept here, that of imported vectors.

        Raises:
            CorruptionError: there are none, or they are malformed.
        """
        try:
            tokens: list[str] = json.loads(self.setting("vocabulary"))
            whole = isinstance(tokens, list) and all(isinstance(token, str) for token in tokens)
        except (ValueError, TypeError, RecursionError):
            whole = False
        if not whole:
            raise CorruptionError(f"the vocabulary of {self.path} is malformed; import again")
        return tokens

    def _id_rows(self, condition: str, parameters: Sequence[object] = ()) -> Iterator[IdRow]:
        for row in self.read(id_rows(self.connection, condition, parameters)):
            if not row.is_sound():
                raise CorruptionError(self.damage(f"id of the document {row.name}"))
            yield row
