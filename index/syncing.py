"""A collection in step with a source: what is gone from the source is deleted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from index.collection.writable import Writable
from index.indexing import CHUNK, IndexReport, index_documents
from lsr.corpus.id_table import IdTable
from lsr.corpus.items import Item
from lsr.corpus.readers.corpus import Corpus
from lsr.encoding.progress import SILENT, Progress


def sync_documents(
    collection: Writable,
    items: Iterable[Item],
    progress: Progress = SILENT,
    processes: int = 1,
) -> IndexReport:
    """Index a source, then delete the documents that were there before and are not in it.

    A document whose item is rejected stays as it is stored. Nothing is deleted where that can't be
    told of some item, where a part of the source was not read, or where the source is empty; the
    report says so.

    Args:
        collection: where to.
        items: the source, read to its end.
        progress: as for ``index_documents``.
        processes: as for ``index_documents``.

    Raises:
        LockedError: another process is writing.
    """
    before = collection.ids()
    with IdTable() as there:
        unknown = _Unknown()
        report = index_documents(
            collection, _watched(items, there, unknown), progress, processes=processes
        )
        if isinstance(items, Corpus):
            report.passed_over = items.passed_over
        report.not_deleted = _reason(report, unknown)
        if report.not_deleted:
            return report
        gone = [identifier for identifier in before if there.get(identifier) is None]
    for start in range(0, len(gone), CHUNK):
        report.deleted += len(collection.delete(gone[start : start + CHUNK]))
    return report


class _Unknown:
    """How many items have no id that can be told, and where the first one is."""

    def __init__(self) -> None:
        self.items = 0
        self.place = ""

    def add(self, place: str) -> None:
        self.place = self.place or place
        self.items += 1


def _watched(items: Iterable[Item], there: IdTable, unknown: _Unknown) -> Iterator[Item]:
    """The items, their ids noted."""
    for item in items:
        if identifier := item.document.id if item.document else item.id:
            # A file's name that is no Unicode is the id of no document.
            with suppress(UnicodeEncodeError):
                there.add(identifier, "")
        else:
            unknown.add(item.place)
        yield item


def _reason(report: IndexReport, unknown: _Unknown) -> str:
    """Why nothing may be deleted; empty where it may."""
    if unknown.items:
        return (
            f"nothing was deleted: {unknown.items} items could not be read and have no id that "
            f"tells which documents they are, the first at {unknown.place}; correct them and run "
            "the same again"
        )
    if incomplete := report.passed_over.incomplete:
        return f"nothing was deleted: a part of the source was not read, {incomplete}"
    if not report.read:
        return "nothing was deleted: the source holds no document at all"
    return ""
