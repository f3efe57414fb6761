"""A corpus by its name: which reader reads it, and how much of it is read."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from lsr.corpus import files
from lsr.corpus.documents import parse_document
from lsr.corpus.field_names import USUAL, FieldNames
from lsr.corpus.files import (
    UNREADABLE,
    beir_file,
    open_counted,
    suffix_within,
    unreadable,
    user_path,
)
from lsr.corpus.items import Item
from lsr.corpus.readers.csv_rows import read_csv
from lsr.corpus.readers.folder import EVERYTHING, FolderFile, Selection, ending_of, folder_files
from lsr.corpus.readers.formats import (
    CODE_ENDINGS,
    JSON_ENDINGS,
    KNOWN,
    PARQUET_ENDINGS,
    ROW_ENDINGS,
    TABLE_ENDINGS,
    Parse,
    document_reader,
)
from lsr.corpus.readers.ir_datasets import ir_dataset, read_ir_documents
from lsr.corpus.readers.json_documents import read_json_documents
from lsr.corpus.readers.parquet import read_parquet
from lsr.corpus.readers.passed_over import PassedOver
from lsr.corpus.readers.plain_text import read_plain_text
from lsr.corpus.readers.tsv import read_tsv
from lsr.corpus.text_encoding import encoding_of
from lsr.errors import InputError, MissingDependencyError, NotFoundError, UsageError

# Longer than a text may be, for files that hold pictures too.
LARGEST_FILE = 256 << 20
HEAD = 4096


@dataclass(frozen=True, slots=True)
class Reading:
    """How a corpus is read.

    Args:
        names: which members of records, or columns of tables, are id, title and text.
        columns: names of the columns of tables that have no header.
        selection: which files of a folder are read.
    """

    names: FieldNames = USUAL
    columns: tuple[str, ...] = ()
    selection: Selection = EVERYTHING

    @classmethod
    def of(
        cls,
        id_field: str | None = None,
        title_field: str | None = None,
        text_field: str | Sequence[str] | None = None,
        columns: str | Sequence[str] | None = None,
        include: str | Sequence[str] = (),
        exclude: str | Sequence[str] = (),
    ) -> Reading:
        """As the options of commands say, and arguments of the same names.

        Args:
            id_field: the member or column that is the id; None: the usual names are tried.
            title_field: likewise, the title.
            text_field: likewise, the text; several are joined, a line each. In a string they have
                commas between them.
            columns: of tables without a header, likewise.
            include: patterns as of .gitignore; only what matches one is read of a folder.
            exclude: such patterns; what matches one is not read.
        """
        names = FieldNames(id_field, title_field, _listed(text_field))
        return cls(names, _listed(columns), Selection(_patterns(include), _patterns(exclude)))


def check_of_records(reading: Reading) -> None:
    """Raise UsageError where records that are given are to be read as only files can be."""
    if reading.columns or reading.selection != EVERYTHING:
        raise UsageError(
            "columns, include and exclude are about files, and the corpus is documents; leave them "
            "out, or give a path"
        )


def _listed(names: str | Sequence[str] | None) -> tuple[str, ...]:
    """Names from a sequence, or from a string with commas between them."""
    if isinstance(names, str):
        return tuple(name.strip() for name in names.split(",")) if names else ()
    return tuple(names or ())


def _patterns(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


AS_USUAL = Reading()


class Corpus:
    """The documents of one source, in order, with the items that could not be read among them.

    ``passed_over`` says, after a pass, what of a folder was not read.

    Args:
        source: a file (plain, .gz or .xz) of JSON, CSV, TSV, Parquet, text, Markdown, reST, HTML,
            PDF, DOCX or source code, a folder of such files, a BEIR folder, ``irds:DATASET``, or
            ``-`` for JSON on standard input.
        reading: how it is read.

    Raises:
        NotFoundError: there is no such source.
        InputError: its kind is not one of these, or the folder has no file of such a kind.
        UsageError: the reading asks for what the source has not.
    """

    def __init__(self, source: str, reading: Reading = AS_USUAL) -> None:
        self.source = source
        self.reading = reading
        self.passed_over = PassedOver()
        self._walked = PassedOver()
        self._read = 0
        self._total = 0
        self._sampled: Callable[[int], Iterator[Item]] | None = None
        self._items = self._reader(source)

    def __iter__(self) -> Iterator[Item]:
        self._read = 0
        self.passed_over = copy.deepcopy(self._walked)
        return self._items()

    def sample(self, count: int) -> list[Item]:
        """Some items, so many at most, of a folder from files all over it; they come again."""
        if self._sampled is not None:
            return list(islice(self._sampled(count), count))
        items = self._items()
        first = list(islice(items, count))
        if self.source == "-":
            self._items = lambda: chain(first, items)
        return first

    @property
    def fraction(self) -> float | None:
        """Share of the source read so far, 0 to 1, or None where its size is not known."""
        return min(self._read / self._total, 1.0) if self._total else None

    def _reader(self, source: str) -> Callable[[], Iterator[Item]]:
        if source == "-":
            self._check_reading(".jsonl")
            names = self.reading.names
            return lambda: read_json_documents(sys.stdin.buffer, "standard input", names)
        if source.startswith("irds:"):
            if self.reading != AS_USUAL:
                raise UsageError(f"{source!r} names its own fields; leave out the options on them")
            dataset = ir_dataset(source.removeprefix("irds:"), needs="docs")
            return lambda: self._ir_documents(dataset)
        path = user_path(source)
        if not source or not path.exists():
            raise NotFoundError(
                f"there is no file or folder {source!r}; give a file ({KNOWN}), a folder of them, "
                "a BEIR folder, irds:DATASET, or - for JSON on standard input"
            )
        corpus = beir_file(path, "corpus.jsonl") if path.is_dir() else None
        if path.is_dir() and corpus is None:
            return self._folder(path)
        file = corpus or path
        self._check_reading(suffix_within(file))
        self._total = file.stat().st_size
        if suffix_within(file) in ROW_ENDINGS:
            return lambda: self._rows(file, "" if corpus else file.name)
        parse = document_reader(file)
        if parse is None:
            raise InputError(f"{source!r} is of no known kind; what is read is {KNOWN}")
        return lambda: iter([self._document(file, file.name, parse)])

    def _check_reading(self, ending: str) -> None:
        """Raise UsageError where a file is to be read as only others can be."""
        if self.reading.selection != EVERYTHING:
            raise UsageError(
                f"--include and --exclude choose files of a folder, and {self.source!r} is read as "
                "one file"
            )
        if self.reading.columns and ending not in TABLE_ENDINGS:
            raise UsageError(f"--columns is for .csv and .tsv files, and {self.source!r} is none")
        if self.reading.names != USUAL and ending not in ROW_ENDINGS:
            raise UsageError(f"{self.source!r} is one document, so it has no fields to be named")

    def _count(self, read: int) -> None:
        self._read += read

    def _rows(self, path: Path, only_id: str) -> Iterator[Item]:
        """The items of a file that holds many; ``only_id`` as in ``read_json_documents``."""
        name, names, columns = str(path), self.reading.names, self.reading.columns
        ending = suffix_within(path)
        if ending in PARQUET_ENDINGS:
            yield from read_parquet(path, name, names)
            self._count(path.stat().st_size)
            return
        with open_counted(path, self._count) as stream:
            if ending in JSON_ENDINGS:
                yield from read_json_documents(stream, name, names, only_id)
            else:
                read = read_csv if ending == ".csv" else read_tsv
                yield from read(stream, name, names, columns)

    def _document(self, path: Path, name: str, parse: Parse) -> Item:
        """The item of a file that is one document; ``name`` is its id."""
        try:
            found = parse(self._data(path))
            title = found.title or (path.name if suffix_within(path) in CODE_ENDINGS else path.stem)
            document = parse_document({"_id": name, "title": title, "text": found.text})
        except InputError as error:
            return Item(str(path), 0, None, f"the file can't be read: {error}", name)
        self.passed_over.notes.update(found.notes)
        return Item(str(path), 0, replace(document, sections=found.sections))

    def _data(self, path: Path) -> bytes:
        largest = LARGEST_FILE if suffix_within(path) in (".pdf", ".docx") else files.LONGEST_LINE
        try:
            with open_counted(path, self._count) as stream:
                data = stream.read(largest + 1)
        except UNREADABLE as error:
            raise InputError(unreadable(error)) from error
        if len(data) > largest:
            raise InputError(f"it is longer than {largest >> 20} MiB; split it")
        return data

    def _folder(self, folder: Path) -> Callable[[], Iterator[Item]]:
        included = bool(self.reading.selection.include)
        wanted: list[tuple[FolderFile, Parse | None]] = []
        for file in folder_files(folder, self.reading.selection, self._walked):
            parse = document_reader(file.path)
            if parse is None and suffix_within(file.path) not in ROW_ENDINGS:
                if not included and suffix_within(file.path):
                    self._walked.add(ending_of(file.path), "of no kind that is read")
                    continue
                if not _may_be_text(file.path):
                    self._walked.add(ending_of(file.path), "no text")
                    continue
                parse = read_plain_text
            wanted.append((file, parse))
        if not wanted:
            passed = self._walked.sentence()
            raise InputError(
                f"the folder {str(folder)!r} holds no corpus.jsonl and no file that is read"
                f"{f' ({passed})' if passed else ''}; give a folder with files of these kinds: "
                f"{KNOWN}"
            )
        self._total = sum(file.size for file, _ in wanted)
        self._sampled = lambda count: self._folder_items(wanted[:: -(-len(wanted) // count)])
        return lambda: self._folder_items(wanted)

    def _folder_items(self, wanted: list[tuple[FolderFile, Parse | None]]) -> Iterator[Item]:
        done = 0
        for file, parse in wanted:
            try:
                if parse is None:
                    yield from self._rows(file.path, file.name)
                else:
                    yield self._document(file.path, file.name, parse)
            except MissingDependencyError as error:
                self.passed_over.add(ending_of(file.path), str(error), missing=True)
            except OSError as error:
                yield Item(str(file.path), 0, None, f"the file can't be read: {unreadable(error)}")
            done += file.size
            self._read = done

    def _ir_documents(self, dataset: Any) -> Iterator[Item]:
        self._total = dataset.docs_count() or 0
        for number, item in enumerate(read_ir_documents(dataset, self.source), start=1):
            yield item
            self._read = number


def _may_be_text(path: Path) -> bool:
    """Whether a file whose name tells nothing begins like text."""
    try:
        with open_counted(path, lambda read: None) as stream:
            head = stream.read(HEAD)
            return b"\0" not in head or encoding_of(head[:4]) != ("utf-8", 0)
    except UNREADABLE:
        return False
