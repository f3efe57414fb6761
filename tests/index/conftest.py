import pytest

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from lsr.corpus.documents import Document
from lsr.corpus.items import Item


def items(texts):
    """Items from {id: text}, or from (id, text) pairs where ids repeat."""
    pairs = texts.items() if isinstance(texts, dict) else texts
    return [
        Item("memory", line, Document(identifier, text))
        for line, (identifier, text) in enumerate(pairs, start=1)
    ]


@pytest.fixture
def bm25_collection(tmp_path):
    """Makes an indexed BM25 collection of {id: text}."""

    def make(texts, name="collection"):
        collection = Collection.create(tmp_path / name, encoder_fields("bm25"))
        index_documents(collection, items(texts))
        return collection

    return make


@pytest.fixture(scope="session")
def hybrid_collection(tmp_path_factory, masked_lm, dense_model):
    """Makes an indexed collection of {id: text} with sparse, bm25 and dense fields."""

    def make(texts):
        fields = encoder_fields(str(masked_lm), str(dense_model), bm25=True)
        collection = Collection.create(tmp_path_factory.mktemp("hybrid") / "c", fields)
        index_documents(collection, items(texts))
        return collection

    return make
