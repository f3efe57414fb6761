"""Opening of segments that anyone may have written: what searches rely on is checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index._core import all_finite
from index.collection import unpacking
from index.collection.field import Field
from index.collection.segment import Segment, complete, read_packed
from index.collection.segment_table import SegmentEntry
from index.engines.array_room import Room, private
from lsr.errors import CorruptionError
from lsr.threads import available_cores

# Fewer are unpacked at once, in some milliseconds.
FEW_POSTINGS = 1 << 20


class UnreadableSegment(Exception):  # noqa: N818
    """The file of a current segment, by its generation, is damaged or gone."""

    def __init__(self, generation: int, reason: str) -> None:
        super().__init__(reason)
        self.generation = generation


def open_segment(
    path: Path,
    collection: str,
    entry: SegmentEntry,
    fields: Sequence[Field],
    room: Room = private,
    unpacked: bool = True,
) -> Segment:
    """``read_segment`` of a file that anyone may have written, and check all that searches rely on.

    Args:
        path: the file.
        collection: the collection's identity.
        entry: what its store says of the segment.
        fields: those of the collection, the size of an open one being that of now.
        room: where its arrays live.
        unpacked: whether to unpack all posting lists; False: where they are many, that is done in
            the background, and what finds one malformed then raises CorruptionError.

    Raises:
        CorruptionError: as there; or a search could leave the arrays, or the segment doesn't fit
            the collection.
        LsrError: there is no room for it.
    """
    kept = _preloaded.pop(path, None)
    if kept is not None and kept[0] == entry.digest:
        return kept[1]
    segment = read_packed(path, collection, entry, room)
    _validate(path, segment, entry, fields)
    postings = sum(index.posting_count for index in segment.indexes.values())
    if unpacked or postings < FEW_POSTINGS:
        complete(path, segment)
    else:
        unpacking.begin(segment.indexes.values())
    return segment


def open_segments(
    path: Callable[[int], Path],
    collection: str,
    entries: Sequence[SegmentEntry],
    fields: Sequence[Field],
    room: Room,
) -> list[Segment]:
    """``open_segment`` of each of several, unpacked in the background, on all cores.

    Args:
        path: of a generation.
        collection: as there, like what follows.
        entries: of the segments.
        fields: of the collection.
        room: where the arrays live.

    Raises:
        UnreadableSegment: one is damaged or doesn't fit.
        LsrError: there is no room for it.
    """

    def opened(entry: SegmentEntry) -> Segment:
        try:
            place = path(entry.generation)
            return open_segment(place, collection, entry, fields, room, unpacked=False)
        except CorruptionError as error:
            raise UnreadableSegment(entry.generation, str(error)) from error

    if len(entries) < 2:
        return list(map(opened, entries))
    with ThreadPoolExecutor(min(len(entries), available_cores())) as threads:
        return list(threads.map(opened, entries))


# Segments by their files, with the digests of these.
_preloaded: dict[Path, tuple[bytes, Segment]] = {}


def preload_segment(
    path: Path,
    collection: str,
    entry: SegmentEntry,
    fields: Sequence[Field],
    engine: str,
    room: Room = private,
) -> None:
    """Open a segment, and its searchers, for whoever opens it next in this process or in a fork.

    Raises:
        CorruptionError: as ``open_segment``.
        LsrError: there is no room for it.
    """
    segment = open_segment(path, collection, entry, fields, room)
    for name in segment.indexes:
        segment.searcher(name, engine)
    _preloaded[path] = entry.digest, segment


def _validate(path: Path, segment: Segment, entry: SegmentEntry, fields: Sequence[Field]) -> None:
    numbers = segment.sequence
    sound = len(numbers) == entry.documents and bool((np.diff(numbers) > 0).all())
    if not sound or (len(numbers) and not entry.after < numbers[0] <= numbers[-1] <= entry.last):
        raise CorruptionError(f"the segment {path} holds other documents than the store says")
    if segment.owners is not None and not _are_passages(numbers, segment.owners):
        raise CorruptionError(f"the segment {path} holds passages of no document")
    sizes = {each.name: each.size for each in fields if each.kind == "sparse"}
    # A vocabulary may have grown since.
    grown = sizes.keys() == segment.indexes.keys() and all(
        index.vocabulary_size <= sizes[name] for name, index in segment.indexes.items()
    )
    shapes = {each.name: (len(segment), each.size) for each in fields if each.kind == "dense"}
    if (
        not grown
        or shapes != {name: vectors.shape for name, vectors in segment.vectors.items()}
        or {each.name for each in fields if each.weighed} != set(segment.average_lengths)
    ):
        raise CorruptionError(f"the segment {path} has other fields than the collection")
    if not all(
        math.isfinite(length) and length >= 0 for length in segment.average_lengths.values()
    ):
        raise CorruptionError(f"the segment {path} is weighed by a length that is none")
    for name, vectors in segment.vectors.items():
        if not all_finite(vectors.reshape(-1)):
            raise CorruptionError(
                f"a vector of the field {name!r} of the segment {path} is not finite"
            )
    for name, index in segment.indexes.items():
        if index.document_count != len(segment):
            raise CorruptionError(
                f"the field {name!r} of the segment {path} has {index.document_count} documents, "
                f"and the segment {len(segment)}"
            )


def _are_passages(numbers: NDArray[np.int64], owners: NDArray[np.int64]) -> bool:
    """Whether each row is the first of a document, or follows one of the same."""
    if numbers.shape != owners.shape:
        return False
    follows = (np.diff(owners) == 0) & (np.diff(numbers) == 1)
    first = owners == numbers
    return bool(first[:1].all() and (first[1:] | follows).all())
