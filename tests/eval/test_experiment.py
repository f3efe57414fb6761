"""Experiments measure the rankings that exhaustive scoring gives."""

import json
import random

import pytest

from eval.datasets import load_dataset
from eval.experiment import check_same_documents, evaluate, provenance
from eval.kept_indexes import experiment_folder
from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from index.search.config import SearchConfig
from lsr.encoders.catalogue import load_encoder
from lsr.errors import UsageError
from tests.eval.test_measures import by_loops
from tests.oracles import rank_by_inner_product

WORDS = [*"abcdefgh", "wing", "boundary", "the", "of"]
CONFIG = SearchConfig(limit=20, using="sparse", payload=False)


def beir(folder, documents=40, queries=70, grade=1):
    """A BEIR folder of random words; queries have the ids of documents, and d5 finds nothing."""
    generator = random.Random(7)

    def words(least, most):
        return " ".join(generator.choices(WORDS, k=generator.randint(least, most)))

    texts = [words(0, 9) for _ in range(documents)]
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": f"d{n}", "title": "", "text": text} for n, text in enumerate(texts)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
    asked = ["unseen" if n == 5 else words(1, 4) for n in range(queries)]
    rows = [{"_id": f"d{n}", "text": text} for n, text in enumerate(asked)]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judged = [
        f"d{query}\td{generator.randrange(documents)}\t{generator.choice([0, 1, 2]) or grade}"
        for query in range(queries)
        for _ in range(4)
    ]
    (folder / "qrels/test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]))
    return load_dataset(str(folder))


def build(dataset, path, *encoders):
    collection = Collection.create(path, encoder_fields(*(encoders or ["bm25"])))
    index_documents(collection, dataset.corpus())
    return collection


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return beir(tmp_path_factory.mktemp("beir") / "tiny")


@pytest.fixture(scope="module")
def collection(dataset, tmp_path_factory):
    return build(dataset, tmp_path_factory.mktemp("collection") / "tiny")


def by_oracle(dataset, limit, without_self=False):
    """The run that loops over all documents give with BM25's vectors."""
    encoder = load_encoder("bm25")
    documents = [item.document for item in dataset.corpus()]
    stored = encoder.encode_documents([document.contents for document in documents])
    statistics = encoder.statistics(stored)
    asked = encoder.encode_queries([query.text for query in dataset.queries], statistics)

    def weights(vector):
        return dict(zip(vector.indices.tolist(), vector.values.tolist(), strict=True))

    impacts = [weights(row) for row in encoder.impacts(stored, statistics)]
    run = {}
    for query, vector in zip(dataset.queries, asked, strict=True):
        ranking = rank_by_inner_product(impacts, weights(vector), len(documents))
        hits = [(documents[ordinal].id, score) for ordinal, score in ranking]
        if without_self:
            hits = [hit for hit in hits if hit[0] != query.id]
        run[query.id] = hits[:limit]
    return run


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("limit", [1, 20, 500])
def test_run_and_measures_are_those_of_the_oracle(dataset, collection, engine, limit):
    config = SearchConfig(limit=limit, using="sparse", engine=engine, payload=False)
    done = []
    result = evaluate(dataset, collection, config, on_queries=done.append)
    expected = by_oracle(dataset, limit)
    assert result.run == expected
    assert result.measures == pytest.approx(by_loops(dataset.qrels, expected), abs=1e-6)
    assert done == [64, 70]


def test_a_query_that_finds_nothing_has_an_empty_ranking(dataset, collection):
    assert by_oracle(dataset, 20)["d5"] == []
    assert evaluate(dataset, collection, CONFIG).run["d5"] == []


def test_a_query_does_not_find_itself_in_arguana(tmp_path):
    dataset = beir(tmp_path / "arguana")
    result = evaluate(dataset, build(dataset, tmp_path / "collection"), CONFIG)
    assert result.run == by_oracle(dataset, 20, without_self=True)
    assert result.run != by_oracle(dataset, 20)


def test_a_result_describes_itself(dataset, collection):
    result = evaluate(dataset, collection, CONFIG, ["P@5"])
    shown = json.loads(json.dumps(result.to_json()))
    described = ("dataset", "encoder", "using", "engine", "documents", "queries")
    assert [shown[name] for name in described] == ["tiny", "bm25", "sparse", "native", 40, 70]
    assert shown["measures"] == result.measures
    assert list(result.measures) == ["P@5"]
    assert "run" not in shown
    for part in (load_encoder("bm25").fingerprint, "engine=native", "python="):
        assert part in result.provenance.line()


def test_a_hybrid_result_names_the_encoders_that_were_fused(tmp_path, masked_lm, dense_model):
    dataset = beir(tmp_path / "tiny", documents=10, queries=3)
    collection = build(dataset, tmp_path / "c", f"splade:{masked_lm}", str(dense_model), True)
    names = {
        using: evaluate(dataset, collection, SearchConfig(using=using)).encoder
        for using in ("sparse", "bm25", "dense", "hybrid")
    }
    assert names == {
        "sparse": "splade:masked-lm",
        "bm25": "bm25:masked-lm",
        "dense": "dense",
        "hybrid": "splade:masked-lm+dense",
    }


def data_of(tmp_path, name, **changes):
    dataset = beir(tmp_path / name / "tiny", **changes)
    collection = build(dataset, tmp_path / name / "collection")
    return evaluate(dataset, collection, CONFIG, ["P@5"]).provenance.data


def test_provenance_follows_the_data(tmp_path):
    assert data_of(tmp_path, "a") == data_of(tmp_path, "b")
    changes = [{}, {"documents": 39}, {"queries": 69}, {"grade": 3}]
    found = {data_of(tmp_path, str(place), **change) for place, change in enumerate(changes)}
    assert len(found) == len(changes)


def test_provenance_follows_the_documents_alone(tmp_path):
    dataset = beir(tmp_path / "tiny")
    collection = build(dataset, tmp_path / "collection")
    before = provenance(dataset, collection, "native").data
    collection.delete(["d1"])
    assert provenance(dataset, collection, "native").data != before


def test_each_experiment_has_its_own_folder(tmp_path, monkeypatch, dataset):
    monkeypatch.setenv("LSR_CACHE", str(tmp_path / "cache"))
    other = beir(tmp_path / "tiny", documents=39)
    folders = [
        experiment_folder(data, encoder_fields(encoder))
        for data in (dataset, other)
        for encoder in ("bm25", "bm25,k1=1.2")
    ]
    assert len(set(folders)) == 4
    assert all(folder.is_relative_to(tmp_path / "cache") for folder in folders)
    assert folders[0] == experiment_folder(dataset, encoder_fields("bm25"))


def test_a_collection_of_other_documents_is_refused(dataset, collection, tmp_path):
    check_same_documents(dataset, collection)
    fewer = beir(tmp_path / "tiny", documents=39)
    with pytest.raises(UsageError, match="data set 'tiny' does not: 1, such as 'd39'"):
        check_same_documents(fewer, collection)
