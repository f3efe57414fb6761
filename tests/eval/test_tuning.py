"""Tuning against plain loops over whole searches, on folds that no choice has seen."""

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from eval.judging import Judge
from eval.measures import measure_queries
from eval.tuning import choose, split, tune
from eval.tuning_grid import DENSE_WEIGHTS, feedbacks, fusions, neighbours
from index.collection.collection import Collection
from index.collection.field import SPARSE, encoder_fields, sparse_field
from index.indexing import upsert_documents
from index.search.config import SearchConfig
from index.search.default_fusion import default_fusion
from index.search.defaults import SearchDefaults
from index.search.fusion import LinearFusion
from index.search.pipeline import search_batch
from index.search.query import SearchQuery
from lsr.corpus.documents import Document, Query
from lsr.encoders.catalogue import load_encoder
from lsr.errors import InputError, UsageError

USING = "sparse+bm25"
FIELDS = [
    sparse_field(SPARSE, load_encoder("bm25,analyzer=wordpiece,k1=0.1,b=0")),
    sparse_field("bm25", load_encoder("bm25")),
]
WORDS = ["apple", "banana", "cherry", "lemon", "plum", "pie", "tart", "owl", "mouse", "night"]
WORDS += ["hunt", "river", "stone", "cloud"]


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    random = np.random.default_rng(3)
    with closing(Collection.create(tmp_path_factory.mktemp("tuned") / "c", FIELDS)) as made:
        documents = [
            Document(f"d{n}", " ".join(random.choice(WORDS, size=random.integers(1, 12))))
            for n in range(60)
        ]
        upsert_documents(made, documents)
        yield made


@pytest.fixture(scope="module")
def judged(collection):
    """Judgements that BM25 meets halfway, so that it should count more than by default."""
    random = np.random.default_rng(4)
    queries = [Query(f"q{n}", " ".join(random.choice(WORDS, size=3))) for n in range(12)]
    asked = [SearchQuery(query.text) for query in queries]
    found = search_batch(collection, asked, SearchConfig(using="bm25"))
    qrels = {
        query.id: {
            hit.id: int(random.integers(1, 3))
            for hit in random.permutation(np.array(result.hits, dtype=object))[:4]
        }
        | {f"d{random.integers(60)}": 1}
        for query, result in zip(queries, found, strict=True)
    }
    qrels["q3"]["gone"] = 2
    return queries, qrels


def searched(collection, queries, qrels, setting, using=USING):
    """What every query scores by a whole search."""
    config = setting.applied(SearchConfig(using=using, tuned=False))
    results = search_batch(collection, [SearchQuery(query.text) for query in queries], config)
    run = {
        query.id: [(hit.id, hit.score) for hit in result.hits]
        for query, result in zip(queries, results, strict=True)
    }
    values = measure_queries(qrels, run, "nDCG@10")
    return np.array([values[query.id] for query in queries])


def judge_of(view, collection, queries, qrels):
    return Judge(view, collection, USING, queries, qrels, "nDCG@10")


def test_the_best_is_that_of_plain_loops(collection, judged):
    queries, qrels = judged
    default = SearchDefaults(default_fusion(list(collection.fields)))
    grid = [default, *(SearchDefaults(fusion) for fusion in fusions(["sparse", "bm25"]))]
    expected = [searched(collection, queries, qrels, each) for each in grid]
    with collection.pinned() as view:
        judge = judge_of(view, collection, queries, qrels)
        for setting, scores in zip(grid, expected, strict=True):
            np.testing.assert_allclose(judge.scores(setting), scores, atol=1e-12)
        rows = np.arange(len(queries))
        chosen = choose(judge, rows, default, feedback=False)
        means = [scores.mean() for scores in expected]
        best = grid[int(np.argmax(np.round(means, 9)))]
        # As the closer weights are found by plain loops.
        if isinstance(best.fusion, LinearFusion):
            highest = max(means)
            for step in (0.05, 0.025):
                around = [replace(best, fusion=each) for each in neighbours(best.fusion, step)]
                for each in around:
                    mean = searched(collection, queries, qrels, each).mean()
                    if mean > highest + 1e-9:
                        best, highest = each, mean
        assert chosen == best != default
        fed = choose(judge, rows, default)
        tried = [replace(best, feedback=each) for each in feedbacks(judge.fields)]
        assert len(tried) == 4
        means = [searched(collection, queries, qrels, each).mean() for each in (best, *tried)]
        assert judge.scores(fed).mean() == pytest.approx(max(means))


