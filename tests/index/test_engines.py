from importlib.util import find_spec

import numpy as np
import pytest

from index._core import ExhaustiveIndex
from index.posting_list import PostingLists
from index.searcher import ENGINES, TopK, merge, open_searcher
from lsr.errors import MissingDependencyError, UsageError
from tests.index.contract import ApproximateContract, SearcherContract, batch_of


class TestReference(SearcherContract):
    engine = "reference"


class TestNative(SearcherContract):
    engine = "native"


@pytest.mark.skipif(find_spec("pyserini") is None, reason="needs pip install 'lsr[lucene]'")
class TestLucene(ApproximateContract):
    engine = "lucene"


def test_every_engine_is_under_contract():
    exact = {contract.engine for contract in SearcherContract.__subclasses__()}
    approximate = {contract.engine for contract in ApproximateContract.__subclasses__()}
    assert exact | approximate == set(ENGINES)
    assert approximate == {"lucene"}


def test_an_engine_whose_packages_are_missing_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("index.lucene.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'lsr\[lucene\]'"):
        open_searcher("lucene", PostingLists.invert(batch_of([{1: 1.0}])))


def test_an_unknown_engine_names_the_known_ones():
    with pytest.raises(UsageError, match="native, reference"):
        open_searcher("wand", PostingLists.invert(batch_of([])))


def test_all_float16_bits_are_decoded_as_numpy_does():
    weights = np.arange(0x7C00, dtype=np.uint16)
    count = len(weights)
    index = ExhaustiveIndex(
        np.array([0, count], np.int64), np.arange(count, dtype=np.uint32), weights, count
    )
    ids, scores = index.search(
        np.array([0, 1], np.int64), np.zeros(1, np.int32), np.ones(1, np.float32), count
    )
    order = ids[0][ids[0] >= 0]
    np.testing.assert_array_equal(
        scores[0][: len(order)], weights.view(np.float16)[order].astype(np.float32)
    )
    assert len(order) == count - 1  # all but zero


@pytest.mark.parametrize(
    ("offsets", "documents", "weights", "count"),
    [
        ([0, 2], [0, 0], [1, 1], 1),  # a document twice
        ([0, 2], [1, 0], [1, 1], 2),  # descending
        ([0, 1], [5], [1], 2),  # beyond the last document
        ([0, 3], [0], [1], 2),  # offsets beyond the postings
        ([1, 1], [0], [1], 2),  # offsets don't start at 0
        ([0, 1], [0], [0x7C00], 2),  # infinite
        ([0, 1], [0], [0x8001], 2),  # negative
        ([0, 1], [0], [1, 1], 2),  # a weight too many
    ],
)
def test_malformed_posting_lists_are_refused(offsets, documents, weights, count):
    with pytest.raises(ValueError, match=r"posting|offsets|weight"):
        ExhaustiveIndex(
            np.array(offsets, np.int64),
            np.array(documents, np.uint32),
            np.array(weights, np.uint16),
            count,
        )


@pytest.mark.parametrize(
    ("indptr", "terms"), [([0, 2], [1, 1]), ([0, 2], [2, 1]), ([0, 3], [1]), ([1, 1], [1])]
)
def test_malformed_queries_are_refused(indptr, terms):
    index = ExhaustiveIndex(
        np.zeros(4, np.int64), np.empty(0, np.uint32), np.empty(0, np.uint16), 0
    )
    weights = np.ones(len(terms), np.float32)
    with pytest.raises(ValueError, match="quer"):
        index.search(np.array(indptr, np.int64), np.array(terms, np.int32), weights, 5)


def test_merge_keeps_the_ranking_order_over_parts():
    def part(documents, scores):
        return TopK.exhaustive(
            np.array([documents], np.int64), np.array([scores], np.float32), "exhaustive"
        )

    merged = merge([part([4, 9, -1], [2.0, 1.0, 0.0]), part([2, 7], [2.0, -1.0])], 4)
    assert merged.ranking(0) == [(2, 2.0), (4, 2.0), (9, 1.0), (7, -1.0)]
