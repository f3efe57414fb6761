"""The JSON of documents listed, or fetched by several ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from index.search.payload import PARTS, named_parts, select_parts
from lsr.corpus.documents import Document, check_unicode
from lsr.errors import InputError
from service.api.schemas.arranging import MOST_PARTS
from service.api.schemas.body import Body
from service.api.schemas.requests import DocumentIds
from service.api.schemas.responses import Metadata
from service.api.schemas.search_json import parts_json
from service.api.schemas.search_request import BRIEF, Payload

MOST_FETCHED = 1000


class GetBody(Body):
    """Documents to fetch by id."""

    ids: DocumentIds
    with_payload: Payload = True

    def to_ids(self) -> list[str]:
        """The ids, each once, spelled as documents have them.

        Raises:
            InputError: one is not valid Unicode, or there are too many.
        """
        ids = list(dict.fromkeys(check_unicode(str(identifier), "id") for identifier in self.ids))
        if len(ids) > MOST_FETCHED:
            raise InputError(f"there are {len(ids)} ids; allowed are {MOST_FETCHED} at once")
        return ids


class ListedDocument(TypedDict):
    """A document, with the parts of it that were asked for."""

    id: str
    title: NotRequired[str]
    text: NotRequired[str]
    metadata: NotRequired[Metadata]
    damaged: Annotated[
        NotRequired[bool], Field(description="True where what is stored of it can't be read.")
    ]


class ListingAnswer(TypedDict):
    """A page of documents, in the order of writing."""

    documents: list[ListedDocument]
    total: Annotated[int, Field(description="How many are on all pages together, now.")]
    cursor: Annotated[
        NotRequired[str], Field(description="For the next page; absent where this was the last.")
    ]


class GetAnswer(TypedDict):
    """The documents that are there, in the order asked for, and the ids that are not."""

    documents: list[ListedDocument]
    missing: list[str]


def parts_of(text: str) -> bool | Sequence[str]:
    """The parts of documents that a parameter names: true, false, or names with commas.

    Raises:
        InputError: it names nothing, or too much.
    """
    if text in ("true", "false"):
        return text == "true"
    names = [name.strip() for name in text.split(",")]
    if not all(names) or len(names) > MOST_PARTS:
        raise InputError(
            f"with_payload is {text[:100]!r}; give true, false, or up to {MOST_PARTS} names of "
            f"parts with commas, as in {','.join(BRIEF)}"
        )
    return names


def listed_json(
    documents: Mapping[str, Document | None], payload: bool | Sequence[str]
) -> list[ListedDocument]:
    """Documents by id as JSON; ``payload`` as in SearchConfig, None for one that is damaged."""
    wanted = (PARTS if payload else ()) if isinstance(payload, bool) else named_parts(payload)
    return [
        _listed(identifier, document, wanted, payload) for identifier, document in documents.items()
    ]


def _listed(
    identifier: str,
    document: Document | None,
    wanted: Sequence[str],
    payload: bool | Sequence[str],
) -> ListedDocument:
    body: ListedDocument = {"id": identifier}
    if document is None:
        body["damaged"] = True
        return body
    if not isinstance(payload, bool):
        document = select_parts(document, payload)
    return {**body, **parts_json(document, wanted)}
