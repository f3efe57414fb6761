"""What routes declare of answers beside the usual one."""

from __future__ import annotations

from typing import Any

Declared = dict[int | str, dict[str, Any]]
"""By status."""


def declared(model: type, **more: str) -> dict[str, Any]:
    """An answer of a model that the OpenAPI document has from another route, by reference.

    Of each model that is given instead FastAPI makes a validator, which for the errors of all
    routes together takes half a second of each start.
    """
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {**more, "content": {"application/json": {"schema": schema}}}
