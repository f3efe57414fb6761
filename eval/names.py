"""Short names that tell things apart, with no more in them than that needs."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

MOST_PARTS = 64

KeyT = TypeVar("KeyT", bound=Hashable)


def distinct_names(
    groups: Iterable[Iterable[KeyT]],
    name: Callable[[KeyT, int], str],
    same: Callable[[str], str] = str,
) -> dict[KeyT, str]:
    """A name for each key, no two of a group the same.

    Args:
        groups: what is named; a key may stand in several groups, and has one name.
        name: gives the name of a key with so many parts, from 1 on, of which the first number that
            tells it from the others is taken. Where none does, digits are put behind it.
        same: maps a name to what two that count as the same share.
    """
    kept = [list(dict.fromkeys(group)) for group in groups]
    names = {key: name(key, 1) for group in kept for key in group}
    for parts in range(2, MOST_PARTS):
        clashing = _clashing(kept, names, same)
        if not clashing:
            return names
        names |= {key: name(key, parts) for key in clashing}
    for key in _clashing(kept, names, same):
        names[key] += f"-{hashlib.blake2b(str(key).encode(), digest_size=4).hexdigest()}"
    return names


def _clashing(
    groups: Iterable[list[KeyT]], names: dict[KeyT, str], same: Callable[[str], str]
) -> list[KeyT]:
    found: dict[KeyT, None] = {}
    for group in groups:
        counts = Counter(same(names[key]) for key in group)
        found |= {key: None for key in group if counts[same(names[key])] > 1}
    return list(found)
