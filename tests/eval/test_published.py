"""The published numbers: consistent in themselves, and found by the names that data sets have."""

import pytest

from eval.published import (
    published_means,
    published_name,
    published_numbers,
    published_systems,
)

BEIR_13 = [
    *("trec-covid", "nfcorpus", "nq", "hotpotqa", "fiqa", "arguana", "webis-touche2020"),
    *("dbpedia-entity", "scidocs", "fever", "climate-fever", "scifact", "quora"),
]


@pytest.mark.parametrize("system", published_systems(), ids=lambda system: system.name)
def test_numbers_have_the_mean_that_their_source_gives(system):
    mean = sum(system.printed[name] for name in BEIR_13) / 13
    assert mean == pytest.approx(system.mean_of_13, abs=0.1)
    assert all(published_name(name) == name for name in (*system.printed, *system.trained_on))
    assert system.source
    assert system.url.startswith("https://")


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("scifact", "scifact"), ("beir/scifact/test", "scifact"), ("SciFact", "scifact"),
        ("beir-scifact", "scifact"), ("irds:beir/nq", "nq"), ("beir/fiqa/test", "fiqa"),
        ("beir/webis-touche2020/v2", "webis-touche2020"), ("dbpedia", "dbpedia-entity"),
        ("beir/climate-fever", "climate-fever"), ("fever", "fever"),
        ("nq-oracle", None), ("nano-beir/scifact", None), ("scifact-small", None), ("", None),
        ("beir/scifact/train", None),
    ],
)  # fmt: skip
def test_a_name_means_a_published_set_or_none(name, known):
    assert published_name(name) == known


def test_conditions_that_differ_are_said():
    found = {each.system: each for each in published_numbers("scifact", 5183, 300)}
    assert found["BM25, flat"].value == 0.679
    assert found["BM25, multifield"].value == 0.665
    gte = found["OpenSearch doc-v3-gte"]
    assert gte.value == 0.725
    assert "trained on its own train split, so not zero-shot" in gte.differs
    assert not any("train split" in each for each in found["SPLADE-v3"].differs)
    assert not any("ours are" in each for number in found.values() for each in number.differs)
    smaller = published_numbers("scifact", 4000, 300)[0]
    assert smaller.differs[0] == "of 5,183 documents, ours are 4,000"
    assert published_numbers("my-own", 10, 10) == []


def test_means_are_over_the_same_sets():
    found = {each.system: each for each in published_means(["scifact", "beir/nfcorpus/test", "x"])}
    assert found["BM25, flat"].value == pytest.approx((0.679 + 0.322) / 2)
    assert found["BM25, flat"].dataset == "mean of 2"
    assert "train splits of scifact, nfcorpus" in " ".join(found["OpenSearch doc-v3-gte"].differs)
    assert published_means(["scifact", "x"]) == []
    assert [each.system for each in published_means(["scifact", "cqadupstack"])] == [
        "BM25, flat", "SPLADE++ EnsembleDistil",
    ]  # fmt: skip
