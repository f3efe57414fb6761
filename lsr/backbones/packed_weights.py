"""Matrices as whole numbers of 4 or 8 bits and a scale for each row, so that files stay small.

A file has ``NAME.packed8``, int8 (rows, columns), or ``NAME.packed4``, uint8 (rows, columns / 2)
with the even column in the lower half of a byte and 8 added to each number, in the place of
``NAME``; and ``NAME.scales``, float16 (rows,), what a number is multiplied by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMATS = {"packed4": 7, "packed8": 127}
SCALES = "scales"
# Of the scale at which a row's largest value is the largest number; 4 bits are better spent where
# the few largest values are cut.
SHARES = {"packed4": (1.0, 0.9, 0.8, 0.7, 0.6), "packed8": (1.0,)}


def packed(name: str, matrix: NDArray[np.float32], form: str) -> dict[str, NDArray[Any]]:
    """The arrays of a matrix, of that form; each row has the scale that moves it least.

    Raises:
        ValueError: values are not finite, or of 4 bits the number of columns is odd.
    """
    if not np.isfinite(matrix).all() or (form == "packed4" and matrix.shape[1] % 2):
        raise ValueError(f"{name} has values that are not finite, or an odd number of columns")
    largest = FORMATS[form]
    full = np.abs(matrix).max(axis=1, initial=0) / largest
    best = np.zeros(len(matrix), dtype=np.float16)
    least = np.full(len(matrix), np.inf)
    for share in SHARES[form]:
        scales = (full * share).astype(np.float16)
        numbers = _numbers(matrix, scales, largest)
        errors = np.square(matrix - numbers * scales[:, None].astype(np.float32)).sum(axis=1)
        better = errors < least
        best[better], least[better] = scales[better], errors[better]
    numbers = _numbers(matrix, best, largest)
    if form == "packed4":
        raised = (numbers + 8).astype(np.uint8)
        stored: NDArray[Any] = raised[:, ::2] | raised[:, 1::2] << 4
    else:
        stored = numbers.astype(np.int8)
    return {f"{name}.{form}": stored, f"{name}.{SCALES}": best}


def has_packed(names: Iterable[str]) -> bool:
    """Whether one of these is the name of a packed matrix."""
    return any(name.rpartition(".")[2] in FORMATS for name in names)


def unpacked(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The same with float32 matrices, under their own names, in the place of packed ones.

    Raises:
        ValueError: scales are missing, or of another number of rows.
    """
    whole = dict(arrays)
    for place, stored in arrays.items():
        name, _, form = place.rpartition(".")
        if form not in FORMATS:
            continue
        scales = whole.pop(f"{name}.{SCALES}", None)
        if scales is None or stored.ndim != 2 or scales.shape != stored.shape[:1]:
            raise ValueError(f"{place} has no scale for each of its rows")
        if form == "packed4":
            numbers = np.empty((len(stored), 2 * stored.shape[1]), dtype=np.float32)
            numbers[:, ::2], numbers[:, 1::2] = stored & 15, stored >> 4
            numbers -= 8
        else:
            numbers = stored.astype(np.float32)
        numbers *= scales[:, None].astype(np.float32)
        del whole[place]
        whole[name] = numbers
    return whole


def _numbers(
    matrix: NDArray[np.float32], scales: NDArray[np.float16], largest: int
) -> NDArray[np.float32]:
    """Whole numbers from -largest - 1 or more to largest."""
    steps = np.where(scales > 0, scales, 1)[:, None].astype(np.float32)
    rounded: NDArray[np.float32] = np.clip(np.rint(matrix / steps), -largest - 1, largest)
    return rounded
