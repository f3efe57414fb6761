"""Tensors of a safetensors file as arrays, without torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.backbones.packed_weights import has_packed, unpacked

# What numpy has too; bfloat16 it has not.
DTYPES = {
    **{f"F{8 * size}": f"<f{size}" for size in (2, 4, 8)},
    **{f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)},
    "BOOL": "?",
}


def is_packed(paths: Iterable[Path]) -> bool:
    """Whether files hold packed matrices; what reads a damaged one says so."""
    from safetensors import SafetensorError, safe_open

    names: set[str] = set()
    try:
        for path in paths:
            with safe_open(path, framework="np") as file:
                names.update(file.keys())
    except (OSError, SafetensorError):
        return False
    return has_packed(names)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Name and array of each tensor; bfloat16 comes as float32, other formats of 8 bits not at all.

    What is packed (``lsr.backbones.packed_weights``) is unpacked.

    Raises:
        OSError: the file can't be read.
        safetensors.SafetensorError: it is damaged.
        ValueError: what is packed lacks its scales.
    """
    from safetensors import deserialize

    arrays: dict[str, NDArray[Any]] = {}
    for name, tensor in deserialize(path.read_bytes()):  # type: ignore[no-untyped-call]
        if tensor["dtype"] == "BF16":
            # The upper half of a float32.
            halves = np.frombuffer(tensor["data"], "<u2").astype("<u4") << np.uint32(16)
            arrays[name] = halves.view("<f4").reshape(tensor["shape"])
        elif tensor["dtype"] in DTYPES:
            array = np.frombuffer(tensor["data"], DTYPES[tensor["dtype"]])
            arrays[name] = array.reshape(tensor["shape"])
    return unpacked(arrays)
