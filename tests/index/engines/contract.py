"""What every engine must do: exactly what the oracle does, or nearly where weights are rounded."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.engines.document_mask import DocumentMask
from index.engines.inverted_index import InvertedIndex
from index.engines.registry import open_searcher
from lsr.sparse import SparseBatch, SparseVector
from tests.oracles import rank_by_inner_product
from tests.strategies import VOCABULARY, queries, sparse_vectors


def batch_of(rows, size=VOCABULARY):
    return SparseBatch.from_rows((SparseVector.from_mapping(row) for row in rows), size)


@cache
def many_windows():
    """40,000 documents, a query, and the ranking of all of them."""
    random = np.random.default_rng(5)
    documents = [
        dict.fromkeys(random.integers(0, VOCABULARY, 3).tolist(), float(weight))
        for weight in random.random(40_000).astype(np.float16)
    ]
    query = {1: 0.3, 4: 1.7, 7: 0.25}
    return documents, query, rank_by_inner_product(documents, query, len(documents))


class SearcherContract:
    """Subclasses name the ``engine``."""

    engine: str

    def open(self, documents, size=VOCABULARY):
        return open_searcher(self.engine, InvertedIndex.build(batch_of(documents, size)))

    def rankings(self, documents, asked, k, alive=None):
        mask = None if alive is None else DocumentMask(alive)
        top = self.open(documents).search(batch_of(asked, VOCABULARY + 4), k, mask)
        return [top.ranking(row) for row in range(len(asked))]

    # Each engine runs this test in a class of its own, on purpose.
    @settings(max_examples=150)
    @given(
        st.lists(sparse_vectors, max_size=40),
        st.lists(queries, max_size=4),
        st.integers(1, 60),
        st.randoms(use_true_random=False),
    )
    def test_equals_the_oracle_in_ids_and_scores(self, documents, asked, k, random):
        alive = np.array([random.random() < 0.7 for _ in documents], dtype=np.uint8)
        for mask in (None, alive):
            expected = [rank_by_inner_product(documents, query, k, mask) for query in asked]
            assert self.rankings(documents, asked, k, mask) == expected

    def test_ties_rank_by_ordinal_and_the_first_k_stay(self):
        documents = [{3: 1.0}] * 50
        assert [doc for doc, _ in self.rankings(documents, [{3: 2.0}], 7)[0]] == list(range(7))

    def test_an_empty_query_finds_nothing(self):
        assert self.rankings([{1: 1.0}], [{}], 5) == [[]]

    def test_an_unknown_term_finds_nothing(self):
        assert self.rankings([{1: 1.0}], [{VOCABULARY + 2: 1.0}], 5) == [[]]

    def test_no_documents(self):
        assert self.rankings([], [{1: 1.0}], 5) == [[]]

    def test_no_queries(self):
        assert self.rankings([{1: 1.0}], [], 5) == []

    def test_all_documents_deleted(self):
        assert self.rankings([{1: 1.0}], [{1: 1.0}], 5, np.zeros(1, np.uint8)) == [[]]

    def test_many_windows_of_documents(self):
        documents, query, ranking = many_windows()
        searcher, asked = self.open(documents), batch_of([query], VOCABULARY + 4)
        for k in (1, 100, 10_000):
            assert searcher.search(asked, k).ranking(0) == ranking[:k]

    def test_term_ids_above_65535(self):
        documents = [{65_536: 1.0}, {0: 1.0}, {70_000: 2.0}]
        searcher = self.open(documents, size=70_001)
        top = searcher.search(batch_of([{65_536: 1.0, 70_000: 1.0}], 70_001), 5)
        assert top.ranking(0) == [(2, 2.0), (0, 1.0)]

    def test_a_document_with_every_term(self):
        documents = [dict.fromkeys(range(5000), 0.5), {4999: 3.0}]
        top = self.open(documents, 5000).search(batch_of([{4998: 1.0, 4999: 1.0}], 5000), 5)
        assert top.ranking(0) == [(1, 3.0), (0, 1.0)]

    def test_weights_beyond_float16_are_cut_to_its_largest(self):
        assert self.rankings([{1: 1e9}], [{1: 1.0}], 1) == [[(0, 65504.0)]]

    @pytest.mark.parametrize("weight", [65504.0, 6e-8, 6.1e-5, 1.0])
    def test_every_kind_of_half_is_read_right(self, weight):
        expected = float(np.float32(np.float16(weight)))
        assert self.rankings([{1: weight}], [{1: 1.0}], 1) == [[(0, expected)]]


class ApproximateContract:
    """An engine over rounded weights: nearly the oracle's ranking. Subclasses name the ``engine``.

    Examples are few: opening such an engine takes a tenth of a second.
    """

    engine: str

    def search(self, documents, asked, k, alive=None):
        searcher = open_searcher(self.engine, InvertedIndex.build(batch_of(documents)))
        mask = None if alive is None else DocumentMask(np.array(alive, np.uint8))
        return searcher.search(batch_of(asked, VOCABULARY + 4), k, mask)

    def rankings(self, documents, asked, k, alive=None):
        top = self.search(documents, asked, k, alive)
        return [top.ranking(row) for row in range(len(asked))]

    def random_documents(self, count, seed=3):
        random = np.random.default_rng(seed)
        return [
            dict(
                zip(
                    random.choice(VOCABULARY, 5, replace=False).tolist(),
                    random.uniform(0.05, 3, 5).tolist(),
                    strict=True,
                )
            )
            for _ in range(count)
        ]

    @pytest.mark.parametrize("share", [1.0, 0.9, 0.3, 0.02])
    def test_finds_nearly_what_the_oracle_finds(self, share):
        documents = self.random_documents(1500)
        asked = self.random_documents(20, seed=4)
        alive = (np.random.default_rng(5).random(1500) < share).astype(np.uint8)
        top = self.search(documents, asked, 10, None if share == 1 else alive)
        found = 0
        for row, query in enumerate(asked):
            oracle = rank_by_inner_product(documents, query, 1500, alive if share < 1 else None)
            true = dict(oracle)
            ranking = top.ranking(row)
            assert len(ranking) == min(10, len(oracle))
            scores = [score for _, score in ranking]
            assert scores == sorted(scores, reverse=True)
            assert all(score == pytest.approx(true[doc], abs=0.1) for doc, score in ranking)
            found += len({doc for doc, _ in ranking} & {doc for doc, _ in oracle[:10]})
            left_out = [score for doc, score in oracle if doc not in dict(ranking)]
            assert top.unseen[row] >= max(left_out, default=0)
        assert found >= 0.95 * 10 * len(asked)

    def test_ties_rank_by_ordinal_and_the_first_k_stay(self):
        ranking = self.rankings([{3: 1.0}] * 50, [{3: 2.0}], 7)[0]
        assert [document for document, _ in ranking] == list(range(7))

    def test_scores_are_on_the_scale_of_the_weights(self):
        assert self.rankings([{1: 2.0, 2: 1.0}, {2: 2.0}], [{1: 3.0}], 5)[0] == [
            (0, pytest.approx(6.0, rel=1e-5))
        ]

    def test_the_least_weights_still_match(self):
        documents, asked = [{1: 100.0}, {1: 1e-4}, {}], [{1: 100.0}, {1: 100.0, 2: 1e-5}]
        for ranking in self.rankings(documents, asked, 3):
            assert [document for document, _ in ranking] == [0, 1]

    def test_no_ranking_passes_for_exact(self):
        top = self.search([{1: 1.0}, {2: 1.0}, {1: 0.5}], [{1: 1.0}], 3)
        assert [document for document, _ in top.ranking(0)] == [0, 2]
        assert all(top.bound_gap(k)[0] > 0 for k in (1, 2, 3))

    @pytest.mark.parametrize("query", [{}, {VOCABULARY + 2: 1.0}], ids=["empty", "unknown term"])
    def test_a_query_without_known_terms_finds_nothing(self, query):
        assert self.rankings([{1: 1.0}], [query], 5) == [[]]

    def test_no_documents_and_no_queries(self):
        assert self.rankings([], [{1: 1.0}], 5) == [[]]
        assert self.rankings([{1: 1.0}], [], 5) == []

    def test_all_documents_deleted(self):
        assert self.rankings([{1: 1.0}, {1: 2.0}], [{1: 1.0}], 5, [0, 0]) == [[]]

    def test_k_beyond_the_collection(self):
        ranking = self.rankings([{1: 1.0}, {1: 2.0}, {2: 1.0}], [{1: 1.0}], 1000)[0]
        assert [document for document, _ in ranking] == [1, 0]

    def test_a_query_of_thousands_of_terms(self):
        size = 5000
        lists = InvertedIndex.build(batch_of([dict.fromkeys(range(size), 0.5), {7: 3.0}], size))
        top = open_searcher(self.engine, lists).search(
            batch_of([dict.fromkeys(range(size), 1.0)], size), 2
        )
        assert [document for document, _ in top.ranking(0)] == [0, 1]
