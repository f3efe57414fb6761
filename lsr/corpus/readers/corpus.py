"""A corpus by its name: which reader reads it, and how much of it is read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lsr.corpus.files import beir_file, open_counted, suffix_within, user_path
from lsr.corpus.items import Item
from lsr.corpus.readers.ir_datasets import ir_dataset, read_ir_documents
from lsr.corpus.readers.json_lines import read_json_lines
from lsr.corpus.readers.text_files import TEXT_SUFFIXES, read_text_file, text_files
from lsr.corpus.readers.tsv import read_tsv
from lsr.errors import InputError, NotFoundError

JSON_LINES_SUFFIXES = (".jsonl", ".json", ".ndjson")


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
        self._read = 0
        self._total = 0
        self._items = self._reader(source)

    def __iter__(self) -> Iterator[Item]:
        self._read = 0
        return self._items()

    @property
    def fraction(self) -> float | None:
        """Share of the source read so far, 0 to 1, or None where its size is not known."""
        return self._read / self._total if self._total else None

    def _reader(self, source: str) -> Callable[[], Iterator[Item]]:
        if source == "-":
            return lambda: read_json_lines(sys.stdin.buffer, "standard input")
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
                return lambda: self._file(corpus, read_json_lines)
            return lambda: self._text_folder(path)
        suffix = suffix_within(path)
        if suffix in JSON_LINES_SUFFIXES:
            return lambda: self._file(path, read_json_lines)
        if suffix == ".tsv":
            return lambda: self._file(path, read_tsv)
        if suffix in TEXT_SUFFIXES:
            return lambda: iter([read_text_file(path, path.name)])
        raise InputError(
            f"{source!r} is of no known kind; files end in .jsonl, .tsv or .txt, plain, .gz or .xz"
        )

    def _file(self, path: Path, parse: Callable[..., Iterator[Item]]) -> Iterator[Item]:
        self._total = path.stat().st_size
        with open_counted(path, self._count) as stream:
            yield from parse(stream, str(path))

    def _count(self, read: int) -> None:
        self._read += read

    def _text_folder(self, folder: Path) -> Iterator[Item]:
        files = text_files(folder)
        self._total = len(files)
        for path in files:
            yield read_text_file(path, path.relative_to(folder).as_posix())
            self._read += 1

    def _ir_documents(self, dataset: Any) -> Iterator[Item]:
        self._total = dataset.docs_count() or 0
        for number, item in enumerate(read_ir_documents(dataset, self.source), start=1):
            yield item
            self._read = number
