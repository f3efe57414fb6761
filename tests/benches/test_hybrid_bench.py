"""The bench of hybrid search: it tunes on what is served, and goes on where it was cut off."""

from contextlib import closing
from dataclasses import replace

import pytest
from hybrid_bench.feedback import feedback_systems
from hybrid_bench.indexed import LAMBDA, Encoders, opened
from hybrid_bench.reranked import reranked_systems
from hybrid_bench.results import Results
from hybrid_bench.scores import DEPTH, Judged, against_best_single, best_single, tuned
from hybrid_bench.section import section, single_names
from hybrid_bench.systems import DEFAULT, TUNED, fused_systems, single_systems, spar_systems

from eval.datasets import Dataset
from eval.experiment import evaluate
from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from index.search.default_fusion import default_fusion
from index.search.plan import plan_search
from lsr.corpus.documents import Query
from tests.index.conftest import items

TEXTS = {f"d{n}": f"apple {'plum ' * (n % 4)}{'cherry ' * (n % 3)}banana" for n in range(30)}
QUERIES = [Query("q1", "plum cherry"), Query("q2", "cherry")]
FRUIT = Dataset(
    "fruit", lambda: items(TEXTS), QUERIES, {"q1": {"d2": 1, "d5": 2}, "q2": {"d11": 1}}
)
FIELDS = {"tiny": "sparse", "bm25": "bm25"}


@pytest.fixture
def judged(tmp_path, masked_lm):
    collection = Collection.create(tmp_path / "c", encoder_fields(str(masked_lm), bm25=True))
    index_documents(collection, items(TEXTS))
    with closing(collection):
        yield Judged(FRUIT, collection, Results(tmp_path / "results.jsonl"))


def test_what_is_fused_in_memory_is_what_is_served(judged):
    for system in fused_systems(FIELDS):
        fusions = system.tuned[::5] or [plan_search(judged.collection.fields, system.config).fusion]
        for fusion in fusions:
            config = replace(system.config, fusion=fusion, limit=DEPTH)
            served = evaluate(judged.dataset, judged.collection, config).run
            assert judged.fused(system.config.using, fusion, DEPTH) == served


def test_the_tuned_fusion_is_the_best_of_the_grid(judged):
    (system,) = (each for each in fused_systems(FIELDS) if each.method == TUNED)
    means = judged.tuning_means(system)
    served = [judged.score(system, fusion).measures["nDCG@10"] for fusion in system.tuned]
    assert means == pytest.approx(served)
    assert means[system.tuned.index(tuned(system, [judged]))] == max(means)


def test_fields_are_fused_in_twos_and_threes_by_every_method():
    fields = {"tiny": "sparse", "other": "other", "bm25": "bm25", "dense": "dense"}
    systems = fused_systems(fields)
    parts = list(dict.fromkeys(each.parts for each in systems))
    assert len(parts) == 6 + 4
    assert "tiny+other" in parts
    assert "other+bm25+dense" in parts
    assert len(systems) == len(parts) * 7
    assert len({each.name for each in systems}) == len(systems)
    more = [*feedback_systems(fields), *spar_systems(), *reranked_systems(fields, "model")]
    assert len({each.name for each in systems + more}) == len(systems) + len(more)


def test_the_default_is_that_of_a_collection_of_these_fields_alone(
    tmp_path, monkeypatch, masked_lm, dense_model
):
    monkeypatch.setenv("LSR_CACHE", str(tmp_path))
    encoders = Encoders(
        {"tiny": str(masked_lm), "again": str(masked_lm)}, str(dense_model), str(dense_model)
    )
    with closing(opened(FRUIT, encoders)) as collection:
        names = [each.name for each in collection.fields]
        assert sorted(names) == ["again", "bm25", "dense", LAMBDA, "sparse"]
        users = encoder_fields(str(masked_lm), str(dense_model))
        (system,) = (
            each for each in fused_systems(encoders.fields) if each.name == f"tiny+dense {DEFAULT}"
        )
        used = [collection.fields.named(name) for name in system.config.using.split("+")]
        assert default_fusion(used) == default_fusion(users)
        (spar,) = (each for each in spar_systems() if each.tuned)
        scored = Judged(FRUIT, collection).score(spar, spar.tuned[0])
    # Both fields have one model, of which mu adds nothing but scale.
    with closing(opened(FRUIT, encoders)) as collection:
        alone = single_systems(encoders.fields)[-1]
        assert alone.name == "dense"
        assert scored.measures == Judged(FRUIT, collection).score(alone).measures


def test_systems_are_tested_against_the_best_single_one(judged):
    systems = [*single_systems(FIELDS), *fused_systems(FIELDS)]
    scores = {each.name: judged.score(each) for each in systems if not each.tuned}
    singles = single_names(systems)
    tests = against_best_single(scores, singles)
    assert tests.keys() == scores.keys() - {"bm25", "tiny"}
    best = scores[best_single(scores, singles)]
    for name, test in tests.items():
        assert 0 <= test.p <= 1
        difference = scores[name].measures["nDCG@10"] - best.measures["nDCG@10"]
        assert test.difference == pytest.approx(difference)


def test_a_run_goes_on_where_it_was_cut_off(judged, tmp_path, monkeypatch):
    first, second = single_systems(FIELDS)
    score = judged.score(first)
    path = tmp_path / "results.jsonl"
    with path.open("a") as file:
        file.write('{"dataset": "fruit", "sys')
    again = Judged(judged.dataset, judged.collection, Results(path))
    other = again.score(second)

    def never(*arguments):
        raise AssertionError("measured twice")

    monkeypatch.setattr("hybrid_bench.scores.evaluate", never)
    once_more = Judged(judged.dataset, judged.collection, Results(path))
    assert (once_more.score(first), once_more.score(second)) == (score, other)
    # Other settings, or other queries, are measured anew.
    fewer = replace(judged.dataset, queries=QUERIES[:1], qrels={"q1": {"d2": 1}})
    for changed in (
        lambda: once_more.score(replace(first, config=replace(first.config, engine="reference"))),
        lambda: replace(once_more, dataset=fewer).score(first),
    ):
        with pytest.raises(AssertionError, match="measured twice"):
            changed()


def test_the_section_has_each_system_and_what_was_tuned(judged):
    systems = [*single_systems(FIELDS), *fused_systems(FIELDS)]
    scores = {
        each.name: judged.score(each, tuned(each, [judged]) if each.tuned else None)
        for each in systems
    }
    text = section({"fruit": scores}, systems)
    for system in systems:
        row = [line for line in text.splitlines() if line.startswith(f"| {system.name} |")]
        values = [100 * score for score in scores[system.name].measures.values()]
        assert any(" / ".join(f"{value:.1f}" for value in values) in line for line in row)
    assert "best single" in text
    assert "`linear,norm=" in text
