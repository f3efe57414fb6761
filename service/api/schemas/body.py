"""What the JSON of all requests shares."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from index.filters.json_form import parse_filter_json
from index.filters.text_form import parse_filter_text
from index.filters.tree import Filter
from lsr.corpus.json_values import parse_json
from service.api.plain_mistakes import unknown_name

FilterBody = Annotated[
    dict[str, Any] | str,
    Field(
        description="A text, as in `lang = en and year >= 2000 and not (kind in (a, b))`, or an "
        "object: all of `must`, at least one of `should`, none of `must_not`, which are lists of "
        "such objects and of conditions, each a `key` with `match` ({value} or {any: [...]}), "
        "`range` ({gt|gte, lt|lte}) or `exists` (true or false). Nested keys are dotted; a list "
        "matches where one of its elements does; dates compare as instants.",
        examples=["lang = en", {"must": [{"key": "lang", "match": {"value": "en"}}]}],
    ),
]


def parse_filter(given: FilterBody) -> Filter:
    """The filter of either form.

    Raises:
        InputError: it is malformed, too deep or too large.
    """
    return parse_filter_text(given) if isinstance(given, str) else parse_filter_json(given)


def parse_filter_parameter(given: str) -> Filter:
    """The filter of a parameter of an address, in its text form or as JSON.

    Raises:
        InputError: it is malformed, too deep or too large.
    """
    return parse_filter(parse_json(given) if given.startswith('{"') else given)


class Body(BaseModel):
    """A request body; members that are not named here are refused."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _known(cls, value: object) -> object:
        """Name one unknown member and no more: a body may hold very many."""
        for name in value if isinstance(value, dict) else ():
            if name not in cls.model_fields:
                raise ValueError(unknown_name(str(name), cls.model_fields, "the member"))
        return value
