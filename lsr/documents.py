"""Documents and queries: what goes in and what is asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Document:
    """One unit of retrieval.

    ``id`` is the user's own identifier, unique in a collection; ``metadata`` holds any other
    JSON values that came with the document.
    """

    id: str
    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def contents(self) -> str:
        """The text that encoders see: title and text joined by one space, as BEIR does."""
        return f"{self.title} {self.text}".strip()

    def digest(self) -> bytes:
        """16 bytes that change whenever any part of the document changes."""
        parts = [self.id, self.title, self.text, json.dumps(dict(self.metadata), sort_keys=True)]
        canonical = json.dumps(parts, ensure_ascii=True).encode()
        return hashlib.blake2b(canonical, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Query:
    """One test query (a TREC topic): identifier and text."""

    id: str
    text: str
