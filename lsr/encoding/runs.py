"""The one encoding path of files: documents or queries in, rows of term weights out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import NamedTuple

from lsr.corpus.chunks import CHUNK, Chunk, distinct_chunks
from lsr.corpus.items import Item
from lsr.corpus.shard import WHOLE, Shard
from lsr.encoders.encoder import SparseEncoder
from lsr.encoding.document_encoders import DocumentEncoders
from lsr.encoding.health import NOT_FINITE, Health, HealthWatch, finite_rows
from lsr.encoding.progress import SILENT, Progress
from lsr.encoding.ray_cluster import RayCluster, Rest
from lsr.errors import UsageError
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics
from lsr.trusted_code import NO_CODE, TrustedCode
from lsr.vectors.output import Output

FIELD = "vectors"


@dataclass(slots=True)
class EncodeReport:
    """Running totals of one encoding run; ``kept`` texts were encoded by an earlier run.

    ``taken`` items were read from the source, and of these ``read`` are done with; ``elsewhere``
    ones are of other shards. ``corpus`` changes, once all is read, with any document of the source
    and with its place. ``health`` is of documents, once a thousand have been encoded or the run has
    ended.
    """

    encoded: int = 0
    kept: int = 0
    rejected: int = 0
    weights: int = 0
    taken: int = 0
    tokens: int = 0
    elsewhere: int = 0
    corpus: str = ""
    health: Health | None = None
    started: float = field(default_factory=time.perf_counter)

    @property
    def read(self) -> int:
        """Items seen, and done with."""
        return self.encoded + self.kept + self.rejected + self.elsewhere

    @property
    def seconds(self) -> float:
        """Wall time since the start."""
        return time.perf_counter() - self.started


class _Waiting(NamedTuple):
    """A chunk on its way; ``position`` items of the stream end with it, ``digest`` is of them."""

    chunk: Chunk[Item]
    position: int
    digest: str


def encode_items(
    encoder: SparseEncoder,
    items: Iterable[Item],
    output: Output,
    queries: bool = False,
    progress: Progress = SILENT,
    chunk_size: int = CHUNK,
    processes: int = 1,
    statistics: CollectionStatistics | None = None,
    trusted: TrustedCode = NO_CODE,
    shard: Shard = WHOLE,
    cluster: RayCluster | None = None,
) -> EncodeReport:
    """Encode a stream of documents, chunk by chunk, into an output.

    Chunks begin at fixed places of the stream: a run that goes on after an interruption encodes
    the very same batches, and so ends with the same file as an uninterrupted one. A document with
    a vector that is not finite is rejected.

    Args:
        encoder: what weighs the terms.
        items: documents, or queries as documents.
        output: where rows go; what it holds already is not encoded again.
        queries: whether to encode as queries.
        progress: is told of the EncodeReport after each chunk, of what is left out, and of what
            the first thousand vectors of documents look like, unless they are counts.
        chunk_size: items that are encoded and written at a time.
        processes: how many encode documents, see ``DocumentEncoders.stream``; queries take one.
        statistics: of the collection, for queries whose encoder needs them.
        trusted: the models whose Python code may run in other processes too.
        shard: the part that is encoded. All items are read, so that an id which another shard had
            before is known; what is left out of a shard's own chunks is told by it alone.
        cluster: encodes documents instead of processes of this machine; of the same corpus.

    Raises:
        UsageError: the items differ from those of the run that is gone on with, or queries are to
            be encoded whose encoder needs the statistics of a collection, which are not given.
        LsrError: an encoding process failed or died; run the same again.
    """
    if queries and encoder.needs_statistics and statistics is None:
        raise UsageError(
            f"queries of {encoder.name} are weighed by the statistics of a collection; search one "
            "by text instead"
        )
    report = EncodeReport()

    def tell(health: Health) -> None:
        report.health = health
        progress.health(FIELD, health)

    looks = not queries and not encoder.stores_counts
    watch = (
        HealthWatch(encoder.vocabulary.size, tell, encoder.vocabulary, encoder.open)
        if looks
        else None
    )
    waiting = _fresh(items, output, report, progress, shard, chunk_size)
    if queries:
        encoded = _encoded_queries(encoder, waiting, statistics)
    else:
        encoders = DocumentEncoders({FIELD: encoder}, trusted=trusted)
        rest = Rest(shard, output.items, chunk_size)
        encoded = _encoded_documents(encoders, waiting, processes, cluster, rest)
    with closing(encoded) as rows:
        for (chunk, position, digest), batch, tokens in rows:
            if watch:
                watch.add([document.contents for document in chunk.documents], batch)
            finite = finite_rows(batch)
            documents = []
            for item, document, good in zip(chunk.items, chunk.documents, finite, strict=True):
                if good:
                    documents.append(document)
                else:
                    progress.rejected(f"{item.place}: {NOT_FINITE.format('documents')}")
            batch = batch if finite.all() else batch.select(finite)
            report.encoded += len(documents)
            report.rejected += chunk.rejected + len(chunk.items) - len(documents)
            report.weights += batch.nnz
            report.tokens += tokens
            output.append(documents, batch, position, digest)
            progress.chunk(report)
    if watch:
        watch.finish()
    return report


def _fresh(
    items: Iterable[Item],
    output: Output,
    report: EncodeReport,
    progress: Progress,
    shard: Shard,
    chunk_size: int,
) -> Iterator[_Waiting]:
    """The shard's chunks that the output does not hold already, once it surely holds the others."""
    seen = hashlib.blake2b(digest_size=16)
    earlier = output.items
    left_out: list[str] = []
    for number, chunk in enumerate(distinct_chunks(items, left_out.append, chunk_size)):
        before = report.taken
        report.taken += len(chunk.items) + chunk.rejected
        for document in chunk.documents:
            seen.update(document.digest())
        if chunk.rejected:
            seen.update(chunk.rejected.to_bytes(8))
        own = shard.has(number)
        for sentence in left_out if own else ():
            progress.rejected(sentence)
        left_out.clear()
        if before < earlier:
            same = report.taken < earlier or seen.hexdigest() == output.digest
            if not same or report.taken > earlier:
                raise _changed(output)
        elif output.whole:
            raise _changed(output)
        elif own:
            yield _Waiting(chunk, report.taken, seen.hexdigest())
            continue
        if own:
            report.kept += len(chunk.items)
            report.rejected += chunk.rejected
        else:
            report.elsewhere += len(chunk.items) + chunk.rejected
        progress.chunk(report)
    if report.taken < earlier:
        raise _changed(output)
    report.corpus = seen.hexdigest()


