"""Readers: documents from BEIR folders, JSONL, TSV, text folders, ir_datasets and stdin."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from lsr.corpus.documents import Document, parse_document
from lsr.errors import InputError, MissingDependencyError, NotFoundError

LONGEST_LINE = 64 << 20
UNPACK: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}
UNREADABLE = (EOFError, OSError, zlib.error, lzma.LZMAError)
TEXT_SUFFIXES = {".txt", ".md", ".rst", ".text"}


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a source: a document, or the reason in one sentence why it is none.

    ``line`` is its line in the source, 0 where a whole file is one item.
    """

    source: str
    line: int
    document: Document | None
    reason: str = ""

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.source}:{self.line}" if self.line else self.source


class Corpus:
    """The documents of one source, in order, with the items that could not be read among them.

    Args:
        source: a BEIR folder, a .jsonl or .tsv file (plain, .gz or .xz), a folder of text
            files, ``irds:DATASET``, or ``-`` for JSONL on standard input.

    Raises:
        NotFoundError: there is no such source.
        InputError: its kind is not one of these.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._bytes_read = 0
        self._bytes_total = 0
        self._read = self._reader(source)

    def __iter__(self) -> Iterator[Item]:
        self._bytes_read = 0
        return self._read()

    @property
    def fraction(self) -> float | None:
        """Share of the source read so far, 0 to 1, or None where its size is not known."""
        return self._bytes_read / self._bytes_total if self._bytes_total else None

    def _reader(self, source: str) -> Callable[[], Iterator[Item]]:
        if source == "-":
            return lambda: self._jsonl(sys.stdin.buffer, "standard input")
        if source.startswith("irds:"):
            dataset = ir_dataset(source.removeprefix("irds:"), needs="docs")
            return lambda: self._ir_documents(dataset)
        path = user_path(source)
        if not source or not path.exists():
            raise NotFoundError(
                f"there is no file or folder {source!r}; give a BEIR folder, a .jsonl or .tsv "
                "file, a folder of text files, irds:DATASET, or - for standard input"
            )
        if path.is_dir():
            if corpus := beir_file(path, "corpus.jsonl"):
                return lambda: self._file(corpus, self._jsonl)
            return lambda: self._text_folder(path)
        suffix = suffix_within(path)
        if suffix in (".jsonl", ".json", ".ndjson"):
            return lambda: self._file(path, self._jsonl)
        if suffix == ".tsv":
            return lambda: self._file(path, self._tsv)
        if suffix in TEXT_SUFFIXES:
            return lambda: iter([_text_file(path, path.name)])
        raise InputError(
            f"{source!r} is of no known kind; files end in .jsonl, .tsv or .txt, plain, .gz or .xz"
        )

    def _file(self, path: Path, parse: Any) -> Iterator[Item]:
        self._bytes_total = path.stat().st_size
        with open_counted(path, self._count) as stream:
            yield from parse(stream, str(path))

    def _count(self, read: int) -> None:
        self._bytes_read += read

    def _jsonl(self, stream: BinaryIO, name: str) -> Iterator[Item]:
        for number, line in lines(stream, name):
            if isinstance(line, Item):
                yield line
            elif line.strip():
                yield _item(name, number, partial(parse_json, line))

    def _tsv(self, stream: BinaryIO, name: str) -> Iterator[Item]:
        for number, line in lines(stream, name):
            if isinstance(line, Item):
                yield line
                continue
            cells = line.rstrip("\r\n").split("\t")
            if not line.strip() or (number == 1 and cells[0].lower() in ("id", "_id", "docid")):
                continue
            yield _item(name, number, partial(_tsv_record, cells))

    def _text_folder(self, folder: Path) -> Iterator[Item]:
        files = sorted(
            path
            for path in folder.rglob("*")
            if path.is_file() and suffix_within(path) in TEXT_SUFFIXES
        )
        if not files:
            raise InputError(
                f"the folder {str(folder)!r} holds no corpus.jsonl and no text files "
                f"({', '.join(sorted(TEXT_SUFFIXES))}); give a folder that does"
            )
        self._bytes_total = len(files)
        for path in files:
            yield _text_file(path, path.relative_to(folder).as_posix())
            self._bytes_read += 1

    def _ir_documents(self, dataset: Any) -> Iterator[Item]:
        self._bytes_total = dataset.docs_count() or 0
        for number, item in enumerate(dataset.docs_iter(), start=1):
            fields = item._asdict()
            record = {"id": item.doc_id, "text": item.default_text()}
            if "text" in fields:
                record |= {"text": fields["text"], "title": fields.get("title")}
            yield _item(self.source, number, partial(dict, record))
            self._bytes_read = number


@contextmanager
def open_counted(path: Path, on_read: Callable[[int], None]) -> Iterator[BinaryIO]:
    """A file's bytes, of a .gz or .xz those it was made of; tells how many are read from disk."""
    with path.open("rb") as raw:
        stream: BinaryIO = io.BufferedReader(_CountingReader(raw, on_read), 1 << 18)
        unpack = UNPACK.get(path.suffix)
        yield cast(BinaryIO, unpack(stream)) if unpack else stream


