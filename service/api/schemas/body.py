"""What the JSON of all requests shares."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

FilterBody = Annotated[
    dict[str, Any],
    Field(
        description="All of `must`, at least one of `should`, none of `must_not`: lists of such "
        "filters and of conditions, each a `key` with `match` ({value} or {any: [...]}), `range` "
        "({gt|gte, lt|lte}) or `exists` (true or false). Nested keys are dotted; a list matches "
        "where one of its elements does.",
        examples=[{"must": [{"key": "lang", "match": {"value": "en"}}]}],
    ),
]


class Body(BaseModel):
    """A request body; members that are not named here are refused."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _known(cls, value: object) -> object:
        """Name one unknown member and no more: a body may hold very many."""
        for name in value if isinstance(value, dict) else ():
            if name not in cls.model_fields:
                known = ", ".join(cls.model_fields)
                raise ValueError(f"{str(name)[:100]!r} is not known here; allowed are {known}")
        return value
