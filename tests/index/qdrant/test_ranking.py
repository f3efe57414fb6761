"""Rankings of an engine that sums in any order and keeps none among ties, made exact."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.qdrant import ranking
from index.qdrant.layout import number_of, split_number
from index.qdrant.port import Found
from index.qdrant.ranking import exact_score, top_of
from lsr.sparse import SparseVector

# Many sums of these differ by their order.
weights = st.sampled_from([0.1, 0.30000001, 0.7, 1.1, 3.3, 1000.7])
vectors = st.dictionaries(st.integers(0, 7), weights, max_size=8).map(SparseVector.from_mapping)


class Careless:
    """Finds the best rows by sums in an order of its own, those of the same score in any order."""

    def __init__(self, rows, queries, random):
        self.rows = rows
        self.queries = queries
        self.random = random
        self.limits = []

    def __call__(self, places, limit):
        self.limits.append(limit)
        return [self.search(self.queries[place], limit) for place in places]

    def search(self, query, limit):
        scored = []
        for number, row in self.rows.items():
            _, asked, held = np.intersect1d(query.indices, row.indices, return_indices=True)
            products = (query.values[asked] * row.values[held]).tolist()
            self.random.shuffle(products)
            total = np.float32(0)
            for product in products:
                total += np.float32(product)
            if products:
                scored.append((float(total), number))
        self.random.shuffle(scored)
        scored.sort(key=lambda each: -each[0])
        kept = scored[:limit]
        return Found(
            np.array([number for _, number in kept], dtype=np.int64),
            np.array([score for score, _ in kept], dtype=np.float32),
        )


@given(
    st.lists(st.lists(vectors, min_size=1, max_size=3), max_size=25),
    st.lists(vectors, min_size=1, max_size=3),
    st.integers(1, 12),
    st.randoms(use_true_random=False),
)
def test_documents_come_in_the_order_of_exact_scores_then_of_writing(documents, asked, k, random):
    rows = {
        number_of(n + 1) + place: row
        for n, parts in enumerate(documents)
        for place, row in enumerate(parts)
    }
    split = any(len(parts) > 1 for parts in documents)
    careless = Careless(rows, asked, random)

    def exactly(place):
        return asked[place], lambda numbers: {number: rows[number] for number in numbers}

    top = top_of(careless, len(asked), k, split, number_of(len(documents) + 1), True, exactly)
    for place, query in enumerate(asked):
        best = {}
        for number, row in sorted(rows.items()):
            document, part = split_number(number)
            score = exact_score(query, row)
            if score > best.get(document, (0, 0))[0]:
                best[document] = score, part
        expected = sorted(best, key=lambda document: (-best[document][0], document))[:k]
        assert [document for document, _ in top.ranking(place)] == expected
        scores = [score for _, score in top.ranking(place)]
        np.testing.assert_allclose(scores, [best[each][0] for each in expected], rtol=1e-6)
        if split:
            found = top.passages_of(place)
            assert found == {document: best[document][1] for document in expected}
    assert top.exact(k).all()


def test_a_tie_too_long_to_be_fetched_is_owned_up_to(monkeypatch):
    monkeypatch.setattr(ranking, "MOST_TIED", 50)
    row = SparseVector.from_mapping({1: 1.0})
    rows = {number_of(n): row for n in range(1, 1001)}
    careless = Careless(rows, [row], np.random.default_rng(1))
    top = top_of(careless, 1, 10, False, number_of(2000), True)
    assert len(top.ranking(0)) == 10
    assert not top.exact(10)[0]
    assert careless.limits == [21, 85]


def test_rows_that_do_not_count_are_passed_over():
    row = SparseVector.from_mapping({1: 1.0})
    rows = {number_of(n): row for n in range(1, 101)}
    careless = Careless(rows, [row], np.random.default_rng(1))
    top = top_of(careless, 1, 3, False, number_of(4) - 1, True)
    assert [document for document, _ in top.ranking(0)] == [number_of(n) for n in (1, 2, 3)]


def test_no_query_has_no_ranking():
    assert top_of(lambda places, limit: [], 0, 5, False, 1, True).documents.shape == (0, 0)


@pytest.mark.parametrize("weight", [-1.0, 0.0, 2.0])
def test_only_scores_above_0_count_where_they_do(weight):
    found = Found(np.array([number_of(1)]), np.array([weight], dtype=np.float32))
    for positive in (True, False):
        top = top_of(lambda places, limit: [found], 1, 5, False, number_of(2), positive)
        assert len(top.ranking(0)) == (weight > 0 or not positive)
