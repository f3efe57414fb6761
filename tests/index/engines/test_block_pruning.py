"""Collections of many blocks: pruned searches against the reference engine."""

import numpy as np
import pytest

from index import _core
from index.engines.document_mask import DocumentMask
from index.engines.inverted_index import InvertedIndex
from index.engines.native import NativeSearcher
from index.engines.reference import ReferenceSearcher
from index.engines.searcher import Pruning
from lsr.sparse import SparseBatch, SparseVector

VOCABULARY = 3000


def random_batch(random, rows, terms, spread=1.0):
    """Rows about topics, so that bounds differ between blocks."""
    vectors = []
    for _ in range(rows):
        topic = random.integers(0, VOCABULARY)
        near = (topic + random.geometric(0.02, terms)) % VOCABULARY
        common = (VOCABULARY * random.random(terms // 2) ** 4).astype(int)
        found = np.unique(np.concatenate([near, common])).astype(np.int32)
        weights = (spread * random.gamma(2, 0.4, len(found))).astype(np.float32)
        vectors.append(SparseVector(found, weights))
    return SparseBatch.from_rows(vectors, VOCABULARY)


@pytest.fixture(scope="module")
def index():
    return InvertedIndex.build(random_batch(np.random.default_rng(1), 12_000, 20))


@pytest.fixture(scope="module")
def reference(index):
    return ReferenceSearcher(index)


@pytest.fixture(scope="module")
def queries():
    return random_batch(np.random.default_rng(2), 40, 8, spread=7.0)


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 700, 12_000])
def test_weights_of_documents_are_those_of_their_vectors(index, rows):
    built = index if rows == 12_000 else InvertedIndex.build(
        random_batch(np.random.default_rng(rows), rows, 20)
    )  # fmt: skip
    assert (rows < 700) or {-1} < set(np.minimum(built.arrays["rows"], 0).tolist())
    random = np.random.default_rng(7)
    ordinals = random.integers(0, rows, 40)
    terms = np.unique(random.integers(0, VOCABULARY + 5, 300)).astype(np.int32)
    vectors = np.zeros((rows, VOCABULARY + 5), dtype=np.float32)
    batch = built.to_batch()
    vectors[np.repeat(np.arange(rows), np.diff(batch.indptr)), batch.indices] = batch.values
    found = built.weights_of(ordinals, terms)
    np.testing.assert_array_equal(found, vectors[np.ix_(ordinals, terms)])


def test_weights_of_a_document_that_is_not_there_are_refused(index):
    for ordinal in (-1, 12_000):
        with pytest.raises(ValueError, match="no such document"):
            index.weights_of(np.array([ordinal]), np.array([1], np.int32))


@pytest.mark.parametrize("kernels", _core.kernels())
@pytest.mark.parametrize("k", [1, 10, 150, 1500])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.05, 0.001])
def test_exact_answers_equal_the_reference(index, reference, queries, kernels, k, share):
    allowed = (np.random.default_rng(k).random(12_000) < share).astype(np.uint8)
    mask = None if share == 1 else DocumentMask(allowed)
    expected = reference.search(queries, k, mask)
    for strategy in (None, "block pruning", "exhaustive"):
        found = NativeSearcher(index, 2, kernels, strategy).search(queries, k, mask)
        np.testing.assert_array_equal(found.documents, expected.documents)
        np.testing.assert_array_equal(found.scores, expected.scores)
        assert not found.unseen.any()


@pytest.mark.parametrize("strategy", ["block pruning", "exhaustive"])
@pytest.mark.parametrize("rank", [0, 7, 30])
def test_documents_below_the_floor_are_left_out_and_no_others(
    index, reference, queries, strategy, rank
):
    exact = reference.search(queries, 20)
    floor = reference.search(queries, 40).scores[:, rank].copy()
    found = NativeSearcher(index, strategy=strategy).search(queries, 20, floor=floor)
    for row in range(len(queries)):
        expected = [(doc, score) for doc, score in exact.ranking(row) if score >= floor[row]]
        assert found.ranking(row) == expected


def test_the_planner_prunes_for_few_results_and_scores_all_for_many(index, queries):
    searcher = NativeSearcher(index)
    assert set(searcher.search(queries, 10).strategies) == {"block pruning"}
    assert set(searcher.search(queries, 5000).strategies) == {"exhaustive"}
    assert searcher.search(SparseBatch.from_rows([], VOCABULARY), 10).strategies == ()


@pytest.mark.parametrize(
    "pruning",
    [Pruning(factor=0.9), Pruning(factor=0.5), Pruning(budget_us=1), Pruning(0.8, budget_us=50)],
)
def test_approximate_scores_are_true_and_the_certificate_holds(index, reference, queries, pruning):
    exact = reference.search(queries, 20)
    found = NativeSearcher(index, strategy="block pruning").search(queries, 20, pruning=pruning)
    every = reference.search(queries, 12_000)
    for row in range(len(queries)):
        true = dict(every.ranking(row))
        ranking = found.ranking(row)
        assert all(true[document] == score for document, score in ranking)
        seen = {document for document, _ in ranking}
        missed = [score for document, score in exact.ranking(row) if document not in seen]
        assert all(score <= found.unseen[row] for score in missed)
        if found.unseen[row] == 0:
            assert ranking == exact.ranking(row)


def test_less_pruning_finds_more(index, reference, queries):
    exact = reference.search(queries, 10).documents
    recalls = [
        np.mean(
            [
                len(set(a) & set(b)) / 10
                for a, b in zip(
                    NativeSearcher(index).search(queries, 10, pruning=Pruning(factor)).documents,
                    exact,
                    strict=True,
                )
            ]
        )
        for factor in (0.3, 0.9, 1.0)
    ]
    assert recalls == sorted(recalls)
    assert recalls[-1] == 1


def test_a_mask_is_prepared_once(index, queries):
    mask = DocumentMask(np.ones(12_000, np.uint8))
    NativeSearcher(index).search(queries, 5, mask)
    mask.prepared(index.core, lambda _: pytest.fail("it was not kept"))


def test_documents_of_one_topic_share_blocks(index):
    def lists_in_blocks(made):
        return np.count_nonzero(made.arrays["narrow_impacts"]) + np.count_nonzero(
            made.arrays["block_max"]
        )

    as_given = InvertedIndex.build(index.to_batch(), reorder=False)
    assert lists_in_blocks(index) < 0.9 * lists_in_blocks(as_given)


def test_the_index_holds_what_was_put_in(index):
    batch = random_batch(np.random.default_rng(1), 12_000, 20)
    back = index.to_batch()
    np.testing.assert_array_equal(back.indptr, batch.indptr)
    np.testing.assert_array_equal(back.indices, batch.indices)
    np.testing.assert_array_equal(back.values, batch.values.astype(np.float16))


def test_checksums_by_instruction_and_by_table_agree():
    for size in [*range(70), 1000, 4097]:
        data = np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)
        assert _core.checksum(data) == _core.checksum_by_table(data), size
