"""Versions of documents over HTTP: ETag, If-Match and If-None-Match (RFC 9110)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, HTTPException

from index.collection.writable import Writable
from lsr.corpus.documents import Document

TAG = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
LONGEST = 4096
IfMatch = Annotated[
    str | None,
    Header(
        max_length=LONGEST,
        description="Versions as an ETag has them; the document must have one of these.",
    ),
]
IfNoneMatch = Annotated[
    str | None,
    Header(
        max_length=LONGEST,
        description="Versions as an ETag has them; the document must have none of these.",
    ),
]


@dataclass(frozen=True, slots=True)
class Conditions:
    """Which versions of a document a request is for."""

    match: str | None = None
    none_match: str | None = None

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return self.match is not None or self.none_match is not None

    def check(self, found: str | None) -> None:
        """Refuse a version; ``found`` is its tag, None where there is no document.

        Raises:
            HTTPException: the conditions don't hold (412), or name no versions (400).
        """
        self.check_match(found)
        if self.is_known(found):
            raise HTTPException(
                412, f"the document has the ETag {found}, which If-None-Match names"
            )

    def check_match(self, found: str | None) -> None:
        """As ``check``, for If-Match alone.

        Raises:
            HTTPException: it doesn't hold (412), or names no versions (400).
        """
        if self.match is not None and not _names(self.match, found, "If-Match"):
            there = "is not there" if found is None else f"has the ETag {found}"
            raise HTTPException(412, f"the document {there}, which If-Match doesn't name")

    def is_known(self, found: str | None) -> bool:
        """Whether the client has that version already.

        Raises:
            HTTPException: If-None-Match names no versions (400).
        """
        return self.none_match is not None and _names(self.none_match, found, "If-None-Match")


async def _conditions(if_match: IfMatch = None, if_none_match: IfNoneMatch = None) -> Conditions:
    return Conditions(if_match, if_none_match)


GivenConditions = Annotated[Conditions, Depends(_conditions)]


def versioned(collection: Writable, identifier: str) -> tuple[Document, str] | None:
    """A document and the tag of its version, which no other has; None where there is none."""
    with collection.store.reading():
        document = collection.get(identifier)
        if document is None:
            return None
        number = collection.store.sequences([identifier])[identifier]
    return document, f'"{document.digest().hex()}-{number:x}"'


def _names(header: str, tag: str | None, name: str) -> bool:
    """Whether a header names a version; a star names any that is there."""
    if header.strip() == "*":
        return tag is not None
    named = TAG.findall(header)
    if not named:
        raise HTTPException(
            400, f'{name} names no version; give an ETag in its quotes, as in {name}: "1f-2", or *'
        )
    return tag is not None and tag.strip('"') in named
