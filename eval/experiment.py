"""Experiments: one dataset through the pipeline that serves, measured."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol

from eval.caveats import queries_without_text
from eval.cell import Cell, Provenance
from eval.costs import query_times, vector_costs
from eval.datasets import Dataset
from eval.kept_indexes import (
    RATE,
    donors_for,
    experiment_folder,
    is_complete,
    note_use,
    told_of_dataset,
)
from eval.measures import STANDARD, measured, measures_and_depth
from eval.overlap import mean_overlap
from eval.ranking import rank_queries, warm_up
from eval.systems import Planned, choices_of, label_of, plan, search_of, settings_of
from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.collection.passage_table import AUTO
from index.collection.search_defaults import search_defaults_text
from index.collection.writable import Writable
from index.indexing import IndexReport, index_documents
from index.opening import Place, open_or_create
from index.search.config import LARGEST_LIMIT, SearchConfig
from index.search.reranking import Reranked
from lsr.corpus.items import Item
from lsr.distribution import installed_versions
from lsr.encoding.progress import LoggedProgress, Progress
from lsr.errors import UsageError
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


class Done(Protocol):
    """Cells that are there already, which of them get a row, and who is given each new one."""

    def wants(self, planned: Planned) -> bool: ...  # noqa: D102

    def find(self, dataset: Dataset, planned: Planned) -> Cell | None: ...  # noqa: D102

    def keep(self, planned: Planned, cell: Cell) -> Cell: ...  # noqa: D102

    def list(self, planned: Planned, cell: Cell, kept: bool) -> None: ...  # noqa: D102


def evaluate_dataset(
    dataset: Dataset,
    encoder: str | None = None,
    dense: str | None = None,
    bm25: bool = False,
    *,
    index: Place | None = None,
    searching: SearchConfig | None = None,
    using: Sequence[str] = (),
    measures: Sequence[str] = (),
    depth: int | None = None,
    against: str | None = None,
    progress: ExperimentProgress | None = None,
    trusted: TrustedCode = NO_CODE,
    passages: str | None = None,
    language: str | None = None,
    names: Mapping[str, str] | None = None,
    done: Done | None = None,
) -> list[Cell]:
    """Index a dataset, or reuse its index, and score searches of it.

    Args:
        dataset: of ``load_dataset``.
        encoder: as for ``open_or_create``.
        dense: as for ``open_or_create``.
        bm25: as for ``open_or_create``.
        index: directory of the collection, made if need be; None: one in the user's cache for each
            corpus and set of encoders, which later calls reuse.
        searching: how, but for ``limit``.
        using: what is searched; empty: what ``searching`` says, or else each field and their
            fusions, or with a query encoder what of these it has a part in.
        measures: such as ``nDCG@10``; empty: the standard ones, cut at the depth.
        depth: results per query; None: as many as the measures need, 100 or more.
        against: what is searched, plainly, to see how alike the rankings are: each row gets the
            measure ``RBO@depth``, as ``rank_biased_overlap`` says; None: nothing.
        progress: who is told what.
        trusted: the models whose Python code may run.
        passages: as for ``open_or_create``.
        language: as for ``open_or_create``.
        names: of encoders by their fingerprints, for rows; the others have their short names.
        done: what is there needs no search, and without any search no index either.

    Returns:
        A row for each search.

    Raises:
        UsageError: a measure, a field or the engine is unknown, a measure is deeper than the depth,
            or the index holds documents that the dataset does not.
        EncoderMismatchError: the index has other encoders than are asked for.
    """
    measures, depth = measures_and_depth(measures, depth, LARGEST_LIMIT)
    told = progress or ExperimentProgress()
    asked = replace(searching or SearchConfig(), limit=depth, payload=False)
    with ExitStack() as stack:
        if index is None:
            fields = encoder_fields(encoder, dense, bm25, trusted, language)
            folder = experiment_folder(dataset, fields, passages or AUTO)
            stack.enter_context(told_of_dataset(dataset, folder))

        indexing: dict[str, float] = {}

        @cache
        def collection() -> Writable:
            opened = open_or_create(
                folder if index is None else index,
                encoder, dense, bm25, trusted, passages, language,
            )  # fmt: skip
            stack.callback(opened.close)
            rate = _bring_up_to_date(dataset, opened, told, is_kept=index is None)
            indexing.update({} if rate is None else {RATE: rate})
            return opened

        tuned = ""
        if index is not None:
            fields = list(collection().fields)
            tuned = search_defaults_text(collection().store)

        def searched(planned: Planned, is_row: bool = True) -> Cell:
            label = f"{dataset.name}: searching {planned.config.using}"
            indexed = collection()
            with told.searching(len(dataset.queries), label) as on_queries:
                found = evaluate(dataset, indexed, planned.config, measures, on_queries)
            costs: dict[str, float] = {}
            if is_row:
                costs = {
                    **found.costs,
                    **query_times(indexed, dataset.queries, planned.config),
                    **vector_costs(indexed, dataset.queries, planned.config),
                    **indexing,
                }
            found = replace(found, encoder=planned.encoder, system=planned.system, costs=costs)
            return found if done is None else done.keep(planned, found)

        rows = []
        for choice in choices_of(fields, asked, using):
            planned = plan(fields, search_of(choice, asked), measures, trusted, names or {}, tuned)
            if done is not None and not done.wants(planned):
                continue
            kept = None if done is None else done.find(dataset, planned)
            if kept is not None and not kept.costs:
                # So far it was what others are compared with, for which nobody waits for costs.
                kept = None
            rows.append(kept or searched(planned))
            if done is not None:
                done.list(planned, rows[-1], kept is not None)
        if against is not None:
            plain = SearchConfig(limit=depth, using=against, engine=asked.engine, payload=False)
            planned = plan(fields, plain, measures, trusted, names or {}, tuned)
            kept = next((row for row in rows if row.system == planned.system), None)
            if kept is None and done is not None:
                kept = done.find(dataset, planned)
            other = kept or searched(planned, is_row=False)
            rows = [_compared(row, other, depth) for row in rows]
        return rows


def _compared(row: Cell, other: Cell, depth: int) -> Cell:
    """A row with how alike it ranks to another."""
    overlap = mean_overlap(row.run, other.run, depth)
    return replace(row, measures={**row.measures, f"RBO@{depth}": overlap})


def _bring_up_to_date(
    dataset: Dataset, collection: Writable, progress: ExperimentProgress, is_kept: bool
) -> float | None:
    """Have the documents of a dataset in an index, and no others.

    In one that ``is_kept`` in the cache, vectors come from others there as far as they have them.

    Returns:
        How many documents a second were read, encoded and indexed when all were; None where that
        is not known.
    """
    rate: float | None = None
    items = dataset.corpus()
    kept = collection if is_kept and isinstance(collection, Collection) else None
    complete = kept is not None and is_complete(kept, dataset)
    with progress.indexing(items, f"indexing {dataset.name}") as told:
        if complete:
            for sentence in dataset.contents.rejected:
                told.rejected(sentence)
        elif kept is not None:
            with donors_for(dataset, list(kept.fields), kept.path) as donors:
                report = index_documents(collection, items, told, donors=donors)
                rate = None if donors.collections else _rate(report)
        else:
            rate = _rate(index_documents(collection, items, told))
    if not complete:
        check_same_documents(dataset, collection)
    return rate if kept is None else note_use(kept, dataset, rate)


def _rate(report: IndexReport) -> float | None:
    whole = report.encoded > 0 and not report.unchanged
    return report.encoded / report.seconds if whole else None


def evaluate(
    dataset: Dataset,
    collection: Writable,
    config: SearchConfig,
    measures: Sequence[str] = STANDARD,
    on_queries: Callable[[int], None] = lambda done: None,
) -> Cell:
    """Search for every judged query as a user would, and measure the rankings.

    A ranking has ``config.limit`` results after the query's own id was left out. A query without
    text finds nothing, which counts as 0 and is told by the result's caveats.
    """
    warm_up(collection, dataset.queries, config)
    ranked = rank_queries(
        collection, dataset.queries, config, dataset.drops_self, on_queries=on_queries
    )
    fields = [field for field in collection.fields if field.name in ranked.fields]
    values = measured(dataset.qrels, ranked.run, measures)
    engine = config.engine if isinstance(collection, Collection) else "qdrant"
    return Cell(
        dataset=dataset.name,
        encoder="+".join(label_of(field, config, {}) for field in fields)
        + (f">{ranked.reranked.model}" if ranked.reranked else ""),
        using=ranked.using,
        engine=engine,
        documents=len(collection),
        queries=len(dataset.queries),
        measures=values.means,
        provenance=provenance(dataset, collection, engine, ranked.query_encoder, ranked.reranked),
        config=settings_of(config),
        caveats=[*dataset.caveats, *queries_without_text(dataset)],
        per_query=values.per_query,
        costs={"ms_per_query": 1000 * ranked.seconds / max(len(dataset.queries), 1)},
        run=ranked.run,
    )


def installed() -> dict[str, str]:
    """The versions of what has a part in a number."""
    return {"python": platform.python_version()} | installed_versions(PACKAGES)


def provenance(
    dataset: Dataset,
    collection: Writable,
    engine: str,
    query_encoder: Mapping[str, str] | None = None,
    reranked: Reranked | None = None,
) -> Provenance:
    """Fingerprints of the encoders and of the data, and the versions installed.

    ``query_encoder`` and ``reranked`` as in ``SearchResult``.
    """
    return Provenance(
        {field.name: field.fingerprint for field in collection.fields}
        | {f"{name}-queries": fingerprint for name, fingerprint in (query_encoder or {}).items()}
        | ({"rerank": reranked.fingerprint} if reranked else {}),
        f"{collection.digest()}/{dataset.digest()}",
        engine,
        f"{collection.passages} (split: {collection.describe()['split']})",
        installed(),
    )


def check_same_documents(dataset: Dataset, collection: Writable) -> None:
    """Raise UsageError where the collection holds documents that the dataset does not."""
    if collection.digest() == dataset.contents.digest:
        return
    strange = set(collection.ids())
    for item in dataset.corpus():
        if item.document is not None:
            strange.discard(item.document.id)
    if strange:
        raise UsageError(
            f"the collection {collection.place} holds documents that the data set {dataset.name!r} "
            f"does not: {len(strange)}, such as {min(strange)!r}; evaluate in an index of its own "
            "(another --index)"
        )
