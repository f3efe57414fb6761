"""Training pairs of a query and a document that answers it: files, samples, held-out queries."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.corpus.documents import check_unicode
from lsr.corpus.files import beir_file, open_counted, suffix_within, user_path
from lsr.corpus.items import Item, lines
from lsr.corpus.json_values import parse_json
from lsr.corpus.qrels import read_qrels
from lsr.corpus.queries import jsonl_queries
from lsr.corpus.readers.corpus import Corpus
from lsr.errors import InputError, NotFoundError, UsageError

SUFFIXES = (".jsonl", ".ndjson")
# Of a pair: what is used, and what ``lsr pairs`` writes beside it.
MEMBERS = {"query", "positive", "negative", "negatives", "kind", "document"}
# Given negatives of a pair that are read.
MOST_NEGATIVES = 100
MEMBERS_NAMED, MEMBER_SHOWN = 6, 40
OnRejected = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Pair:
    """A query and a document that answers it, and documents that are given as wrong."""

    query: str
    positive: str
    negatives: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class PairSource:
    """Where pairs come from, and how many of them are taken."""

    # A .jsonl file (plain, .gz or .xz) or a BEIR folder.
    path: str
    # Pairs that are sampled, 1 or more; None: all.
    limit: int | None = None
    # The judgements of a BEIR folder that are read.
    split: str = "train"

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UsageError(
                f"the limit of {self.path!r} is {self.limit}; allowed is 1 or more, or none"
            )


def read_pairs(
    source: str, on_rejected: OnRejected = lambda sentence: None, split: str = "train"
) -> Iterator[Pair]:
    """The pairs of a source, in order.

    A line of a .jsonl file is an object with ``query`` and ``positive``, both strings; ``negative``
    or ``negatives``, a string or a list of them, are wrong documents, of which the first
    ``MOST_NEGATIVES`` are read. Which others of its members are not used is said once. Of a BEIR
    folder, a pair is a query and the contents of a document that the split judges above 0.

    Args:
        source: a .jsonl file, plain, .gz or .xz, or a BEIR folder.
        on_rejected: takes a sentence on each item that is no pair, and on what is not used.
        split: which judgements of a BEIR folder.

    Raises:
        NotFoundError: there is no such file or folder, or it lacks a file of BEIR's.
        InputError: it is of no known kind, or the queries or judgements are malformed.
    """
    path = user_path(source)
    if not source or not path.exists():
        raise NotFoundError(
            f"there is no file or folder {source!r}; give a .jsonl file of pairs or a BEIR folder"
        )
    if path.is_dir():
        return _judged_pairs(path, split, on_rejected)
    if suffix_within(path) not in SUFFIXES:
        raise InputError(
            f"{source!r} is of no known kind; files of pairs end in {' or '.join(SUFFIXES)}, "
            "plain, .gz or .xz"
        )
    return _json_pairs(path, on_rejected)


def _json_pairs(path: Path, on_rejected: OnRejected) -> Iterator[Pair]:
    unused: Counter[str] = Counter()
    with open_counted(path, lambda read: None) as stream:
        for number, line in lines(stream, str(path)):
            if isinstance(line, Item):
                on_rejected(f"{line.place}: {line.reason}")
            elif line.strip():
                try:
                    record = parse_json(line)
                    pair = _pair(record)
                except InputError as error:
                    on_rejected(f"{path}:{number}: {error}")
                else:
                    members = {name[:MEMBER_SHOWN] for name in record.keys() - MEMBERS}
                    # Of a file whose members have names by the thousand, the first are enough.
                    unused.update(members if len(unused) < MEMBERS_NAMED else members & set(unused))
                    yield pair
    if unused:
        on_rejected(_unused(path, unused))


def _unused(path: Path, members: Mapping[str, int]) -> str:
    """A sentence on the members of pairs that no training uses."""
    named = ", ".join(f"{name!r} (of {count} pairs)" for name, count in sorted(members.items()))
    advice = ""
    if any("negative" in name.casefold() for name in members):
        advice = "; negatives are read from 'negative' and 'negatives'"
    return f"{path}: not used are the members {named}{advice}"


def _pair(record: object) -> Pair:
    texts = [record.get(name) for name in ("query", "positive")] if isinstance(record, dict) else []
    if not texts or not all(isinstance(text, str) for text in texts):
        raise InputError("no pair; give an object whose 'query' and 'positive' are strings")
    query, positive = map(str, texts)
    negatives = tuple(check_unicode(text, "negative") for text in _negatives(record))
    return Pair(check_unicode(query, "query"), check_unicode(positive, "positive"), negatives)


def _negatives(record: Any) -> list[str]:
    """The texts under ``negative`` and ``negatives``: each once, none blank or the positive."""
    texts: list[Any] = []
    for name in ("negative", "negatives"):
        value = record.get(name, [])
        texts += value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise InputError(
            "no pair; give a string or a list of strings as 'negative', or leave it out"
        )
    wrong = dict.fromkeys(text for text in texts if text.strip() and text != record["positive"])
    return list(wrong)[:MOST_NEGATIVES]


def _judged_pairs(folder: Path, split: str, on_rejected: OnRejected) -> Iterator[Pair]:
    queries = beir_file(folder, "queries.jsonl")
    judgements = beir_file(folder / "qrels", f"{split}.tsv")
    if queries is None or judgements is None or beir_file(folder, "corpus.jsonl") is None:
        raise NotFoundError(
            f"{str(folder)!r} is no BEIR folder with the split {split!r}; it needs corpus.jsonl, "
            f"queries.jsonl and qrels/{split}.tsv, plain, .gz or .xz"
        )
    qrels = read_qrels(judgements)
    asked: dict[str, list[str]] = {}
    known = set()
    for query in jsonl_queries(queries):
        known.add(query.id)
        for document, grade in qrels.get(query.id, {}).items():
            if grade > 0:
                asked.setdefault(document, []).append(query.text)
    for identifier in sorted(qrels.keys() - known):
        on_rejected(f"{judgements}: the query {identifier!r} is not in {queries}")
    for item in Corpus(str(folder)):
        if item.document is None:
            on_rejected(f"{item.place}: {item.reason}")
        else:
            for text in asked.pop(item.document.id, ()):
                yield Pair(text, item.document.contents)
    for identifier in sorted(asked):
        on_rejected(f"{judgements}: the document {identifier!r} is not in the corpus")


@dataclass(frozen=True)
class HeldOut:
    """Judged queries that are not trained on, in an order that is as good as random.

    ``queries`` and ``documents`` map an id to its text, ``qrels`` a query id to document id to 1.
    The documents are the positives of the queries, nothing else.
    """

    queries: dict[str, str]
    documents: dict[str, str]
    qrels: dict[str, dict[str, int]]


@dataclass(frozen=True, eq=False)
class TrainingCorpus:
    """Pairs as rows: query i is answered by document ``positives[i]``, int64 (queries,).

    ``query_groups`` int64 (queries,) has the same number for the same query text, letter case and
    white space left aside: a document of one is right for all of them. Equal documents are one
    row. ``held_out`` is what was kept aside. ``sampled`` is how many pairs each source gave.
    ``given`` int64 (queries, most) are the rows of the negatives that pairs came with, -1 where one
    has fewer.
    """

    queries: Sequence[str]
    documents: Sequence[str]
    positives: NDArray[np.int64]
    held_out: HeldOut = field(default_factory=lambda: HeldOut({}, {}, {}), repr=False)
    sampled: tuple[int, ...] = ()
    given: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 0), dtype=np.int64))

    @classmethod
    def build(
        cls,
        sources: Iterable[PairSource],
        seed: int = 0,
        held_out: float = 0.0,
        on_rejected: OnRejected = lambda sentence: None,
    ) -> TrainingCorpus:
        """Sample pairs of each source and keep some queries aside.

        What is sampled, and the order of rows, depend on the texts, the limits and, where a limit
        leaves pairs out, the seed, not on the order of a file. What is held out depends on the
        texts alone. A pair is left out that is there already, whose query or document is blank, or
        whose two texts are the same; and a pair of a query that is not held out with a document
        that is.

        Args:
            sources: where pairs are, and how many are taken of each.
            seed: chooses the sample.
            held_out: share of the queries that are held out, 0 to below 1.
            on_rejected: takes a sentence on each line that is no pair, and on how many pairs
                were left out and why.

        Raises:
            UsageError: the share is not in the range, or no pair is left to train on.
            NotFoundError: a source is not there.
            InputError: a source is of no known kind.
        """
        if not 0 <= held_out < 1:
            raise UsageError(f"held_out is {held_out}; allowed is 0 to below 1")
        kept: dict[Pair, int] = {}
        aside: dict[Pair, int] = {}
        sampled: list[int] = []
        for source in sources:
            sample = _Sample(source.limit)
            left_out = 0
            for pair in read_pairs(source.path, on_rejected, source.split):
                query = normal(pair.query)
                if not query or not pair.positive.strip() or query == normal(pair.positive):
                    left_out += 1
                elif (place := text_hash(query)) < held_out * HASHES:
                    aside[pair] = place
                else:
                    sample.add(pair, text_hash(str(seed), pair.query, pair.positive))
            chosen = sample.pairs()
            if not sample.left_out:
                chosen = {pair: text_hash(pair.query, pair.positive) for pair in chosen}
            kept |= chosen
            sampled.append(len(chosen))
            if left_out:
                on_rejected(
                    f"{source.path}: {left_out} pairs are left out, whose query or document is "
                    "blank, or whose texts are the same"
                )
        judged = _held_out(sorted(aside, key=lambda pair: (aside[pair], pair.positive)))
        unseen = set(judged.documents.values())
        order = sorted(kept, key=lambda pair: (kept[pair], pair.query, pair.positive))
        pairs = [pair for pair in order if pair.positive not in unseen]
        if len(pairs) < len(order):
            on_rejected(f"{len(order) - len(pairs)} pairs are left out, whose document is held out")
        return cls._of(pairs, judged, tuple(sampled))

    @classmethod
    def _of(
        cls, pairs: Sequence[Pair], held_out: HeldOut, sampled: tuple[int, ...]
    ) -> TrainingCorpus:
        if not pairs:
            raise UsageError("there is no pair to train on; give sources that hold some")
        rows: dict[str, int] = {}
        positives = [rows.setdefault(pair.positive, len(rows)) for pair in pairs]
        queries = [pair.query for pair in pairs]
        # Behind the positives; what is held out is no negative either.
        unseen = set(held_out.documents.values())
        wrong = [
            [rows.setdefault(text, len(rows)) for text in pair.negatives if text not in unseen]
            for pair in pairs
        ]
        given = np.full((len(pairs), max(map(len, wrong))), -1, dtype=np.int64)
        for row, numbers in zip(given, wrong, strict=True):
            row[: len(numbers)] = numbers
        documents, right = list(rows), np.array(positives, dtype=np.int64)
        return cls(queries, documents, right, held_out, sampled, given)

    def count_given(self) -> NDArray[np.int64]:
        """How many negatives each pair came with, int64 (queries,)."""
        if not self.given.size:
            return np.zeros(len(self.queries), dtype=np.int64)
        counts: NDArray[np.int64] = np.count_nonzero(self.given >= 0, axis=1)
        return counts

    def say_unused(self, on_rejected: OnRejected, instead: str) -> None:
        """Say how many pairs came with negatives, where a training has no use for them."""
        if count := np.count_nonzero(self.count_given()):
            on_rejected(f"the negatives that {count:,} pairs came with are not used; {instead}")

    @cached_property
    def query_groups(self) -> NDArray[np.int64]:
        """See the class."""
        groups: dict[str, int] = {}
        numbers = [groups.setdefault(normal(query), len(groups)) for query in self.queries]
        return np.array(numbers, dtype=np.int64)

    def is_relevant(
        self, queries: NDArray[np.int64], documents: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Whether some pair with the text of its query names a candidate.

        ``queries`` (B,) and ``documents`` (B, C) are rows, bool (B, C) is returned; -1 is none.
        """
        keys = self.query_groups[queries][:, None] * len(self.documents) + documents
        found = np.minimum(np.searchsorted(self._judged, keys), len(self._judged) - 1)
        answer: NDArray[np.bool_] = (self._judged[found] == keys) & (documents >= 0)
        return answer

    @cached_property
    def _judged(self) -> NDArray[np.int64]:
        """Group times the number of documents, plus document, of all pairs, ascending."""
        return np.unique(self.query_groups * len(self.documents) + self.positives)

    @cached_property
    def digest(self) -> str:
        """32 hexadecimal digits over all texts and which answers which, held-out ones aside."""
        total = hashlib.blake2b(digest_size=16)
        for texts in (self.queries, self.documents):
            total.update(len(texts).to_bytes(8, "little"))
            for text in texts:
                data = text.encode()
                total.update(len(data).to_bytes(8, "little") + data)
        total.update(self.positives.tobytes())
        if self.given.size:
            total.update(self.given.tobytes())
        return total.hexdigest()


