"""What a collection gets from donors is what encoding would have given it."""

import numpy as np
import pytest

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.donors import Donors
from index.indexing import index_documents
from lsr.corpus.documents import Document
from lsr.corpus.items import Item
from lsr.encoding.document_encoders import DocumentEncoders

LONG = " ".join(f"melon {n} cherry banana" for n in range(400))
TEXTS = ["apple banana", "", LONG, "cherry cherry zwetschge", "banana " * 20, "Größe 7 lemon"]


def items(texts, first=0):
    return [
        Item("", n, Document(f"d{n}", text, f"t{n % 2}")) for n, text in enumerate(texts, first)
    ]


def built(path, fields, documents, donors=None):
    collection = Collection.create(path, fields, passages="auto")
    report = index_documents(collection, documents, chunk_size=4, donors=donors)
    return collection, report


def stored(collection):
    """Every field's rows with the words that their terms stand for, and the passages."""
    store = collection.store
    words = store.dictionary.all()
    found = {}
    with store.reading():
        for field in collection.fields:
            if field.kind == "dense":
                found[field.name] = store.vectors.dense(field).tolist()
                continue
            rows = store.vectors.sparse(field)
            found[field.name] = [
                sorted(
                    (words[term - field.size] if term >= field.size else str(term), value)
                    for term, value in zip(row.indices.tolist(), row.values.tolist(), strict=True)
                )
                for row in rows
            ]
        numbers = store.live().tolist()
        return found, store.passages.of(numbers), collection.digest()


@pytest.fixture
def counted(monkeypatch):
    """How many texts the dense encoder has encoded."""
    counts = []
    encode = DocumentEncoders.encode

    def counting(self, texts):
        if self.dense:
            counts.append(len(texts))
        return encode(self, texts)

    monkeypatch.setattr(DocumentEncoders, "encode", counting)
    return counts


@pytest.mark.parametrize("kept", [[0, 1, 2, 3, 4, 5], [1, 2, 5], []])
@pytest.mark.parametrize("encoder", ["bm25", "words", "splade"])
def test_vectors_are_those_that_encoding_gives(
    tmp_path, masked_lm, dense_model, encoder, kept, counted
):
    name = {"bm25": "bm25", "words": "lsr-tiny-v1", "splade": f"splade:{masked_lm}"}[encoder]
    fields = encoder_fields(name, str(dense_model), True)
    documents = items(TEXTS)
    donor, _ = built(tmp_path / "donor", fields, [documents[n] for n in kept])
    plain, encoded = built(tmp_path / "plain", fields, documents)
    counted.clear()
    given, report = built(tmp_path / "given", fields, documents, Donors([donor]))
    of_plain, of_given = stored(plain), stored(given)
    assert of_given[1:] == of_plain[1:]
    for field, rows in of_plain[0].items():
        if field == "dense":
            np.testing.assert_allclose(of_given[0][field], rows, atol=1e-6)
        else:
            assert [[term for term, _ in row] for row in of_given[0][field]] == [
                [term for term, _ in row] for row in rows
            ]
            for mine, wanted in zip(of_given[0][field], rows, strict=True):
                np.testing.assert_allclose(
                    [value for _, value in mine], [value for _, value in wanted], rtol=2e-3
                )
    assert report.created == encoded.created == len(documents)
    passages = max(encoded.passages - 1, 0) if 2 in kept else 0
    rows = len(of_plain[0]["dense"])
    assert sum(counted) == rows - (len(kept) + passages if kept else 0)


def test_what_differs_is_encoded(tmp_path, dense_model, counted):
    """Another text under the id, another encoder, or other passages."""
    fields = encoder_fields("bm25", str(dense_model))
    donor, _ = built(tmp_path / "donor", fields, items(["apple", "melon", LONG]))
    counted.clear()
    changed = [Item("", 0, Document("d0", "apple!", "t0")), *items(["melon", LONG], first=1)]
    given, _ = built(tmp_path / "given", fields, changed, Donors([donor]))
    plain, _ = built(tmp_path / "plain", fields, changed)
    assert counted[0] == 1
    assert stored(given)[1:] == stored(plain)[1:]
    np.testing.assert_allclose(stored(given)[0]["dense"], stored(plain)[0]["dense"], atol=1e-6)
    counted.clear()
    tuned = encoder_fields("bm25,k1=1.2", str(dense_model))
    built(tmp_path / "tuned", tuned, changed, Donors([donor]))
    assert counted == [1]
    whole = Collection.create(tmp_path / "whole", fields, passages="off")
    counted.clear()
    index_documents(whole, changed, donors=Donors([donor]))
    assert counted == [2]


def test_several_donors_complete_each_other(tmp_path, dense_model, counted):
    documents = items(TEXTS)
    sparse, _ = built(tmp_path / "sparse", encoder_fields("bm25", str(dense_model)), documents[:3])
    dense, _ = built(
        tmp_path / "dense", encoder_fields("lsr-tiny-v1", str(dense_model)), documents[3:]
    )
    fields = encoder_fields("bm25", str(dense_model))
    counted.clear()
    given, _ = built(tmp_path / "given", fields, documents, Donors([sparse, dense]))
    assert counted == []
    plain, _ = built(tmp_path / "plain", fields, documents)
    assert stored(given)[1:] == stored(plain)[1:]
