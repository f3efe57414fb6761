"""Experiments: one dataset through the pipeline that serves, measured."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eval.cell import Cell, Provenance
from eval.datasets import Dataset
from eval.measures import STANDARD, measure_all, parse_measures
from eval.overlap import mean_overlap
from eval.ranking import rank_queries, warm_up
from eval.run import write_run
from index.collection.collection import Collection
from index.collection.field import DENSE, SPARSE, Field, encoder_fields
from index.collection.opening import open_or_create
from index.collection.passage_table import AUTO
from index.collection.schema import VERSION
from index.indexing import index_documents
from index.search.config import HYBRID, SearchConfig
from index.search.reranking import Reranked
from lsr.cache import cache_root
from lsr.corpus.items import Item
from lsr.distribution import installed_versions
from lsr.encoders.encoder import short_name
from lsr.encoding.progress import LoggedProgress, Progress
from lsr.errors import InputError, UsageError
from lsr.trusted_code import NO_CODE, TrustedCode

PACKAGES = ("lsr", "numpy", "tokenizers", "torch", "transformers", "faiss-cpu", "ir-measures")


@dataclass(frozen=True)
class ExperimentProgress:
    """Who is told what of an experiment; by default documents that are left out are warned of."""

    # Takes the documents and what is done with them, and opens what is told of the indexing.
    indexing: Callable[[Iterable[Item], str], AbstractContextManager[Progress]] = (
        lambda items, label: nullcontext(LoggedProgress())
    )
    # Takes the number of queries and what is done with them, and opens what takes those done.
    searching: Callable[[int, str], AbstractContextManager[Callable[[int], None]]] = (
        lambda total, label: nullcontext(lambda done: None)
    )


def evaluate_dataset(
    dataset: Dataset,
    encoder: str | None = None,
    dense: str | None = None,
    bm25: bool = False,
    *,
    index: Path | None = None,
    searching: SearchConfig | None = None,
    measures: Sequence[str] = STANDARD,
    depth: int = 100,
    against: str | None = None,
    progress: ExperimentProgress | None = None,
    trusted: TrustedCode = NO_CODE,
    passages: str | None = None,
    language: str | None = None,
) -> list[Cell]:
    """Index a dataset, or reuse its index, and score searches of it.

    Args:
        dataset: of ``load_dataset``.
        encoder: as for ``open_or_create``.
        dense: as for ``open_or_create``.
        bm25: as for ``open_or_create``.
        index: directory of the collection, made if need be; None: one in the user's cache for each
            dataset and set of encoders, which later calls reuse.
        searching: how, but for ``limit``; where it says no ``using``, each field and their fusion
            are searched, or with a query encoder what of these it has a part in.
        measures: such as ``nDCG@10``.
        depth: results per query.
        against: what is searched, plainly, to see how alike the rankings are: each row gets the
            measure ``RBO@depth``, as ``rank_biased_overlap`` says; None: nothing.
        progress: who is told what.
        trusted: the models whose Python code may run.
        passages: as for ``open_or_create``.
        language: as for ``open_or_create``.

    Returns:
        A row for each search.

    Raises:
        UsageError: a measure, a field or the engine is unknown, or the index holds documents that
            the dataset does not.
        EncoderMismatchError: the index has other encoders than are asked for.
    """
    parse_measures(measures)
    told = progress or ExperimentProgress()
    if index is None:
        fields = encoder_fields(encoder, dense, bm25, trusted, language)
        index = experiment_folder(dataset, fields, passages or AUTO)
    with closing(
        open_or_create(index, encoder, dense, bm25, trusted, passages, language)
    ) as collection:
        _bring_up_to_date(dataset, collection, told)
        rows = []
        asked = replace(searching or SearchConfig(), limit=depth, payload=False)
        for choice in _choices(collection, asked):
            config = replace(asked, using=choice)
            if choice != HYBRID and "+" not in choice:
                config = replace(config, fusion=None, fusion_depth=None)
            with told.searching(len(dataset.queries), f"searching {choice}") as on_queries:
                rows.append(evaluate(dataset, collection, config, measures, on_queries))
        if against is not None:
            config = SearchConfig(limit=depth, using=against, engine=asked.engine, payload=False)
            with told.searching(len(dataset.queries), f"searching {against}") as on_queries:
                other = evaluate(dataset, collection, config, measures, on_queries)
            rows = [_compared(row, other, depth) for row in rows]
        return rows


def _compared(row: Cell, other: Cell, depth: int) -> Cell:
    """A row with how alike it ranks to another."""
    overlap = mean_overlap(row.run, other.run, depth)
    return replace(row, measures={**row.measures, f"RBO@{depth}": overlap})


def _bring_up_to_date(
    dataset: Dataset, collection: Collection, progress: ExperimentProgress
) -> None:
    items = dataset.corpus()
    with progress.indexing(items, f"indexing {dataset.name}") as told:
        report = index_documents(collection, items, told)
    check_same_documents(dataset, collection, report.read)


def _choices(collection: Collection, asked: SearchConfig) -> list[str]:
    """What is searched where nothing is said: all, or what a query encoder has a part in."""
    if asked.using:
        return [asked.using]
    choices = every_search(collection)
    return [each for each in choices if not asked.query_encoder or each in (SPARSE, HYBRID)]


def evaluate(
    dataset: Dataset,
    collection: Collection,
    config: SearchConfig,
    measures: Sequence[str] = STANDARD,
    on_queries: Callable[[int], None] = lambda done: None,
) -> Cell:
    """Search for every judged query as a user would, and measure the rankings.

    A ranking has ``config.limit`` results after the query's own id was left out. A query without
    text finds nothing, which counts as 0.
    """
    warm_up(collection, dataset.queries, config)
    ranked = rank_queries(
        collection, dataset.queries, config, dataset.drops_self, on_queries=on_queries
    )
    fields = [field for field in collection.fields if field.name in ranked.fields]
    means, per_query = measure_all(dataset.qrels, ranked.run, measures)
    return Cell(
        dataset=dataset.name,
        encoder="+".join(_label(field, config) for field in fields)
        + (f">{ranked.reranked.model}" if ranked.reranked else ""),
        using=ranked.using,
        engine=config.engine,
        documents=len(collection),
        queries=len(dataset.queries),
        measures=means,
        provenance=provenance(
            dataset, collection, config.engine, ranked.query_encoder, ranked.reranked
        ),
        config=settings_of(config),
        per_query=per_query,
        costs={"ms_per_query": 1000 * ranked.seconds / max(len(dataset.queries), 1)},
        run=ranked.run,
    )


def settings_of(config: SearchConfig) -> dict[str, Any]:
    """The settings of a search that are not the defaults, as JSON values."""
    defaults = SearchConfig()
    return {
        each.name: _plain(getattr(config, each.name))
        for each in dataclasses.fields(config)
        if getattr(config, each.name) != getattr(defaults, each.name)
    }


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        members = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        return {
            "kind": type(value).__name__,
            **{name: _plain(each) for name, each in members.items()},
        }
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, str | int | float | bool | None) else repr(value)


def _label(field: Field, config: SearchConfig) -> str:
    """A field's encoder, and that of its queries after ``<-`` where it is another."""
    if field.name == SPARSE and config.query_encoder is not None:
        return f"{short_name(field.encoder)}<-{short_name(config.query_encoder)}"
    return short_name(field.encoder)


