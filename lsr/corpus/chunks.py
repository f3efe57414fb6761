"""Chunks of items with distinct ids, from a stream longer than memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from lsr.corpus.documents import Document
from lsr.corpus.items import Item

CHUNK = 256
ItemT = TypeVar("ItemT", bound=Item)


class Chunk(NamedTuple, Generic[ItemT]):
    """Items that hold a document, whose id was not seen before, and how many others there were."""

    items: list[ItemT]
    rejected: int

    @property
    def documents(self) -> list[Document]:
        """The document of each item."""
        return [item.document for item in self.items if item.document is not None]


def distinct_chunks(
    items: Iterable[ItemT], on_rejected: Callable[[str], None], size: int = CHUNK
) -> Iterator[Chunk[ItemT]]:
    """Chunks of ``size`` items, which begin at fixed places of the stream.

    Args:
        items: a stream of items.
        on_rejected: takes a sentence on each item that is no document, or whose id was given
            before.
        size: items in a chunk, the rejected included.
    """
    with _SeenIds() as seen:
        for chunk in _chunks(items, size):
            kept = []
            for item in chunk:
                if item.document is None:
                    on_rejected(f"{item.place}: {item.reason}")
                elif first := seen.add(item.document.id, item.place):
                    on_rejected(
                        f"{item.place}: the id {item.document.id!r} was given before, at "
                        f"{first}; the first is kept"
                    )
                else:
                    kept.append(item)
            yield Chunk(kept, len(chunk) - len(kept))


class _SeenIds:
    """Ids of the run so far, in a temporary file once there are many."""

    def __enter__(self) -> _SeenIds:
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("CREATE TABLE seen (id TEXT PRIMARY KEY, place) WITHOUT ROWID")
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def add(self, identifier: str, place: str) -> str | None:
        """Remember an id; returns the place where it was seen before, if it was."""
        row = self._connection.execute(
            "SELECT place FROM seen WHERE id = ?", (identifier,)
        ).fetchone()
        if row is None:
            self._connection.execute("INSERT INTO seen VALUES (?, ?)", (identifier, place))
            return None
        return str(row[0])


def _chunks(items: Iterable[ItemT], size: int) -> Iterator[list[ItemT]]:
    chunk: list[ItemT] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
