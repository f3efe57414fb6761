"""A part of one document changed; what is not encoded anew keeps its vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from index.collection.writable import Writable, stored_rows
from index.indexing import Outcome, upsert_documents
from lsr.corpus.documents import Document, parse_document
from lsr.corpus.passages import sections_of
from lsr.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class Patch:
    """What changes of a document: None leaves a part as it is.

    ``metadata`` is merged into what is there as RFC 7396 (JSON merge patch) says: objects member
    by member, null takes a member out, anything else takes the place of what was there.
    """

    title: str | None = None
    text: str | None = None
    metadata: Mapping[str, Any] | None = None

    def of(self, document: Document) -> Document:
        """The document after the change.

        Raises:
            InputError: it would be no document.
        """
        return parse_document(
            {
                "_id": document.id,
                "title": document.title if self.title is None else self.title,
                "text": document.text if self.text is None else self.text,
                "metadata": merged(document.metadata, self.metadata or {}),
            }
        )


def patch_document(collection: Writable, identifier: str, patch: Patch) -> Outcome:
    """Change a part of a document; encoded anew only where its title or text is another.

    Raises:
        NotFoundError: there is no such document.
        InputError: the change would make it none.
        LockedError: another process is writing.
    """
    with collection.writing():
        document = collection.get(identifier)
        if document is None:
            raise NotFoundError(f"there is no document {identifier!r}")
        changed = patch.of(document)
        if _parts(changed) == _parts(document):
            return Outcome(identifier, "unchanged")
        if changed.contents != document.contents:
            if changed.text == document.text:
                number = collection.store.sequences([identifier])[identifier]
                passages = collection.store.passages.of([number]).get(number, [])
                changed = replace(changed, sections=sections_of(passages))
            return upsert_documents(collection, [changed])[0]
        rewrite_metadata(collection, [changed])
        return Outcome(identifier, "updated")


def _parts(document: Document) -> tuple[str, str, dict[str, Any]]:
    return document.title, document.text, dict(document.metadata)


def rewrite_metadata(collection: Writable, documents: Sequence[Document]) -> None:
    """Write documents whose metadata alone have changed, with the vectors that are stored of them.

    Args:
        collection: whose documents they are; ``collection.writing()`` is held.
        documents: of distinct ids, with the titles and texts that are stored.

    Raises:
        LockedError: another process is writing.
    """
    numbers = collection.store.sequences([document.id for document in documents])
    ordered = [numbers[document.id] for document in documents]
    passages = collection.store.passages.of(ordered)
    parts = [passages.get(number, []) for number in ordered]
    rows = [max(len(each), 1) for each in parts]
    numbered = [
        row for first, size in zip(ordered, rows, strict=True) for row in range(first, first + size)
    ]
    vectors = {
        field.name: stored_rows(collection.store, field, numbered) for field in collection.fields
    }
    collection.upsert(documents, vectors, parts)


def merged(there: Any, change: Mapping[str, Any]) -> dict[str, Any]:
    """An object after a JSON merge patch (RFC 7396)."""
    result = dict(there) if isinstance(there, Mapping) else {}
    for name, value in change.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            result[name] = merged(result.get(name), value)
        else:
            result[name] = value
    return result
