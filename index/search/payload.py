"""What parts of documents hits come with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lsr.corpus.documents import Document

TITLE, TEXT, METADATA = "title", "text", "metadata"
PARTS = (TITLE, TEXT, METADATA)


def select_parts(document: Document, wanted: Sequence[str]) -> Document:
    """A document with some parts only: ``title``, ``text``, ``metadata``, or keys of the metadata.

    Members of objects have dotted keys; of a list the objects are looked into.
    """
    keys = frozenset(wanted).difference(PARTS)
    metadata = document.metadata if METADATA in wanted else _members(document.metadata, keys)
    return Document(
        document.id,
        document.text if TEXT in wanted else "",
        document.title if TITLE in wanted else "",
        metadata,
    )


def named_parts(wanted: Sequence[str]) -> Sequence[str]:
    """Which of the parts of a document hold what is wanted."""
    whole = [part for part in PARTS if part in wanted]
    if METADATA not in whole and set(wanted).difference(PARTS):
        whole.append(METADATA)
    return whole


def _members(value: Mapping[str, Any], keys: frozenset[str], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, member in value.items():
        key = f"{path}{name}"
        if key in keys:
            found[name] = member
        elif any(each.startswith(f"{key}.") for each in keys):
            inner = _inner(member, keys, f"{key}.")
            if inner:
                found[name] = inner
    return found


def _inner(value: Any, keys: frozenset[str], path: str) -> Any:
    if isinstance(value, Mapping):
        return _members(value, keys, path)
    if isinstance(value, list | tuple):
        return [found for each in value if (found := _inner(each, keys, path))]
    return None
