"""The JSON of requests that write."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StrictInt, StrictStr, model_validator

from index.filters.json_form import parse_filter_json
from index.filters.tree import Filter
from index.patching import Patch
from lsr.corpus.documents import check_unicode
from service.api.schemas.body import Body, FilterBody

DocumentIds = Annotated[
    list[StrictStr | StrictInt], Field(min_length=1, max_length=100_000, fail_fast=True)
]


class DeleteBody(Body):
    """Documents to delete: by id, or all that pass a filter."""

    ids: DocumentIds | None = None
    filter: FilterBody | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> DeleteBody:
        if (self.ids is None) == (self.filter is None):
            raise ValueError("give either ids or a filter")
        return self

    def to_ids(self) -> list[str]:
        """The ids, spelled as documents have them.

        Raises:
            InputError: one is not valid Unicode.
        """
        return [check_unicode(str(identifier), "id") for identifier in self.ids or ()]

    def to_filter(self) -> Filter | None:
        """The filter, where there is one."""
        return None if self.filter is None else parse_filter_json(self.filter)


class PatchBody(Body):
    """What changes of a document, as a JSON merge patch (RFC 7396); null takes a part out."""

    title: str | None = None
    text: str | None = None
    metadata: dict[str, Any] | None = None

    def to_patch(self) -> Patch:
        """The change."""
        given = {
            name: getattr(self, name) or "" for name in {"title", "text"} & self.model_fields_set
        }
        return Patch(**given, metadata=self.metadata)
