"""How a collection lies in Qdrant: which numbers points have, and what their payloads hold.

One Qdrant collection holds all. A point below ``RECORDS`` is a row of vectors: of a document, or of
a passage of one that is split. Its number is ``number_of(n) + place``, where n is the sequence
number of the document as in a store: from 1 on, in the order of writing, given to one version of
one document for ever; and place is that of the passage, so owner and passage are known by number.
Each has a vector for each field, by the field's name: of sparse fields the weights that engines
score, which are float32 of float16; an empty row has none. Payload of the first row of a document:

    id, title, text, digest   as of ``Document``; metadata is its JSON, which Qdrant would reorder
    passages                  of one that is split: [start, end, heading, page] of each

and of every row:

    n        of its document
    place    of the passage, 0 on
    has      for each metadata key, its kinds (``has_of``)
    values   the metadata for filters and facets (``values_of``)
    counts   by field that stores counts, these counts (``pack_counts``): what feedback reads, and
             what vectors are made of anew when the statistics have moved on

Points from ``RECORDS`` on have no vectors: the state, words, statistics (``record_number``).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from hashlib import blake2b
from typing import Any

import numpy as np

from index.collection.metadata import metadata_values
from index.filters.dates import instant
from index.filters.tree import LARGEST_INTEGER, Kind, Scalar
from index.qdrant.port import Payload, PayloadIndex
from lsr.corpus.documents import Document
from lsr.corpus.passages import Passage
from lsr.errors import CorruptionError
from lsr.sparse import SparseVector

PLACE_BITS = 20
# Passages of a document at most.
MOST_PLACES = 1 << PLACE_BITS
RECORDS = 1 << 62
# Words, or tokens, in one record.
WORDS_AT_ONCE = 4096
ID, N, PLACE, HAS = "id", "n", "place", "has"
DOCUMENT_PARTS = ("id", "title", "text", "metadata", "digest")
INDEXES: Mapping[str, PayloadIndex] = {"is": "keyword", "n": "float", "at": "datetime"}
ALWAYS_INDEXED: tuple[tuple[str, PayloadIndex], ...] = (
    (ID, "keyword"), (HAS, "keyword"), (N, "integer"), (PLACE, "integer"),
)  # fmt: skip
# Marks a key under which a document has values that neither floats nor instants of Qdrant hold.
ODD = "9"
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_LAST = (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


class Record(IntEnum):
    """Kinds of points that are no rows; the numbers are stored."""

    # What is committed, one point, whose payload is {"state": text}.
    STATE = 0
    # Payload {"words": [...]}: WORDS_AT_ONCE words of the open fields, by their number.
    WORDS = 1
    # Payload {"words": [...]}: tokens of an imported vocabulary, in their order.
    TOKENS = 2
    # Changes of document frequencies, by their number in the log.
    FREQUENCIES = 3


def record_number(kind: Record, place: int = 0) -> int:
    """The number of the point that is the record of a kind at a place below 2**48."""
    return RECORDS + (int(kind) << 48) + place


def number_of(n: int) -> int:
    """The number of the first row of the document with the sequence number n."""
    return n << PLACE_BITS


def document_number(number: int) -> int:
    """The sequence number of the document that a row is of."""
    return number >> PLACE_BITS


def split_number(number: int) -> tuple[int, int]:
    """The number of a row's document, and its place in this."""
    place = number & (MOST_PLACES - 1)
    return number - place, place


def pack_counts(row: SparseVector) -> str:
    """A row of counts as text; they are float16, as in a store."""
    parts = row.indices.astype("<i4").tobytes() + row.values.astype("<f2").tobytes()
    return base64.b64encode(parts).decode()


def unpack_counts(text: object) -> SparseVector:
    """The row of what ``pack_counts`` gave; raises CorruptionError."""
    packed = _decoded(text, 6)
    size = len(packed) // 6
    indices = np.frombuffer(packed, dtype="<i4", count=size).astype(np.int32)
    values = np.frombuffer(packed, dtype="<f2", offset=4 * size).astype(np.float32)
    if size and (indices[0] < 0 or (np.diff(indices) <= 0).any() or not np.isfinite(values).all()):
        raise CorruptionError("counts of a document in Qdrant are malformed")
    return SparseVector(indices, values)


def _decoded(text: object, width: int) -> bytes:
    try:
        packed = base64.b64decode(text, validate=True) if isinstance(text, str) else b"?"
    except binascii.Error:
        packed = b"?"
    if len(packed) % width:
        raise CorruptionError("counts in Qdrant are malformed")
    return packed


def row_payloads(
    n: int,
    document: Document,
    passages: Sequence[Passage] = (),
    counts: Sequence[Mapping[str, SparseVector]] = (),
) -> list[dict[str, Any]]:
    """The payload of each row of a document.

    Args:
        n: its sequence number.
        document: is whole in that of its first row.
        passages: its passages, fewer than two where it is not split.
        counts: of each row, by field that stores counts; empty: none does.
    """
    values = metadata_values(document.metadata)
    shared = {"has": sorted(has_of(values)), "values": values_of(values)}
    payloads: list[dict[str, Any]] = []
    for place in range(max(len(passages), 1)):
        payload: dict[str, Any] = {"n": n, "place": place, **shared}
        if counts:
            packed = {name: pack_counts(row) for name, row in counts[place].items()}
            payload["counts"] = packed
        payloads.append(payload)
    payloads[0] |= {
        "id": document.id,
        "title": document.title,
        "text": document.text,
        "metadata": json.dumps(dict(document.metadata)),
        "digest": document.digest().hex(),
    }
    if len(passages) > 1:
        payloads[0]["passages"] = [
            [each.start, each.end, each.heading, each.page] for each in passages
        ]
    return payloads


