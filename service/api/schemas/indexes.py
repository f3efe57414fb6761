"""The JSON of requests that make and change indexes, and of aliases."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from service.api.schemas.body import Body

LONGEST = 200
Name = Annotated[str, Field(max_length=LONGEST)]
EncoderName = Annotated[str, Field(max_length=4096)]


class NewIndexBody(Body):
    """The encoders of a new index, and how its documents are split; all have defaults."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"bm25": True, "passages": "auto"}, {"encoder": "bm25"}]}
    )

    encoder: EncoderName | None = Field(
        default=None,
        description="Of the field `sparse`: `bm25`, the encoder that ships with lsr, which is the "
        "default, or one of the server's setting `encoders`; with options behind commas.",
    )
    dense: EncoderName | None = Field(
        default=None, description="Of a field `dense`, one of the server's setting `encoders`."
    )
    bm25: bool = Field(
        default=False, description="Whether a field `bm25` stands beside a learned encoder."
    )
    language: Name | None = Field(
        default=None, description="The analyser that makes the words of the sparse encoder."
    )
    passages: Literal["auto", "off"] = Field(
        default="auto",
        description="Whether documents are split that an encoder doesn't read to the end.",
    )


class SearchDefaultsBody(Body):
    """Settings of searches, each as the option of that name of `lsr search` takes it."""

    fusion: str | None = Field(default=None, max_length=10_000)
    feedback: str | None = Field(default=None, max_length=10_000)
    dense_weight: float | None = None
    effort: float | None = None

    def given(self) -> dict[str, str | float]:
        """Those that are set."""
        return self.model_dump(exclude_none=True)


class ChangeIndexBody(Body):
    """What changes of an index; what isn't named stays."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"search_defaults": {"sparse+bm25": {"fusion": "rrf,k=20"}}}]
        }
    )

    search_defaults: dict[str, SearchDefaultsBody | None] = Field(
        max_length=100,
        description="How it is searched where a search doesn't say, by `using`; null forgets it.",
    )


class DeletedIndexAnswer(TypedDict):
    """An index that is gone."""

    name: str
    deleted: Literal[True]


class AliasBody(Body):
    """What an alias stands for."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"index": "pets-2"}]})

    index: Name


class AliasChange(Body):
    """An alias, and the index that it is to be of; null removes it."""

    alias: Name
    index: Name | None


class AliasChangesBody(Body):
    """Changes that are made all at once, or none of them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "changes": [
                        {"alias": "pets", "index": "pets-2"},
                        {"alias": "pets-next", "index": None},
                    ]
                }
            ]
        }
    )

    changes: list[AliasChange] = Field(min_length=1, max_length=1000, fail_fast=True)


class AliasAnswer(TypedDict):
    """An alias, and the index that it is of."""

    alias: str
    index: str


class AliasesAnswer(TypedDict):
    """All aliases, by name."""

    aliases: list[AliasAnswer]


def aliases_json(aliases: dict[str, str]) -> AliasesAnswer:
    """The aliases as JSON."""
    return {"aliases": [{"alias": name, "index": aliases[name]} for name in sorted(aliases)]}
