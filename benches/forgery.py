"""Segment files with valid checksums that no build writes, for benches/hostile.py and tests."""

from __future__ import annotations

import hashlib
import json
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benches.crash import SPARSE
from index._core import BlockIndex, checksum
from index.collection.segment import ALIGNMENT, HEADER, MAGIC, SECTIONS, VERSION
from index.engines.inverted_index import PACKED, InvertedIndex

EXTREMES = (0, 1, -1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1, 10**30, 1e300, 0.5)
OTHER_TYPES = (None, True, "1", [], {}, [1], float("nan"), float("inf"))


class Parts(NamedTuple):
    """A segment file taken apart."""

    table: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


def take_apart(path: Path) -> Parts:
    """The table of contents and the sections of an intact file."""
    data = path.read_bytes()
    _, _, length, _ = HEADER.unpack(data[: HEADER.size])
    table = json.loads(data[ALIGNMENT : ALIGNMENT + length])
    start = _align(ALIGNMENT + length)
    arrays = {}
    for name, entry in table["sections"].items():
        kind, _, rest = name.partition("/")
        dtype = np.dtype(SECTIONS[kind] if kind in SECTIONS else PACKED[rest.rpartition("/")[2]])
        count = int(np.prod(entry["shape"]))
        array = np.frombuffer(data, dtype, count, start + entry["offset"])
        arrays[name] = array.reshape(entry["shape"]).copy()
    return Parts(table, arrays)


class Forgery(NamedTuple):
    """What was done to a segment, the file, and the digest that vouches for it."""

    what: str
    data: bytes
    digest: bytes


def put_together(parts: Parts, version: int = VERSION) -> tuple[bytes, bytes]:
    """A file with valid checksums, and the digest that a store that vouches for it would hold."""
    body = bytearray()
    for name, array in parts.arrays.items():
        body += bytes(_align(len(body)) - len(body))
        sections = parts.table.get("sections")
        entry = sections.get(name) if isinstance(sections, dict) else None
        if isinstance(entry, dict):
            entry.setdefault("offset", len(body))
            entry.setdefault("shape", list(array.shape))
            entry.setdefault("checksum", checksum(array.reshape(-1).view(np.uint8)))
        body += array.tobytes()
    table = json.dumps(parts.table).encode()
    header = HEADER.pack(MAGIC, version, len(table), zlib.crc32(table)).ljust(ALIGNMENT, b"\0")
    padding = bytes(_align(ALIGNMENT + len(table)) - ALIGNMENT - len(table))
    digest = hashlib.blake2b(header + table, digest_size=32).digest()
    return header + table + padding + bytes(body), digest


def forged(path: Path, other: Path, numbers: random.Random) -> Forgery:
    """A forged file in the place of the segment of a path.

    ``other`` is a segment of another collection.
    """
    while True:
        make = numbers.choices(KINDS, [weight for _, weight in WEIGHTED])[0]
        parts = take_apart(other if make is _another else path)
        parts.table["sections"] = {name: {} for name in parts.table["sections"]}
        what = make(parts, numbers)
        version = numbers.choice([0, 1, VERSION - 1, VERSION + 1]) if what == "version" else VERSION
        data, digest = put_together(parts, version)
        if data != path.read_bytes():
            return Forgery(what, data, digest)


