"""An encoder adapted to a collection, and the collection that has it only where it is better."""

import json

import numpy as np
import pytest

from eval.adaptation import COLLECTION, adapt
from eval.adaptation_report import BeforeAfter
from eval.adaptation_training import AdaptationConfig, training_config
from eval.adapted_encoder import Adaptable, drawn_documents, mean_non_zeros
from index.collection.collection import Collection
from index.indexing import index_documents
from index.opening import open_or_create
from index.search.config import SearchConfig
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.corpus.items import Item
from lsr.encoders.catalogue import load_encoder
from lsr.errors import UsageError
from lsr.train.run import Watching
from tests.lsr.train.tiny_training import (
    tiny_checkpoint,
    tiny_pairs,
    with_dense_terms,
    with_table,
)

SILENT = Watching(lambda *_: None, lambda *_: None, lambda *_: None)
# A training that a model of random weights gains by, and one that changes nothing.
LEARNS = AdaptationConfig(minutes=2, held_out=0.3, learning_rate=1e-2, base_share=0.0)
COUNT = 300
STAYS = AdaptationConfig(minutes=0.05, held_out=0.3, learning_rate=1e-12)


@pytest.fixture
def encoder(tmp_path):
    with_table(tiny_checkpoint(tmp_path / "base"))
    return f"inference-free:{tmp_path / 'base'}"


def made(path, encoder, count=COUNT, **more):
    documents = [
        Document(f"d{number}", positive, query, {"number": number})
        for number, (query, positive) in enumerate(tiny_pairs(count))
    ]
    collection = open_or_create(path, encoder, passages="off", **more)
    index_documents(collection, [Item("x", n, each) for n, each in enumerate(documents)])
    return collection


def found(collection, text):
    config = SearchConfig(using="sparse", limit=5)
    return [(hit.id, hit.score) for hit in search(collection, SearchQuery(text=text), config).hits]


def judged_for(path, loses):
    """Queries whose document isn't found first, or whose first one counts as the right one."""
    opened, queries, qrels = Collection.open(path), {}, {}
    for number, (query, _) in enumerate(tiny_pairs(COUNT)):
        best = found(opened, query)[0][0]
        if loses or best != f"d{number}":
            queries[f"q{number}"] = query
            qrels[f"q{number}"] = {best if loses else f"d{number}": 1}
    opened.close()
    return queries, qrels


def test_a_better_encoder_takes_its_place_unless_judged_queries_lose(tmp_path, encoder):
    path, work = tmp_path / "c", tmp_path / "work"
    collection = made(path, encoder, bm25=True)
    digest, fields = collection.digest(), list(collection.fields)
    before = found(collection, "bu bi")
    collection.close()
    losing, gaining = judged_for(path, loses=True), judged_for(path, loses=False)
    refused = adapt(path, work, LEARNS, SILENT, losing)
    assert refused.held_out.gain.low > 0
    assert refused.judged.before == 1
    assert (refused.swapped, refused.reason) == (False, "the judged queries gain nothing")
    # The training is not repeated: only what comes after it.
    told = []
    watching = Watching(lambda entry, steps: told.append(entry), *[lambda *_: None] * 2)
    dry = adapt(path, work, LEARNS, watching, gaining, swap=False)
    assert dry.judged.gain.mean > 0
    assert (dry.swapped, told) == (False, [])
    unchanged = Collection.open(path)
    assert (unchanged.digest(), list(unchanged.fields)) == (digest, fields)
    assert found(unchanged, "bu bi") == before
    unchanged.close()
    report = adapt(path, work, LEARNS, watching, gaining)
    assert (report.swapped, told) == (True, [])
    assert report.former == work / COLLECTION
    now, former = Collection.open(path), Collection.open(report.former)
    assert now.digest() == former.digest() == digest
    assert now.fields[0].encoder == report.encoder != fields[0].encoder
    assert list(former.fields) == fields
    assert now.fields[1].fingerprint == fields[1].fingerprint
    assert found(former, "bu bi") == before != found(now, "bu bi")
    now.close()
    former.close()
    with pytest.raises(UsageError, match="of another collection, or with other settings"):
        adapt(path, work, LEARNS, SILENT)


