"""The JSON of several searches in one request."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field, SkipValidation
from typing_extensions import TypedDict

from service.api.schemas.body import Body
from service.api.schemas.responses import ErrorBody, Milliseconds
from service.api.schemas.search_answer import SearchAnswer
from service.api.schemas.search_request import SearchBody

MOST_SEARCHES = 100


class BatchBody(Body):
    """Searches of one index, each as for itself; a mistake in one is told in its place."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"searches": [{"query": "how to copy a file"}, {"query": {"like": "shutil"}}]}
            ]
        },
    )

    # Each is validated by itself.
    searches: Annotated[
        list[SkipValidation[SearchBody]], Field(min_length=1, max_length=MOST_SEARCHES)
    ]

    @property
    def given(self) -> list[Any]:
        """The JSON of each search."""
        return list(self.searches)


class BatchAnswer(TypedDict):
    """An answer or an error for each search, in their order."""

    took_ms: Milliseconds
    answers: list[SearchAnswer | ErrorBody]
