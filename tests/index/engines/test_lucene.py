"""Lucene beside the exact engine, and beside what is published for it."""

import numpy as np
import pytest

from eval.datasets import load_dataset
from index.engines.inverted_index import InvertedIndex
from index.engines.registry import open_searcher
from lsr.sparse import SparseBatch, SparseVector

pytest.importorskip("jnius_config", reason="needs pip install '.[lucene]'")

DOCUMENTS, QUERIES, TERMS = 3000, 300, 400


def integers(random, rows, terms, largest):
    """Rows of distinct terms, the frequent ones often, with integer weights from 1."""
    share = 1 / np.arange(1, TERMS + 1)
    share /= share.sum()
    return [
        SparseVector.from_mapping(
            {
                int(term): float(random.integers(1, largest + 1))
                for term in random.choice(TERMS, random.integers(1, terms), False, share)
            }
        )
        for _ in range(rows)
    ]


@pytest.mark.parametrize("largest", [20, 255])
def test_same_top_10_as_ours_on_integer_weights_but_for_ties(largest):
    random = np.random.default_rng(largest)
    documents = SparseBatch.from_rows(integers(random, DOCUMENTS, 60, largest), TERMS)
    queries = SparseBatch.from_rows(integers(random, QUERIES, 20, largest), TERMS)
    index = InvertedIndex.build(documents)
    found = [open_searcher(name, index).search(queries, 10) for name in ("lucene", "native")]
    for row in range(QUERIES):
        lucene, ours = (top.ranking(row) for top in found)
        assert [score for _, score in lucene] == [score for _, score in ours]
        # Of what ties with the tenth, either may be there.
        tenth = ours[-1][1]
        assert {d for d, s in lucene if s > tenth} == {d for d, s in ours if s > tenth}


@pytest.mark.assets
def test_bm25_flat_of_scifact_is_as_published(assets):
    """67.9, by Anserini's regressions of BEIR (flat index, k1=0.9, b=0.4)."""
    from words import lucene_ndcg

    dataset = load_dataset(str(assets / "data" / "scifact"), "test")
    assert round(100 * lucene_ndcg(dataset), 1) == 67.9