def every_search(collection: Collection) -> list[str]:
    """Each field of a collection, and hybrid where there is a dense one."""
    names = [field.name for field in collection.fields]
    return [*names, HYBRID] if DENSE in names else names


def save_runs(path: Path, results: Sequence[Cell]) -> None:
    """Write a TREC run; of several, each to a file with encoder and search before the suffix.

    Raises:
        InputError: an id holds white space, which the format can't.
    """
    for result in results:
        kind = re.sub(r"[/:<>]+", "-", f"{result.encoder}.{result.using}")
        several = path.with_name(f"{path.stem}.{kind}{path.suffix}")
        target = path if len(results) == 1 else several
        try:
            write_run(target, result.run, f"lsr-{result.using}")
        except InputError as error:
            raise InputError(f"the run {target} was not written: {error}") from error


def provenance(
    dataset: Dataset,
    collection: Collection,
    engine: str,
    query_encoder: Mapping[str, str] | None = None,
    reranked: Reranked | None = None,
) -> Provenance:
    """Fingerprints of the encoders and of the data, and the versions installed.

    ``query_encoder`` and ``reranked`` as in ``SearchResult``.
    """
    versions = {"python": platform.python_version()} | installed_versions(PACKAGES)
    return Provenance(
        {field.name: field.fingerprint for field in collection.fields}
        | {f"{name}-queries": fingerprint for name, fingerprint in (query_encoder or {}).items()}
        | ({"rerank": reranked.fingerprint} if reranked else {}),
        f"{collection.digest()}/{dataset.digest()}",
        engine,
        f"{collection.passages} (split: {collection.describe()['split']})",
        versions,
    )


def experiment_folder(dataset: Dataset, fields: Sequence[Field], passages: str = AUTO) -> Path:
    """Where the index of an experiment is kept between runs."""
    parts = [passages, *((field.name, field.fingerprint) for field in fields)]
    key = repr(parts) + dataset.digest()
    digest = hashlib.blake2b(key.encode(), digest_size=6).hexdigest()
    safe = "".join(letter if letter.isalnum() else "-" for letter in dataset.name)
    return cache_folder() / "eval" / f"{safe}-{digest}"


def cache_folder() -> Path:
    """Where collections are kept that can be made again.

    In ``LSR_CACHE``, or else ``lsr`` in the user's cache folder; a folder for each format of
    collections, so that a new release makes its own.
    """
    return cache_root() / f"format-{VERSION}"


def check_same_documents(dataset: Dataset, collection: Collection, read: int) -> None:
    """Raise UsageError where the collection holds documents that the dataset does not."""
    if len(collection) > read:
        raise UsageError(
            f"the collection {collection.path} holds {len(collection)} documents and the dataset "
            f"{dataset.name!r} has {read}; evaluate in an index of its own (another --index)"
        )