def test_one_that_is_no_better_does_not(tmp_path, encoder):
    path = tmp_path / "c"
    collection = made(path, encoder)
    digest, fields, numbers = collection.digest(), list(collection.fields), collection.ids()
    before = found(collection, "bu bi")
    collection.close()
    report = adapt(path, tmp_path / "work", STAYS, SILENT)
    assert not report.swapped
    assert "may be chance" in report.reason
    again = Collection.open(path)
    assert (again.digest(), list(again.fields), again.ids()) == (digest, fields, numbers)
    assert found(again, "bu bi") == before
    again.close()
    json.dumps(report.to_json())


def test_dense_terms_stay_beside_what_is_trained(tmp_path, encoder, dense_model):
    base = tmp_path / "base"
    with_dense_terms(base, dense_model)
    collection = made(tmp_path / "c", encoder)
    adaptable = Adaptable.of(collection)
    texts = [document for _, document in tiny_pairs(9)]
    without = load_encoder(f"{encoder},document.dense_terms=0,max_length=20")
    part = load_encoder(adaptable.trained_part(20)).encode_documents(texts).to_scipy()
    assert (part != without.encode_documents(texts).to_scipy()).nnz == 0
    collection.close()
    report = adapt(tmp_path / "c", tmp_path / "work", STAYS, SILENT)
    student = load_encoder(report.encoder).encode_documents(texts).to_scipy().toarray()
    before = load_encoder(encoder).encode_documents(texts).to_scipy().toarray()
    np.testing.assert_allclose(student, before, rtol=1e-4, atol=1e-4)
    assert report.nnz[0] == pytest.approx(report.nnz[1])


def test_what_can_not_be_adapted_is_said(tmp_path, encoder):
    made(tmp_path / "words", "bm25").close()
    with pytest.raises(UsageError, match="is bm25; what can be adapted is the one that ships"):
        adapt(tmp_path / "words", tmp_path / "w1", LEARNS, SILENT)
    open_or_create(tmp_path / "none", encoder).close()
    with pytest.raises(UsageError, match="has no document to learn from"):
        adapt(tmp_path / "none", tmp_path / "w2", LEARNS, SILENT)
    made(tmp_path / "few", encoder, count=5).close()
    with pytest.raises(UsageError, match=r"give \d+ queries to compare with, and 30 are needed"):
        adapt(tmp_path / "few", tmp_path / "w3", LEARNS, SILENT)


def test_the_training_is_of_the_collections_own_encoder(tmp_path, encoder):
    collection = made(tmp_path / "c", f"{encoder},idf=both,words=yes", count=40)
    adaptable = Adaptable.of(collection)
    assert adaptable.over(adaptable.checkpoint.folder) == collection.fields[0].encoder
    assert adaptable.closed == f"{encoder},idf=both"
    texts = [document.contents for document in drawn_documents(collection, 1)]
    assert sorted(texts) == sorted(f"{query} {text}" for query, text in tiny_pairs(40))
    assert texts != [document.contents for document in drawn_documents(collection, 2)]
    expected = np.diff(load_encoder(adaptable.closed).encode_documents(texts).indptr).mean()
    assert mean_non_zeros(adaptable.closed, collection, 1) == pytest.approx(expected)
    config = training_config(adaptable, tmp_path, LEARNS, 17.0)
    assert config.documents.target_nnz == 17
    assert config.teacher_range == encoder == adaptable.plain
    assert [each.name for each in config.teachers] == ["bm25", adaptable.closed]
    collection.close()


def test_before_and_after_are_of_the_same_queries():
    before, after = {"a": 0.5, "b": 0.0, "c": 1.0}, {"c": 1.0, "a": 1.0, "b": 0.25}
    told = BeforeAfter.of(before, after)
    assert (told.queries, told.before, told.after) == (3, 0.5, 0.75)
    assert told.gain.mean == 0.25
    with pytest.raises(UsageError):
        BeforeAfter.of(before, {"a": 1.0})
