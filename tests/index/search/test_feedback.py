"""Feedback against plain loops over all documents, with deletes, tails, segments and passages."""

import math
from collections import defaultdict
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.collection.collection import Collection
from index.collection.field import DENSE, SPARSE, Field, sparse_field
from index.collection.maintenance import MaintenanceConfig
from index.filters.text_form import parse_filter_text
from index.indexing import upsert_documents
from index.search.config import Prefetch, SearchConfig
from index.search.feedback import Average, Rm3, Rocchio, parse_feedback
from index.search.fusion import ReciprocalRankFusion
from index.search.pipeline import search, search_batch
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.corpus.passages import Passage
from lsr.encoders.bm25 import Bm25Config, Bm25Encoder
from lsr.encoders.imported import ImportedEncoder
from lsr.errors import InputError, UsageError
from lsr.sparse import SparseBatch, SparseVector
from lsr.vocabulary import Vocabulary

WORDS = ["the", "apple", "banana", "cherry", "lemon", "plum", "pie"]
# Of an imported field these are the terms 0, 1, ...; BM25 has the numbers of its vocabulary.
IMPORTED = Vocabulary.from_tokens(WORDS)
PIECES = Bm25Encoder(Bm25Config(analyzer="wordpiece"))
TERM = {word: PIECES.vocabulary.term(word) for word in WORDS}
FIELDS = [
    sparse_field(SPARSE, ImportedEncoder(IMPORTED)),
    sparse_field("bm25", PIECES),
    Field(DENSE, "dense", "none", "none", 3),
]
QUIET = MaintenanceConfig(flush_documents=10**9)
IDS = st.integers(0, 11).map(lambda n: f"d{n}")
WEIGHTS = st.dictionaries(st.sampled_from(WORDS), st.sampled_from([0.5, 1.0, 0.1, 3.0]))
COUNTS = st.dictionaries(st.sampled_from(WORDS), st.integers(1, 4).map(float))
POINTS = st.lists(st.integers(-3, 3), min_size=3, max_size=3)
ROWS = st.lists(st.tuples(WEIGHTS, COUNTS, POINTS), min_size=1, max_size=3)
WRITES = st.one_of(
    st.tuples(st.just("upsert"), st.dictionaries(IDS, ROWS, min_size=1, max_size=8)),
    st.tuples(st.just("delete"), st.lists(IDS, max_size=3)),
    st.tuples(st.just("flush"), st.none()),
)
DEPTHS, TERMS = st.integers(1, 6), st.integers(0, 4)
ROUNDS = st.sampled_from(["", "before", "after", "both"])


@st.composite
def searches(draw):
    """Fields that are searched, and a feedback that they allow."""
    fields = draw(st.sampled_from(["sparse", "bm25", "dense", "sparse+dense", "bm25+dense+sparse"]))
    names = fields.split("+")
    target = draw(st.sampled_from(names))
    settings = {"depth": draw(DEPTHS), "using": target if draw(st.booleans()) else ""}
    if len(names) > 1:
        settings |= {"interpolation": draw(ROUNDS), "using": target}
    if target != "dense":
        settings["terms"] = draw(TERMS)
    share = st.sampled_from([0.0, 0.3, 0.5, 1.0])
    methods = [Average(**settings), Rocchio(alpha=draw(share), beta=0.6, **settings)]
    if target == "bm25":
        methods.append(Rm3(weight=draw(share), **settings))
    return fields, target, draw(st.sampled_from(methods))


def batch(rows, ids, size):
    vectors = [SparseVector.from_mapping({ids[word]: w for word, w in r.items()}) for r in rows]
    return SparseBatch.from_rows(vectors, size)


def write(collection, documents):
    flat = [row for rows in documents.values() for row in rows]
    numbers = {word: IMPORTED.term(word) for word in WORDS}
    vectors = {
        SPARSE: batch([row[0] for row in flat], numbers, IMPORTED.size),
        "bm25": batch([row[1] for row in flat], TERM, PIECES.vocabulary.size),
        DENSE: np.array([row[2] for row in flat], dtype=np.float32),
    }
    texts = [
        Document(each, "x" * len(rows), metadata={"even": int(each[1:]) % 2 == 0})
        for each, rows in documents.items()
    ]
    parts = [[Passage(n, n + 1, "", None) for n in range(len(r))] for r in documents.values()]
    collection.upsert(texts, vectors, [each if len(each) > 1 else [] for each in parts])


