"""CIFF: an inverted index as a file, with integer impacts in place of term frequencies.

A weight is tf / scale; the header's description says ``scale=...``, the last where it has several
(1 where it has none). Postings of impact 0, which other tools write, are left out.
Postings hold the gap to the document before, the first its number, as in osirrc/ciff's exporter.
A file has the postings by term and needs them by document here, and the other way round: both go
through working files.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lsr.corpus.documents import Document, parse_document
from lsr.corpus.files import UNREADABLE, open_counted, unreadable
from lsr.errors import CorruptionError, InputError
from lsr.sparse import SparseBatch, SparseVector
from lsr.vectors.ciff_messages import message_class, read_delimited, write_delimited
from lsr.vectors.csr import Maker
from lsr.vectors.quantisation import quantise, whole
from lsr.vectors.row_files import RowFiles
from lsr.vectors.source import LARGEST_VOCABULARY, VectorItem, VectorSource, check_token
from lsr.vectors.transposition import Transposition
from lsr.vectors.working_files import WorkingFiles
from lsr.vocabulary import Vocabulary

VERSION = 1
DEFAULT_SCALE = 100.0
SCALE = re.compile(r"\bscale=([^\s,;)\]]+)")


class CiffWriter:
    """Collects rows in working files, then writes them by term.

    ``scale`` quantises the weights; None takes 1 where all of them are integers, else 100.

    Raises:
        MissingDependencyError: protobuf is not installed.
    """

    def __init__(
        self, files: WorkingFiles, vocabulary: Vocabulary, maker: Maker, scale: float | None
    ) -> None:
        message_class("Header")
        self.files = files
        self._rows = RowFiles(files)
        self._vocabulary = vocabulary
        self._maker = maker
        self._scale = scale

    def write(self, documents: Sequence[Document], batch: SparseBatch) -> None:
        """Append a row a document."""
        self._rows.append(documents, batch)

    def finish(self, target: BinaryIO) -> list[str]:
        """Write the whole file to ``target``; returns what a user should know of it."""
        scale = self._scale or self._default_scale()
        self._vocabulary = self._rows.vocabulary(self._vocabulary)
        by_bytes = sorted(
            range(self._vocabulary.size), key=lambda term: self._vocabulary.tokens[term].encode()
        )
        rank = np.empty(self._vocabulary.size, np.int32)
        rank[by_bytes] = np.arange(self._vocabulary.size)
        with tempfile.TemporaryDirectory(dir=self.files.folder) as folder:
            postings = Transposition(WorkingFiles(Path(folder)))
            used = np.zeros(self._vocabulary.size, np.bool_)
            first, total, kept = 0, 0, 0
            for batch in self._impacts(scale):
                documents = np.arange(first, first + len(batch), dtype=np.int32)
                values = batch.values.astype(np.int32)
                postings.add(
                    rank[batch.indices], np.repeat(documents, np.diff(batch.indptr)), values
                )
                used[batch.indices] = True
                first += len(batch)
                kept += batch.nnz
                total += int(values.sum(dtype=np.int64))
            self._write_header(target, scale, int(used.sum()), total)
            for group in postings.groups():
                starts = np.flatnonzero(np.diff(group.rows, prepend=-1))
                for start, end in zip(starts, [*starts[1:], len(group.rows)], strict=True):
                    term = self._vocabulary.tokens[by_bytes[group.rows[start]]]
                    write_delimited(
                        _postings_list(term, group.columns[start:end], group.values[start:end]),
                        target,
                    )
            postings.close()
        self._write_documents(target, scale)
        return [] if scale == 1 else [_quantised(scale, self._rows.nnz - kept)]

    def _write_header(self, target: BinaryIO, scale: float, lists: int, total: int) -> None:
        documents = len(self._rows)
        header = message_class("Header")(
            version=VERSION,
            num_postings_lists=lists,
            num_doc_records=documents,
            total_postings_lists=lists,
            total_docs=documents,
            total_terms_in_collection=total,
            average_doclength=total / max(documents, 1),
            description=f"lsr: vectors of {self._maker.name or 'an unnamed encoder'}; "
            f"a weight is tf / scale; scale={scale!r}",
        )
        write_delimited(header, target)

    def _write_documents(self, target: BinaryIO, scale: float) -> None:
        record = message_class("DocRecord")
        ids, number = self._rows.ids(), 0
        for batch in self._impacts(scale):
            sums = np.concatenate([[0], np.cumsum(batch.values, dtype=np.float64)])
            for length in np.diff(sums[batch.indptr]).tolist():
                length = min(int(length), np.iinfo(np.int32).max)
                write_delimited(
                    record(docid=number, collection_docid=next(ids), doclength=length), target
                )
                number += 1

    def _impacts(self, scale: float) -> Iterator[SparseBatch]:
        for batch in self._rows.batches(self._vocabulary.size):
            yield quantise(batch, scale)

    def _default_scale(self) -> float:
        batches = self._rows.batches(self._vocabulary.size)
        return 1.0 if all(map(whole, batches)) else DEFAULT_SCALE


class CiffVectors(VectorSource):
    """Vectors of such a file, plain or .gz; the first use of it brings the postings in order.

    Raises:
        CorruptionError: its header can't be read.
        InputError: it is of another version.
        MissingDependencyError: protobuf is not installed.
    """

    vocabulary_digest: str | None = None
    encoder = ""

    def __init__(self, path: Path) -> None:
        message_class("Header")
        self._path = path
        self._total = path.stat().st_size
        self._read = 0
        self._tokens: list[str] | None = None
        self.zero_weights = 0
        self._postings: Transposition
        with open_counted(path, self._count) as source:
            self._header = read_delimited("Header", source, f"{path}: the header")
        self._scale = _scale(path, self._header)

    @property
    def fraction(self) -> float | None:
        """See ``VectorSource``."""
        return min(self._read / self._total, 1.0)

    def tokens(self) -> list[str]:
        """See ``VectorSource``: terms in the order of the file."""
        if self._tokens is None:
            self._folder = tempfile.TemporaryDirectory(prefix="lsr-ciff-")
            folder = Path(self._folder.name)
            self._postings = Transposition(WorkingFiles(folder))
            self._records = folder / "records"
            self._read = 0
            with open_counted(self._path, self._count) as source:
                read_delimited("Header", source, f"{self._path}: the header")
                self._tokens = self._read_postings(source)
                with self._records.open("wb") as records:
                    _copy_rest(source, records, self._path)
        return self._tokens

    def items(self, vocabulary: Vocabulary) -> Iterator[VectorItem]:
        """See ``VectorSource``."""
        terms = np.array([vocabulary.number(token, -1) for token in self.tokens()], np.int64)
        rows = self._rows()
        number, columns, values = next(rows, NO_MORE)
        with self._records.open("rb") as source:
            last, orphans = -1, 0
            for place in range(1, self._header.num_doc_records + 1):
                name = f"{self._path}: the document record {place}"
                record = read_delimited("DocRecord", source, name)
                if record.docid <= last:
                    raise _malformed(name, f"has the number {record.docid} after {last}")
                last = record.docid
                while number < last:
                    orphans += 1
                    number, columns, values = next(rows, NO_MORE)
                if number == last:
                    yield self._item(place, record, terms, columns, values, vocabulary)
                    number, columns, values = next(rows, NO_MORE)
                else:
                    yield self._item(place, record, terms, *NO_MORE[1:], vocabulary)
            orphans += sum(1 for _ in rows) + (number < NO_MORE[0])
        if orphans:
            reason = f"{orphans} documents have postings, but no record that names them"
            yield VectorItem(str(self._path), 0, None, reason)

    def _item(
        self,
        place: int,
        record: Any,
        terms: NDArray[np.int64],
        columns: NDArray[np.int32],
        impacts: NDArray[np.int32],
        vocabulary: Vocabulary,
    ) -> VectorItem:
        where = str(self._path), place
        try:
            document = parse_document({"id": record.collection_docid, "text": ""})
            ids = terms[columns]
            unknown = np.flatnonzero(ids < 0)
            if unknown.size:
                raise InputError(
                    f"{unknown.size} of {len(ids)} tokens are not in the vocabulary of "
                    f"{vocabulary.size} terms, the first being "
                    f"{self.tokens()[columns[unknown[0]]]!r}; give the encoder that made the "
                    "vectors, or none"
                )
            weights = (impacts / self._scale).tolist()
            vector = SparseVector.from_user(ids.tolist(), weights, vocabulary.size)
        except InputError as error:
            return VectorItem(*where, None, str(error))
        return VectorItem(*where, document, vector=vector)

    def _rows(self) -> Iterator[tuple[int, NDArray[np.int32], NDArray[np.int32]]]:
        """Number, term places and impacts of each document that has any, ascending."""
        for group in self._postings.groups():
            starts = np.flatnonzero(np.diff(group.rows, prepend=-1)).tolist()
            for start, end in zip(starts, [*starts[1:], len(group.rows)], strict=True):
                yield int(group.rows[start]), group.columns[start:end], group.values[start:end]

    def _read_postings(self, source: BinaryIO) -> list[str]:
        tokens: dict[str, None] = {}
        for place in range(self._header.num_postings_lists):
            name = f"{self._path}: the postings list {place + 1}"
            message = read_delimited("PostingsList", source, name)
            if message.term in tokens:
                raise _malformed(name, f"is of the term {message.term!r}, as one before it")
            try:
                tokens[check_token(message.term)] = None
            except InputError as error:
                raise _malformed(name, f"has a bad term: {error}") from None
            documents, impacts = _postings(message, name)
            kept = impacts > 0
            self.zero_weights += len(kept) - int(kept.sum())
            documents = documents[kept]
            self._postings.add(documents, np.full_like(documents, place), impacts[kept])
            if len(tokens) > LARGEST_VOCABULARY:
                raise InputError(f"{self._path} has more than {LARGEST_VOCABULARY} tokens")
        return list(tokens)

    def _count(self, read: int) -> None:
        self._read += read


NO_MORE = (2**31, np.empty(0, np.int32), np.empty(0, np.int32))


def _postings_list(term: str, documents: NDArray[np.int32], impacts: NDArray[np.int32]) -> Any:
    """The message of one term, documents ascending."""
    message = message_class("PostingsList")(
        term=term, df=len(documents), cf=int(impacts.sum(dtype=np.int64))
    )
    gaps = np.diff(documents, prepend=0).tolist()
    add = message.postings.add
    for gap, impact in zip(gaps, impacts.tolist(), strict=True):
        add(docid=gap, tf=impact)
    return message


def _postings(message: Any, name: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Documents, ascending, and impacts of a PostingsList."""
    count = len(message.postings)
    gaps = np.fromiter((posting.docid for posting in message.postings), np.int64, count)
    impacts = np.fromiter((posting.tf for posting in message.postings), np.int32, count)
    if message.df != count:
        raise _malformed(name, f"says that it has {message.df} postings, and has {count}")
    documents = np.cumsum(gaps)
    if count and (gaps[0] < 0 or (gaps[1:] <= 0).any() or documents[-1] >= 2**31):
        raise _malformed(name, "has documents that are not ascending")
    if (impacts < 0).any():
        raise _malformed(name, "has an impact below 0")
    return documents.astype(np.int32), impacts


