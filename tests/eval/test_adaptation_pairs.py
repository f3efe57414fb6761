"""Pairs drawn from a collection: negatives are what it finds, and texts have their sources."""

import json
import lzma

import pytest

from eval.adaptation_pairs import DrawnPairs, judge_texts, read_drawn
from index.indexing import index_documents
from index.opening import open_or_create
from index.search.config import SearchConfig
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.corpus.items import Item
from lsr.train.pairs import PairSource, TrainingCorpus
from tests.lsr.train.tiny_training import tiny_pairs


@pytest.fixture
def collection(tmp_path):
    documents = [Document(f"d{n}", text, query) for n, (query, text) in enumerate(tiny_pairs(60))]
    made = open_or_create(tmp_path / "c", "bm25", passages="off")
    index_documents(made, [Item("x", n, each) for n, each in enumerate(documents)])
    yield made
    made.close()


def test_negatives_are_what_the_collection_finds(collection, tmp_path):
    file = tmp_path / "pairs.jsonl.xz"
    drawn = DrawnPairs(100, 0, 2, 5, seed=3)
    told = []
    drawn.write(collection, file, None, lambda *progress: told.append(progress))
    records = [json.loads(line) for line in lzma.decompress(file.read_bytes()).splitlines()]
    assert len(records) == 100
    assert told[-1] == ("pairs", 100, 100)
    whole = {f"d{n}": f"{query} {text}" for n, (query, text) in enumerate(tiny_pairs(60))}
    for record in records:
        config = SearchConfig(using="sparse", limit=5)
        hits = search(collection, SearchQuery(text=record["query"]), config).hits
        others = [hit for hit in hits if hit.id != record["document"]]
        assert set(record["negatives"]) <= {whole[hit.id] for hit in others}
        assert len(record["negatives"]) == min(2, len(others))
    again = tmp_path / "again.jsonl.xz"
    drawn.write(collection, again, None, lambda *progress: None)
    assert lzma.decompress(again.read_bytes()) == lzma.decompress(file.read_bytes())


def test_every_text_of_a_querys_document_is_right(collection, tmp_path):
    file = tmp_path / "pairs.jsonl.xz"
    DrawnPairs(150, 0, 2, 5, seed=3).write(collection, file, None, lambda *progress: None)
    pairs = read_drawn(file)
    corpus = TrainingCorpus.build([PairSource(str(file))], 1, 0.3)
    texts = [*corpus.held_out.documents.values(), *corpus.documents]
    documents = [Document(str(n), text) for n, text in enumerate(dict.fromkeys(texts))]
    qrels = judge_texts(collection, pairs, corpus.held_out.queries, documents)
    whole = {f"d{n}": f"{query} {text}" for n, (query, text) in enumerate(tiny_pairs(60))}
    for name, query in corpus.held_out.queries.items():
        sources = {pair.document for pair in pairs if pair.query == query}
        right = {pair.positive for pair in pairs if pair.document in sources}
        right |= {whole[source] for source in sources}
        assert {each.text for each in documents if each.id in qrels[name]} == {
            each.text for each in documents if each.text in right
        }
        assert set(qrels[name].values()) == {1}
