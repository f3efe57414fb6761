"""Batches are what a plain reading of the corpus gives, whatever the step they are asked at."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.errors import UsageError
from lsr.train.batches import BatchOrder
from lsr.train.config import BatchConfig, MiningConfig
from lsr.train.negatives import mine
from lsr.train.pairs import TrainingCorpus
from tests.lsr.train.tiny_training import tiny_corpus


def mined_at_random(corpus, depth, seed):
    """As the miner gives them: no document that answers the query, -1 at the end."""
    generator = np.random.default_rng(seed)

    def retrieve(encoder, documents, queries, wanted):
        found = np.full((len(queries), wanted), -1, dtype=np.int64)
        for row in found:
            some = generator.permutation(len(documents))[: generator.integers(0, wanted + 1)]
            row[: len(some)] = some
        return found

    return mine(retrieve, None, corpus, MiningConfig(depth=depth, pool=depth), None, 0)


def repetitive_corpus(queries, documents, seed):
    """Queries that are asked several times, and documents that answer several."""
    generator = np.random.default_rng(seed)
    asked = [f"Query  {number}" for number in generator.integers(0, max(queries // 2, 1), queries)]
    texts = [f"document {number}" for number in range(documents)]
    return TrainingCorpus(asked, texts, generator.integers(0, documents, queries))


def answers_of(corpus, query):
    """The documents that some pair with this query's text names."""
    return {
        int(document)
        for text, document in zip(corpus.queries, corpus.positives, strict=True)
        if text == corpus.queries[query]
    }


corpora = st.builds(
    repetitive_corpus, st.integers(4, 20), st.integers(1, 12), st.integers(0, 2**32)
)


@settings(max_examples=60)
@given(corpora, st.integers(1, 4), st.integers(0, 5), st.sampled_from(["random", "topics"]))
def test_batches_are_their_definition(corpus, size, negatives, order):
    mined = mined_at_random(corpus, 4, 1)
    batches = BatchOrder(corpus, BatchConfig(size, negatives, order), 3, mined)
    for step in range(2 * batches.batches_per_pass):
        batch = batches(step)
        assert batch.queries.shape == (size,)
        assert batch.documents.tolist() == sorted(set(batch.documents.tolist()))
        assert batch.listed.shape == (size, 1 + negatives)
        shown = set()
        for row, query in enumerate(batch.queries.tolist()):
            own = [batch.documents[c] if c >= 0 else -1 for c in batch.listed[row]]
            assert own[0] == corpus.positives[query] == batch.documents[batch.positives[row]]
            taken = [document for document in own[1:] if document >= 0]
            there = [document for document in mined[query] if document >= 0]
            # As many as there are, each once, of those mined and no answer.
            assert len(taken) == len(set(taken)) == min(negatives, len(there))
            assert set(taken) <= set(there) - answers_of(corpus, query)
            assert own[1 + len(taken) :] == [-1] * (negatives - len(taken))
            shown |= {own[0], *taken}
            for column, document in enumerate(batch.documents.tolist()):
                answers = document in answers_of(corpus, query)
                assert batch.allowed[row, column] == (not answers or document == own[0])
        assert shown == set(batch.documents.tolist())


@settings(max_examples=40)
@given(corpora, st.integers(1, 4), st.sampled_from(["random", "topics"]), st.integers(0, 99))
def test_every_query_once_a_pass(corpus, size, order, seed):
    batches = BatchOrder(corpus, BatchConfig(size, 0, order), seed, mined_at_random(corpus, 4, 1))
    count = len(corpus.queries)
    assert batches.batches_per_pass == count // size
    passes = []
    for number in range(3):
        steps = range(number * batches.batches_per_pass, (number + 1) * batches.batches_per_pass)
        seen = [query for step in steps for query in batches(step).queries.tolist()]
        assert len(seen) == len(set(seen)) == count - count % size
        passes.append(seen)
    if count > 8:
        assert passes[0] != passes[1] or passes[1] != passes[2]


@pytest.mark.parametrize("order", ["random", "topics"])
def test_a_batch_is_a_function_of_its_step(order):
    corpus = tiny_corpus(30)
    mined = mined_at_random(corpus, 8, 2)
    config = BatchConfig(4, 3, order)

    def batch(batches, step):
        found = batches(step)
        return [part.tolist() for part in vars(found).values()]

    together = BatchOrder(corpus, config, 5, mined)
    in_order = [batch(together, step) for step in range(25)]
    for step in np.random.default_rng(0).permutation(25).tolist():
        assert batch(together, step) == batch(BatchOrder(corpus, config, 5, mined), step)
        assert batch(together, step) == in_order[step]
    other = BatchOrder(corpus, config, 6, mined)
    assert [batch(other, step) for step in range(25)] != in_order