def _encoded_queries(
    encoder: SparseEncoder,
    waiting: Iterable[_Waiting],
    statistics: CollectionStatistics | None,
) -> Generator[tuple[_Waiting, SparseBatch, int], None, None]:
    """Each chunk with its rows, and how many tokens they took."""
    for each in waiting:
        before = encoder.tokens_encoded
        asked = [document.contents for document in each.chunk.documents]
        rows = encoder.encode_queries(asked, statistics)
        yield each, rows, encoder.tokens_encoded - before


def _encoded_documents(
    encoders: DocumentEncoders,
    waiting: Iterable[_Waiting],
    processes: int,
    cluster: RayCluster | None,
    rest: Rest,
) -> Generator[tuple[_Waiting, SparseBatch, int], None, None]:
    """Each chunk with its rows, and how many tokens they took."""
    texts = ((each, [document.contents for document in each.chunk.documents]) for each in waiting)
    if cluster is None:
        made = encoders.stream(texts, processes)
    else:
        made = cluster.stream(encoders, texts, rest)
    with closing(made) as stream:
        for each, encoded in stream:
            batch = encoded.vectors.get(FIELD)
            if not isinstance(batch, SparseBatch):
                batch = SparseBatch.from_rows([], encoders.sparse[FIELD].vocabulary.size)
            yield each, batch, encoded.tokens


def _changed(output: Output) -> UsageError:
    return UsageError(
        "the corpus isn't the one that was begun with; finish with the same, or delete "
        f"{output.begun}"
    )
