import numpy as np
import pytest
from hypothesis import given, settings

from index.indexing import upsert_documents
from index.search.config import Prefetch, SearchConfig
from index.search.deadline import AbandonedError, Deadline
from index.search.fusion import ReciprocalRankFusion
from index.search.pipeline import search, search_batch
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.errors import InputError, UsageError
from tests.strategies import texts

TEXTS = {
    "a": "apple banana",
    "b": "banana cherry cherry",
    "c": "cherry lemon plum",
    "d": "plum",
    "e": "",
    "f": "apple apple apple plum",
}


@pytest.fixture(scope="module")
def hybrid(hybrid_collection):
    return hybrid_collection(TEXTS)


def ids(result):
    return [hit.id for hit in result.hits]


@pytest.mark.parametrize("using", ["sparse", "bm25", "dense", "hybrid"])
@pytest.mark.parametrize("engine", ["native", "reference"])
def test_a_batch_answers_as_single_queries_do(hybrid, using, engine):
    config = SearchConfig(using=using, engine=engine)
    queries = [SearchQuery("apple"), SearchQuery("plum and cherry"), SearchQuery("banana")]
    for query, together in zip(queries, search_batch(hybrid, queries, config), strict=True):
        alone = search(hybrid, query, config)
        assert ids(alone) == ids(together)
        assert [hit.score for hit in alone.hits] == pytest.approx(
            [hit.score for hit in together.hits], rel=1e-5
        )


def test_hybrid_is_the_fusion_of_its_parts(hybrid):
    query = SearchQuery("apple plum")
    depth = SearchConfig(limit=100, using="sparse")
    parts = {
        name: search(hybrid, query, SearchConfig(limit=100, using=name))
        for name in ("sparse", "dense")
    }
    expected = {}
    for part in parts.values():
        for rank, hit in enumerate(part.hits, start=1):
            expected[hit.id] = expected.get(hit.id, 0) + 1 / (60 + rank)
    config = SearchConfig(limit=depth.limit, using="hybrid", fusion=ReciprocalRankFusion())
    result = search(hybrid, query, config)
    assert result.fusion == {"rrf": {"k": 60, "weights": {}}}
    assert {hit.id: hit.score for hit in result.hits} == pytest.approx(expected)
    for hit in result.hits:
        for name, score in hit.scores.items():
            assert (hit.id, score) in [(h.id, h.score) for h in parts[name].hits]


def test_hybrid_is_the_default_where_there_is_a_dense_field(hybrid, bm25_collection):
    assert search(hybrid, SearchQuery("apple")).using == "hybrid"
    assert search(bm25_collection(TEXTS), SearchQuery("apple")).using == "sparse"


def test_prefetch_chooses_the_fields_their_depth_and_their_weights(hybrid):
    query = SearchQuery("apple plum")
    config = SearchConfig(
        prefetch=(Prefetch("bm25", 1), Prefetch("sparse", 2)),
        fusion=ReciprocalRankFusion(k=10, weights={"bm25": 5.0}),
    )
    result = search(hybrid, query, config)
    (first,) = search(hybrid, query, SearchConfig(limit=1, using="bm25")).hits
    assert result.hits[0].id == first.id
    assert len(result.hits) <= 3
    assert {name for hit in result.hits for name in hit.scores} == {"bm25", "sparse"}


def test_fields_joined_by_plus_are_fused(hybrid):
    query = SearchQuery("apple plum")
    every = (Prefetch("sparse", 100), Prefetch("bm25", 100), Prefetch("dense", 100))
    joined = search(hybrid, query, SearchConfig(using="sparse+bm25+dense"))
    listed = search(hybrid, query, SearchConfig(prefetch=every))
    assert joined.using == "sparse+bm25+dense"
    assert [(h.id, h.score) for h in joined.hits] == [(h.id, h.score) for h in listed.hits]


