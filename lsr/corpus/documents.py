"""Documents and queries: what goes in and what is asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lsr.errors import InputError


@dataclass(frozen=True, slots=True)
class Document:
    """One unit of retrieval.

    ``id`` is the user's own identifier, unique in a collection; ``metadata`` holds any other
    JSON values that came with the document.
    """

    id: str
    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def contents(self) -> str:
        """The text that encoders see: title and text joined by one space, as BEIR does."""
        return f"{self.title} {self.text}".strip()

    def digest(self) -> bytes:
        """16 bytes that change whenever any part of the document changes."""
        parts = [self.id, self.title, self.text, json.dumps(dict(self.metadata), sort_keys=True)]
        canonical = json.dumps(parts, ensure_ascii=True).encode()
        return hashlib.blake2b(canonical, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Query:
    """One test query (a TREC topic): identifier and text."""

    id: str
    text: str


LONGEST_ID = 512
DEEPEST_METADATA = 100


def parse_document(record: object) -> Document:
    """A document from a JSON object: ``_id`` or ``id``, ``title``, ``text`` or ``contents``.

    ``metadata``, if it is an object, and every other member become the document's metadata.

    Raises:
        InputError: the record is no object, lacks an id or a text, is nested too deeply, or
            holds text that is not valid Unicode.
    """
    if not isinstance(record, dict):
        raise InputError(f"a document is a JSON object, not {_kind(record)}")
    members = dict(record)
    given = [members.pop(key) for key in ("_id", "id") if key in members]
    texts = [members.pop(key) for key in ("text", "contents") if key in members]
    title = members.pop("title", "")
    metadata = members.pop("metadata", None)
    if isinstance(metadata, dict):
        members = metadata | members
    elif metadata is not None:
        members["metadata"] = metadata
    if not texts:
        raise InputError("the document has no text; give it as 'text' or 'contents'")
    document = Document(
        id=_identifier(given[0] if given else None),
        text=_string(texts[0], "text"),
        title=_string(title, "title"),
        metadata=members,
    )
    _check_depth(members, DEEPEST_METADATA)
    check_unicode(json.dumps(members, ensure_ascii=False), "metadata")
    return document


def check_unicode(text: str, name: str) -> str:
    """The text itself.

    Raises:
        InputError: it holds half of a surrogate pair, which no encoder or file can hold.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"the {name} holds half of a surrogate pair at character {error.start}; "
            "give valid Unicode"
        ) from None
    return text


def _identifier(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        given = "no id" if value is None or value == "" else f"the id {_kind(value)}"
        raise InputError(f"the document has {given}; give '_id' or 'id' as a string or an integer")
    identifier = check_unicode(str(value), "id")
    if len(identifier.encode()) > LONGEST_ID:
        raise InputError(f"the id is longer than {LONGEST_ID} bytes; give a shorter one")
    return identifier


def _string(value: object, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"the {name} is {_kind(value)}; give a string")
    return check_unicode(value, name)


def _check_depth(value: object, levels: int) -> None:
    if not isinstance(value, dict | list):
        return
    if levels == 0:
        raise InputError(
            f"the metadata is nested deeper than {DEEPEST_METADATA} levels; give a flatter object"
        )
    for member in value.values() if isinstance(value, dict) else value:
        _check_depth(member, levels - 1)


def _kind(value: object) -> str:
    names: dict[type, str] = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    return names.get(type(value), "null" if value is None else f"the number {value}")
