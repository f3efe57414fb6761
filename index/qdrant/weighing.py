"""Rows of counts weighed anew, when the average length has left the one that weighed them.

BM25's weights of a document depend on the average length of all. It is kept with the collection,
so that every row is weighed alike, and changes for all of them together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

from index.collection.field import Field
from index.qdrant.layout import document_number, number_of, unpack_counts
from index.qdrant.port import Point, QdrantPort
from index.qdrant.rows import Encoders, damage, weighed_rows
from index.qdrant.state import Counted, State, Weighing
from index.qdrant.writing import Writing
from lsr.sparse import SparseBatch

# A collection of no more rows is weighed by what its average lengths are now, a larger one once
# they have drifted by more than this share.
FEW, DRIFT = 20_000, 0.05
ROWS_AT_ONCE = 1024


def due(state: State) -> dict[str, float]:
    """The fields that are to be weighed anew, each with the average length to weigh by."""
    wanted = {name: each.average for name, each in state.weighing.items()}
    for name, counted in state.counted.items():
        if name not in wanted and counted.drift > (0 if state.rows <= FEW else DRIFT):
            wanted[name] = counted.length / counted.rows
    return wanted


def weigh_anew(
    port: QdrantPort,
    writing: Writing,
    encoders: Encoders,
    averages: dict[str, float],
    on_rows: Callable[[int], None] = lambda rows: None,
) -> int:
    """Weigh all rows of some fields by these average lengths; returns how many vectors changed.

    What was interrupted goes on where it was. Searches meanwhile find some rows weighed by the old
    length, and some by the new.

    Args:
        port: of the collection.
        writing: its writer, whose lease is held.
        encoders: gives the encoder of a sparse field.
        averages: by field.
        on_rows: is told how many rows were looked at.
    """
    total = 0
    for name, average in averages.items():
        fields = [field for field in writing.state.field_list if field.name == name]
        if not fields or not fields[0].weighed:
            continue
        begun = writing.state.weighing.get(name)
        if begun is None or begun.average != average:
            begun = Weighing(average)
        for part in _parts(port, writing.state, begun.done):
            points = _weighed(fields[0], encoders, part, average)
            if points:
                port.set_vectors(points)
            total += len(points)
            # The rows of the last document may go on in the next part.
            done = document_number(part[-1].number) - 1
            writing.renew(_with_weighing(name, Weighing(average, max(done, begun.done))))
            on_rows(len(part))
        writing.change(_weighed_state(name, average))
    return total


def _parts(port: QdrantPort, state: State, done: int) -> Iterator[list[Point]]:
    end, dying = number_of(state.written + 1), frozenset(state.dying)
    rows = port.scroll(after=number_of(done + 1) - 1, payload=["counts"])
    counting = (each for each in _until(rows, end) if each.number not in dying)
    while part := list(islice(counting, ROWS_AT_ONCE)):
        yield part


def _until(rows: Iterator[Point], end: int) -> Iterator[Point]:
    for row in rows:
        if row.number >= end:
            return
        yield row


def _weighed(field: Field, encoders: Encoders, part: list[Point], average: float) -> list[Point]:
    rows = []
    for point in part:
        counts = point.payload.get("counts")
        if not isinstance(counts, dict):
            raise damage(point.number)
        rows.append(unpack_counts(counts.get(field.name)))
    size = max([field.size, *(int(row.indices[-1]) + 1 for row in rows if len(row))])
    scored = weighed_rows(encoders(field), SparseBatch.from_rows(rows, size), average)
    return [
        Point(point.number, {}, {field.name: row})
        for point, row in zip(part, scored, strict=True)
        if len(row)
    ]


def _with_weighing(name: str, weighing: Weighing) -> Callable[[State], State]:
    return lambda state: replace(state, weighing={**state.weighing, name: weighing})


def _weighed_state(name: str, average: float) -> Callable[[State], State]:
    def changed(state: State) -> State:
        weighing = {key: each for key, each in state.weighing.items() if key != name}
        counted = replace(state.counted.get(name, Counted()), average=average)
        return replace(state, weighing=weighing, counted={**state.counted, name: counted})

    return changed
