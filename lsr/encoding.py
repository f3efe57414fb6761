"""The one encoding path of files: documents or queries in, rows of term weights out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lsr.chunks import CHUNK, distinct_chunks
from lsr.encoder import SparseEncoder
from lsr.errors import UsageError
from lsr.readers import Item
from lsr.sparse import SparseBatch
from lsr.vectors.output import Output


@dataclass(slots=True)
class EncodeReport:
    """Running totals of one encoding run; ``kept`` texts were encoded by an earlier run."""

    encoded: int = 0
    kept: int = 0
    rejected: int = 0
    weights: int = 0
    started: float = field(default_factory=time.perf_counter)

    @property
    def read(self) -> int:
        """Items seen."""
        return self.encoded + self.kept + self.rejected

    @property
    def seconds(self) -> float:
        """Wall time since the start."""
        return time.perf_counter() - self.started


def encode_items(
    encoder: SparseEncoder,
    items: Iterable[Item],
    output: Output,
    queries: bool = False,
    on_chunk: Callable[[EncodeReport], None] = lambda report: None,
    on_rejected: Callable[[str], None] = lambda sentence: None,
    chunk_size: int = CHUNK,
) -> EncodeReport:
    """Encode a stream of documents, chunk by chunk, into an output.

    Chunks begin at fixed places of the stream: a run that goes on after an interruption encodes
    the very same batches, and so ends with the same file as an uninterrupted one.

    Args:
        encoder: what weighs the terms.
        items: documents, or queries as documents.
        output: where rows go; what it holds already is not encoded again.
        queries: whether to encode as queries.
        on_chunk: takes the running totals.
        on_rejected: takes a sentence on each item that is left out.
        chunk_size: items that are encoded and written at a time.

    Raises:
        UsageError: the items differ from those of the run that is gone on with, or queries are to
            be encoded whose encoder needs the statistics of a collection.
    """
    if queries and encoder.needs_statistics:
        raise UsageError(
            f"queries of {encoder.name} are weighed by the statistics of a collection; search one "
            "by text instead"
        )
    report, seen = EncodeReport(), hashlib.blake2b(digest_size=16)
    earlier = output.items
    for chunk in distinct_chunks(items, on_rejected, chunk_size):
        before = report.read
        report.rejected += chunk.rejected
        for document in chunk.documents:
            seen.update(document.digest())
        if before < earlier:
            report.kept += len(chunk.items)
            same = report.read < earlier or seen.hexdigest() == output.digest
            if not same or report.read > earlier:
                raise _changed()
        else:
            batch = _encode(encoder, [document.contents for document in chunk.documents], queries)
            report.encoded += len(chunk.items)
            report.weights += batch.nnz
            output.append(chunk.documents, batch, report.read, seen.hexdigest())
        on_chunk(report)
    if report.read < earlier:
        raise _changed()
    return report


def _encode(encoder: SparseEncoder, texts: list[str], queries: bool) -> SparseBatch:
    return encoder.encode_queries(texts) if queries else encoder.encode_documents(texts)


def _changed() -> UsageError:
    return UsageError(
        "the corpus isn't the one that was begun with; finish with the same, or delete the folder "
        "that ends in .part"
    )
