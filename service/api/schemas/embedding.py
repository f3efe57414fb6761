"""The JSON of texts as sparse vectors, as text-embeddings-inference has it."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from index.search.embedding import Embedded
from lsr.errors import InputError
from service.api.schemas.body import Body

MOST_TEXTS = 256
LONGEST_TEXT = 100_000
Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Kind = Literal["query", "document"]


class EmbedBody(Body):
    """Texts to encode, and by which index."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"inputs": "how to copy a file"},
                {"inputs": ["shutil.copy"], "type": "document", "tokens": True},
            ]
        },
    )

    inputs: Text | Annotated[list[Text], Field(min_length=1, max_length=MOST_TEXTS)]
    type: Annotated[
        Kind | None, Field(description="What the texts are; a document where nothing is said.")
    ] = None
    prompt_name: Annotated[Kind | None, Field(description="The same under another name.")] = None
    truncate: Annotated[
        bool, Field(description="Whether texts are cut to what the encoder reads.")
    ] = False
    truncation_direction: Annotated[
        Literal["right", "Right"], Field(description="Texts lose their end.")
    ] = "right"
    index: Annotated[
        str | None, Field(description="Whose encoder; it may be left out where there is one index.")
    ] = None
    using: Annotated[str | None, Field(description="A sparse field; the first by default.")] = None
    tokens: Annotated[bool, Field(description="Whether terms are spelled too.")] = False

    def to_texts(self) -> list[str]:
        """The texts."""
        return [self.inputs] if isinstance(self.inputs, str) else self.inputs

    def of_queries(self) -> bool:
        """Whether they are queries.

        Raises:
            InputError: the two members that say it differ.
        """
        named = {kind for kind in (self.type, self.prompt_name) if kind is not None}
        if len(named) > 1:
            raise InputError(f"type is {self.type} and prompt_name {self.prompt_name}; give one")
        return named == {"query"}


class TermWeight(TypedDict):
    """A term by number, and its weight."""

    index: int
    value: float
    token: Annotated[NotRequired[str], Field(description="With tokens: how it is spelled.")]


def embedded_json(found: Embedded, spelled: bool) -> list[list[TermWeight]]:
    """Vectors as JSON, terms ascending."""
    return [
        [
            _term(int(term), float(weight), found.tokens[int(term)] if spelled else None)
            for term, weight in zip(row.indices, row.values, strict=True)
        ]
        for row in found.rows
    ]


def _term(index: int, value: float, token: str | None) -> TermWeight:
    weight: TermWeight = {"index": index, "value": value}
    if token is not None:
        weight["token"] = token
    return weight
