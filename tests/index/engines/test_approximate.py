"""Approximate search: what is asked of engines, and what is certified of their answers."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.engines.effort import for_part, pruning_of
from index.engines.reference import ReferenceSearcher
from index.engines.registry import ENGINES
from index.engines.searcher import EXACT, Pruning, TopK
from index.indexing import index_documents, upsert_documents
from index.search.config import SearchConfig
from index.search.pipeline import search
from index.search.query import SearchQuery
from index.search.recall import cheapest, measure_recall, recall
from lsr.corpus.documents import Document
from lsr.errors import InputError
from lsr.sparse import SparseBatch
from tests.index.conftest import items

BARE = {"payload": False}
TEXTS = {
    f"d{n}": " ".join(["apple", "plum", "fig", "lemon"][: n % 4 + 1] * (n % 3 + 1))
    for n in range(24)
}


class LossySearcher(ReferenceSearcher):
    """Leaves out, where it may, the documents of the ordinals in ``left_out``, and owns up.

    It holds to the contract of ``Searcher``, so what is certified of it must be true.
    """

    left_out = frozenset()
    asked = ()

    def search(self, queries, k, alive=None, pruning=EXACT, floor=None):
        type(self).asked = (*self.asked, pruning)
        whole = super().search(queries, self._lists.document_count, alive)
        if pruning.factor == 1:
            return self.cut(whole, np.ones(whole.documents.shape, bool), k)
        return self.cut(whole, ~np.isin(whole.documents, list(self.left_out)), k)

    def cut(self, whole, seen, k):
        queries, width = len(whole.documents), min(k, self._lists.document_count)
        documents = np.full((queries, width), -1, np.int64)
        scores = np.zeros((queries, width), np.float32)
        unseen = np.zeros(queries, np.float32)
        for row in range(queries):
            found = np.flatnonzero(seen[row] & (whole.documents[row] >= 0))[:width]
            documents[row, : len(found)] = whole.documents[row][found]
            scores[row, : len(found)] = whole.scores[row][found]
            first = whole.documents[row][:width]
            missed = ~seen[row]
            # Documents that exact search would not have returned need not be owned up to.
            missed[: len(first)] &= first >= 0
            missed[width:] = False
            unseen[row] = max(whole.scores[row][missed], default=0)
        return TopK(documents, scores, unseen, ("lossy",) * queries)


@pytest.fixture
def lossy(monkeypatch):
    monkeypatch.setitem(ENGINES, "lossy", lambda: LossySearcher)
    monkeypatch.setattr(LossySearcher, "asked", ())
    return LossySearcher


@pytest.fixture(scope="module")
def collection(tmp_path_factory, masked_lm, dense_model):
    """Its queries are short, unlike those of a SPLADE model of random weights."""
    fields = encoder_fields(f"inference-free:{masked_lm},idf=collection", str(dense_model), True)
    made = Collection.create(tmp_path_factory.mktemp("approximate") / "c", fields)
    index_documents(made, items(TEXTS))
    upsert_documents(made, [Document("new", "apple apple fig")])
    return made


def pairs(result):
    return [(hit.id, hit.score) for hit in result.hits]


@settings(max_examples=60)
@given(
    st.sets(st.integers(0, 23)),
    st.sampled_from(["sparse", "bm25", "dense", "hybrid", "sparse+bm25", "sparse+bm25+dense"]),
    st.sampled_from(["apple", "plum fig", "lemon", "nothing"]),
    st.integers(1, 12),
    st.integers(0, 4),
)
def test_what_is_certified_is_what_exact_search_gives(
    collection, lossy, left_out, using, text, limit, offset
):
    lossy.left_out = left_out
    query = SearchQuery(text)
    config = {"using": using, "limit": limit, "offset": offset, "engine": "lossy"} | BARE
    exact = search(collection, query, SearchConfig(**config))
    found = search(collection, query, SearchConfig(**config, mode="approximate"))
    assert exact.exact
    assert exact.bound_gap == 0
    if found.exact:
        assert pairs(found) == pairs(exact)
        assert found.bound_gap == 0
    if using == "dense" or not left_out:
        assert found.exact
    better = [
        score - (found.hits[-1].score if len(found.hits) == limit else 0)
        for identifier, score in pairs(exact)
        if identifier not in {hit.id for hit in found.hits}
    ]
    if using in ("sparse", "bm25") and offset == 0:
        assert max(better, default=0) <= found.bound_gap + 1e-6


def test_gap_and_certificate_of_a_ranking():
    def top(scores, unseen):
        shape = (1, len(scores))
        documents = np.arange(len(scores), dtype=np.int64).reshape(shape)
        values = np.array([scores], np.float32)
        return TopK(documents, values, np.array([unseen], np.float32), ("x",))

    for scores, unseen, k, gap, exact in [
        ([3, 2], 0, 2, 0, True),
        ([3, 2], 1.5, 2, 0, True),
        ([3, 2], 2, 2, 0, False),  # a tie may be missing
        ([3, 2], 2.5, 2, 0.5, False),
        ([3, 2], 2.5, 1, 0, True),
        ([3, 2], 0.5, 5, 0.5, False),  # fewer than k: anything could enter
        ([3, 2], 0, 5, 0, True),
        ([1, -2], 0, 2, 0, True),  # a dense score below 0
        ([], 0, 5, 0, True),
        ([], 1, 5, 1, False),
    ]:
        made = top(scores, unseen)
        assert made.bound_gap(k).tolist() == [gap]
        assert made.exact(k).tolist() == [exact]


def test_a_dense_ranking_with_scores_below_0_is_exact(hybrid_collection):
    made = hybrid_collection(TEXTS)
    vector = -made.store.vectors.dense(made.fields.named("dense"))[0]
    found = search(made, SearchQuery(dense=vector.tolist()), SearchConfig(using="dense"))
    assert found.hits[-1].score < 0
    assert (found.exact, found.bound_gap) == (True, 0)


def asked(lossy, collection, **config):
    lossy.asked = ()
    search(collection, SearchQuery("apple"), SearchConfig(engine="lossy", **BARE, **config))
    return lossy.asked


def test_effort_becomes_a_factor(collection, lossy):
    for pruning in asked(lossy, collection, using="sparse", mode="approximate"):
        assert pruning == Pruning(factor=0.925)
    assert set(asked(lossy, collection, using="sparse+bm25")) == {EXACT}


def test_segments_share_the_time_and_fields_have_it_at_once(collection, lossy):
    sizes = [len(segment) for segment in collection.view().segments]
    assert sizes == [24, 1]
    # Of so long a time, what passes before the engines are asked is nothing.
    config = {"mode": "approximate", "time_budget_ms": 600_000}
    alone = asked(lossy, collection, using="sparse", **config)
    assert [pruning.budget_us / 1e6 for pruning in alone] == pytest.approx([576, 24], rel=0.05)
    assert {pruning.factor for pruning in alone} == {1.0}  # a budget alone cuts nothing before
    three = asked(lossy, collection, using="sparse+bm25+dense", **config)
    # In whatever order the threads of both fields come.
    both = pytest.approx([24, 24, 576, 576], rel=0.05)
    assert sorted(pruning.budget_us / 1e6 for pruning in three) == both
    search(collection, SearchQuery("apple"), SearchConfig(using="dense", **config))


@given(st.floats(0, 1, exclude_min=True))
def test_more_effort_leaves_out_less(effort):
    assert pruning_of(1.0, None) == EXACT
    less, more = pruning_of(effort / 2 or effort, None), pruning_of(effort, None)
    assert less.factor <= more.factor <= 1


@given(st.integers(1, 10**9), st.lists(st.integers(0, 10**6), min_size=1).filter(any))
def test_parts_of_the_time_sum_to_it(budget, parts):
    pruning = Pruning(budget_us=budget)
    shares = [for_part(pruning, part, sum(parts)).budget_us for part in parts]
    assert all(share >= 1 for share in shares)
    assert sum(shares) <= budget + len(parts)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"mode": "quick"}, "allowed are exact and approximate"),
        ({"mode": "approximate", "effort": 0}, "the effort is 0"),
        ({"mode": "approximate", "effort": 1.5}, "the effort is 1.5"),
        ({"mode": "approximate", "effort": math.nan}, "the effort is nan"),
        ({"mode": "approximate", "time_budget_ms": 0}, "the time budget is 0 ms"),
        ({"mode": "approximate", "time_budget_ms": math.inf}, "the time budget is inf ms"),
        ({"effort": 0.5}, "ask for the mode approximate"),
        ({"time_budget_ms": 5}, "ask for the mode approximate"),
    ],
)
def test_bad_modes_are_refused(config, reason):
    with pytest.raises(InputError, match=reason):
        SearchConfig(**config)


def test_recall_counts_ties_as_found():
    exact = [(1, 5.0), (2, 3.0), (3, 3.0)]
    assert recall(exact, exact) == 1
    assert recall(exact, [(1, 5.0), (7, 3.0), (9, 3.0)]) == 1
    assert recall(exact, [(1, 5.0), (3, 3.0), (9, 2.0)]) == pytest.approx(2 / 3)
    assert recall(exact, [(1, 1.0)]) == pytest.approx(1 / 3)  # known by its id, whatever its score
    assert recall(exact, []) == 0


def test_measured_recall_is_that_of_the_lost_documents(collection, lossy):
    view, field = collection.view(), collection.fields.named("bm25")
    texts = ["apple", "plum fig", "lemon", "nothing"]
    queries = collection.fields.encoder(field).encode_queries(texts, view.statistics(field))
    lossy.left_out = frozenset(range(0, 24, 2))
    done = []
    results = measure_recall(view, field, queries, 5, "lossy", (0.5, 1.0), done.append)
    assert done == [1, 2, 3, 4]
    expected = []
    for row in list(queries)[:3]:  # the last finds nothing
        query = SparseBatch.from_rows([row], field.size)
        exact = view.search_sparse(field, query, 5, "reference").ranking(0)
        lost = view.search_sparse(field, query, 5, "lossy", Pruning(factor=0.5)).ranking(0)
        good = [pair for pair in lost if pair in exact or pair[1] >= exact[-1][1]]
        expected.append(len(good) / len(exact))
    assert results[0].recall == pytest.approx(sum(expected) / 3)
    assert results[0].recall < 1
    assert (results[1].recall, results[1].exact) == (1, 1)
    assert all(0 < result.median_ms <= result.p95_ms for result in results)
    assert cheapest(results, 1.0).effort == 1.0
    assert cheapest(results[:1], 1.0) is None
    times = {0.1: 1.0, 0.5: 1.04, 0.9: 1.2, 1.0: 2.0}
    timed = [replace(results[0], effort=effort, median_ms=ms) for effort, ms in times.items()]
    assert cheapest(timed, results[0].recall).effort == 0.5


def test_queries_that_find_nothing_measure_nothing(collection):
    field = collection.fields.named("bm25")
    empty = SparseBatch.from_rows([], field.size)
    with pytest.raises(InputError, match="no query finds"):
        measure_recall(collection.view(), field, empty, 5)
