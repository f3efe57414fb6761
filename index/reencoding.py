"""A collection made anew with other encoders, of the documents of another one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from index.collection.collection import Collection
from index.collection.writable import Writable
from index.donors import Donors
from index.indexing import index_documents
from lsr.corpus.chunks import CHUNK
from lsr.corpus.items import Item
from lsr.corpus.passages import sections_of
from lsr.encoders.imported import IMPORTED
from lsr.encoding.progress import SILENT, Progress
from lsr.errors import UsageError


class Reencoding:
    """The documents of a collection on their way into another one, which has other encoders.

    Args:
        old: may be written to meanwhile.
        new: may hold some of them already.
        progress: is told of chunks, and of documents that can't be encoded.
    """

    def __init__(self, old: Collection, new: Writable, progress: Progress = SILENT) -> None:
        self._old, self._new = old, new
        self._progress = progress
        self._after = 0
        self.encoded = 0
        """Documents that had to be written."""

    def check_texts(self) -> None:
        """Raise UsageError where the old one holds vectors without texts."""
        if all(field.encoder != IMPORTED for field in self._old.fields):
            return
        if any(item.document and not item.document.contents for item in self._items(0)):
            raise UsageError(
                "the index has documents without a text, of which it knows the vectors alone; "
                "another encoder has nothing to encode"
            )

    def behind(self) -> int:
        """How many documents of the old one are not looked at yet."""
        with self._old.store.reading():
            return int((self._old.store.live() > self._after).sum())

    def catch_up(self) -> None:
        """Bring over what is new, and delete what is gone.

        Vectors of fields that both have are taken from the old one.
        """
        with self._old.store.reading():
            live = self._old.store.live()
            last = int(live[-1]) if len(live) else self._after
        report = index_documents(
            self._new, self._items(self._after), self._progress, donors=Donors([self._old])
        )
        self._after = max(self._after, last)
        self.encoded += report.encoded
        kept = set(self._old.ids())
        gone = [identifier for identifier in self._new.ids() if identifier not in kept]
        for start in range(0, len(gone), CHUNK):
            self._new.delete(gone[start : start + CHUNK])

    def _items(self, after: int) -> Iterator[Item]:
        """Documents that were written after a sequence number, in the order of writing."""
        store = self._old.store
        with store.reading():
            live = store.live()
        numbers = live[live > after].tolist()
        for start in range(0, len(numbers), CHUNK):
            part = numbers[start : start + CHUNK]
            with store.reading():
                documents, passages = store.documents(part), store.passages.of(part)
            for number in sorted(documents):
                sections = sections_of(passages.get(number, ()))
                document = replace(documents[number], sections=sections)
                yield Item("document", number, document)
