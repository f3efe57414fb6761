"""Segments that are searched together, against each searched in turn by the reference engine."""

import numpy as np
import pytest

from index.collection.segment import Segment
from index.collection.segment_search import search_in_turn, search_together
from index.engines.document_mask import DocumentMask
from index.engines.inverted_index import InvertedIndex
from index.engines.searcher import EXACT, Pruning
from lsr.sparse import SparseBatch, SparseVector

VOCABULARY = 60


def random_batch(random, rows, terms):
    """Rows of few different weights, so that many score alike."""
    vectors = []
    for _ in range(rows):
        found = np.unique((VOCABULARY * random.random(terms) ** 2).astype(np.int32))
        weights = random.choice([0.5, 1.0, 2.0], len(found)).astype(np.float32)
        vectors.append(SparseVector(found, weights))
    return SparseBatch.from_rows(vectors, VOCABULARY)


def random_segments(random, sizes, split):
    segments, number = [], 3
    for size in sizes:
        sequence = number + np.cumsum(random.integers(1, 4, size)) if size else np.empty(0, int)
        owners = None
        if split and random.random() < 0.7:
            sequence = number + np.arange(size)
            first = random.random(size) < 0.4
            first[:1] = True
            owners = sequence[np.maximum.accumulate(np.where(first, np.arange(size), 0))]
        number = int(sequence[-1]) + 1 if size else number
        index = InvertedIndex.build(random_batch(random, size, 9))
        segments.append(Segment(sequence.astype(np.int64), {"s": index}, {}, {}, owners))
    return segments


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("sizes", [(1,), (700,), (5, 900, 0, 40), (3000, 2500, 4000), (0, 0)])
@pytest.mark.parametrize("seed", [1, 2])
def test_segments_together_rank_as_the_reference_does_in_turn(sizes, split, seed):
    random = np.random.default_rng(seed)
    segments = random_segments(random, sizes, split)
    queries = random_batch(random, 12, 6)
    some = [DocumentMask((random.random(size) < 0.3).astype(np.uint8)) for size in sizes]
    for alive in ([None] * len(sizes), some, [None, *some[1:]]):
        for k in (1, 7, 100, 10_000):
            found = search_together(segments, alive, "s", queries, k, EXACT)
            wanted = search_in_turn(
                lambda segment, mask, _, rows: segment.searcher("s", "reference").search(
                    queries, rows, mask
                ),
                segments,
                alive,
                len(queries),
                k,
            )
            assert not found.unseen.any()
            for query in range(len(queries)):
                assert found.ranking(query) == wanted.ranking(query)
                assert found.passages_of(query) == wanted.passages_of(query)


def test_what_is_left_out_of_any_segment_is_bounded():
    random = np.random.default_rng(5)
    segments = random_segments(random, (3000, 2500, 4000), split=False)
    queries, alive = random_batch(random, 30, 6), [None] * 3
    exact = search_together(segments, alive, "s", queries, 20, EXACT)
    for pruning in (Pruning(0.5), Pruning(0.8), Pruning(1.0, budget_us=1)):
        found = search_together(segments, alive, "s", queries, 20, pruning)
        for query in range(len(queries)):
            missing = set(exact.ranking(query)) - set(found.ranking(query))
            assert all(score <= found.unseen[query] for _, score in missing)
