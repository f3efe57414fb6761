"""Queries by a table: the weights of the encoder that will look them up, and their gradient."""

import json
import math
import shutil

import numpy as np
import pytest
import torch

from lsr.backbones.checkpoint import Checkpoint
from lsr.encoders.term_counts import count_terms, term_statistics
from lsr.encoders.term_lookup import TermLookup
from lsr.errors import UsageError
from lsr.train.term_table import TermTable, initial_table
from tests.lsr.train.tiny_training import (
    SPECIAL,
    TERMS,
    WORDS,
    tiny_checkpoint,
    tiny_pairs,
    with_table,
)

QUERIES = ["ba bo ba", "", "zzz [SEP] [CLS]", "KU ka", *(query for query, _ in tiny_pairs(20))]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def vocabulary(folder):
    return Checkpoint.resolve(str(folder)).vocabulary


def counted():
    raise AssertionError("the documents were counted for nothing")


def random_table(vocabulary):
    table = np.random.default_rng(1).normal(1, 1, TERMS).astype(np.float32)
    table[list(vocabulary.special)] = 0
    return table


@pytest.mark.parametrize("learned", [True, False])
def test_weights_are_those_of_the_lookup(vocabulary, learned):
    table = random_table(vocabulary)
    queries = TermTable(count_terms(vocabulary, QUERIES), table, learned, CPU)
    rows = np.array([3, 1, 0, 0, 2, *range(len(QUERIES))])
    found = queries(rows)
    lookup = TermLookup(vocabulary, table, {}).encode([QUERIES[row] for row in rows])
    np.testing.assert_array_equal(found.detach().numpy(), lookup.to_scipy().toarray())
    assert found.requires_grad == learned
    assert not found[:, list(vocabulary.special)].any()
    np.testing.assert_array_equal(queries.table(), np.maximum(table, 0))


def test_gradient_of_a_learned_table_is_that_of_a_loop(vocabulary):
    table = random_table(vocabulary)
    queries = TermTable(count_terms(vocabulary, QUERIES), table, True, CPU)
    rows = np.array([0, 3, 5, 5, 1])
    factors = torch.randn(len(rows), TERMS, generator=torch.Generator().manual_seed(2))
    (queries(rows) * factors).sum().backward()
    expected = np.zeros(TERMS)
    for place, row in enumerate(rows):
        tokens = vocabulary.tokenizer.encode(QUERIES[row], add_special_tokens=False).ids
        for term in set(tokens):
            if table[term] > 0:
                expected[term] += float(factors[place, term])
    np.testing.assert_allclose(queries.weights.grad.numpy(), expected, rtol=1e-5, atol=1e-6)
    assert not queries.weights.grad[list(vocabulary.special)].any()


def test_training_the_table_leaves_the_one_given_alone(vocabulary):
    table = random_table(vocabulary)
    kept = table.copy()
    queries = TermTable(count_terms(vocabulary, QUERIES), table, True, CPU)
    with torch.no_grad():
        queries.weights.add_(1)
    np.testing.assert_array_equal(table, kept)
    np.testing.assert_array_equal(queries.table(), np.maximum(kept + 1, 0))


def test_binary_table(vocabulary):
    table = initial_table(vocabulary, "binary", "training", counted)
    expected = [0.0 if token in SPECIAL else 1.0 for token in vocabulary.tokens]
    assert table.dtype == np.float32
    assert table.tolist() == expected


@pytest.mark.parametrize("queries", ["idf", "learned"])
def test_idf_of_the_training_documents(vocabulary, queries):
    documents = [document for _, document in tiny_pairs(15)] + ["", "ba ba ba [MASK]"]
    table = initial_table(
        vocabulary, queries, "training", lambda: term_statistics(vocabulary, documents)
    )
    for term, token in enumerate(vocabulary.tokens):
        df = sum(token in document.split() for document in documents)
        idf = math.log(1 + (len(documents) - df + 0.5) / (df + 0.5))
        assert table[term] == pytest.approx(0 if token in SPECIAL else idf, rel=1e-6), token


def test_table_of_a_checkpoint(vocabulary, tmp_path):
    weights = with_table(tiny_checkpoint(tmp_path / "with"))
    table = initial_table(vocabulary, "idf", str(tmp_path / "with"), counted)
    expected = [weights.get(token, 0) for token in vocabulary.tokens]
    np.testing.assert_allclose(table, expected, rtol=1e-6)
    assert len(weights) == len(WORDS)


def test_a_checkpoint_without_a_table_or_with_another_vocabulary_is_refused(
    vocabulary, folder, tmp_path, masked_lm
):
    with pytest.raises(UsageError, match=r"holds no table over the 65 terms .*'training'"):
        initial_table(vocabulary, "idf", str(folder), counted)
    larger = shutil.copytree(masked_lm, tmp_path / "larger")
    (larger / "idf.json").write_text('{"wing": 1.0}')
    permuted = tiny_checkpoint(tmp_path / "permuted")
    with_table(permuted)
    tokenizer = json.loads((permuted / "tokenizer.json").read_text())
    terms = tokenizer["model"]["vocab"]
    terms["ba"], terms["bo"] = terms["bo"], terms["ba"]
    (permuted / "tokenizer.json").write_text(json.dumps(tokenizer))
    for other in (larger, permuted):
        with pytest.raises(UsageError, match="holds no table over the 65 terms"):
            initial_table(vocabulary, "idf", str(other), counted)