def test_pages_join_to_the_whole(hybrid):
    query = SearchQuery("apple cherry")
    whole = ids(search(hybrid, query, SearchConfig(limit=6)))
    pages = [ids(search(hybrid, query, SearchConfig(limit=2, offset=n))) for n in (0, 2, 4)]
    assert [identifier for page in pages for identifier in page] == whole
    assert ids(search(hybrid, query, SearchConfig(limit=5, offset=100))) == []


@pytest.mark.parametrize("name", ["sparse", "bm25"])
def test_contributions_sum_to_the_score(hybrid, name):
    result = search(hybrid, SearchQuery("apple plum"), SearchConfig(using=name, explain=True))
    assert result.hits
    for hit in result.hits:
        terms = hit.terms[name]
        assert sum(term.contribution for term in terms) == pytest.approx(hit.score, rel=1e-5)
        assert [t.contribution for t in terms] == sorted(
            (t.contribution for t in terms), reverse=True
        )
        for term in terms:
            assert term.contribution == pytest.approx(term.query_weight * term.document_weight)


def test_contributions_sum_to_the_score_for_rows_newer_than_the_segment(bm25_collection):
    collection = bm25_collection(TEXTS)
    upsert_documents(collection, [Document("g", "apple lemon lemon lemon")])
    collection.delete(["a"])
    result = search(collection, SearchQuery("apple lemon"), SearchConfig(explain=True))
    assert set(ids(result)) == {"c", "f", "g"}
    for hit in result.hits:
        total = sum(term.contribution for term in hit.terms["sparse"])
        assert total == pytest.approx(hit.score, rel=1e-5)


def test_given_vectors_take_the_place_of_the_text(hybrid):
    text = search(hybrid, SearchQuery("apple plum"), SearchConfig(using="sparse", explain=True))
    field = hybrid.fields.named("sparse")
    row = hybrid.fields.encoder(field).encode_queries(["apple plum"])[0]
    config = SearchConfig(using="sparse")
    vector = SearchQuery(sparse=(row.indices.tolist(), row.values.tolist()))
    assert [(h.id, h.score) for h in search(hybrid, vector, config).hits] == [
        (h.id, h.score) for h in text.hits
    ]
    tokens = SearchQuery(tokens=dict(text.query_terms["sparse"]))
    assert ids(search(hybrid, tokens, config)) == ids(text)
    field = hybrid.fields.named("dense")
    dense = hybrid.fields.dense_encoder(field).encode_queries(["apple plum"])[0]
    assert ids(search(hybrid, SearchQuery(dense=dense.tolist()), SearchConfig(using="dense"))) == (
        ids(search(hybrid, SearchQuery("apple plum"), SearchConfig(using="dense")))
    )


def test_a_batch_may_mix_texts_and_vectors(hybrid):
    config = SearchConfig(using="bm25")
    token = SearchQuery(tokens={"plum": 1.0})
    mixed = search_batch(hybrid, [token, SearchQuery("apple"), token], config)
    assert ids(mixed[0]) == ids(mixed[2]) == ids(search(hybrid, token, config))
    assert ids(mixed[1]) == ids(search(hybrid, SearchQuery("apple"), config))


