"""Dimensions of the documents of a collection: found in their texts, kept in their metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from index.collection.writable import Writable
from index.patching import rewrite_metadata
from lsr.corpus.dimensions import Extractor, extract
from lsr.corpus.documents import EXTRACTED, Document

CHUNK = 256


@dataclass(slots=True)
class ExtractionReport:
    """Running totals: of ``read`` documents ``extracted`` got phrases, the others had them."""

    read: int = 0
    extracted: int = 0
    phrases: int = 0


def extract_dimensions(
    collection: Writable,
    extractors: Mapping[str, Extractor],
    progress: Callable[[ExtractionReport], None] = lambda report: None,
) -> ExtractionReport:
    """Find the phrases of some dimensions in the documents that lack one of these.

    A dimension's phrases are the list ``_dimensions.NAME`` of the metadata. Each chunk is one
    transaction, and nothing is encoded anew; a run that was interrupted goes on where it was.

    Raises:
        LockedError: another writer did not let go.
    """
    report = ExtractionReport()
    names = collection.store.all_ids()
    for start in range(0, len(names), CHUNK):
        ids = names[start : start + CHUNK]
        with collection.writing():
            found = collection.store.sequences(ids)
            documents = collection.store.documents(sorted(found.values()))
            lacking = [each for each in documents.values() if _lacks(each, extractors)]
            phrases = extract(lacking, extractors)
            if lacking:
                rewrite_metadata(
                    collection,
                    [_with(*pair) for pair in zip(lacking, phrases, strict=True)],
                )
        report.read += len(ids)
        report.extracted += len(lacking)
        report.phrases += sum(len(part) for each in phrases for part in each.values())
        progress(report)
    return report


def _lacks(document: Document, names: Mapping[str, object]) -> bool:
    there = document.metadata.get(EXTRACTED)
    return not isinstance(there, Mapping) or any(name not in there for name in names)


def _with(document: Document, phrases: Mapping[str, list[str]]) -> Document:
    there = document.metadata.get(EXTRACTED)
    kept = dict(there) if isinstance(there, Mapping) else {}
    return replace(document, metadata={**document.metadata, EXTRACTED: kept | dict(phrases)})