class Oracle:
    """All live documents, in the order in which they were written."""

    def __init__(self, held, statistics):
        self.held = held
        self.statistics = statistics

    def idf(self, word):
        df = int(self.statistics.document_frequency[TERM[word]])
        return np.float32(math.log1p((self.statistics.documents - df + 0.5) / (df + 0.5)))

    def weights(self, field, row):
        """What is scored of a row, by word."""
        if field == SPARSE:
            return {word: np.float32(np.float16(weight)) for word, weight in row[0].items()}
        length = sum(count for word, count in row[1].items() if word != "the")
        relative = 0.4 * (length / (self.statistics.average_length or 1.0))
        return {
            word: np.float32(np.float16(np.float32(tf / (tf + 0.9 * (1 - 0.4 + relative)))))
            for word, tf in row[1].items()
        }

    def score(self, field, query, row):
        if field == DENSE:
            return float(sum(q * d for q, d in zip(query, row[2], strict=True)))
        weights, total = self.weights(field, row), np.float32(0)
        for word in sorted(query, key=order_of(field)):
            total += np.float32(query[word]) * weights.get(word, np.float32(0))
        return float(total)

    def ranking(self, field, query):
        """Document, score and place of the best passage, best first."""
        found = []
        for each, rows in self.held.items():
            scores = [self.score(field, query, row) for row in rows]
            found.append((each, max(scores), int(np.argmax(scores))))
        found = [each for each in found if field == DENSE or each[1] > 0]
        return sorted(found, key=lambda each: -each[1])

    def moved(self, field, feedback, query, rows, scores):
        if field == DENSE:
            return moved_point(feedback, query, [row[2] for row in rows])
        if isinstance(feedback, Rm3):
            return self.relevance(feedback, query, [row[1] for row in rows], scores)
        own, theirs = shares(feedback, len(rows))
        sums = defaultdict(float)
        for row in rows:
            for word, weight in self.weights(field, row).items():
                sums[word] += float(weight * self.idf(word) if field == "bm25" else weight)
        kept = heaviest(sums, feedback.terms or 50, field)
        return {
            word: own * query.get(word, 0.0) + theirs * kept.get(word, 0.0) / max(len(rows), 1)
            for word in {*query, *kept}
        }

    def relevance(self, feedback, query, rows, scores):
        limit = max(0.1 * self.statistics.documents, 10)
        asked = {word: weight / float(self.idf(word)) for word, weight in query.items()}
        if max(scores, default=0) <= 0:
            scores = [1.0 for _ in scores]
        sums = defaultdict(float)
        for row, score in zip(rows, scores, strict=True):
            common = {w for w in row if self.statistics.document_frequency[TERM[w]] > limit}
            counts = {w: tf for w, tf in row.items() if w != "the" and w not in common}
            kept = heaviest(counts, feedback.terms or 10, "bm25")
            for word, tf in kept.items():
                sums[word] += float(np.float32(max(score, 0.0) * tf / sum(kept.values())))
        kept = heaviest(sums, feedback.terms or 10, "bm25")
        total, length = sum(kept.values()), sum(asked.values()) or 1.0
        if not total:
            return query
        return {
            word: float(self.idf(word))
            * (
                feedback.weight * asked.get(word, 0.0)
                + (1 - feedback.weight) * length * kept.get(word, 0.0) / total
            )
            for word in {*asked, *kept}
        }

    def answer(self, fields, target, feedback, queries):
        """The ranking of a search, and the documents that fed back."""
        first = {name: self.ranking(name, queries[name]) for name in fields}
        alone = feedback.interpolation == "after" or len(fields) == 1
        source = first[target] if alone else fused(first, self.held)
        chosen = source[: feedback.depth]
        rows = [self.held[each][best_place(each, target, first)] for each, *_ in chosen]
        query = self.moved(target, feedback, queries[target], rows, [each[1] for each in chosen])
        second = self.ranking(target, query) if rows else first[target]
        documents = [each for each, *_ in chosen]
        if feedback.interpolation == "before" or len(fields) == 1:
            return second, documents
        return fused(first | {target: second}, self.held), documents


def order_of(field):
    return WORDS.index if field == SPARSE else TERM.get


def shares(feedback, documents):
    if isinstance(feedback, Average):
        return 1 / (documents + 1), documents / (documents + 1)
    return feedback.alpha, feedback.beta


def moved_point(feedback, query, points):
    own, theirs = shares(feedback, len(points))
    means = [sum(values) / len(points) for values in zip(*points, strict=True)] or [0, 0, 0]
    return [own * q + theirs * mean for q, mean in zip(query, means, strict=True)]