class _CountingReader(io.RawIOBase):
    """Passes bytes through and tells how many."""

    def __init__(self, raw: BinaryIO, on_read: Callable[[int], None]) -> None:
        self._raw = raw
        self._on_read = on_read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._raw.read(len(buffer))
        buffer[: len(chunk)] = chunk
        self._on_read(len(chunk))
        return len(chunk)


def parse_json(line: str, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """One JSON value; ``pairs`` makes each object of its members.

    Raises:
        InputError: it is no JSON, or holds NaN or an infinite number.
    """
    try:
        return json.loads(
            line, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=pairs
        )
    except RecursionError:
        raise InputError("the JSON is nested too deeply") from None
    except ValueError as error:
        raise InputError(f"not valid JSON: {error}") from None


def user_path(name: str) -> Path:
    """The path of that name, ``~`` and ``~user`` replaced where there is such a user."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        return Path(name)


def suffix_within(path: Path) -> str:
    """The ending of a file's name that tells its kind: the one before .gz or .xz, where it has."""
    return path.with_suffix("").suffix if path.suffix in UNPACK else path.suffix


def beir_file(folder: Path, name: str) -> Path | None:
    """``name``, ``name.gz`` or ``name.xz`` in a BEIR folder."""
    for path in (folder / f"{name}{ending}" for ending in ("", *UNPACK)):
        if path.is_file():
            return path
    return None


def open_text(path: Path) -> IO[str]:
    """A text file, plain, .gz or .xz, as UTF-8."""
    if unpack := UNPACK.get(path.suffix):
        return cast(IO[str], unpack(path, "rt", encoding="utf-8", newline=""))
    return path.open(encoding="utf-8", newline="")


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file, plain, .gz or .xz, counted from 1.

    Raises:
        InputError: the file is not UTF-8, or is damaged.
    """
    number = 0
    with open_text(path) as stream:
        try:
            for number, line in enumerate(stream, start=1):
                yield number, line
        except (UnicodeDecodeError, *UNREADABLE) as error:
            raise InputError(
                f"{path}:{number + 1}: the file can't be read further: {error}"
            ) from error


def ir_dataset(name: str, needs: str) -> Any:
    """An ir_datasets dataset that has ``needs`` ("docs", "queries" or "qrels").

    Raises:
        MissingDependencyError: ir_datasets is not installed.
        NotFoundError: it knows no such dataset, or that one lacks what is needed.
    """
    try:
        import ir_datasets
    except ImportError as error:
        raise MissingDependencyError(f"the dataset {name!r}", "ir-datasets", "datasets") from error
    try:
        dataset = ir_datasets.load(name)
    except KeyError:
        raise NotFoundError(
            f"{name!r} is neither a folder nor a dataset of ir_datasets; give a BEIR folder, "
            "or an id such as beir/scifact/test"
        ) from None
    if not getattr(dataset, f"has_{needs}")():
        raise NotFoundError(f"the ir_datasets dataset {name!r} has no {needs}; choose one that has")
    return dataset


def lines(stream: BinaryIO, name: str) -> Iterator[tuple[int, str | Item]]:
    """The lines of a stream, counted from 1; an Item in place of each that can't be read."""
    number = 0
    try:
        while line := stream.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                while line and not line.endswith(b"\n"):
                    line = stream.readline(LONGEST_LINE)
                reason = f"the line is longer than {LONGEST_LINE >> 20} MiB; split the document"
                yield number, Item(name, number, None, reason)
                continue
            try:
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                yield number, Item(name, number, None, f"not UTF-8 at byte {error.start}")
    except UNREADABLE as error:
        reason = f"the file can't be read further: {error}"
        yield number + 1, Item(name, number + 1, None, reason)


def _item(source: str, line: int, record: Callable[[], object]) -> Item:
    try:
        return Item(source, line, parse_document(record()))
    except InputError as error:
        return Item(source, line, None, str(error))


def _tsv_record(cells: list[str]) -> object:
    if len(cells) not in (2, 3):
        raise InputError(
            f"the line has {len(cells)} columns; give id and text, or id, title and text"
        )
    return {"id": cells[0], "title": cells[1] if len(cells) == 3 else "", "text": cells[-1]}


def _text_file(path: Path, identifier: str) -> Item:
    def record() -> object:
        try:
            with open_text(path) as stream:
                text = stream.read(LONGEST_LINE + 1)
        except (UnicodeDecodeError, *UNREADABLE) as error:
            raise InputError(f"the file can't be read: {error}") from error
        if len(text) > LONGEST_LINE:
            raise InputError(f"the file is longer than {LONGEST_LINE >> 20} MiB; split it")
        return {"id": identifier, "title": path.stem, "text": text}

    return _item(str(path), 0, record)


def _finite(number: str) -> float:
    value = float(number)
    return value if isfinite(value) else _no_constant(number)


def _no_constant(name: str) -> float:
    raise InputError(f"the number {name} is not allowed; give finite numbers")
