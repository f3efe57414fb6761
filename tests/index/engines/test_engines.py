from importlib.util import find_spec

import numpy as np
import pytest

from index import _core
from index.engines.inverted_index import InvertedIndex
from index.engines.native import NativeSearcher
from index.engines.registry import ENGINES, open_searcher
from index.engines.searcher import TopK, merge
from lsr.errors import MissingDependencyError, UsageError
from lsr.sparse import SparseBatch
from tests.index.engines.contract import ApproximateContract, SearcherContract, batch_of
from tests.strategies import VOCABULARY


class TestReference(SearcherContract):
    engine = "reference"


class TestNative(SearcherContract):
    engine = "native"


class TestPruned(SearcherContract):
    """Blocks pruned wherever that gives the answer, on one thread."""

    engine = "native"
    kernels = ""

    def open(self, documents, size=VOCABULARY):
        built = InvertedIndex.build(batch_of(documents, size))
        index = InvertedIndex.unpack(built.pack(), size)
        for name, array in built.arrays.items():
            np.testing.assert_array_equal(index.arrays[name], array)
        return NativeSearcher(index, 1, self.kernels, "block pruning")


class TestPrunedWithScalarKernels(TestPruned):
    kernels = "scalar"


class TestExhaustive(SearcherContract):
    engine = "native"

    def open(self, documents, size=VOCABULARY):
        return NativeSearcher(
            InvertedIndex.build(batch_of(documents, size), reorder=False), 3, strategy="exhaustive"
        )


@pytest.mark.skipif(find_spec("pyserini") is None, reason="needs pip install '.[lucene]'")
class TestLucene(ApproximateContract):
    engine = "lucene"


@pytest.mark.skipif(find_spec("qdrant_edge") is None, reason="needs pip install qdrant-edge-py")
class TestQdrant(SearcherContract):
    engine = "qdrant"


def test_every_engine_is_under_contract():
    exact = {contract.engine for contract in SearcherContract.__subclasses__()}
    approximate = {contract.engine for contract in ApproximateContract.__subclasses__()}
    assert exact | approximate == set(ENGINES)
    assert approximate == {"lucene"}


def test_an_engine_whose_packages_are_missing_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("index.engines.java.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'lsr-search\[lucene\]'"):
        open_searcher("lucene", InvertedIndex.build(batch_of([{1: 1.0}])))


def test_an_unknown_engine_names_the_known_ones():
    with pytest.raises(UsageError, match="native, reference"):
        open_searcher("wand", InvertedIndex.build(batch_of([])))


def test_all_float16_bits_are_decoded_as_numpy_does():
    weights = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    count = len(weights)
    rows = SparseBatch(np.arange(count + 1), np.zeros(count, np.int32), weights, 1)
    top = open_searcher("native", InvertedIndex.build(rows)).search(batch_of([{0: 1.0}], 1), count)
    found = top.documents[0][top.documents[0] >= 0]
    np.testing.assert_array_equal(top.scores[0][: len(found)], weights[found])
    assert len(found) == count - 1  # all but zero


@pytest.mark.parametrize(
    ("indptr", "terms"), [([0, 2], [1, 1]), ([0, 2], [2, 1]), ([0, 3], [1]), ([1, 1], [1])]
)
def test_malformed_queries_and_documents_are_refused(indptr, terms):
    offsets, ids = np.array(indptr, np.int64), np.array(terms, np.int32)
    index = InvertedIndex.build(batch_of([{1: 1.0}]))
    with pytest.raises(ValueError, match="quer"):
        _core.search([index.core], [None], [None], offsets, ids, np.ones(len(terms), np.float32), 5)
    with pytest.raises(ValueError, match="document"):
        InvertedIndex.build(SparseBatch(offsets, ids, np.ones(len(terms), np.float32), 5))


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_weights_that_have_no_bound_are_refused(weight):
    row = SparseBatch(np.array([0, 1]), np.zeros(1, np.int32), np.array([weight], np.float32), 1)
    core = InvertedIndex.build(batch_of([{0: 1.0}])).core
    with pytest.raises(ValueError, match="weights"):
        _core.search([core], [None], [None], row.indptr, row.indices, row.values, 1)
    if not np.isposinf(weight):  # cut to the largest float16
        with pytest.raises(ValueError, match="weight"):
            InvertedIndex.build(row)


def test_merge_keeps_the_ranking_order_over_parts():
    def part(documents, scores):
        return TopK.exhaustive(
            np.array([documents], np.int64), np.array([scores], np.float32), "exhaustive"
        )

    merged = merge([part([4, 9, -1], [2.0, 1.0, 0.0]), part([2, 7], [2.0, -1.0])], 4)
    assert merged.ranking(0) == [(2, 2.0), (4, 2.0), (9, 1.0), (7, -1.0)]
