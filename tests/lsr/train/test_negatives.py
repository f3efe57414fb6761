"""Negatives are drawn from the ranks asked for, and none of them is an answer."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.encoders.catalogue import load_encoder
from lsr.errors import CorruptionError
from lsr.train import negatives as mining
from lsr.train.config import MiningConfig
from lsr.train.negatives import mine
from lsr.train.pairs import TrainingCorpus

ENCODER = load_encoder("bm25")
DOCUMENTS = [f"document {number}" for number in range(12)]


class Ranking:
    """A retriever that gives fixed rankings and counts how often it is asked."""

    def __init__(self, rankings):
        self.rankings = rankings
        self.asked = 0

    def __call__(self, encoder, documents, queries, depth):
        self.asked += 1
        rows = np.full((len(queries), depth), -1, np.int64)
        for row, ranking in zip(rows, self.rankings, strict=True):
            row[: len(ranking)] = ranking[:depth]
        return rows


class Scores:
    name = "scores"

    def __init__(self, table):
        self.table = np.array(table, np.float32)

    def scores(self, queries, documents):
        return np.where(documents >= 0, self.table[queries[:, None], documents], 0)


rankings = st.permutations(range(12)).flatmap(
    lambda order: st.integers(0, 12).map(lambda count: order[:count])
)


@st.composite
def cases(draw):
    count = draw(st.integers(1, 6))
    queries = [draw(st.sampled_from(["a", "b", "A ", "c"])) for _ in range(count)]
    positives = np.array([draw(st.integers(0, 11)) for _ in range(count)])
    first = draw(st.integers(1, 6))
    chosen = MiningConfig(
        depth=draw(st.integers(first, 14)),
        first=first,
        pool=draw(st.integers(1, 9)),
        margin=draw(st.sampled_from([0.0, 0.5, 0.95, 1.0, 2.0])),
    )
    found = [draw(rankings) for _ in range(count)]
    table = [
        [draw(st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0, 4.0])) for _ in DOCUMENTS]
        for _ in queries
    ]
    teacher = draw(st.sampled_from([None, Scores(table)]))
    return TrainingCorpus(queries, DOCUMENTS, positives), found, chosen, teacher


@settings(max_examples=150)
@given(cases(), st.integers(0, 3), st.sampled_from([1, 2, 256]))
def test_negatives_are_allowed_ones_in_the_order_of_ranks(case, seed, at_a_time):
    corpus, found, chosen, teacher = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mining, "QUERIES_AT_A_TIME", at_a_time)
        drawn = mine(Ranking(found), ENCODER, corpus, chosen, teacher, seed)
        np.testing.assert_array_equal(
            drawn, mine(Ranking(found), ENCODER, corpus, chosen, teacher, seed)
        )
    assert drawn.dtype == np.int64
    assert drawn.shape == (len(corpus.queries), chosen.pool)
    for query, row in enumerate(drawn.tolist()):
        same = corpus.queries[query].casefold().strip()
        answers = {
            int(document)
            for other, document in zip(corpus.queries, corpus.positives, strict=True)
            if other.casefold().strip() == same
        }
        allowed = []
        for rank, document in enumerate(found[query], start=1):
            if not chosen.first <= rank <= chosen.depth or document in answers:
                continue
            if teacher is not None and chosen.margin:
                positive = float(teacher.table[query, corpus.positives[query]])
                limit = chosen.margin * positive
                if positive < 0:
                    limit = positive - (1 - chosen.margin) * -positive
                if teacher.table[query, document] > limit:
                    continue
            allowed.append(document)
        real = [document for document in row if document >= 0]
        assert row == real + [-1] * (chosen.pool - len(real))
        assert len(real) == min(len(allowed), chosen.pool)
        assert [document for document in allowed if document in real] == real


def test_every_allowed_document_is_as_likely():
    corpus = TrainingCorpus(["a"] * 400, DOCUMENTS, np.zeros(400, np.int64))
    ranking = Ranking([list(range(12))] * 400)
    settings = MiningConfig(depth=12, first=3, pool=4)
    drawn = mine(ranking, ENCODER, corpus, settings, None, seed=1)
    counts = Counter(drawn.ravel().tolist())
    assert set(counts) == set(range(2, 12))
    # 400 draws of 4 in 10: 160 on average, 9.8 standard deviation.
    assert min(counts.values()) > 110
    assert max(counts.values()) < 210
    assert (drawn != mine(ranking, ENCODER, corpus, settings, None, seed=2)).any()


def test_the_ranking_is_kept(tmp_path):
    corpus = TrainingCorpus(["a", "b"], DOCUMENTS, np.array([0, 1]))
    ranking = Ranking([[3, 0, 4], [1, 2]])
    settings = MiningConfig(depth=3, pool=2)
    first = mine(ranking, ENCODER, corpus, settings, None, 0, tmp_path)
    assert first.tolist() == [[3, 4], [2, -1]]
    again = mine(ranking, ENCODER, corpus, settings, None, 0, tmp_path)
    np.testing.assert_array_equal(first, again)
    assert ranking.asked == 1
    mine(ranking, load_encoder("bm25,k1=2"), corpus, settings, None, 0, tmp_path)
    mine(ranking, ENCODER, corpus, MiningConfig(depth=2, pool=2), None, 0, tmp_path)
    other = TrainingCorpus(["a", "c"], DOCUMENTS, np.array([0, 1]))
    mine(ranking, ENCODER, other, settings, None, 0, tmp_path)
    assert ranking.asked == 4
    path = next(tmp_path.glob(f"{ENCODER.fingerprint}-{corpus.digest}-top-3.npy"))
    content = path.read_bytes()
    stranger = next(tmp_path.glob("*-top-2.npy")).read_bytes()
    np.save(tmp_path / "outside.npy", np.full((2, 3), 12))
    outside = (tmp_path / "outside.npy").read_bytes()
    for damaged in (content[:-1], b"", b"no array", stranger, outside):
        path.write_bytes(damaged)
        with pytest.raises(CorruptionError, match="delete it"):
            mine(ranking, ENCODER, corpus, settings, None, 0, tmp_path)
