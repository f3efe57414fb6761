"""Documents from text files: a file is a document, its name the title."""

from __future__ import annotations

from pathlib import Path

from lsr.corpus.files import LONGEST_LINE, UNREADABLE, open_text, suffix_within
from lsr.corpus.items import Item, item_of
from lsr.errors import InputError

TEXT_SUFFIXES = {".txt", ".md", ".rst", ".text"}


def text_files(folder: Path) -> list[Path]:
    """The text files of a folder and of those inside it, sorted.

    Raises:
        InputError: there is none.
    """
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
    return files


def read_text_file(path: Path, identifier: str) -> Item:
    """The document of a file; ``identifier`` is its id."""

    def record() -> object:
        try:
            with open_text(path) as stream:
                text = stream.read(LONGEST_LINE + 1)
        except (UnicodeDecodeError, *UNREADABLE) as error:
            raise InputError(f"the file can't be read: {error}") from error
        if len(text) > LONGEST_LINE:
            raise InputError(f"the file is longer than {LONGEST_LINE >> 20} MiB; split it")
        return {"id": identifier, "title": path.stem, "text": text}

    return item_of(str(path), 0, record)
