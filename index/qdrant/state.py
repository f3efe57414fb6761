"""What is committed of a collection in Qdrant: one small record, replaced whole at each commit.

Qdrant has no transactions over several points. So rows are written first, under numbers that
nobody else was given, and count once the state says so; what it says to be dying counts no more
and is deleted after. It changes by compare and swap alone: by who knows its last ``version``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from hashlib import blake2b
from typing import Any

from index.collection.field import Field, dump_fields, load_fields
from index.collection.passage_table import AUTO, OFF
from index.qdrant.layout import Record, record_number
from index.qdrant.port import Payload, QdrantPort
from lsr.errors import CorruptionError, UsageError

LAYOUT = 1
MALFORMED = (
    "the state of the collection in Qdrant is damaged; push or index into another name, or recover "
    "a snapshot of Qdrant's"
)


@dataclass(frozen=True, slots=True)
class Counted:
    """What is counted of a field over the rows that live.

    ``rows`` how many; ``length`` the sum of their lengths, as BM25 counts them, and ``average`` the
    mean length by which their counts were weighed. The terms' frequencies are in the log.
    """

    rows: int = 0
    length: int = 0
    average: float = 0.0

    @property
    def drift(self) -> float:
        """By what share of itself the mean length has left the one that weighed; 0: not at all."""
        if not self.rows or not self.average:
            return 0.0
        return abs(self.length / self.rows / self.average - 1)


@dataclass(frozen=True, slots=True)
class Weighing:
    """A new average length of a field: documents up to number ``done`` are weighed by it."""

    average: float
    done: int = 0


@dataclass(frozen=True, slots=True)
class Holder:
    """Who may write: a ``token`` of its own, its ``name``, and until when, seconds of the epoch."""

    token: str = ""
    name: str = ""
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class State:
    """One committed state.

    ``identity`` 32 hexadecimal digits that no other collection has; ``source`` those of the
    collection that this is a copy of, "" once something is written here. ``fields`` is the JSON of
    ``dump_fields``. ``version`` rises with every change of the record, ``revision`` with each write
    that searches see.

    ``written``: documents up to this number count, but for the rows ``dying``; ``reserved``: up to
    it, numbers were given to somebody. ``documents`` and ``rows`` count what lives, ``split`` the
    documents that are split and ``split_rows`` their passages. ``words`` are in the dictionary,
    ``tokens`` in the imported vocabulary. ``counted`` are by field, those of closed terms in texts
    under ``texts_of``; ``log`` is the first and the last number of the log of frequencies, (1, 0)
    where it is empty. ``weighing`` are changes of average lengths under way. ``settings`` are texts
    by name, as the search defaults.
    """

    identity: str
    fields: str
    passages: str = OFF
    source: str = ""
    version: int = 0
    revision: int = 0
    written: int = 0
    reserved: int = 0
    dying: tuple[int, ...] = ()
    documents: int = 0
    rows: int = 0
    split: int = 0
    split_rows: int = 0
    words: int = 0
    tokens: int = 0
    log: tuple[int, int] = (1, 0)
    counted: Mapping[str, Counted] = field(default_factory=dict)
    weighing: Mapping[str, Weighing] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    holder: Holder = field(default_factory=Holder)

    @property
    def field_list(self) -> list[Field]:
        """The fields, in order.

        Raises:
            CorruptionError: they are malformed.
        """
        return load_fields(self.fields)

    @property
    def seen(self) -> tuple[object, ...]:
        """What searches see a change of."""
        return self.identity, self.revision, self.written, self.reserved, self.dying

    @property
    def average_lengths(self) -> dict[str, float]:
        """By which the counts of each field were weighed."""
        return {name: each.average for name, each in self.counted.items()}

    @property
    def payload(self) -> Payload:
        """Of the record; ``version`` stands by itself, for Qdrant to compare."""
        text = json.dumps({"layout": LAYOUT} | asdict(self), sort_keys=True)
        return {"state": text, "checksum": _checksum(text), "version": self.version}

    @classmethod
    def of_payload(cls, payload: Payload) -> State:
        """The state of a record.

        Raises:
            CorruptionError: it is damaged, or of another release's layout.
        """
        text = payload.get("state")
        try:
            if not isinstance(text, str) or payload.get("checksum") != _checksum(text):
                raise ValueError("the checksum is another")
            found = json.loads(text)
            layout = found.pop("layout")
            if layout == LAYOUT:
                return _state_of(found)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise CorruptionError(MALFORMED) from error
        raise CorruptionError(
            f"the collection in Qdrant has the layout {layout!r}, and this release reads {LAYOUT}; "
            "push it anew into another name with this release"
        )


def read_state(port: QdrantPort) -> State:
    """What is committed now.

    Raises:
        NotFoundError: there is no collection.
        UsageError: it is none of lsr's.
        CorruptionError: the record is damaged.
    """
    number = record_number(Record.STATE)
    found = port.retrieve([number]).get(number)
    if found is None:
        raise UsageError(
            f"the collection {port.name!r} in Qdrant was not made by lsr; give the name of one "
            "that was, or a new name"
        )
    return State.of_payload(found.payload)


def new_state(identity: str, fields: list[Field], passages: str, source: str = "") -> State:
    """That of a collection without documents."""
    return State(identity, dump_fields(fields), passages, source)


def texts_of(name: str) -> str:
    """Under what name the closed terms of a field, counted in texts, are kept."""
    return f"texts of {name}"


_TEXTS = ("identity", "fields", "passages", "source")
_COUNTS = ("version", "revision", "written", "reserved", "documents", "rows", "split",
           "split_rows", "words", "tokens")  # fmt: skip


def _state_of(found: dict[str, Any]) -> State:
    if set(found) != {each.name for each in fields(State)}:
        raise ValueError("other members")
    numbers = [*(found[name] for name in _COUNTS), *found["dying"], *found["log"]]
    texts = [*(found[name] for name in _TEXTS), *found["settings"].values()]
    counted = {name: Counted(**each) for name, each in found["counted"].items()}
    weighing = {name: Weighing(**each) for name, each in found["weighing"].items()}
    numbers += [number for each in counted.values() for number in (each.rows, each.length)]
    numbers += [each.done for each in weighing.values()]
    averages = [each.average for each in counted.values()]
    averages += [each.average for each in weighing.values()]
    whole = (
        all(isinstance(each, str) for each in texts)
        and all(type(each) is int and each >= 0 for each in numbers)
        and all(type(each) in (int, float) and 0 <= each < float("inf") for each in averages)
        and len(found["log"]) == 2
        and found["passages"] in (AUTO, OFF)
        and found["written"] <= found["reserved"]
    )
    if not whole:
        raise ValueError("what can't be")
    parts = {
        "dying": tuple(found["dying"]),
        "log": tuple(found["log"]),
        "counted": counted,
        "weighing": weighing,
        "holder": Holder(**found["holder"]),
    }
    return State(**(found | parts))


def _checksum(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()