def heaviest(weights, terms, field):
    order = order_of(field)
    ranked = sorted(weights, key=lambda word: (-np.float32(weights[word]), order(word)))
    return {word: weights[word] for word in ranked[:terms] if weights[word] > 0}


def fused(rankings, written):
    """By RRF; of equal scores what was written first comes first."""
    scores = defaultdict(float)
    for ranking in rankings.values():
        for rank, (each, *_) in enumerate(ranking, start=1):
            scores[each] += 1 / (60 + rank)
    places = {each: place for place, each in enumerate(written)}
    return sorted(scores.items(), key=lambda each: (-each[1], places[each[0]]))


def best_place(document, target, first):
    places = {}
    for name, ranking in first.items():
        for rank, (each, _, place) in enumerate(ranking):
            if each == document:
                places[name] = rank, place
    return places[target][1] if target in places else min(places.values())[1]


# Always the same examples: the ranks of near ties depend on the rounding of a mean.
@settings(max_examples=50, derandomize=True, database=None)
@given(st.lists(WRITES, min_size=1, max_size=6), WEIGHTS, POINTS, searches(), st.booleans())
def test_every_method_is_a_loop_over_all_documents(
    tmp_path_factory, writes, tokens, point, searched, filtered
):
    using, target, feedback = searched
    path = tmp_path_factory.mktemp("feedback") / "c"
    collection = Collection.create(path, FIELDS, QUIET, vocabulary=IMPORTED, passages="auto")
    held = {}
    for kind, what in writes:
        if kind == "upsert":
            write(collection, what)
            held = {each: held[each] for each in held if each not in what} | what
        elif kind == "delete":
            collection.delete(what)
            held = {each: rows for each, rows in held.items() if each not in what}
        else:
            collection.maintenance.flush()
    if filtered:
        held = {each: rows for each, rows in held.items() if int(each[1:]) % 2 == 0}
    config = SearchConfig(
        limit=20,
        using=using,
        payload=False,
        feedback=feedback,
        # RRF, so that the oracle needs no other.
        fusion=ReciprocalRankFusion(),
        filter=parse_filter_text("even = true") if filtered else None,
    )
    with closing(collection), collection.pinned() as view:
        oracle = Oracle(held, view.statistics(collection.fields.named("bm25")))
        asked = SearchQuery(tokens=tokens, dense=point)
        queries = {SPARSE: tokens, "bm25": tokens, DENSE: point}
        wanted, documents = oracle.answer(using.split("+"), target, feedback, queries)
        result = search(collection, asked, config)
        assert result.feedback == {target: documents}
        assert result.exact
        assert [hit.score for hit in result.hits] == pytest.approx(
            [each[1] for each in wanted], rel=1e-4, abs=1e-5
        )
        scores = {each[0]: each[1] for each in wanted}
        for hit in result.hits:
            assert hit.score == pytest.approx(scores[hit.id], rel=1e-4, abs=1e-5)


TEXTS = {
    "a": "apple banana",
    "b": "banana cherry cherry",
    "c": "cherry lemon plum",
    "d": "plum",
    "e": "",
    "f": "apple apple apple plum",
    # Longer than the models read: split into passages.
    "g": " ".join(["lemon pie"] * 60 + ["apple wing"] * 60),
}


@pytest.fixture(scope="module")
def hybrid(hybrid_collection):
    return hybrid_collection(TEXTS)


@pytest.mark.parametrize("using", ["sparse", "bm25", "dense", "hybrid", "sparse+bm25+dense"])
@pytest.mark.parametrize("method", ["average", "rocchio,depth=2", "rm3,terms=3,using=bm25"])
def test_a_batch_feeds_back_as_single_queries_do(hybrid, using, method):
    if "rm3" in method and "bm25" not in using:
        return
    config = SearchConfig(using=using, feedback=parse_feedback(method))
    queries = [SearchQuery("apple"), SearchQuery("plum and cherry"), SearchQuery("zzz banana")]
    for query, together in zip(queries, search_batch(hybrid, queries, config), strict=True):
        alone = search(hybrid, query, config)
        assert alone.feedback == together.feedback
        assert [hit.id for hit in alone.hits] == [hit.id for hit in together.hits]
        assert [hit.score for hit in alone.hits] == pytest.approx(
            [hit.score for hit in together.hits], rel=1e-5
        )
        assert {"rank", "feedback"} <= alone.stages_ms.keys()


