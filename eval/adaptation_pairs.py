"""The pairs of an adaptation: queries drawn from a collection's documents, and hard negatives."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

import numpy as np

from eval.adapted_encoder import drawn_documents
from index.collection.collection import Collection
from index.search.config import SearchConfig
from index.search.pipeline import search_batch
from index.search.query import SearchQuery
from lsr.chat_answers import KeptAnswers
from lsr.corpus.documents import Document
from lsr.train.chat_queries import ask_for_queries
from lsr.train.pair_files import writing_pairs
from lsr.train.pairs import normal
from lsr.train.query_generation import GeneratedPair, QueryGeneration, generate

QUERIES_AT_A_TIME = 64
# Queries that a chat endpoint writes for a document.
CHAT_QUERIES = 2


@dataclass(frozen=True)
class DrawnPairs:
    """How many pairs of each kind there are, and which documents count as wrong for them.

    ``count`` pairs at most, those of a chat endpoint first, for ``asked`` documents; ``negatives``
    documents of each pair, drawn by the seed from the first ``depth`` that the collection finds for
    its query. ``kinds`` are those of ``QueryGeneration``.
    """

    count: int
    asked: int
    negatives: int
    depth: int
    seed: int
    kinds: tuple[str, ...] = ("title", "heading", "span", "keywords")

    def write(
        self,
        collection: Collection,
        file: Path,
        answers: KeptAnswers | None,
        on_progress: Callable[[str, int, int], None],
    ) -> None:
        """Write the pairs to a file, whole or not at all."""
        generator = np.random.default_rng(self.seed)
        drawn = islice(self._generated(collection, answers), self.count)
        done = 0
        with writing_pairs(file) as write:
            while part := list(islice(drawn, QUERIES_AT_A_TIME)):
                for pair, wrong in zip(part, self._wrong(collection, part, generator), strict=True):
                    write(
                        {
                            "query": pair.query,
                            "positive": pair.positive,
                            "negatives": wrong,
                            "kind": pair.kind,
                            "document": pair.document,
                        }
                    )
                done += len(part)
                on_progress("pairs", done, self.count)
        on_progress("pairs", done, done)

    def _generated(
        self, collection: Collection, answers: KeptAnswers | None
    ) -> Iterator[GeneratedPair]:
        documents = drawn_documents(collection, self.seed)
        of_chat: Iterator[GeneratedPair] = iter(())
        if answers is not None:
            first = islice(drawn_documents(collection, self.seed), self.asked)
            of_chat = ask_for_queries(first, answers, CHAT_QUERIES)
        return chain(of_chat, generate(documents, QueryGeneration(self.kinds), self.seed))

    def _wrong(
        self, collection: Collection, pairs: list[GeneratedPair], generator: np.random.Generator
    ) -> list[list[str]]:
        """Texts of documents that the collection finds for each query, its own aside."""
        config = replace(_by_model(collection), limit=self.depth)
        asked = [SearchQuery(text=pair.query) for pair in pairs]
        found = []
        for pair, result in zip(pairs, search_batch(collection, asked, config), strict=True):
            others = [hit.id for hit in result.hits if hit.id != pair.document]
            count = min(self.negatives, len(others))
            chosen = generator.choice(len(others), count, replace=False).tolist() if count else []
            found.append([others[place] for place in sorted(chosen)])
        texts = _texts(collection, {name for names in found for name in names})
        return [[texts[name] for name in names if name in texts] for names in found]


def read_drawn(file: Path) -> list[GeneratedPair]:
    """The pairs of a file, without their negatives."""
    with lzma.open(file, "rt", encoding="utf-8") as lines:
        records = map(json.loads, lines)
        return [
            GeneratedPair(each["query"], each["positive"], each["kind"], each["document"])
            for each in records
        ]


def judge_texts(
    collection: Collection,
    pairs: Sequence[GeneratedPair],
    queries: Mapping[str, str],
    texts: Sequence[Document],
) -> dict[str, dict[str, int]]:
    """Which texts are from the document that a query was drawn from: 1 for each, by its id.

    Args:
        collection: of the documents.
        pairs: all that were drawn.
        queries: texts by id, of some of the pairs.
        texts: texts of pairs, or whole documents.
    """
    asked = {normal(text): name for name, text in queries.items()}
    sources: dict[str, set[str]] = {name: set() for name in queries}
    parts: dict[str, set[str]] = {}
    for pair in pairs:
        parts.setdefault(pair.document, set()).add(pair.positive)
        if name := asked.get(normal(pair.query)):
            sources[name].add(pair.document)
    whole = _texts(collection, {each for found in sources.values() for each in found})
    ids: dict[str, str] = {each.text: each.id for each in texts}
    return {
        name: {
            ids[text]: 1
            for document in sorted(documents)
            for text in {*parts[document], whole.get(document, "")} & ids.keys()
        }
        for name, documents in sources.items()
    }


def _by_model(collection: Collection) -> SearchConfig:
    """The search of a collection by its first sparse field, and by the dense one if any."""
    first = {field.kind: field.name for field in reversed(list(collection.fields))}
    using = "+".join(first[kind] for kind in ("sparse", "dense") if kind in first)
    return SearchConfig(using=using, payload=False, highlight=False)


def _texts(collection: Collection, names: set[str]) -> dict[str, str]:
    store = collection.store
    with store.reading():
        found = store.sound_documents(list(store.sequences(sorted(names)).values()))
    documents: list[Document] = list(found.values())
    return {document.id: document.contents for document in documents}