@pytest.mark.parametrize(
    ("query", "config", "reason"),
    [
        (SearchQuery(""), {}, "query is empty"),
        (SearchQuery(" \n"), {}, "query is empty"),
        (SearchQuery("\ud800"), {}, "surrogate"),
        (SearchQuery("x" * 2_000_000), {}, "longer than"),
        (SearchQuery(), {}, "needs the query's text"),
        (SearchQuery(tokens={"apple": 1.0}), {"using": "dense"}, "needs the query's text"),
        (SearchQuery(tokens={"applez": 1.0}), {"using": "sparse"}, "'applez' is not in"),
        (SearchQuery(tokens={"apple": -1.0}), {"using": "sparse"}, "not negative"),
        (SearchQuery(tokens={"a": 1.0}, sparse=([1], [1.0])), {"using": "sparse"}, "both tokens"),
        (SearchQuery(sparse=([1, 1], [1.0, 2.0])), {"using": "sparse"}, "more than once"),
        (SearchQuery(sparse=([99999], [1.0])), {"using": "sparse"}, "outside the vocabulary"),
        (SearchQuery(sparse=([1], [float("nan")])), {"using": "sparse"}, "finite"),
        (SearchQuery(dense=[1.0]), {"using": "dense"}, "1 values"),
        (SearchQuery(dense=[float("inf")] * 16), {"using": "dense"}, "not finite"),
        (SearchQuery("a"), {"using": "nope"}, "no 'nope' field"),
        (SearchQuery("a"), {"using": "sparse+"}, "no '' field"),
        (SearchQuery("a"), {"using": "sparse+sparse"}, "more than once"),
        (SearchQuery("a"), {"engine": "nope", "using": "sparse"}, "no engine 'nope'"),
        (SearchQuery("a"), {"using": "sparse", "prefetch": (Prefetch("bm25", 5),)}, "hybrid"),
        (SearchQuery("a"), {"prefetch": (Prefetch("bm25", 5),) * 2}, "more than once"),
    ],
)
def test_bad_queries_are_refused_in_one_sentence(hybrid, query, config, reason):
    with pytest.raises((InputError, UsageError), match=reason):
        search(hybrid, query, SearchConfig(**config))


@pytest.mark.parametrize("bad", [{"limit": 0}, {"limit": 10_001}, {"offset": -1}])
def test_bad_settings_are_refused(bad):
    with pytest.raises(InputError, match="allowed is"):
        SearchConfig(**bad)


def test_hybrid_without_a_dense_field_says_how_to_get_one(bm25_collection):
    with pytest.raises(UsageError, match="--dense MODEL"):
        search(bm25_collection(TEXTS), SearchQuery("a"), SearchConfig(using="hybrid"))


def test_words_are_marked_by_what_matched(hybrid):
    hit = search(hybrid, SearchQuery("cherry"), SearchConfig(using="bm25")).hits[0]
    (mark,) = hit.highlights
    assert {mark.snippet[start:end] for start, end in mark.spans} == {"cherry"}


def test_without_payload_only_ids_and_scores_come(hybrid):
    full = search(hybrid, SearchQuery("apple"))
    bare = search(hybrid, SearchQuery("apple"), SearchConfig(payload=False))
    assert [(h.id, h.score) for h in bare.hits] == [(h.id, h.score) for h in full.hits]
    assert all(hit.document is None and not hit.highlights for hit in bare.hits)


def test_collection_idf_makes_queries_without_a_model(tmp_path, masked_lm):
    from index.collection.collection import Collection
    from index.collection.field import encoder_fields
    from index.indexing import index_documents
    from tests.index.conftest import items

    fields = encoder_fields(f"inference-free:{masked_lm},idf=collection")
    assert [(field.name, field.counted) for field in fields] == [("sparse", True)]
    collection = Collection.create(tmp_path / "free", fields)
    index_documents(collection, items(TEXTS))
    result = search(collection, SearchQuery("plum"), SearchConfig(using="sparse", explain=True))
    documents = len(TEXTS)
    df = sum("plum" in text.split() for text in TEXTS.values())
    idf = float(np.log1p((documents - df + 0.5) / (df + 0.5)))
    ((token, weight),) = result.query_terms["sparse"]
    assert (token, weight) == ("plum", pytest.approx(idf, rel=1e-6))


@settings(max_examples=40)
@given(texts)
def test_no_text_breaks_a_search(nasty_collection, text):
    try:
        result = search(nasty_collection, SearchQuery(text), SearchConfig(explain=True))
    except InputError:
        assert not text.strip()
    else:
        assert len(result.hits) <= 10


@pytest.fixture(scope="module")
def nasty_collection(tmp_path_factory):
    from index.collection.collection import Collection
    from index.collection.field import encoder_fields
    from index.indexing import index_documents
    from tests.index.conftest import items

    nasty = {"empty": "", "null": "a\0b", "wide": "naïve 中文 👩‍👩‍👧‍👦", "long": "word " * 3000}
    collection = Collection.create(tmp_path_factory.mktemp("nasty") / "c", encoder_fields("bm25"))
    index_documents(collection, items(nasty))
    return collection