def _element(parts: Parts, numbers: random.Random) -> str:
    """Elements of one array: extreme, random, exchanged."""
    name = numbers.choice([name for name, array in parts.arrays.items() if array.size])
    array = parts.arrays[name].reshape(-1)
    for _ in range(numbers.choice([1, 1, 2, 5])):
        place = numbers.randrange(len(array))
        if array.dtype.kind == "f":
            array[place] = numbers.choice([np.nan, np.inf, -np.inf, -1.0, 0.0, 1e38, 1e-45])
        elif numbers.random() < 0.3:
            array[place] = array[numbers.randrange(len(array))]
        elif numbers.random() < 0.3:
            array[place : place + 1] += array.dtype.type(1)  # without a warning where it overflows
        else:
            limits = np.iinfo(array.dtype)
            array[place] = numbers.choice(
                [limits.min, limits.max, limits.max // 2, numbers.randint(limits.min, limits.max)]
            )
    return f"element of {name}"


def _array(parts: Parts, numbers: random.Random) -> str:
    """A whole array: longer, shorter, empty, reversed, shuffled, constant."""
    name = numbers.choice(list(parts.arrays))
    array = parts.arrays[name]
    flat = array.reshape(-1)
    limits = (0.0, 1e38) if array.dtype.kind == "f" else np.iinfo(array.dtype)
    largest = limits[1] if isinstance(limits, tuple) else limits.max
    changed: list[Callable[[], NDArray[Any]]] = [
        lambda: array[: len(array) // 2],
        lambda: array[:-1],
        lambda: array[:0],
        lambda: np.concatenate([array, array[-1:]]),
        lambda: np.concatenate([array, array]),
        lambda: array[::-1].copy(),
        lambda: np.full_like(array, largest),
        lambda: np.zeros_like(array),
        lambda: np.roll(flat, 1).reshape(array.shape),
        lambda: np.array(numbers.sample(flat.tolist(), len(flat)), array.dtype).reshape(
            array.shape
        ),
    ]
    parts.arrays[name] = numbers.choice(changed)()
    return f"array {name}"


def _weights(parts: Parts, numbers: random.Random) -> str:
    """Weights that are possible, but not those of the store."""
    prefix, size = f"indexes/{SPARSE.name}/", parts.table["vocabulary_sizes"][SPARSE.name]
    packed = {name: parts.arrays[prefix + name] for name in PACKED}
    arrays = dict(InvertedIndex.unpack(packed, size).arrays)
    weights = arrays["weights"].view(np.float16).copy()
    if numbers.random() < 0.5:
        weights *= np.float16(0.5)  # every bound holds all the same
    else:
        weights[numbers.randrange(len(weights))] *= np.float16(0.5)
    arrays["weights"] = weights.view(np.uint16)
    forged = InvertedIndex(BlockIndex(arrays), size).pack()
    parts.arrays.update({prefix + name: array for name, array in forged.items()})
    return "weights of nobody"


def _entry(parts: Parts, numbers: random.Random) -> str:
    """A number of the table of contents."""
    name = numbers.choice(list(parts.arrays))
    key = numbers.choice(["offset", "shape", "checksum"])
    value: Any = numbers.choice(EXTREMES + OTHER_TYPES)
    if key == "shape" and numbers.random() < 0.8:
        value = [numbers.choice(EXTREMES) for _ in range(numbers.randint(0, 3))]
    parts.table["sections"][name][key] = value
    return f"{key} of a section"


def _table(parts: Parts, numbers: random.Random) -> str:
    """A part of the table of contents: other values, other types, gone, or too much of it."""
    table = parts.table
    what = numbers.choice(["sizes", "averages", "type", "gone", "section", "deep", "key"])
    if what == "sizes":
        table["vocabulary_sizes"][SPARSE.name] = numbers.choice(EXTREMES + OTHER_TYPES)
    elif what == "averages":
        lengths = [*EXTREMES, *OTHER_TYPES]
        table["average_lengths"] = {numbers.choice(["sparse", "x"]): numbers.choice(lengths)}
    elif what == "type":
        table[numbers.choice(list(table))] = numbers.choice(OTHER_TYPES)
    elif what == "gone":
        del table[numbers.choice(list(table))]
    elif what == "section":
        name = numbers.choice(list(parts.arrays))
        new = numbers.choice(["x", "vectors/x", "indexes/x/order", "sequence/x", "", "indexes"])
        table["sections"][new] = table["sections"].pop(name)
        parts.arrays[new] = parts.arrays.pop(name)
    elif what == "deep":
        deep: Any = []
        for _ in range(900):
            deep = [deep]
        table["deep"] = deep
    else:
        table["sections"][numbers.choice(list(parts.arrays))] = numbers.choice(OTHER_TYPES)
    return f"table: {what}"


def _place(parts: Parts, numbers: random.Random) -> str:
    """The segment of another generation, of another collection by its name, or another version."""
    what = numbers.choice(["generation", "collection", "version"])
    if what == "generation":
        parts.table["generation"] = numbers.choice([0, 2, -1, 2**64 - 1, 1e300, None])
    elif what == "collection":
        parts.table["collection"] = numbers.choice(["0" * 32, "", None, 1])
    return what


def _another(parts: Parts, numbers: random.Random) -> str:
    """The whole segment of another collection, as it is."""
    return "another collection's"


WEIGHTED: list[tuple[Callable[[Parts, random.Random], str], int]] = [
    (_element, 10),
    (_array, 6),
    (_weights, 2),
    (_entry, 4),
    (_table, 4),
    (_place, 2),
    (_another, 1),
]
KINDS = [kind for kind, _ in WEIGHTED]


def _align(position: int) -> int:
    return -(-position // ALIGNMENT) * ALIGNMENT