def _copy_rest(source: BinaryIO, target: BinaryIO, path: Path) -> None:
    try:
        shutil.copyfileobj(source, target)
    except UNREADABLE as error:
        raise _malformed(str(path), f"can't be read further: {unreadable(error)}") from error


def _scale(path: Path, header: Any) -> float:
    if header.version != VERSION:
        raise InputError(
            f"{path} is CIFF of version {header.version}; this release reads {VERSION}"
        )
    if min(header.num_postings_lists, header.num_doc_records) < 0:
        raise CorruptionError(f"{path}: the header counts fewer than 0; write or copy it again")
    said = SCALE.findall(header.description)
    if not said:
        return 1.0
    try:
        scale = float(said[-1])
    except ValueError:
        scale = 0.0
    if not (np.isfinite(scale) and scale > 0):
        raise InputError(
            f"{path} is described by scale={said[-1]}, by which no weight can be divided; "
            "write it again"
        )
    return scale


def _quantised(scale: float, lost: int) -> str:
    dropped = f"; {lost} weights became 0 and are left out" if lost else ""
    return f"CIFF holds integers: each weight was multiplied by {scale:g} and rounded{dropped}"


def _malformed(name: str, what: str) -> CorruptionError:
    return CorruptionError(f"{name} {what}; the file is damaged: write or copy it again")
