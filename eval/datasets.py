"""Test collections: BEIR folders, ir_datasets, and the demo."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from eval.contents import Contents, read_contents
from eval.demo import demo_qrels, demo_queries, stdlib_documents
from eval.known import known_by
from lsr.corpus.documents import Query
from lsr.corpus.files import beir_file, user_path
from lsr.corpus.items import Item
from lsr.corpus.qrels import Qrels, check_trec_id, read_qrels
from lsr.corpus.queries import jsonl_queries, read_queries
from lsr.corpus.readers.corpus import AS_USUAL, Corpus, Reading
from lsr.corpus.readers.ir_datasets import ir_dataset
from lsr.errors import InputError, NotFoundError, UsageError

DEMO = "demo"
# In these the queries are documents of the collection; BEIR does not count finding oneself.
SELF_RETRIEVING = ("arguana", "quora")


@dataclass(frozen=True)
class Dataset:
    """A corpus, its judged queries, and the judgements.

    ``corpus`` gives a fresh iterable over the documents at each call. ``queries`` holds exactly
    the queries that are judged. ``drops_self`` tells that a query's own id does not count.
    ``caveats`` are sentences that a reader of its results should know.
    """

    name: str
    corpus: Callable[[], Iterable[Item]] = field(repr=False)
    queries: list[Query] = field(repr=False)
    qrels: Qrels = field(repr=False)
    caveats: Sequence[str] = ()

    @property
    def drops_self(self) -> bool:
        """Whether a document with the query's id is left out of its ranking, as BEIR does."""
        return any(name in self.name.lower() for name in SELF_RETRIEVING)

    @cached_property
    def contents(self) -> Contents:
        """What the corpus holds, read once.

        Raises:
            NotFoundError: it can't be downloaded here.
        """
        items = self.corpus()
        if not str(getattr(items, "source", "")).startswith("irds:"):
            return read_contents(items)
        with _fetched(self.name):
            return read_contents(items)

    @property
    def without_text(self) -> list[str]:
        """Ids of the queries that have no word to search for; they find nothing and count as 0."""
        return [query.id for query in self.queries if not query.text.strip()]

    def check_trec_ids(self) -> None:
        """Raise InputError where a TREC file can't hold the id of a query or of a document."""
        for query in self.queries:
            check_trec_id(query.id)
        if self.contents.unfit:
            raise InputError(self.contents.unfit)

    def digest(self) -> str:
        """16 hexadecimal digits over queries and judgements."""
        judged = {query: dict(sorted(self.qrels[query].items())) for query in sorted(self.qrels)}
        texts = sorted((query.id, query.text) for query in self.queries)
        canonical = json.dumps([texts, judged], sort_keys=True).encode()
        return hashlib.blake2b(canonical, digest_size=8).hexdigest()


def load_dataset(name: str, split: str = "test", data: Path | None = None) -> Dataset:
    """The dataset of a BEIR folder, an ir_datasets id (with or without ``irds:``), or ``demo``.

    Args:
        name: which; of those in ``KNOWN`` also without ``beir/`` and the name of the split.
        split: the qrels file of a BEIR folder; an ir_datasets id names its own split.
        data: a folder with BEIR folders, in which it is looked for before it is downloaded.

    Raises:
        NotFoundError: there is no such dataset or split, or it can't be downloaded here.
        InputError: one of its files is malformed.
    """
    if name == DEMO:
        return Dataset(DEMO, demo_corpus, demo_queries(), demo_qrels())
    folder = local_folder(name, data)
    if folder is not None:
        return _beir(folder, split)
    if user_path(name).exists() or name.startswith((".", "/", "~")):
        raise NotFoundError(
            f"there is no folder {name!r}; give a BEIR folder (corpus.jsonl, queries.jsonl, "
            "qrels/), an ir_datasets id, or demo"
        )
    known = known_by(name)
    if known is None:
        return _ir_datasets(name.removeprefix("irds:"))
    if not known.free:
        raise NotFoundError(known.to_fetch(data))
    with _fetched(name, data):
        return _ir_datasets(known.id)


