"""The JSON of pseudo-relevance feedback in a search."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Literal

from pydantic import Field

from index.search.feedback import METHODS, Feedback
from lsr.errors import InputError
from service.api.schemas.body import Body

Interpolation = Annotated[
    Literal["before", "after", "both", ""],
    Field(
        description="Where rankings are fused. `before`: documents of all rankings fused, and the "
        "field that is ranked again is the answer; `after`: documents of that field alone, and the "
        "answer is fused; `both`: documents of all, and the answer is fused."
    ),
]
Terms = Annotated[int, Field(description="Of a sparse field: terms kept; 0: the usual number.")]
Using = Annotated[str, Field(description="The field that is ranked again.")]


class AverageBody(Body):
    """The mean of the query and the first `depth` documents."""

    depth: int = 3
    terms: Terms = 0
    using: Using = ""
    interpolation: Interpolation = ""


class RocchioBody(Body):
    """`alpha` times the query and `beta` times the mean of the first `depth` documents."""

    depth: int = 5
    terms: Terms = 0
    using: Using = ""
    interpolation: Interpolation = ""
    alpha: float = 0.4
    beta: float = 0.6


class Rm3Body(Body):
    """RM3, for a field of term counts: `weight` is that of the query's own terms."""

    depth: int = 10
    terms: Terms = 0
    using: Using = ""
    interpolation: Interpolation = ""
    weight: float = 0.5


class FeedbackBody(Body):
    """Search again with a query that the best documents of a first round have moved.

    One of the methods.
    """

    average: AverageBody | None = None
    rocchio: RocchioBody | None = None
    rm3: Rm3Body | None = None

    def to_feedback(self) -> Feedback:
        """The feedback as the pipeline takes it.

        Raises:
            InputError: there is not exactly one method, or a setting is not allowed.
        """
        given = {name: body for name in METHODS if (body := getattr(self, name)) is not None}
        if len(given) != 1:
            named = f"names {' and '.join(given)}" if given else "names no method"
            raise InputError(f"the feedback {named}; give one of {', '.join(METHODS)}")
        ((name, body),) = given.items()
        method = METHODS[name]
        return method(**{each.name: getattr(body, each.name) for each in fields(method)})