@pytest.mark.parametrize("using", ["sparse", "bm25", "sparse+bm25", "hybrid"])
def test_weights_of_other_rankings_are_refused(hybrid, using):
    fusion = ReciprocalRankFusion(weights={"lexical": 5})
    with pytest.raises(InputError, match="weights name 'lexical'"):
        search(hybrid, SearchQuery("apple"), SearchConfig(using=using, fusion=fusion))
    names = ["sparse", "dense"] if using == "hybrid" else using.split("+")
    known = ReciprocalRankFusion(weights=dict.fromkeys(names, 5))
    assert search(hybrid, SearchQuery("apple"), SearchConfig(using=using, fusion=known)).hits


HUGE = float(np.finfo(np.float32).max)


@pytest.mark.parametrize(
    ("query", "using"),
    [
        (SearchQuery(tokens={"apple": HUGE}), "bm25"),
        (SearchQuery(tokens={"apple": 1e34}), "sparse"),
        (SearchQuery(tokens={"apple": 7e32, "plum": 7e32}), "sparse"),
        (SearchQuery(sparse=([7], [HUGE])), "bm25"),
        (SearchQuery(dense=[HUGE] * 32), "dense"),
        (SearchQuery(dense=[-HUGE] * 32), "dense"),
    ],
)
def test_a_query_whose_scores_could_be_infinite_is_refused(hybrid, query, using):
    if query.dense is not None:
        size = hybrid.fields.named("dense").size
        query = SearchQuery(dense=query.dense[:1] * size)
    with pytest.raises(InputError, match="is too large for scores of 32 bits"):
        search(hybrid, query, SearchConfig(using=using))


@pytest.mark.parametrize("using", ["sparse", "bm25", "dense", "hybrid"])
def test_what_is_found_when_time_is_up_is_answered_and_said(hybrid, using):
    query, config = SearchQuery("apple plum"), SearchConfig(using=using, explain=True)
    whole = search(hybrid, query, config, Deadline.after(600_000))
    late = search(hybrid, query, config, Deadline.after(0))
    assert (whole.timed_out, late.timed_out) == (False, True)
    assert [(hit.id, hit.score) for hit in late.hits] == [(hit.id, hit.score) for hit in whole.hits]
    assert any(mark.spans for hit in whole.hits for mark in hit.highlights)
    for hit in late.hits:
        assert hit.document == hybrid.get(hit.id)
        assert all(mark.looked_at == 0 and mark.spans == [] for mark in hit.highlights)
        assert not any(hit.terms.values())
    assert late.exact


def test_the_time_budget_is_for_the_whole_search(hybrid):
    config = SearchConfig(mode="approximate", time_budget_ms=1e-9, using="sparse")
    late = search(hybrid, SearchQuery("apple plum"), config)
    assert late.timed_out
    assert all(mark.looked_at == 0 for hit in late.hits for mark in hit.highlights)
    enough = SearchConfig(mode="approximate", time_budget_ms=600_000, using="sparse")
    assert not search(hybrid, SearchQuery("apple plum"), enough).timed_out


def test_a_search_that_nobody_waits_for_ends(hybrid):
    deadline = Deadline()
    deadline.abandon()
    with pytest.raises(AbandonedError):
        search(hybrid, SearchQuery("apple"), SearchConfig(), deadline)


def test_a_page_of_more_characters_than_are_allowed_is_refused(hybrid):
    query = SearchQuery("apple plum banana cherry")
    whole = search(hybrid, query, SearchConfig(using="bm25"))
    size = sum(len(hit.document.title + hit.document.text + "{}") for hit in whole.hits)
    allowed = SearchConfig(using="bm25", most_characters=size)
    assert ids(search(hybrid, query, allowed)) == ids(whole)
    with pytest.raises(InputError, match=f"hits have more than {size - 1} characters"):
        search(hybrid, query, SearchConfig(using="bm25", most_characters=size - 1))
    bare = SearchConfig(using="bm25", most_characters=1, payload=False)
    assert ids(search(hybrid, query, bare)) == ids(whole)