def local_folder(name: str, data: Path | None = None) -> Path | None:
    """The folder that a name means, itself or in the folder of data; None where there is none."""
    folder = user_path(name)
    if folder.is_dir():
        return folder
    if data is None or name.startswith((".", "/", "~")):
        return None
    inner = (data / name, data / name.removeprefix("beir/"))
    return next((path for path in inner if path.is_dir()), None)


@contextmanager
def _fetched(name: str, data: Path | None = None) -> Iterator[None]:
    """Of a download that fails inside, say what to fetch and where to put it.

    Raises:
        NotFoundError: a download failed.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        known = known_by(name)
        reason = type(error).__name__
        to_do = known.to_fetch(data) if known else "put its files where ir_datasets looks for them"
        raise NotFoundError(
            f"the data set {name!r} can't be downloaded here ({reason}): {to_do}"
        ) from error


def load_unjudged(folder: Path, queries: str | None = None, limit: int | None = None) -> Dataset:
    """A corpus and its queries before any is judged: no judgement is there.

    Args:
        folder: with corpus.jsonl and queries.jsonl, as of BEIR.
        queries: a file of queries to take instead.
        limit: how many of the queries that have a text, the first ones; None: all.

    Raises:
        NotFoundError: the folder or a file is missing.
        InputError: a file is malformed.
    """
    if beir_file(folder, "corpus.jsonl") is None:
        raise NotFoundError(
            f"{str(folder)!r} has no corpus.jsonl, plain or .gz; give such a folder"
        )
    asked = [each for each in read_queries(queries or str(folder)) if each.text.strip()][:limit]
    name, corpus = folder.resolve().name, Corpus(str(folder))
    return Dataset(name, lambda: corpus, asked, {query.id: {} for query in asked})


def named_corpus(source: str, reading: Reading = AS_USUAL) -> Iterable[Item]:
    """The documents of a corpus by the name that commands take: ``demo``, or as ``Corpus`` says.

    Raises:
        NotFoundError: there is no such source.
        InputError: it is of no known kind.
        UsageError: the reading asks for what the source has not.
    """
    if source != DEMO:
        return Corpus(source, reading)
    if reading != AS_USUAL:
        raise UsageError("the demo has its own fields and files; leave out the options on them")
    return demo_corpus()


def demo_corpus() -> Iterator[Item]:
    """The demo's documents as items."""
    for number, document in enumerate(stdlib_documents(), start=1):
        yield Item(DEMO, number, document)


def _beir(folder: Path, split: str) -> Dataset:
    queries_file = beir_file(folder, "queries.jsonl")
    qrels_file = beir_file(folder / "qrels", f"{split}.tsv")
    if beir_file(folder, "corpus.jsonl") is None or queries_file is None:
        raise NotFoundError(
            f"{str(folder)!r} is not a BEIR folder: it needs corpus.jsonl and queries.jsonl, "
            "plain or .gz"
        )
    if qrels_file is None:
        there = sorted(path.name.split(".")[0] for path in folder.glob("qrels/*.tsv*"))
        raise NotFoundError(
            f"{str(folder)!r} has no split {split!r}; it has {', '.join(there) or 'none'}"
        )
    qrels = read_qrels(qrels_file)
    queries = [query for query in jsonl_queries(queries_file) if query.id in qrels]
    return _judged(folder.resolve().name, Corpus(str(folder)), queries, qrels)


def _ir_datasets(name: str) -> Dataset:
    dataset = ir_dataset(name, needs="qrels")
    ir_dataset(name, needs="queries")
    qrels: dict[str, dict[str, int]] = {}
    for judgement in dataset.qrels_iter():
        qrels.setdefault(judgement.query_id, {})[judgement.doc_id] = int(judgement.relevance)
    queries = [
        Query(query.query_id, query.default_text())
        for query in dataset.queries_iter()
        if query.query_id in qrels
    ]
    return _judged(name, Corpus(f"irds:{name}"), queries, qrels)


def _judged(name: str, corpus: Corpus, queries: list[Query], qrels: Qrels) -> Dataset:
    missing = sorted(set(qrels) - {query.id for query in queries})
    if missing:
        raise InputError(
            f"the dataset {name!r} judges {len(missing)} queries that it does not have, "
            f"such as {missing[0]!r}"
        )
    return Dataset(name, lambda: corpus, queries, qrels)