@settings(max_examples=60)
@given(corpora, st.integers(1, 6), st.booleans(), st.integers(0, 2**32))
def test_given_negatives_come_before_mined_ones(corpus, negatives, has_mined, seed):
    generator = np.random.default_rng(seed)
    rows = generator.integers(-1, len(corpus.documents), (len(corpus.queries), 3))
    for row in rows:
        _, first = np.unique(row, return_index=True)
        row[np.setdiff1d(np.arange(3), first)] = -1
    corpus = dataclasses.replace(corpus, given=rows)
    mined = mined_at_random(corpus, 4, 1) if has_mined else None
    batches = BatchOrder(corpus, BatchConfig(1, negatives), 3, mined)
    for step in range(batches.batches_per_pass):
        batch = batches(step)
        query = int(batch.queries[0])
        drawn = [int(batch.documents[column]) for column in batch.listed[0, 1:] if column >= 0]
        wrong = set(rows[query].tolist()) - {-1} - answers_of(corpus, query)
        more = set() if mined is None else set(mined[query].tolist()) - {-1} - wrong
        assert len(set(drawn)) == len(drawn) == min(negatives, len(wrong | more))
        assert set(drawn[: len(wrong)]) <= wrong
        assert set(drawn[len(wrong) :]) <= more


def test_negatives_are_drawn_anew_at_each_pass():
    corpus = tiny_corpus(8)
    batches = BatchOrder(corpus, BatchConfig(8, 2), 1, mined_at_random(corpus, 7, 3))

    def negatives(step):
        batch = batches(step)
        rows = {}
        for query, listed in zip(batch.queries.tolist(), batch.listed, strict=True):
            rows[query] = [batch.documents[column] for column in listed[1:] if column >= 0]
        return rows

    assert negatives(0) != negatives(1)


def test_topics_bring_neighbours_together():
    """Groups of four queries, each with the documents of the three others as mined ones."""
    groups, size = 6, 4
    count = groups * size
    positives = np.random.default_rng(1).permutation(count)
    mined = np.array(
        [
            [positives[other] for other in range(count) if other % groups == query % groups]
            for query in range(count)
        ]
    )
    mined = np.array(
        [row[row != positives[query]] for query, row in enumerate(mined)], dtype=np.int64
    )
    texts = [f"text {number}" for number in range(count)]
    corpus = TrainingCorpus([f"query {number}" for number in range(count)], texts, positives)
    batches = BatchOrder(corpus, BatchConfig(size, 0, "topics"), 2, mined)
    first_pass = [batches(step).queries % groups for step in range(groups)]
    assert all(len(set(batch.tolist())) == 1 for batch in first_pass)
    assert sorted(batch[0] for batch in first_pass) == list(range(groups))
    plain = BatchOrder(corpus, BatchConfig(size, 0, "random"), 2, mined)
    mixed = [plain(step).queries % groups for step in range(groups)]
    assert any(len(set(batch.tolist())) > 1 for batch in mixed)


@settings(max_examples=30)
@given(corpora, st.integers(1, 4), st.integers(0, 99))
def test_topics_are_those_of_a_plain_loop(corpus, size, seed):
    mined = mined_at_random(corpus, 5, seed)
    batches = BatchOrder(corpus, BatchConfig(size, 0, "topics"), seed, mined)
    order = np.random.default_rng(5).permutation(len(corpus.queries))
    expected, waiting = [], order.tolist()
    while waiting:
        group = [waiting.pop(0)]
        for document in mined[group[0]]:
            askers = [query for query in order if corpus.positives[query] == document]
            if document >= 0 and len(group) < size and askers and askers[0] in waiting:
                waiting.remove(askers[0])
                group.append(askers[0])
        expected += group
    assert batches._by_topic(order).tolist() == expected


def test_fewer_pairs_than_a_batch_are_refused():
    with pytest.raises(UsageError, match=r"\[batches\] queries is 9, and there are only 8 pairs"):
        BatchOrder(tiny_corpus(8), BatchConfig(9), 0, None)
    assert BatchOrder(tiny_corpus(8), BatchConfig(8), 0, None).batches_per_pass == 1