def document_of(payload: Payload) -> Document | None:
    """The document of its first row's payload; None where it is not what was written."""
    try:
        document = Document(
            payload["id"], payload["text"], payload["title"], json.loads(payload["metadata"])
        )
        return document if document.digest().hex() == payload["digest"] else None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return None


def passages_of(payload: Payload) -> list[Passage]:
    """The passages of a document's first row; none where it is not split.

    Raises:
        CorruptionError: they are malformed.
    """
    try:
        parts = [Passage(*place) for place in payload.get("passages", ())]
    except TypeError as error:
        raise CorruptionError("passages of a document in Qdrant are malformed") from error
    for part in parts:
        numbers = [part.start, part.end, *([] if part.page is None else [part.page])]
        if not all(type(each) is int and each >= 0 for each in numbers):
            raise CorruptionError("passages of a document in Qdrant are malformed")
    return parts


def has_of(values: Iterable[tuple[str, Scalar]]) -> set[str]:
    """For each key of metadata, the number of each kind of its values, in front of the key.

    ``ODD`` is such a number too, of those values that no range of Qdrant's finds.
    """
    found = set()
    for key, scalar in values:
        found.add(f"{int(scalar.kind)}{key}")
        if _is_odd(scalar):
            found.add(f"{ODD}{key}")
    return found


def values_of(values: Iterable[tuple[str, Scalar]]) -> dict[str, dict[str, list[Any]]]:
    """By key (``path_of``): every value (``token_of``), the numbers, and the instants.

    Numbers that are no floats and instants between two microseconds are left out of these.
    """
    found: dict[str, dict[str, list[Any]]] = {}
    for key, scalar in sorted(values):
        if scalar.kind is Kind.OBJECT:
            continue
        held = found.setdefault(_name_of(key), {})
        held.setdefault("is", []).append(token_of(scalar))
        if _is_odd(scalar):
            continue
        if scalar.kind is Kind.NUMBER:
            held.setdefault("n", []).append(float(scalar.value))
        elif scalar.kind is Kind.STRING:
            at = instant_text(str(scalar.value))
            held.setdefault("at", []).append(at)
    return found


def values_at(payload: Payload, path: str) -> list[Any]:
    """The list under a path of ``path_of``; empty where there is none."""
    held: Any = payload
    for name in path.split("."):
        held = held.get(name) if isinstance(held, dict) else None
    return held if isinstance(held, list) else []


def payload_indexes(payloads: Iterable[Payload]) -> set[tuple[str, PayloadIndex]]:
    """The paths of payloads of rows that Qdrant has to index, each with the kind of its index."""
    paths: set[tuple[str, PayloadIndex]] = set(ALWAYS_INDEXED)
    for payload in payloads:
        for name, held in payload["values"].items():
            paths.update((f"values.{name}.{part}", INDEXES[part]) for part in held)
    return paths


def path_of(key: str, part: str) -> str:
    """The path of a key's values in payloads: ``is`` all (strings), ``n`` floats, ``at`` dates."""
    return f"values.{_name_of(key)}.{part}"


def _name_of(key: str) -> str:
    """A key as the name of a member that needs no quotes in a path."""
    if _PLAIN_NAME.fullmatch(key):
        return key
    return "0" + blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def token_of(scalar: Scalar) -> str:
    """A value with its kind as one string; 1 and 1.0 are the same."""
    value = scalar.value
    if scalar.kind is Kind.STRING:
        return f"s{value}"
    if scalar.kind is Kind.BOOLEAN:
        return f"b{value}"
    whole = isinstance(value, int) or (value == int(value) and abs(value) < LARGEST_INTEGER)
    return f"n{int(value) if whole else value!r}"


def scalar_of(token: str | int) -> Scalar:
    """The value of ``token_of``; raises CorruptionError where it is none."""
    kind, rest = str(token)[:1], str(token)[1:]
    try:
        if kind == "s":
            return Scalar(Kind.STRING, rest)
        if kind == "b":
            return Scalar(Kind.BOOLEAN, int(rest))
        if kind == "n":
            return Scalar(Kind.NUMBER, int(rest) if rest.lstrip("-").isdigit() else float(rest))
    except ValueError:
        pass
    raise CorruptionError("a metadata value of the collection in Qdrant is malformed")


def instant_text(text: str) -> str | None:
    """The instant of a date or time as Qdrant reads it; None: it is none, or between two of its."""
    at = instant(text)
    return None if at is None or at % 1000 else instant_at(at // 1000)


def instant_at(microseconds: int) -> str | None:
    """The instant so long after 1970 as Qdrant reads it; None: it is in no year from 1 to 9999."""
    if not _FIRST <= microseconds <= _LAST:
        return None
    at = _EPOCH + timedelta(microseconds=microseconds)
    return f"{at.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def is_exact_float(value: float) -> bool:
    """Whether a float is that number, and not only near it."""
    return int(float(value)) == value if isinstance(value, int) else True


def _is_odd(scalar: Scalar) -> bool:
    if scalar.kind is Kind.NUMBER:
        return not is_exact_float(scalar.value)  # type: ignore[arg-type]
    return scalar.kind is Kind.STRING and instant_text(str(scalar.value)) is None
