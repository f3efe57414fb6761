"""Experiments: one dataset through the pipeline that serves, measured."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import platform
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from eval.datasets import Dataset
from eval.measures import STANDARD, measure
from eval.run import Run, write_run
from index.collection.collection import Collection
from index.collection.field import DENSE, SPARSE, Field
from index.collection.store import VERSION
from index.search.config import HYBRID, LARGEST_LIMIT, SearchConfig
from index.search.pipeline import search_batch
from index.search.query import SearchQuery
from lsr.encoders.encoder import short_name
from lsr.errors import UsageError

QUERIES_AT_A_TIME = 64
PACKAGES = ("lsr", "numpy", "tokenizers", "torch", "transformers", "faiss-cpu", "ir-measures")


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a number came from; enough to tell two numbers apart."""

    fields: dict[str, str]
    data: str
    engine: str
    versions: dict[str, str]

    def line(self) -> str:
        """One line for people."""
        fields = " ".join(f"{name}={fingerprint}" for name, fingerprint in self.fields.items())
        versions = " ".join(f"{name}={number}" for name, number in self.versions.items())
        return f"{fields} data={self.data} engine={self.engine} {versions}"


@dataclass(frozen=True, slots=True)
class Result:
    """One row of the table. ``ms_per_query`` is wall time, encoding of the query included."""

    dataset: str
    encoder: str
    using: str
    engine: str
    documents: int
    queries: int
    measures: dict[str, float]
    ms_per_query: float
    provenance: Provenance
    run: Run = dataclasses.field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """Everything but the run."""
        return {
            name: asdict(value) if isinstance(value := getattr(self, name), Provenance) else value
            for name in self.__slots__
            if name != "run"
        }


def evaluate(
    dataset: Dataset,
    collection: Collection,
    config: SearchConfig,
    measures: Sequence[str] = STANDARD,
    on_queries: Callable[[int], None] = lambda done: None,
) -> Result:
    """Search for every judged query as a user would, and measure the rankings.

    A ranking has ``config.limit`` results after the query's own id was left out.
    """
    limit = config.limit
    if dataset.drops_self:
        config = replace(config, limit=min(limit + 1, LARGEST_LIMIT))
    run: dict[str, list[tuple[str, float]]] = {}
    seconds = 0.0
    using, searched, query_encoder = config.using or "", set[str](), dict[str, str]()
    for start in range(0, len(dataset.queries), QUERIES_AT_A_TIME):
        part = dataset.queries[start : start + QUERIES_AT_A_TIME]
        started = time.perf_counter()
        results = search_batch(collection, [SearchQuery(text=query.text) for query in part], config)
        seconds += time.perf_counter() - started
        for query, result in zip(part, results, strict=True):
            using, searched, query_encoder = result.using, set(result.encoder), result.query_encoder
            run[query.id] = [
                (hit.id, hit.score)
                for hit in result.hits
                if not (dataset.drops_self and hit.id == query.id)
            ][:limit]
        on_queries(min(start + QUERIES_AT_A_TIME, len(dataset.queries)))
    fields = [field for field in collection.fields if field.name in searched]
    return Result(
        dataset=dataset.name,
        encoder="+".join(_label(field, config) for field in fields),
        using=using,
        engine=config.engine,
        documents=len(collection),
        queries=len(dataset.queries),
        measures=measure(dataset.qrels, run, measures),
        ms_per_query=1000 * seconds / max(len(dataset.queries), 1),
        provenance=provenance(dataset, collection, config.engine, query_encoder),
        run=run,
    )


def _label(field: Field, config: SearchConfig) -> str:
    """A field's encoder, and that of its queries after ``<-`` where it is another."""
    if field.name == SPARSE and config.query_encoder is not None:
        return f"{short_name(field.encoder)}<-{short_name(config.query_encoder)}"
    return short_name(field.encoder)


def every_search(collection: Collection) -> list[str]:
    """Each field of a collection, and hybrid where there is a dense one."""
    names = [field.name for field in collection.fields]
    return [*names, HYBRID] if DENSE in names else names


def save_runs(path: Path, results: Sequence[Result]) -> None:
    """Write a TREC run; of several, each to a file with encoder and search before the suffix."""
    for result in results:
        kind = re.sub(r"[/:<]+", "-", f"{result.encoder}.{result.using}")
        several = path.with_name(f"{path.stem}.{kind}{path.suffix}")
        write_run(path if len(results) == 1 else several, result.run, f"lsr-{result.using}")


def provenance(
    dataset: Dataset,
    collection: Collection,
    engine: str,
    query_encoder: Mapping[str, str] | None = None,
) -> Provenance:
    """Fingerprints of the encoders and of the data, and the versions installed.

    ``query_encoder`` as in ``SearchResult``.
    """
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return Provenance(
        {field.name: field.fingerprint for field in collection.fields}
        | {f"{name}-queries": fingerprint for name, fingerprint in (query_encoder or {}).items()},
        f"{collection.digest()}/{dataset.digest()}",
        engine,
        versions,
    )


def experiment_folder(dataset: Dataset, fields: Sequence[Field]) -> Path:
    """Where the index of an experiment is kept between runs."""
    key = repr([(field.name, field.fingerprint) for field in fields]) + dataset.digest()
    digest = hashlib.blake2b(key.encode(), digest_size=6).hexdigest()
    safe = "".join(letter if letter.isalnum() else "-" for letter in dataset.name)
    return cache_folder() / "eval" / f"{safe}-{digest}"


def cache_folder() -> Path:
    """Where collections are kept that can be made again.

    In ``LSR_CACHE``, or else ``lsr`` in the user's cache folder; a folder for each format of
    collections, so that a new release makes its own.
    """
    base = Path(os.environ.get("LSR_CACHE") or Path.home() / ".cache" / "lsr")
    return base / f"format-{VERSION}"


def check_same_documents(dataset: Dataset, collection: Collection, read: int) -> None:
    """Raise UsageError where the collection holds documents that the dataset does not."""
    if len(collection) > read:
        raise UsageError(
            f"the collection {collection.path} holds {len(collection)} documents and the dataset "
            f"{dataset.name!r} has {read}; evaluate in an index of its own (another --index)"
        )
