"""Chunks of items with distinct ids, from a stream longer than memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from lsr.corpus.documents import Document
from lsr.corpus.id_table import IdTable
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
    with IdTable() as places:
        for chunk in _chunks(items, size):
            kept = []
            for item in chunk:
                if item.document is None:
                    on_rejected(f"{item.place}: {item.reason}")
                elif first := places.add(item.document.id, item.place):
                    on_rejected(
                        f"{item.place}: the id {item.document.id!r} was given before, at "
                        f"{first}; the first is kept"
                    )
                else:
                    kept.append(item)
            yield Chunk(kept, len(chunk) - len(kept))


def _chunks(items: Iterable[ItemT], size: int) -> Iterator[list[ItemT]]:
    chunk: list[ItemT] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
