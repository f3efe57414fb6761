"""The JSON of REST responses.

They are typed dictionaries: a key that an answer may lack is ``NotRequired`` and never null, mypy
checks what is built against them, and the OpenAPI document is made of them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from index.search.defaults import DefaultsText
from lsr.corpus.documents import Document

Milliseconds = Annotated[float, Field(description="Wall time in milliseconds.")]
Metadata = Annotated[dict[str, Any], Field(description="Other JSON values that came with it.")]


class ErrorDetail(TypedDict):
    """What went wrong, in one sentence."""

    code: Annotated[int, Field(description="The HTTP status.")]
    type: str
    message: str
    request_id: Annotated[str, Field(description="As in the header X-Request-ID.")]


class ErrorBody(TypedDict):
    """The shape of every error."""

    error: ErrorDetail


class HealthAnswer(TypedDict):
    """The server is up."""

    status: Literal["ok"]


class AnsweringSnapshot(TypedDict):
    """The snapshot that an index of a replica is a copy of."""

    name: str
    created: Annotated[str, Field(description="UTC; empty where that isn't known.")]


class ReadyAnswer(TypedDict):
    """The server answers; ``degraded`` where something is wrong with some indexes."""

    status: Literal["ok", "degraded"]
    problems: Annotated[
        NotRequired[list[str]], Field(description="A sentence for each index that has a problem.")
    ]
    snapshots: Annotated[
        NotRequired[dict[str, AnsweringSnapshot]],
        Field(description="On a replica, what answers, of the indexes that the key reaches."),
    ]


class IndexField(TypedDict):
    """A field of an index."""

    name: str
    kind: Literal["sparse", "dense"]
    encoder: Annotated[str, Field(description="Name of the encoder that filled it.")]
    fingerprint: Annotated[str, Field(description="Of the encoder; another one gives another.")]
    size: Annotated[int, Field(description="Terms of the vocabulary, or dimensions.")]
    inference_free: Annotated[
        bool, Field(description="Whether the text of a query is encoded without a model.")
    ]


class MetadataKey(TypedDict):
    """A key of the metadata; members of objects have dotted keys."""

    key: str
    kinds: Annotated[
        dict[str, int],
        Field(
            description="How many values are a `number`, `string`, `boolean` or `object`; `date` "
            "in place of `string` where all strings are dates. Each of a list counts."
        ),
    ]


class IndexAnswer(TypedDict):
    """An index, with its fields and number of documents."""

    name: str
    aliases: Annotated[list[str], Field(description="Its other names, sorted.")]
    snapshot: Annotated[
        NotRequired[str], Field(description="On a replica, the snapshot that it is a copy of.")
    ]
    documents: int
    fields: list[IndexField]


class RecallAnswer(TypedDict):
    """What approximate searches found of the last day that were repeated exactly, in idle time."""

    recall: Annotated[
        float, Field(description="Mean share of the exact hits, of as many as were asked for.")
    ]
    queries: Annotated[int, Field(description="How many searches were repeated.")]
    since: Annotated[str, Field(description="Beginning of the first hour of these, UTC.")]


class IndexDetails(IndexAnswer):
    """An index, with its metadata keys and settings too."""

    metadata: list[MetadataKey]
    passages: Annotated[
        Literal["auto", "off"],
        Field(description="Whether documents are split that an encoder doesn't read to the end."),
    ]
    search_defaults: Annotated[
        dict[str, DefaultsText],
        Field(description="How it is searched where a search doesn't say, by `using`."),
    ]
    recall_probe: Annotated[
        NotRequired[RecallAnswer], Field(description="Absent where none was repeated yet.")
    ]


class BrokenIndex(TypedDict):
    """An index that can't be read."""

    name: str
    problem: Annotated[str, Field(description="What is wrong with it, in one sentence.")]


class IndexesAnswer(TypedDict):
    """All indexes, by name."""

    indexes: list[IndexAnswer | BrokenIndex]


class Payload(TypedDict):
    """What is stored of a document."""

    title: str
    text: str
    metadata: Metadata


class DocumentAnswer(TypedDict):
    """A document."""

    id: str
    title: str
    text: str
    metadata: Metadata


class DeleteAnswer(TypedDict):
    """The documents that were there and are deleted."""

    deleted: int
    ids: Annotated[list[str], Field(description="In ascending order.")]


class PatchAnswer(TypedDict):
    """What became of a document that was to be changed."""

    id: str
    result: Literal["updated", "unchanged"]


class WrittenItem(TypedDict):
    """An item that is stored; 201 where its id is new, else 200."""

    id: str
    status: Literal[200, 201]
    result: Literal["created", "updated", "unchanged"]


class ItemError(TypedDict):
    """Why an item is not stored."""

    type: Literal["invalid_document"]
    message: str


class RejectedItem(TypedDict):
    """An item that is not stored; its id is null where it has none."""

    id: str | None
    status: Literal[422]
    error: ItemError


FailureType = Literal["locked", "failed", "stopping", "storage_full"]


class FailureDetail(TypedDict):
    """Why a good item is not stored."""

    type: FailureType
    message: str


class FailedItem(TypedDict):
    """An item that the server could not store, though nothing is wrong with it.

    500: the write failed; 503: another process was writing for longer than a request waits, or the
    server is stopping; 507: its disk is full.
    """

    id: str
    status: Literal[500, 503, 507]
    error: FailureDetail


class BulkAnswer(TypedDict):
    """What became of each item, in the order of the request."""

    took_ms: Milliseconds
    errors: Annotated[bool, Field(description="Whether some items are not stored.")]
    items: list[WrittenItem | RejectedItem | FailedItem]


class StorageFullBody(ErrorBody, BulkAnswer):
    """The disk was full before any item was written: the usual error, and what became of each."""


def payload_json(document: Document) -> Payload:
    """What is stored of a document, as JSON."""
    return {
        "title": document.title,
        "text": document.text,
        "metadata": dict(document.metadata),
    }
