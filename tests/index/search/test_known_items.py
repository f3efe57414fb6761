"""Names, part numbers and rare words find the one document that has them first."""

from collections import Counter

import pytest

from index.indexing import index_documents
from index.opening import open_or_create
from index.search.config import SearchConfig
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.corpus.items import Item
from tests.index.search.known_items import known_items

FIRST = 0.95


@pytest.mark.parametrize("encoder", ["lsr-tiny-v1", "bm25"])
def test_exact_words_find_their_item_first(tmp_path, encoder):
    documents, queries = known_items()
    assert len(queries) == 300
    collection = open_or_create(tmp_path / "c", encoder)
    made = (Document(identifier, text) for identifier, text in documents.items())
    index_documents(collection, [Item("probe", n, each) for n, each in enumerate(made)])
    config = SearchConfig(limit=1, using="sparse", payload=False)
    asked: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for query in queries:
        hits = search(collection, SearchQuery(query.text), config).hits
        asked[query.kind] += 1
        found[query.kind] += bool(hits) and hits[0].id == query.document
    for kind in {query.kind for query in queries if query.exact}:
        assert found[kind] >= FIRST * asked[kind], (kind, found)
