"""One index, with its settings and its metadata keys."""

from __future__ import annotations

from index.collection.passage_table import OFF
from index.search.defaults import read_defaults
from service.api.indexes import Indexes
from service.api.schemas.responses import IndexDetails

MOST_KEYS = 10_000
"""Of metadata, that an answer lists."""


def index_details(indexes: Indexes, name: str) -> IndexDetails:
    """What an index is; of its metadata keys at most ``MOST_KEYS``, by name.

    Raises:
        NotFoundError: there is none.
    """
    found, collection = indexes.describe(name), indexes[name]
    defaults = read_defaults(collection)
    details: IndexDetails = {
        "name": found["name"],
        "aliases": found["aliases"],
        "documents": found["documents"],
        "fields": found["fields"],
        "metadata": [
            {"key": each.key, "kinds": dict(each.kinds)}
            for each in collection.describe_metadata()[:MOST_KEYS]
        ],
        "passages": "off" if collection.passages == OFF else "auto",
        "search_defaults": {using: each.texts() for using, each in defaults.items()},
    }
    if "snapshot" in found:
        details["snapshot"] = found["snapshot"]
    return details
