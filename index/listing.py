"""The documents of a collection in the order of writing, page by page."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from index.collection.writable import Writable
from index.filters.tree import Filter
from lsr.corpus.documents import Document
from lsr.errors import InputError

MOST_LISTED = 1000
AT_ONCE = 64
# The number of the last document of a page, and a digest of that and of what is listed.
_CURSOR = struct.Struct("<q16s")


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a listing.

    ``documents`` has the documents by id, None for one whose text is damaged. ``total`` says how
    many there are on all pages together, now; ``cursor`` asks for the next page, and is None where
    this was the last.
    """

    documents: dict[str, Document | None]
    total: int
    cursor: str | None


def list_documents(
    collection: Writable,
    limit: int = 100,
    cursor: str | None = None,
    wanted: Filter | None = None,
    most_characters: int | None = None,
) -> Listing:
    """One page of the documents, in the order of writing.

    A walk from page to page sees each document that stays as it is exactly once, whatever else is
    written meanwhile; one that is written anew comes at its new place, which is behind all others.

    Args:
        collection: whose documents are listed.
        limit: how many, at most ``MOST_LISTED``.
        cursor: of the page before; None: from the first document on.
        wanted: a filter that they pass; None: all do.
        most_characters: of the documents of a page, but for its last; None: any number.

    Raises:
        InputError: the limit is not allowed, or the cursor is none of this listing.
    """
    if not 1 <= limit <= MOST_LISTED:
        raise InputError(f"limit is {limit}; allowed is 1 to {MOST_LISTED}")
    after = 0 if cursor is None else _parse(collection, wanted, cursor)
    with collection.store.reading():
        if wanted is None:
            total, numbers = len(collection), collection.store.live(after, most=limit + 1)
        else:
            passing = collection.passing(wanted)
            total, numbers = len(passing), passing[passing > after][: limit + 1]
        page = numbers[:limit].tolist()
        documents, last = _documents(collection, page, most_characters)
    more = len(numbers) > limit or (page and last != page[-1])
    return Listing(documents, total, _cursor(collection, wanted, last) if more else None)


def _documents(
    collection: Writable, numbers: list[int], most_characters: int | None
) -> tuple[dict[str, Document | None], int]:
    """The documents of these numbers until they have too many characters, and the last number."""
    found: dict[str, Document | None] = {}
    characters = last = 0
    for start in range(0, len(numbers), AT_ONCE):
        part = numbers[start : start + AT_ONCE]
        names, documents = collection.store.ids(part), collection.store.sound_documents(part)
        for number in part:
            document = documents.get(number)
            found[names[number]], last = document, number
            if document is not None:
                characters += len(document.contents) + len(str(document.metadata))
            if most_characters is not None and characters >= most_characters:
                return found, last
    return found, last


def _cursor(collection: Writable, wanted: Filter | None, last: int) -> str:
    packed = _CURSOR.pack(last, _digest(collection, wanted, last))
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def _parse(collection: Writable, wanted: Filter | None, text: str) -> int:
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        last, digest = _CURSOR.unpack(packed)
    except (binascii.Error, ValueError, struct.error):
        last, digest = 0, b""
    if digest != _digest(collection, wanted, last):
        raise InputError(
            "the cursor is none that this listing gave; take it from the last answer as it is, "
            "with the same filter, or leave it out to begin anew"
        )
    return int(last)


def _digest(collection: Writable, wanted: Filter | None, last: int) -> bytes:
    parts = repr((collection.store.identity, wanted, last))
    return hashlib.blake2b(parts.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def fetch_documents(
    collection: Writable, ids: Sequence[str], most_characters: int | None = None
) -> dict[str, Document | None]:
    """The documents of those ids that are there, in their order; None for one that is damaged.

    Raises:
        InputError: they have more than ``most_characters``.
    """
    with collection.store.reading():
        numbers = collection.store.sequences(ids)
        ordered = [numbers[identifier] for identifier in ids if identifier in numbers]
        documents, last = _documents(collection, ordered, most_characters)
    if ordered and last != ordered[-1]:
        raise InputError(
            f"the {len(ordered)} documents have more than {most_characters} characters; ask for "
            "fewer at once"
        )
    return documents