class _Sample:
    """The pairs of the smallest hashes, at most ``limit``, each once."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        # Whether there were more pairs.
        self.left_out = False
        self._hashes: dict[Pair, int] = {}
        self._largest: list[tuple[int, str, str]] = []

    def add(self, pair: Pair, number: int) -> None:
        if pair in self._hashes:
            return
        if self._limit is not None:
            entry = -number, pair.query, pair.positive
            if len(self._hashes) < self._limit:
                heapq.heappush(self._largest, entry)
            else:
                self.left_out = True
                _, query, positive = heapq.heappushpop(self._largest, entry)
                self._hashes.pop(Pair(query, positive), None)
                if (query, positive) == (pair.query, pair.positive):
                    return
        self._hashes[pair] = number

    def pairs(self) -> dict[Pair, int]:
        return self._hashes


def _held_out(pairs: Sequence[Pair]) -> HeldOut:
    """The judged set of pairs in order; queries of the same normal text are one."""
    names: dict[str, str] = {}
    rows: dict[str, str] = {}
    held = HeldOut({}, {}, {})
    for pair in pairs:
        name = names.setdefault(normal(pair.query), f"q{len(names)}")
        row = rows.setdefault(pair.positive, f"d{len(rows)}")
        held.queries.setdefault(name, pair.query)
        held.documents[row] = pair.positive
        held.qrels.setdefault(name, {})[row] = 1
    return held


HASHES = 1 << 64


def text_hash(*texts: str) -> int:
    """A number below ``HASHES``, as good as random."""
    total = hashlib.blake2b(digest_size=8)
    for text in texts:
        data = text.encode()
        total.update(len(data).to_bytes(8, "little") + data)
    return int.from_bytes(total.digest(), "little")


def normal(text: str) -> str:
    """A text in lower case with single spaces, by which queries are compared."""
    return " ".join(text.casefold().split())
