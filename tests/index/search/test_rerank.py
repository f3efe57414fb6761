"""Re-ranking equals a loop over the first ranking with each text scored alone."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from index.search import rerank
from index.search.config import SearchConfig
from index.search.deadline import AbandonedError, Deadline
from index.search.pipeline import search, search_batch
from index.search.query import SearchQuery
from index.search.reranking import Reranking
from lsr.corpus.documents import Document
from lsr.corpus.items import Item
from lsr.encoders.dense import DenseEncoder
from lsr.errors import InputError, NotFoundError, UsageError
from lsr.rerankers.catalogue import load_reranker
from tests.lsr.rerankers.cross_encoders import save_cross_encoder

WORDS = ["apple", "banana", "cherry", "lemon", "plum", "pie", "wing"]
TEXTS = {
    f"d{number}": " ".join(np.random.default_rng(number).choice(WORDS, 1 + number % 7))
    for number in range(60)
}
QUERY = "apple and cherry pie"


@pytest.fixture(scope="module")
def scores(cross_encoder):
    """The score of each text for the query, each by itself."""
    scorer = load_reranker(cross_encoder).scorer(QUERY)
    return {name: float(scorer([text])[0]) for name, text in TEXTS.items()}


@pytest.fixture(scope="module")
def cross_encoder(tmp_path_factory):
    return str(save_cross_encoder(tmp_path_factory.mktemp("cross") / "model"))


@pytest.fixture(scope="module")
def hybrid(hybrid_collection):
    return hybrid_collection(TEXTS)


def in_order(first, scores, depth, weight=1.0):
    """Ids and scores as re-ranking should have them, from those of the first ranking."""
    best, rest = first[:depth], first[depth:]
    new = np.array([scores[name] for name, _ in best])
    if weight < 1:
        old = np.array([old for _, old in best])
        new, old = ((x - x.min()) / np.ptp(x) if np.ptp(x) else np.ones(len(x)) for x in (new, old))
        new = weight * new + (1 - weight) * old
    ranked = sorted(zip([name for name, _ in best], new, strict=True), key=lambda each: -each[1])
    last = ranked[-1][1] if ranked else 0
    return ranked + [(name, last - 1 - (rest[0][1] - old)) for name, old in rest]


def pairs(result):
    return [(hit.id, hit.score) for hit in result.hits]


def same(found, expected):
    assert [score for _, score in found] == pytest.approx(
        [score for _, score in expected], abs=1e-4
    )
    # What scores alike may stand in either order.
    assert dict(found) == pytest.approx(dict(expected), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(
    ("using", "depth", "weight"),
    [("sparse", 7, 1.0), ("dense", 20, 0.3), ("hybrid", 100, 1.0), ("sparse+bm25", 20, 0.5),
     ("bm25", 1, 0.5)],
)  # fmt: skip
def test_a_cross_encoder_puts_the_best_in_its_order(
    hybrid, cross_encoder, scores, using, depth, weight
):
    first = search(hybrid, SearchQuery(QUERY), SearchConfig(limit=100, using=using))
    settings = Reranking(cross_encoder, depth, weight=weight)
    config = SearchConfig(limit=100, using=using, rerank=settings)
    result = search(hybrid, SearchQuery(QUERY), config)
    same(pairs(result), in_order(pairs(first), scores, depth, weight))
    found = {hit.id: hit.scores for hit in result.hits}
    for place, hit in enumerate(first.hits):
        extra = {"fusion": hit.score} if "+" in using or using == "hybrid" else {}
        if place < depth:
            extra["rerank"] = scores[hit.id]
        assert found[hit.id] == pytest.approx(hit.scores | extra, abs=1e-4)
    assert result.reranked.documents == result.reranked.wanted == min(depth, len(first.hits))
    assert result.reranked.sentence == f"re-ranked {min(depth, len(first.hits))} by model"
    assert result.exact
    assert "rerank" in result.stages_ms
    assert "rerank" not in first.stages_ms
    assert first.reranked is None


@pytest.mark.parametrize("field", ["sparse", "bm25", "dense"])
def test_a_field_scores_with_its_stored_vectors(hybrid, field):
    every = search(hybrid, SearchQuery(QUERY), SearchConfig(limit=100, using=field))
    scores = dict.fromkeys(TEXTS, 0.0) | dict(pairs(every))
    first = search(hybrid, SearchQuery(QUERY), SearchConfig(limit=100, using="sparse"))
    config = SearchConfig(limit=100, using="sparse", rerank=Reranking(f"field:{field}", 12))
    result = search(hybrid, SearchQuery(QUERY), config)
    same(pairs(result), in_order(pairs(first), scores, 12))


def test_a_second_encoder_scores_the_texts(hybrid, masked_lm, dense_model):
    encoder = DenseEncoder.load(str(dense_model))
    dense = encoder.encode_documents(list(TEXTS.values())) @ encoder.encode_queries([QUERY])[0]
    scores = dict(zip(TEXTS, dense.tolist(), strict=True))
    first = search(hybrid, SearchQuery(QUERY), SearchConfig(limit=100, using="bm25"))
    config = SearchConfig(limit=100, using="bm25", rerank=Reranking(f"dense:{dense_model}"))
    same(pairs(search(hybrid, SearchQuery(QUERY), config)), in_order(pairs(first), scores, 100))
    # The field has the very vectors, but for their float16.
    config = SearchConfig(limit=100, using="bm25", rerank=Reranking(f"sparse:{masked_lm}"))
    stored = SearchConfig(limit=100, using="bm25", rerank=Reranking("field:sparse"))
    texts, vectors = (search(hybrid, SearchQuery(QUERY), each) for each in (config, stored))
    assert dict(pairs(texts)) == pytest.approx(dict(pairs(vectors)), rel=1e-2)


def test_pages_join_to_the_whole_and_a_cursor_walks_it(hybrid, cross_encoder):
    settings = Reranking(cross_encoder, 10)
    for using in ("bm25", "hybrid"):
        whole = pairs(
            search(hybrid, SearchQuery(QUERY), SearchConfig(limit=50, using=using, rerank=settings))
        )
        pages, walked, cursor = [], [], None
        for offset in range(0, 56, 8):
            page = SearchConfig(limit=8, offset=offset, using=using, rerank=settings)
            pages += pairs(search(hybrid, SearchQuery(QUERY), page))
            if offset == 0 or cursor:
                config = SearchConfig(limit=8, cursor=cursor, using=using, rerank=settings)
                result = search(hybrid, SearchQuery(QUERY), config)
                walked, cursor = walked + pairs(result), result.cursor
        assert [name for name, _ in pages[:50]] == [name for name, _ in whole]
        assert [name for name, _ in walked[:50]] == [name for name, _ in whole]


def test_a_batch_answers_as_single_queries_do(hybrid, cross_encoder):
    config = SearchConfig(using="bm25", rerank=Reranking(cross_encoder, 20))
    queries = [SearchQuery(text) for text in ("apple", "lemon pie", "nothing here", "plum")]
    together = search_batch(hybrid, queries, config)
    for query, result in zip(queries, together, strict=True):
        alone = search(hybrid, query, config)
        assert dict(pairs(alone)) == pytest.approx(dict(pairs(result)), abs=1e-4)
        assert alone.reranked == result.reranked
    assert together[2].reranked.wanted == 0


@dataclass(frozen=True, slots=True)
class Looked(Deadline):
    """Passes after so many looks."""

    looks: int = 0

    def passed(self):
        object.__setattr__(self, "looks", self.looks - 1)
        return self.looks < 0


@settings(max_examples=15)
@given(looks=st.integers(0, 8), step=st.integers(1, 9), depth=st.integers(1, 40))
def test_what_the_time_left_out_keeps_its_order(hybrid, cross_encoder, scores, looks, step, depth):
    first = search(hybrid, SearchQuery(QUERY), SearchConfig(limit=60, using="dense"))
    with pytest.MonkeyPatch.context() as patch, hybrid.pinned() as view:
        patch.setattr(rerank, "AT_ONCE", step)
        patch.setattr(rerank, "computing_threads", lambda: 1)
        numbers = view.store.sequences([hit.id for hit in first.hits])
        stage = rerank.RerankStage.prepared(view, Reranking(cross_encoder, depth))
        ranking = [(numbers[name], score) for name, score in pairs(first)]
        sources = {"dense": ranking}
        found, added, done = stage(
            view, SearchQuery(QUERY), ranking, sources, {}, Looked(looks=looks)
        )
    reached = min(depth, looks * step)
    names = {number: name for name, number in numbers.items()}
    if reached:
        same([(names[n], score) for n, score in found], in_order(pairs(first), scores, reached))
    else:
        assert found == ranking
    assert len(added) == done.documents == reached
    assert done.wanted == depth
    if reached < depth:
        assert done.sentence == f"re-ranked {reached} of {depth} in time by model"


def test_a_budget_that_is_over_at_once_leaves_the_first_order(hybrid, cross_encoder):
    first = search(hybrid, SearchQuery(QUERY), SearchConfig(using="bm25"))
    config = SearchConfig(using="bm25", rerank=Reranking(cross_encoder, 30, time_budget_ms=1e-6))
    result = search(hybrid, SearchQuery(QUERY), config)
    assert pairs(result) == pairs(first)
    assert result.reranked.sentence == "re-ranked 0 of 30 within 1e-06 ms by model"
    assert not result.exact
    assert not result.timed_out
    abandoned = Deadline()
    abandoned.abandon()
    with pytest.raises(AbandonedError):
        search(hybrid, SearchQuery(QUERY), config, abandoned)


def test_of_a_split_document_its_best_passage_is_scored(tmp_path, cross_encoder):
    long = Document(
        "long",
        "\n\n".join(" ".join([word] * 150) + "." for word in ("lemon", "wing", "plum", "cherry")),
        title="A list",
    )
    short = Document("short", "cherry and wing", title="Two words")
    made = Collection.create(tmp_path / "c", encoder_fields("bm25"), passages="auto")
    index_documents(made, [Item("memory", n, each) for n, each in enumerate((long, short))])
    query = SearchQuery("cherry")
    result = search(made, query, SearchConfig(rerank=Reranking(cross_encoder)))
    found = {hit.id: hit for hit in result.hits}
    passage = found["long"].passage
    assert "cherry" in long.text[passage.start : passage.end]
    assert passage.number > 1
    scorer = load_reranker(cross_encoder).scorer("cherry")
    text = f"A list {long.text[passage.start : passage.end]}"
    assert found["long"].scores["rerank"] == pytest.approx(float(scorer([text])[0]), abs=1e-4)
    assert found["short"].scores["rerank"] == pytest.approx(
        float(scorer(["Two words cherry and wing"])[0]), abs=1e-4
    )
    by_field = search(made, query, SearchConfig(rerank=Reranking("field:sparse")))
    assert pairs(by_field) == pairs(search(made, query, SearchConfig()))


def test_a_damaged_document_is_not_scored_and_delays_nobody(tmp_path, cross_encoder):
    made = Collection.create(tmp_path / "c", encoder_fields("bm25"))
    texts = {"a": "apple", "b": "apple pie", "c": "apple apple wing"}
    index_documents(made, [Item("m", n, Document(*each)) for n, each in enumerate(texts.items())])
    made.close()
    with closing(sqlite3.connect(tmp_path / "c/collection.sqlite")) as connection, connection:
        connection.execute("UPDATE documents SET title = 'forged' WHERE id = 'b'")
    made = Collection.open(tmp_path / "c")
    result = search(made, SearchQuery("apple"), SearchConfig(rerank=Reranking(cross_encoder)))
    assert result.hits[-1].id == "b"
    assert "rerank" not in result.hits[-1].scores
    assert (result.reranked.documents, result.reranked.wanted) == (2, 2)


def test_settings_that_cant_be_are_refused(hybrid, cross_encoder, masked_lm):
    for bad in (
        {"model": ""}, {"model": " "}, {"model": "field:"}, {"depth": 0}, {"depth": 1001},
        {"time_budget_ms": 0}, {"time_budget_ms": float("nan")}, {"weight": 0},
        {"weight": 1.5}, {"weight": float("nan")},
    ):  # fmt: skip
        with pytest.raises(InputError, match="re-rank"):
            Reranking(**({"model": cross_encoder} | bad))
    ask = SearchQuery(QUERY)
    for name, error, message in (
        ("field:title", UsageError, "has no 'title' field"),
        ("./no/such/model", NotFoundError, "does not exist"),
        (str(masked_lm), InputError, "lacks"),
        ("sparse:bm25", UsageError, "field:bm25"),
    ):
        with pytest.raises(error, match=message):
            search(hybrid, ask, SearchConfig(rerank=Reranking(name)))
    only_vectors = SearchQuery(tokens={"apple": 1.0})
    config = SearchConfig(using="sparse", rerank=Reranking(cross_encoder))
    with pytest.raises(UsageError, match="needs the query's text"):
        search(hybrid, only_vectors, config)
    config = SearchConfig(using="sparse", rerank=Reranking("field:sparse"))
    assert search(hybrid, only_vectors, config).hits


def test_the_spelling_of_a_command_line():
    spelled = Reranking.parse("MODEL,depth=50,max_length=256,time_budget_ms=200,weight=0.5")
    assert spelled == Reranking("MODEL,max_length=256", 50, 200.0, 0.5)
    assert Reranking.parse("dense:a/b") == Reranking("dense:a/b")
    for wrong in ("MODEL,depth=x", "MODEL,weight=", "MODEL,depth=1.5"):
        with pytest.raises(UsageError, match="is no number"):
            Reranking.parse(wrong)
    with pytest.raises(InputError, match="allowed is 1 to 1000"):
        Reranking.parse("MODEL,depth=0")
