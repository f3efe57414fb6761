"""Documents and queries: what goes in and what is asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lsr.corpus.field_names import USUAL, FieldNames, listed
from lsr.errors import InputError


@dataclass(frozen=True, slots=True)
class Section:
    """A place where a part of a document begins.

    ``start`` is its first character in the document's text, ``heading`` what stands over it or
    the name of the function that it is, and ``page`` its page, counted from 1, where there are
    pages.
    """

    start: int
    heading: str = ""
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """One unit of retrieval.

    ``id`` is the user's own identifier, unique in a collection; ``metadata`` holds any other
    JSON values that came with the document. ``sections`` are what the reader of its file saw of
    its parts, in order of their start; they follow from the file, so they are no part of what
    makes two documents equal.
    """

    id: str
    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    sections: Sequence[Section] = field(default=(), compare=False, repr=False)

    @property
    def contents(self) -> str:
        """The text that encoders see: title and text joined by one space, as BEIR does."""
        return f"{self.title} {self.text}".strip()

    def digest(self) -> bytes:
        """16 bytes that change whenever any part of the document changes.

        What a collection found in it by itself, under ``EXTRACTED``, is no part of it.
        """
        metadata = {key: value for key, value in self.metadata.items() if key != EXTRACTED}
        parts = [self.id, self.title, self.text, json.dumps(metadata, sort_keys=True)]
        canonical = json.dumps(parts, ensure_ascii=True).encode()
        return hashlib.blake2b(canonical, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Query:
    """One test query (a TREC topic): identifier and text."""

    id: str
    text: str


def documents_digest(digests: Iterable[bytes]) -> str:
    """16 hexadecimal digits over the digests of documents, whatever their order."""
    total = hashlib.blake2b(digest_size=8)
    for digest in sorted(digests):
        total.update(digest)
    return total.hexdigest()


# The metadata key of what `lsr dimensions` extracts from a document.
EXTRACTED = "_dimensions"
LONGEST_ID = 512
DEEPEST_METADATA = 100


def parse_document(record: object, names: FieldNames = USUAL) -> Document:
    """A document from a JSON object: an id, a text, and a title where it has one.

    ``names`` says under which names they stand; by default ``_id`` or ``id``, ``title``, ``text``
    or ``contents``, and where there are none of these, others that are usual. ``metadata``, if it
    is an object, and every other member become the document's metadata.

    Raises:
        InputError: the record is no object, lacks an id or a text, is nested too deeply, or
            holds text that is not valid Unicode.
    """
    if not isinstance(record, dict):
        raise InputError(f"a document is a JSON object, not {kind_of(record)}")
    picked = names.pick(record)
    if picked.id is None or picked.id == "":
        raise InputError(
            f"the document has no id; its keys are {listed(record)}; give '_id' or 'id' as a "
            "string or an integer, or name another with --id-field"
        )
    members = picked.others
    metadata = members.pop("metadata", None)
    if isinstance(metadata, dict):
        members = metadata | members
    elif metadata is not None:
        members["metadata"] = metadata
    document = Document(
        id=_identifier(picked.id),
        text=_text(picked.texts),
        title=_string(picked.title, "title"),
        metadata=members,
    )
    _check_depth(members, DEEPEST_METADATA)
    check_unicode(json.dumps(members, ensure_ascii=False), "metadata")
    return document


def known_id(record: object, names: FieldNames) -> str:
    """The id of a record, though it may be no document; empty where it has none."""
    try:
        return _identifier(names.identifier(record)) if isinstance(record, dict) else ""
    except InputError:
        return ""


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
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InputError(f"the document has the id {kind_of(value)}; give a string or an integer")
    identifier = check_unicode(str(value), "id")
    if len(identifier.encode()) > LONGEST_ID:
        raise InputError(f"the id is longer than {LONGEST_ID} bytes; give a shorter one")
    return identifier


def _text(values: Mapping[str, object]) -> str:
    """The text of one member, or of several that were asked for, a line each."""
    if len(values) == 1:
        (value,) = values.values()
        return _string(value, "text")
    texts = (
        str(value)
        if isinstance(value, int | float) and not isinstance(value, bool)
        else _string(value, f"text {name!r}")
        for name, value in values.items()
    )
    return "\n".join(text for text in texts if text)


def _string(value: object, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"the {name} is {kind_of(value)}; give a string")
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


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    names: dict[type, str] = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    return names.get(type(value), "null" if value is None else f"the number {value}")