def test_a_search_without_feedback_has_no_such_stage(hybrid):
    result = search(hybrid, SearchQuery("apple"), SearchConfig(using="sparse"))
    assert "feedback" not in result.stages_ms
    assert result.feedback == {}


@pytest.mark.parametrize("using", ["sparse", "bm25"])
def test_the_answer_is_explained_by_the_query_after_feedback(hybrid, using):
    plain = SearchConfig(using=using, explain=True)
    fed = SearchConfig(using=using, explain=True, feedback=Rocchio(depth=2))
    before, after = (search(hybrid, SearchQuery("plum"), each) for each in (plain, fed))
    assert after.feedback == {using: [hit.id for hit in before.hits[:2]]}
    terms = dict(after.query_terms[using])
    assert terms.keys() > dict(before.query_terms[using]).keys()
    for hit in after.hits:
        total = sum(term.contribution for term in hit.terms[using])
        assert total == pytest.approx(hit.score, rel=1e-5)
    assert len(after.hits) >= len(before.hits)


def test_the_answer_before_is_that_of_the_field_alone(hybrid):
    feedback = Average(interpolation="before")
    result = search(hybrid, SearchQuery("apple"), SearchConfig(using="hybrid", feedback=feedback))
    assert result.using == "hybrid"
    assert {name for hit in result.hits for name in hit.scores} == {"dense"}
    assert set(result.encoder) == {"sparse", "dense"}


def test_documents_in_question_are_as_many_as_asked_for_whatever_the_page(hybrid):
    """A first round goes as deep as the feedback looks, and no page moves the query."""
    config = {"using": "dense", "feedback": Rocchio(depth=5)}
    whole = search(hybrid, SearchQuery("apple"), SearchConfig(limit=7, **config))
    assert len(whole.feedback["dense"]) == 5
    for offset in range(7):
        part = search(hybrid, SearchQuery("apple"), SearchConfig(limit=1, offset=offset, **config))
        assert part.feedback == whole.feedback
        assert [(hit.id, hit.score) for hit in part.hits] == [
            (hit.id, pytest.approx(hit.score)) for hit in whole.hits[offset : offset + 1]
        ]


def test_each_prefetch_may_feed_back(hybrid):
    query = SearchQuery("apple plum")
    ways = {"dense": Rocchio(interpolation="after"), "bm25": Rm3(interpolation="after")}
    parts = tuple(Prefetch(name, 3, feedback) for name, feedback in ways.items())
    config = SearchConfig(prefetch=(*parts, Prefetch("sparse", 2)), fusion=ReciprocalRankFusion())
    result = search(hybrid, query, config)
    rankings = {
        name: search(
            hybrid,
            query,
            SearchConfig(limit=3, using=name, feedback=type(feedback)()),
        )
        for name, feedback in ways.items()
    }
    assert result.feedback == {name: rankings[name].feedback[name] for name in ways}
    rankings["sparse"] = search(hybrid, query, SearchConfig(limit=2, using="sparse"))
    found = {name: [(h.id,) for h in each.hits] for name, each in rankings.items()}
    expected = fused(found, TEXTS)
    assert {hit.id: hit.score for hit in result.hits} == pytest.approx(dict(expected))


