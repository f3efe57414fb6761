import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from index.engines.dense import DenseSearcher
from index.engines.document_mask import DocumentMask


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.integers(-2, 2), min_size=3, max_size=3), max_size=30),
    st.lists(st.lists(st.integers(-2, 2), min_size=3, max_size=3), min_size=1, max_size=40),
    st.integers(1, 40),
    st.randoms(use_true_random=False),
)
def test_equals_exhaustive_scoring_ties_included(documents, queries, k, random):
    vectors = np.array(documents, np.float32).reshape(-1, 3)
    asked = np.array(queries, np.float32)
    alive = np.array([random.random() < 0.6 for _ in documents], np.uint8)
    for mask in (None, alive):
        top = DenseSearcher(vectors).search(asked, k, None if mask is None else DocumentMask(mask))
        for row, query in enumerate(asked):
            living = [i for i in range(len(vectors)) if mask is None or mask[i]]
            scored = [(i, float(vectors[i] @ query)) for i in living]
            assert top.ranking(row) == sorted(scored, key=lambda item: (-item[1], item[0]))[:k]


def test_a_query_scores_the_same_alone_and_in_a_batch():
    random = np.random.default_rng(3)
    vectors = random.standard_normal((500, 64), dtype=np.float32)
    queries = random.standard_normal((50, 64), dtype=np.float32)
    searcher = DenseSearcher(vectors)
    together = searcher.search(queries, 20)
    for row in range(len(queries)):
        assert searcher.search(queries[row : row + 1], 20).ranking(0) == together.ranking(row)
