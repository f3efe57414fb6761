"""An index with other encoders: made beside the one that is served, and put in its place."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from index.collection.collection import Collection, is_collection
from index.collection.writable import Writable
from index.indexing import index_documents
from index.opening import open_or_create
from lsr.corpus.chunks import CHUNK
from lsr.corpus.items import Item
from lsr.corpus.passages import sections_of
from lsr.encoders.imported import IMPORTED
from lsr.encoding.progress import Progress, Totals
from lsr.errors import InputError, UsageError
from service.tasks.run import Run

# So few new documents are encoded while writers wait.
FEW = 256


def reencode(run: Run) -> dict[str, Any]:
    """Encode all documents of an index by other encoders; ``encoder`` ... as for a new index.

    The index is searched and written meanwhile. What is written is caught up with: the last of it
    while writers wait, and then the new collection takes the place of the old.
    """
    places = run.places
    made = places.building(run.task.id) / "new"
    if (result := run.was_put(made)) is not None:
        return dict(result)
    with closing(run.open_directory()) as old:
        new = _opened(run, made, old.passages)
        copy = _Copy(run, old, new)
        copy.check_texts()
        while copy.behind() > FEW:
            copy.catch_up()
        with run.at_rest(old.path):
            copy.catch_up()
            result = {"documents": len(new), "encoded": copy.encoded}
            new.close()
            run.put(made, result, replace=True)
    return result


def _opened(run: Run, made: Path, passages: str) -> Writable:
    """The new collection; the one that a process before this one began, where it can be read."""
    parameters = dict(run.parameters)
    wanted = {"passages": passages} | {
        name: parameters[name]
        for name in ("encoder", "dense", "bm25", "language", "passages")
        if parameters[name] is not None
    }
    if made.exists() and not is_collection(made):
        shutil.rmtree(made)
    return open_or_create(made, trusted=run.trusted, **wanted)


class _Copy:
    """The documents of a collection on their way into another one."""

    def __init__(self, run: Run, old: Collection, new: Writable) -> None:
        self._run = run
        self._old, self._new = old, new
        self._after = 0
        self.encoded = 0

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

        Raises:
            Canceled: the task is to stop.
            InputError: the encoders can't take a document.
        """
        with self._old.store.reading():
            live = self._old.store.live()
            last = int(live[-1]) if len(live) else self._after
        report = index_documents(self._new, self._items(self._after), _Steps(self._run, len(live)))
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


class _Steps(Progress):
    def __init__(self, run: Run, total: int) -> None:
        self._run, self._total = run, total

    def chunk(self, totals: Totals) -> None:
        """Tell how many are done with."""
        self._run.step(totals.read, self._total)

    def rejected(self, sentence: str) -> None:
        """Nothing is left out: the old index stays as it is."""
        raise InputError(f"a document can't be encoded, so the index stays as it is: {sentence}")
