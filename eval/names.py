"""Short names that tell things apart: folders of the same name by what stands above them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable

LONGEST_TAIL = 64


def distinct_names(keys: Iterable[str], name: Callable[[str, int], str]) -> dict[str, str]:
    """A name for each key, no two the same.

    Args:
        keys: what is named.
        name: gives the name of a key with so many parts of its path, of which the first that tells
            it from the others is taken. Where none does, digits are put behind it.
    """
    names = {key: name(key, 1) for key in dict.fromkeys(keys)}
    for parts in range(2, LONGEST_TAIL):
        clashing = _clashing(names)
        if not clashing:
            return names
        names |= {key: name(key, parts) for key in clashing}
    for key in _clashing(names):
        names[key] += f"-{hashlib.blake2b(key.encode(), digest_size=4).hexdigest()}"
    return names


def _clashing(names: dict[str, str]) -> list[str]:
    counts = Counter(names.values())
    return [key for key, name in names.items() if counts[name] > 1]