def test_words_beside_a_model_feed_back_with_their_idf(tmp_path):
    """The packaged encoder: weights of a model and counts of words in one vector."""
    from index.collection.field import encoder_fields

    with closing(Collection.create(tmp_path / "c", encoder_fields("lsr-tiny-v1"))) as collection:
        texts = {"a": "owls hunt mice", "b": "mice eat grain", "c": "grain is ground in mills"}
        upsert_documents(collection, [Document(each, text) for each, text in texts.items()])
        config = SearchConfig(explain=True, feedback=Rocchio(depth=1, terms=100))
        result = search(collection, SearchQuery("owls"), config)
        plain = search(collection, SearchQuery("owls"), SearchConfig(explain=True))
        assert result.feedback == {"sparse": ["a"]}
        weights, before = dict(result.query_terms["sparse"]), dict(plain.query_terms["sparse"])
        with collection.pinned() as view:
            field = collection.fields[0]
            statistics = view.statistics(field)
            rows = [row for segment in view.segments for row in segment.sequence.tolist()]
            number = next(row for row, each in view.store.ids(rows).items() if each == "a")
            _, rows = view.scored_rows(field, [number])
            tokens = view.tokens(field, rows.indices.tolist())
            for term, weight in zip(rows.indices.tolist(), rows.values.tolist(), strict=True):
                counted = term >= field.size
                scale = float(statistics.idf_of(np.array([term]))[0]) if counted else 1.0
                token = tokens[term]
                assert weights[token] == pytest.approx(
                    0.4 * before.get(token, 0.0) + 0.6 * weight * scale, rel=1e-5
                )
                assert counted == token.startswith("word:")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("bo1", "the feedback is 'bo1'; allowed are average, rocchio and rm3"),
        ("", "the feedback is ''"),
        ("rocchio,heft=1", "'heft' is not an option of this feedback; allowed are depth, terms"),
        ("average,alpha=1", "'alpha' is not an option of this feedback"),
        ("rocchio,depth=0", "the feedback's depth is 0; allowed is 1 to 100"),
        ("rocchio,depth=101", "depth is 101"),
        ("rocchio,depth=many", "the feedback option depth=many is not a valid number"),
        ("rocchio,depth", "the feedback option depth= is not a valid number"),
        ("rocchio,depth=1,depth=2", "has a setting more than once"),
        ("rocchio,alpha=-1", "the feedback's alpha is -1.0; allowed is 0 to 1000"),
        ("rocchio,beta=nan", "the feedback's beta is nan"),
        ("rocchio,alpha=0,beta=0", "alpha and beta are both 0"),
        ("rocchio,terms=1001", "the feedback's terms are 1001"),
        ("rm3,weight=1.5", "the feedback's weight is 1.5; allowed is 0 to 1"),
        ("average,interpolation=during", "interpolation is 'during'; allowed are before, after"),
    ],
)
def test_malformed_feedback_is_explained(text, complaint):
    with pytest.raises((InputError, UsageError), match=complaint):
        parse_feedback(text)


@pytest.mark.parametrize(
    ("using", "text", "complaint"),
    [
        ("dense", "rm3", "rm3 is for fields of term counts, such as bm25, and 'dense' is none"),
        ("sparse", "rm3", "and 'sparse' is none"),
        ("hybrid", "rm3", "and 'sparse' is none"),
        ("hybrid", "rm3,using=dense", "and 'dense' is none"),
        ("dense", "rocchio,terms=9", "keeps 9 terms, and the field 'dense' is dense"),
        ("hybrid", "average,using=bm25", "is of the field 'bm25', and searched are sparse, dense"),
        ("bm25", "rocchio,interpolation=both", "one ranking alone is not fused"),
    ],
)
def test_feedback_that_a_search_can_not_have_is_refused(hybrid, using, text, complaint):
    config = SearchConfig(using=using, feedback=parse_feedback(text))
    with pytest.raises(UsageError, match=complaint):
        search(hybrid, SearchQuery("apple"), config)


def test_feedbacks_that_contradict_each_other_are_refused(hybrid):
    before, after = Rocchio(interpolation="before"), Rocchio(interpolation="after")
    several = (Prefetch("dense", 5, before), Prefetch("bm25", 5, after))
    for prefetch, whole, complaint in (
        (several, None, "give all of a search the same"),
        (several[:1], Rocchio(), "has a feedback in its prefetch and that of the whole search"),
        ((Prefetch("dense", 5, Rocchio(using="bm25")),), None, "it is of its own field"),
    ):
        config = SearchConfig(prefetch=prefetch, feedback=whole)
        with pytest.raises(UsageError, match=complaint):
            search(hybrid, SearchQuery("apple"), config)


def test_feedback_that_makes_a_query_too_large_is_refused(hybrid):
    size = hybrid.fields.named("dense").size
    config = SearchConfig(using="dense", feedback=Rocchio(alpha=1000))
    with pytest.raises(InputError, match="too large for scores of 32 bits"):
        search(hybrid, SearchQuery(dense=[1e31] * size), config)
    config = SearchConfig(using="bm25", feedback=Rocchio(alpha=1000))
    with pytest.raises(InputError, match="too large for scores of 32 bits"):
        search(hybrid, SearchQuery(tokens={"apple": 1e33}), config)


@pytest.mark.parametrize("budget", [None, 50, 1e-3])
def test_approximate_searches_feed_back_too(hybrid, budget):
    config = SearchConfig(
        using="sparse+bm25", mode="approximate", time_budget_ms=budget, feedback=Rocchio()
    )
    result = search(hybrid, SearchQuery("apple plum"), config)
    assert list(result.feedback) == ["sparse"]
