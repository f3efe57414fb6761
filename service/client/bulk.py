"""A long upsert in parts of bounded size, without I/O: what to send next, and what became of it."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, cast

from index.indexing import IndexReport
from lsr.corpus.documents import Document
from lsr.corpus.id_table import IdTable
from lsr.corpus.items import Item
from lsr.encoding.progress import SILENT, Progress
from lsr.errors import LsrError
from service.client.errors import error_class

if TYPE_CHECKING:
    from service.api.schemas.responses import BulkAnswer, FailedItem, RejectedItem, WrittenItem

PART_BYTES = 1_000_000
"""Of a request: what proxies let through that nobody set up for more."""
PART_DOCUMENTS = 1000
# The statuses of items.
WRITTEN, REJECTED = (200, 201), 422
# What a server begins a sentence on an item with: its place in the request.
NUMBERED = re.compile(r"^item \d+: ")


class Rejection(NamedTuple):
    """An item that is not stored.

    ``place`` says where it stands in its source, and ``id`` is empty where it has none.
    """

    place: str
    id: str
    reason: str


@dataclass(slots=True)
class UpsertReport(IndexReport):
    """Running totals of one upsert, and every item that was rejected.

    The server's encoders count tokens and look at vectors; what these say, it keeps to itself.
    """

    rejections: list[Rejection] = dataclasses.field(default_factory=list)


class Line(NamedTuple):
    """A document as it is sent, and where it stands in its source."""

    place: str
    id: str
    text: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """The documents of one request."""

    lines: Sequence[Line]

    @property
    def body(self) -> bytes:
        """NDJSON."""
        return b"".join(line.text for line in self.lines)

    def halves(self) -> list[Part]:
        """Two parts of about as many documents each."""
        middle = len(self.lines) // 2
        return [Part(self.lines[:middle]), Part(self.lines[middle:])]


class Bulk:
    """One upsert: items come in, parts go out, and answers fill the report.

    An id that was given before is rejected, as ``lsr.index`` does; the first one is kept. Use as a
    context: it keeps the ids in a file of its own once they are many.

    Args:
        progress: is told after each part, and of what is rejected.
        largest: bytes of a part; a larger document is a part by itself.
    """

    def __init__(self, progress: Progress = SILENT, largest: int = PART_BYTES) -> None:
        self.report = UpsertReport()
        self._progress, self._largest = progress, largest
        self._ids = IdTable()
        self._lines: list[Line] = []
        self._bytes = 0

    def __enter__(self) -> Bulk:
        self._ids.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._ids.__exit__(None, None, None)

    def add(self, item: Item) -> Iterator[Part]:
        """The part that is full now, if one is."""
        self.report.taken += 1
        document = item.document
        if document is None:
            self._reject(Rejection(item.place, item.id, item.reason))
            return
        if first := self._ids.add(document.id, item.place):
            reason = f"the id {document.id!r} was given before, at {first}; the first is kept"
            self._reject(Rejection(item.place, document.id, reason))
            return
        line = Line(item.place, document.id, line_of(document))
        if self._lines and self._bytes + len(line.text) > self._largest:
            yield self._cut()
        self._lines.append(line)
        self._bytes += len(line.text)
        if len(self._lines) == PART_DOCUMENTS:
            yield self._cut()

    def rest(self) -> Iterator[Part]:
        """The last part, if there is one."""
        if self._lines:
            yield self._cut()

    def answered(self, part: Part, answer: BulkAnswer) -> tuple[Part | None, LsrError | None]:
        """Count what became of a part.

        Returns:
            What of it the server could not write though nothing is wrong with it, to be sent
            again, and the reason; None twice where there is no such item.
        """
        again, error = [], None
        for line, item in zip(part.lines, answer["items"], strict=True):
            if item["status"] in WRITTEN:
                name = cast("WrittenItem", item)["result"]
                setattr(self.report, name, getattr(self.report, name) + 1)
                continue
            told = cast("RejectedItem | FailedItem", item)["error"]
            message = NUMBERED.sub("", told["message"])
            if item["status"] == REJECTED:
                self._reject(Rejection(line.place, line.id, message))
            else:
                again.append(line)
                error = error_class(told["type"], item["status"])(message)
        self._progress.chunk(self.report)
        return (Part(again) if again else None), error

    def too_large(self, part: Part, error: LsrError) -> list[Part]:
        """Smaller parts in place of one that is too large for the server, or a proxy before it."""
        if len(part.lines) > 1:
            return part.halves()
        self._reject(Rejection(part.lines[0].place, part.lines[0].id, str(error)))
        return []

    def _cut(self) -> Part:
        part, self._lines, self._bytes = Part(self._lines), [], 0
        return part

    def _reject(self, rejection: Rejection) -> None:
        self.report.rejected += 1
        self.report.rejections.append(rejection)
        self._progress.rejected(f"{rejection.place}: {rejection.reason}")


def line_of(document: Document) -> bytes:
    """A document as a line of NDJSON; what a reader of files saw of its parts is not sent."""
    record = {
        "id": document.id,
        "title": document.title,
        "text": document.text,
        "metadata": dict(document.metadata),
    }
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