def test_no_choice_sees_the_fold_that_it_is_measured_on(collection, judged):
    queries, qrels = judged
    default = SearchDefaults(default_fusion(list(collection.fields)))
    found = tune(collection, queries, qrels, using=USING, folds=3, write=False)
    folds = split(len(queries), 3)
    assert sorted(np.concatenate(folds)) == list(range(len(queries)))
    gains = np.zeros(len(queries))
    with collection.pinned() as view:
        for fold, chosen in zip(folds, found.fold_choices, strict=True):
            held_out = {queries[place].id for place in fold}
            poisoned = {
                query: {"d0": 1} if query in held_out else row for query, row in qrels.items()
            }
            judge = judge_of(view, collection, queries, poisoned)
            rows = np.setdiff1d(np.arange(len(queries)), fold)
            assert choose(judge, rows, default) == chosen
            ours = searched(collection, queries, qrels, chosen)
            gains[fold] = (ours - searched(collection, queries, qrels, default))[fold]
    assert found.gain.mean == pytest.approx(gains.mean())
    assert any(each != default for each in found.fold_choices)
    assert found.gain.low < found.gain.mean < found.gain.high


def test_weights_of_the_grid_are_shares():
    for names in (["a", "b"], ["a", "b", "c"], ["a", "b", "c", "d"]):
        linear = [each for each in fusions(names) if isinstance(each, LinearFusion)]
        assert all(sum(each.weights.values()) == pytest.approx(1) for each in linear)
        around = list(neighbours(linear[len(linear) // 2], 0.05))
        assert all(sum(each.weights.values()) == pytest.approx(1) for each in around)
        assert all(min(each.weights.values()) >= 0 for each in around)


def test_it_writes_only_what_is_surely_better(tmp_path, judged):
    with closing(Collection.create(tmp_path / "c", FIELDS)) as made:
        upsert_documents(made, [Document(f"d{n}", f"{WORDS[n]} pie") for n in range(5)])
        queries, qrels = judged
        known = {query: {"d0": 1} for query in qrels}
        found = tune(made, queries, known, using=USING, feedback=False)
        assert found.written == found.is_sure
        assert not found.is_sure
        assert made.store.setting("search_defaults", absent="{}") == "{}"
        forced = tune(made, queries, known, using=USING, feedback=False, force=True)
        assert forced.written
        assert forced.chosen == found.chosen
        assert tune(made, queries, known, using="bm25", write=False).default == SearchDefaults()


@pytest.mark.parametrize("folds", [1, 13])
def test_folds_that_cannot_be_are_refused(collection, judged, folds):
    with pytest.raises(UsageError, match=f"the folds are {folds}; allowed is 2 to .* 12"):
        tune(collection, *judged, using=USING, folds=folds)


def test_judged_queries_must_be_there(collection, judged):
    queries, qrels = judged
    with pytest.raises(InputError, match=r"1 judged queries are not among .* 'q11'"):
        tune(collection, queries[:-1], qrels, using=USING)
    with pytest.raises(InputError, match="two judged queries or more"):
        tune(collection, queries, {"q1": qrels["q1"]}, using=USING)
    with pytest.raises(InputError, match="the same id"):
        tune(collection, [*queries, queries[0]], qrels, using=USING)
    with pytest.raises(UsageError, match="unknown measures"):
        tune(collection, queries, qrels, using=USING, measure="good@10")


def test_the_weight_of_a_second_dense_model_is_tuned_with_the_fusion(
    tmp_path, dense_model, masked_lm, judged
):
    queries, qrels = judged
    fields = encoder_fields("bm25", f"{dense_model}+{masked_lm},weight=0.7")
    with closing(Collection.create(tmp_path / "c", fields)) as made:
        documents = [Document(f"d{n}", f"{WORDS[n % 11]} {WORDS[n % 7]}") for n in range(40)]
        upsert_documents(made, documents)
        for using in ("dense", "hybrid"):
            found = tune(made, queries, qrels, using=using, folds=2, feedback=False, force=True)
            assert found.chosen.dense_weight in (None, *DENSE_WEIGHTS)
            with made.pinned() as view:
                judge = Judge(view, made, using, queries, qrels, "nDCG@10")
                for weight in (None, *DENSE_WEIGHTS):
                    setting = replace(found.chosen, dense_weight=weight, effort=None)
                    means = searched(made, queries, qrels, setting, using)
                    np.testing.assert_allclose(judge.scores(setting), means, atol=1e-12)
                    assert means.mean() <= found.chosen_mean + 1e-9
            served = search_batch(
                made, [SearchQuery(each.text) for each in queries], SearchConfig(using=using)
            )
            config = found.chosen.applied(SearchConfig(using=using, tuned=False))
            said = search_batch(made, [SearchQuery(each.text) for each in queries], config)
            for one, other in zip(served, said, strict=True):
                assert [(h.id, h.score) for h in one.hits] == [(h.id, h.score) for h in other.hits]
