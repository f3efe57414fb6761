"""Learned sparse retrieval: index a corpus, search it, and score it.

    import lsr

    lsr.index([lsr.Document("owl", "Owls hunt mice at night.")], into="pets")
    for hit in lsr.search(lsr.open("pets"), "who catches mice?").hits:
        print(hit.id, hit.score)

What ``__all__`` names is the public face. Importing it loads nothing heavy: whatever a name needs
is loaded when the name is first used. Below it, ``lsr`` holds encoders, vectors and training,
``index`` collections and search, ``eval`` test collections and measures, ``service`` the command
line and the REST API.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from eval.experiment import ExperimentProgress
    from eval.results import Results
    from eval.tuning import Tuning
    from index.collection.collection import Collection
    from index.indexing import IndexReport
    from index.qdrant.collection import QdrantCollection
    from index.search.config import SearchConfig
    from index.search.query import SearchQuery
    from index.search.reranking import Reranking
    from index.search.result import SearchResult
    from lsr.corpus.documents import Document
    from lsr.corpus.items import Item
    from lsr.corpus.readers.corpus import Reading
    from lsr.encoders.dense import DenseEncoder
    from lsr.encoders.encoder import SparseEncoder
    from lsr.encoding.progress import Progress
    from lsr.errors import LsrError
    from lsr.train.dense_terms.run import DenseTermsReport
    from lsr.train.reranker.run import CrossEncoderReport
    from lsr.train.run import TrainingReport, Watching
    from lsr.train.spar.run import SparReport
    from lsr.trusted_code import TrustedCode
    from service.client.async_client import AsyncClient
    from service.client.client import Client
    from service.client.remote_collection import RemoteCollection

Documents: TypeAlias = "Iterable[Document | Mapping[str, Any]]"

__all__ = [
    "AsyncClient",
    "Client",
    "Collection",
    "Document",
    "LsrError",
    "Reranking",
    "SearchConfig",
    "SearchQuery",
    "SearchResult",
    "create",
    "evaluate",
    "index",
    "load_dense_encoder",
    "load_encoder",
    "open",
    "search",
    "train_encoder",
    "tune",
]
# Where each class of the public face is defined.
_HOMES = {
    "AsyncClient": "service.client.async_client",
    "Client": "service.client.client",
    "Collection": "index.collection.collection",
    "Document": "lsr.corpus.documents",
    "LsrError": "lsr.errors",
    "Reranking": "index.search.reranking",
    "SearchConfig": "index.search.config",
    "SearchQuery": "index.search.query",
    "SearchResult": "index.search.result",
}


def open(  # noqa: A001
    path: str | Path, *, trust_remote_code: bool = False, mapped_in: str | Path | None = None
) -> Collection | QdrantCollection:
    """The collection in a directory, or at an address of Qdrant.

    Args:
        path: the directory, or the address as in ``qdrant://host/name``; the server's key is taken
            from the environment's ``LSR_QDRANT_API_KEY``.
        trust_remote_code: run the Python code that its models bring; False: only of those that
            the environment lists, as ``LSR_TRUST_REMOTE_CODE=NAME,NAME``.
        mapped_in: a folder on a disk that the index is mapped from, so that it may be larger than
            memory; None: the one that the environment's ``LSR_MAPPED_IN`` names, or else the index
            is in memory.

    Raises:
        NotFoundError: there is none.
        CorruptionError: its file is damaged or of an unknown format version.
        UnavailableError: Qdrant can't be reached.
        UsageError: there is no folder ``mapped_in``.
    """
    from index.opening import open_collection, place_of

    return open_collection(place_of(path), _trusted(trust_remote_code), mapped_in)


def create(
    path: str | Path,
    encoder: str | None = None,
    dense: str | None = None,
    bm25: bool = False,
    *,
    passages: str = "auto",
    trust_remote_code: bool = False,
) -> Collection | QdrantCollection:
    """A new, empty collection in a directory, which is made, or at an address of Qdrant.

    Args:
        path: the directory or the address, as for ``open``.
        encoder: name of the sparse encoder, as ``lsr index --encoder`` takes it; None: the one
            that ships with this package, which is for English.
        dense: name of a dense encoder beside it.
        bm25: whether a BM25 field stands beside a learned encoder.
        passages: "auto" splits documents that an encoder doesn't read to the end into passages,
            and searches by these; "off" leaves them whole.
        trust_remote_code: as for ``open``.

    Raises:
        UsageError: there is a collection already, or a name is malformed.
        NotFoundError: there is no such encoder.
    """
    from index.collection.field import encoder_fields
    from index.opening import create_collection, place_of

    trusted = _trusted(trust_remote_code)
    fields = encoder_fields(encoder, dense, bm25, trusted)
    return create_collection(place_of(path), fields, trusted=trusted, passages=passages)


def index(
    corpus: str | Path | Documents,
    into: str | Path | RemoteCollection,
    encoder: str | None = None,
    dense: str | None = None,
    bm25: bool = False,
    *,
    passages: str | None = None,
    processes: int = 1,
    sync: bool = False,
    id_field: str | None = None,
    title_field: str | None = None,
    text_field: str | Sequence[str] | None = None,
    columns: str | Sequence[str] | None = None,
    include: str | Sequence[str] = (),
    exclude: str | Sequence[str] = (),
    progress: Progress | None = None,
    trust_remote_code: bool = False,
) -> IndexReport:
    """Bring a collection up to date with a corpus; it is made where there is none.

    Documents that have not changed are not encoded again, and a call that was interrupted goes on
    where it stopped. What is written is on disk when the call returns. A new collection in which
    nothing could be written, as every item was rejected, is taken away again.

    Args:
        corpus: a file, folder or name as ``lsr index`` takes it, or documents, each a ``Document``
            or a mapping as a line of a .jsonl file.
        into: directory of the collection, its address in Qdrant, or one of a ``Client``, to which
            documents are sent; its server encodes them, and only the arguments on reading and
            ``progress`` go with it.
        encoder: as for ``create``; None: the one the collection was built with.
        dense: as for ``create``.
        bm25: as for ``create``.
        passages: as for ``create``; None: as the collection does.
        processes: how many encode.
        sync: then delete the documents that the corpus does not hold any more. The report's
            ``deleted`` says how many, or ``not_deleted`` why none may be.
        id_field: the member of records, or column of tables, that is the id; None: the usual names
            are tried.
        title_field: likewise, the title.
        text_field: likewise, the text; several are joined, a line each.
        columns: of .csv and .tsv files without a header, as in ``["id", "text", "title"]``.
        include: patterns as of .gitignore; of a folder, only what matches one is read.
        exclude: such patterns; of a folder, what matches one is not read.
        progress: is told how it goes on; None: items that are left out are warned of.
        trust_remote_code: as for ``open``.

    Raises:
        NotFoundError: there is no such corpus or encoder.
        EncoderMismatchError: the collection has other encoders than are asked for.
        LockedError: another process is writing.
        UsageError: an argument is about what the corpus has not, such as ``columns`` of documents.
    """
    from contextlib import closing

    from index.indexing import index_documents
    from index.opening import gone_if_unused, is_there, open_or_create, place_of, remove_unused
    from index.syncing import sync_documents
    from lsr.corpus.readers.corpus import Reading
    from lsr.encoding.progress import LoggedProgress

    reading = Reading.of(id_field, title_field, text_field, columns, include, exclude)
    items = _items(corpus, reading)
    if not isinstance(into, str | Path):
        _check_only_reading(
            encoder=encoder, dense=dense, bm25=bm25, passages=passages, sync=sync,
            processes=processes > 1, trust_remote_code=trust_remote_code,
        )  # fmt: skip
        return into.upsert_items(items, progress)
    target, trusted = place_of(into), _trusted(trust_remote_code)
    write = sync_documents if sync else index_documents
    new, made = not is_there(target), isinstance(target, Path) and not target.exists()
    with (
        gone_if_unused(target),
        closing(open_or_create(target, encoder, dense, bm25, trusted, passages)) as collection,
    ):
        report = write(collection, items, progress or LoggedProgress(), processes=processes)
        unused = new and report.rejected and not len(collection)
    if unused:
        remove_unused(target, made)
    return report


def search(
    collection: Collection | QdrantCollection | RemoteCollection,
    query: str | SearchQuery,
    limit: int = 10,
    using: str | None = None,
    filter: str | Mapping[str, Any] | None = None,  # noqa: A002
    **settings: Any,
) -> SearchResult:
    """The documents of a collection that answer a query best.

    Args:
        collection: of ``open`` or ``create``, or of ``Client.open``.
        query: a text, or a ``SearchQuery`` with vectors in its place.
        limit: hits wanted.
        using: a field, or fields to fuse as in ``sparse+bm25``; None: hybrid where the collection
            has a dense field, else the sparse field.
        filter: a condition on metadata, such as ``lang = en and year >= 2000``, or its JSON form.
        settings: any other field of ``SearchConfig``, such as ``offset`` or ``explain``; ``sort``,
            ``facets`` and ``group_by`` may be texts as the command line takes them.

    Raises:
        InputError: the query, the filter or a setting is malformed.
        UsageError: the collection has no such field.
    """
    from index.collection.collection import Collection
    from index.filters.json_form import parse_filter_json
    from index.filters.text_form import parse_filter_text
    from index.qdrant.collection import QdrantCollection
    from index.search import pipeline
    from index.search.arranging import spelled_out
    from index.search.config import SearchConfig
    from index.search.query import SearchQuery

    if not isinstance(collection, Collection | QdrantCollection):
        return collection.search(query, limit, using, filter, **settings)
    parsed = parse_filter_text(filter) if isinstance(filter, str) else None
    if filter is not None and parsed is None:
        parsed = parse_filter_json(filter)
    settings = spelled_out(settings)
    config = SearchConfig(limit=limit, using=using, filter=parsed, **settings)
    asked = SearchQuery(query) if isinstance(query, str) else query
    return pipeline.search(collection, asked, config)


def load_encoder(name: str, *, trust_remote_code: bool = False) -> SparseEncoder:
    """The sparse encoder of a name; its weights are read when something is first encoded.

    Args:
        name: as ``lsr index --encoder`` takes it.
        trust_remote_code: as for ``open``.

    Raises:
        NotFoundError: there is no such encoder.
        UsageError: the name is malformed, or the model runs Python code that is not trusted.
    """
    from lsr.encoders.catalogue import load_encoder

    return load_encoder(name, _trusted(trust_remote_code))


def load_dense_encoder(name: str) -> DenseEncoder:
    """The dense encoder of a name; its weights are read when something is first encoded.

    Raises:
        NotFoundError: there is no such encoder.
        InputError: the model can't be used as a dense encoder.
    """
    from lsr.encoders.dense import DenseEncoder

    return DenseEncoder.load(name)


def evaluate(
    dataset: str | Path | Sequence[str | Path],
    encoder: str | Sequence[str] | None = None,
    dense: str | None = None,
    bm25: bool = False,
    *,
    split: str = "test",
    data: str | Path | None = None,
    index: str | Path | None = None,
    passages: str | None = None,
    using: str | Sequence[str] | None = None,
    measures: Sequence[str] | None = None,
    depth: int | None = None,
    against: str | None = None,
    output: str | Path | None = None,
    progress: ExperimentProgress | None = None,
    trust_remote_code: bool = False,
    **settings: Any,
) -> Results:
    """Score searches of test collections; the indexes are kept for further calls.

    Documents that can't be indexed are warned of, unless a ``progress`` is given that is told.

    Args:
        dataset: a BEIR folder, an ir_datasets id, ``demo``, or a suite such as ``beir-13``; or
            several of these.
        encoder: as for ``create``; several are compared.
        dense: as for ``create``.
        bm25: as for ``create``.
        split: of a BEIR folder.
        data: a folder with BEIR folders, in which data sets are looked for before they are
            downloaded.
        index: directory or address of the collection, made if need be; None: one in the user's
            cache.
        passages: as for ``create``.
        using: what is searched, or several; None: each field and their fusions.
        measures: names as of ir_measures; None: nDCG@10, Recall@100, MRR@10 and MAP@100.
        depth: results per query; None: as many as the measures need, 100 or more.
        against: a field; each row says how alike it ranks to that one (``RBO@depth``).
        output: a folder in which each result is kept; what is there already is not searched again.
        progress: who is told what.
        trust_remote_code: as for ``open``.
        settings: any other field of ``SearchConfig``, such as ``query_encoder`` or ``engine``.

    Returns:
        A table: a sequence with a ``Cell`` for each search, which has its ``measures``; with
        ``averages()``, ``to_dict()`` and ``to_pandas()``, and shown as a table in notebooks.

    Raises:
        NotFoundError: there is no such dataset, split or encoder.
        UsageError: a measure or field is unknown, or a measure is deeper than ``depth``.
    """
    from eval.suite import Systems, load_suite, run_suite
    from index.opening import place_of
    from index.search.config import SearchConfig

    named = [dataset] if isinstance(dataset, str | Path) else dataset
    suite = load_suite(list(map(str, named)), split, None if data is None else Path(data))
    systems = Systems(
        [encoder] if encoder is None or isinstance(encoder, str) else list(encoder),
        dense,
        bm25,
        ([using] if isinstance(using, str) else list(using)) if using else (),
        SearchConfig(**settings),
        None if index is None else place_of(index),
        measures or (),
        depth,
        against,
        passages,
        trusted=_trusted(trust_remote_code),
    )
    return run_suite(suite, systems, None if output is None else Path(output), progress)


def tune(
    collection: Collection | QdrantCollection,
    queries: str | Path | Mapping[str, str],
    qrels: str | Path | Mapping[str, Mapping[str, int]],
    **settings: Any,
) -> Tuning:
    """Find how a collection is searched best by judged queries, and keep it as its default.

    Never by queries on which results are reported. What is found is kept where its gain on queries
    that the choice has not seen is above 0 with 95 % confidence.

    Args:
        collection: of ``open``.
        queries: texts by id, or a file of queries or a BEIR folder.
        qrels: grades of documents by query, or a file of judgements.
        settings: ``using``, ``measure``, ``folds``, ``feedback``, ``write``, ``force`` and
            ``progress`` of ``eval.tuning.tune``.

    Returns:
        The settings, their measure beside that of lsr's defaults, and the gain.

    Raises:
        InputError: a judged query is missing, there are too few, or a file is malformed.
        UsageError: the measure, the field or the number of folds can't be.
        LockedError: another process is writing.
    """
    from eval import tuning
    from lsr.corpus.documents import Query
    from lsr.corpus.qrels import read_qrels
    from lsr.corpus.queries import read_queries

    asked = (
        [Query(name, text) for name, text in queries.items()]
        if isinstance(queries, Mapping)
        else read_queries(str(queries))
    )
    judged = qrels if isinstance(qrels, Mapping) else read_qrels(Path(qrels))
    return tuning.tune(collection, asked, judged, **settings)


def train_encoder(
    config: str | Path,
    output: str | Path | None = None,
    cache: str | Path | None = None,
    watching: Watching | None = None,
    *,
    trust_remote_code: bool = False,
) -> TrainingReport | DenseTermsReport | SparReport | CrossEncoderReport:
    """Train as a TOML file says, or go on where an earlier call was interrupted.

    Args:
        config: the file.
        output: folder of everything that is written; None: the configuration's.
        cache: folder of the teachers' vectors; None: in the output folder.
        watching: who is told what; None: pairs that can't be used are warned of.
        trust_remote_code: as for ``open``, of the models that the file names.

    Raises:
        NotFoundError: there is no such file.
        UsageError: it has unknown settings or values.
        CollapseError: the training went wrong beyond repair.
    """
    from eval.training import train

    into = None if output is None else Path(output)
    kept = None if cache is None else Path(cache)
    return train(Path(config), into, kept, watching, _trusted(trust_remote_code))


def _items(corpus: str | Path | Documents, reading: Reading) -> Iterable[Item]:
    from eval.datasets import named_corpus
    from lsr.corpus.items import given_items
    from lsr.corpus.readers.corpus import check_of_records

    if isinstance(corpus, str | Path):
        return named_corpus(str(corpus), reading)
    check_of_records(reading)
    return given_items(corpus, reading.names)


def _check_only_reading(**arguments: object) -> None:
    from lsr.errors import UsageError

    if given := [name for name, value in arguments.items() if value]:
        raise UsageError(
            f"{' and '.join(given)} can't be said of an index of a server, which decides it itself;"
            " leave it out"
        )


def _trusted(all_models: bool) -> TrustedCode:
    from lsr.trusted_code import TrustedCode

    return TrustedCode.of_invocation(all_models)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lsr' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
