"""Documents through the model, queries through a table."""

import json
import math
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.backbones.checkpoint import Checkpoint
from lsr.encoders.bm25 import Bm25Encoder
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.term_lookup import informed_idf
from lsr.errors import InputError, NotFoundError, UsageError
from lsr.statistics import CollectionStatistics
from tests.strategies import texts

IDF = {"wing": 3.5, "boundary": 2, "layer": 0.75, "the": 0.0, "of": -1.0, "[CLS]": 9.0, "zzz": 1.0}
modest = settings(max_examples=40)
words = st.sampled_from(["wing", "wings", "boundary", "the", "of", "layer", "[CLS]", "[SEP]", "中"])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, masked_lm):
    folder = shutil.copytree(masked_lm, tmp_path_factory.mktemp("idf") / "model")
    (folder / "idf.json").write_text(json.dumps(IDF))
    return Checkpoint.resolve(str(folder))


@pytest.fixture(scope="module")
def encoder(checkpoint):
    return load_encoder(checkpoint.name)


@pytest.fixture(scope="module")
def splade(checkpoint):
    return load_encoder(f"splade:{checkpoint.name}")


@pytest.fixture(scope="module")
def estimating(masked_lm):
    encoder = load_encoder(f"inference-free:{masked_lm}")
    return encoder, Bm25Encoder(checkpoint=Checkpoint.resolve(str(masked_lm)))


def weights(encoder, vector):
    return {
        encoder.vocabulary.token(term): weight
        for term, weight in zip(vector.indices.tolist(), vector.values.tolist(), strict=True)
    }


@modest
@given(st.lists(words, max_size=8).map(" ".join))
def test_query_weights_are_the_idf_of_the_terms_present(encoder, text):
    present = {encoder.vocabulary.token(term) for term in encoder.vocabulary.tokenize([text])[0]}
    expected = {token: IDF[token] for token in present if IDF.get(token, 0) > 0}
    (row,) = encoder.encode_queries([text])
    assert weights(encoder, row) == expected
    assert row.indices.tolist() == sorted(set(row.indices.tolist()))


@modest
@given(st.lists(texts, max_size=4))
def test_any_text_is_a_query(encoder, texts):
    rows = encoder.encode_queries(texts)
    assert len(rows) == len(texts)
    assert set(np.unique(rows.values)) <= {np.float32(weight) for weight in IDF.values()}


def test_presence_counts_once(encoder):
    (row,) = encoder.encode_queries(["boundary wing Wing the boundary [CLS]"])
    assert (len(row), weights(encoder, row)) == (2, {"wing": 3.5, "boundary": 2.0})


@settings(max_examples=10)
@given(st.lists(texts, max_size=4))
def test_documents_are_splade_vectors_without_special_tokens(encoder, checkpoint, texts):
    expected = (
        load_encoder(f"splade:{checkpoint.name}").encode_documents(texts).to_scipy().toarray()
    )
    expected[:, list(encoder.vocabulary.special)] = 0
    np.testing.assert_array_equal(encoder.encode_documents(texts).to_scipy().toarray(), expected)


def test_splade_weighs_special_tokens_that_documents_here_leave_out(encoder, splade):
    special = list(encoder.vocabulary.special)
    text = ["wing flow boundary layer"]
    assert np.isin(splade.encode_documents(text).indices, special).any()
    assert not np.isin(encoder.encode_documents(text).indices, special).any()


@modest
@given(st.lists(st.lists(words, max_size=6).map(" ".join), min_size=1, max_size=6), words)
def test_collection_idf_is_that_of_the_documents(estimating, documents, word):
    encoder, counter = estimating
    statistics = counter.statistics(counter.encode_documents(documents))
    (row,) = encoder.encode_queries([f"{word} {word}"], statistics)
    tokenized = [set(terms) for terms in encoder.vocabulary.tokenize(documents)]
    expected = {}
    for term in encoder.vocabulary.tokenize([word])[0]:
        df = sum(term in terms for terms in tokenized)
        idf = math.log(1 + (len(documents) - df + 0.5) / (df + 0.5))
        expected[encoder.vocabulary.token(term)] = pytest.approx(idf)
    assert weights(encoder, row) == expected


def test_the_table_is_taken_from_the_checkpoint_where_there_is_one(masked_lm, checkpoint):
    needs = {
        name: load_encoder(name).needs_statistics
        for name in (
            checkpoint.name,
            f"inference-free:{checkpoint.name},idf=checkpoint",
            f"inference-free:{checkpoint.name},idf=collection",
            f"inference-free:{masked_lm}",
        )
    }
    assert list(needs.values()) == [False, False, True, True]


def test_a_table_is_needed_for_idf_checkpoint(masked_lm):
    with pytest.raises(InputError, match=r"has no idf.json, .*; use idf=collection"):
        load_encoder(f"inference-free:{masked_lm},idf=checkpoint")


def test_statistics_are_needed_for_idf_collection(estimating):
    with pytest.raises(UsageError, match="needs a collection's statistics"):
        estimating[0].encode_queries(["wing"])


@pytest.mark.parametrize(
    "table", ["[1, 2]", '{"wing": "x"}', '{"wing": 1e999}', '{"wing": NaN}', '{"wing": null}', "{"]
)
def test_malformed_tables_are_refused(tmp_path, masked_lm, table):
    folder = shutil.copytree(masked_lm, tmp_path / "model")
    (folder / "idf.json").write_text(table)
    with pytest.raises(InputError, match=r"idf\.json"):
        load_encoder(str(folder))


def test_an_unknown_kind_of_idf_is_refused(masked_lm):
    with pytest.raises(UsageError, match="allowed are auto, checkpoint, collection and both"):
        load_encoder(f"inference-free:{masked_lm},idf=none")
    with pytest.raises(NotFoundError):
        load_encoder("inference-free:./no-such-folder")


@pytest.mark.parametrize("name", ["bm25", "checkpoint"])
def test_queries_need_no_torch(name, checkpoint):
    program = f"""
import sys
from lsr.encoders.catalogue import load_encoder
encoder = load_encoder({checkpoint.name if name == "checkpoint" else name!r})
if encoder.needs_statistics:
    stored = encoder.encode_documents(["a wing"])
    batch = encoder.encode_queries(["wing"], encoder.statistics(stored))
else:
    batch = encoder.encode_queries(["wing"])
assert batch.nnz == 1
print([name for name in ("torch", "transformers", "faiss") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


TABLES = st.lists(st.floats(0.05, 12), min_size=4, max_size=4)


@given(TABLES, st.lists(st.integers(0, 50), min_size=4, max_size=4), st.integers(1, 10_000))
def test_informed_idf_counts_documents_that_were_there_before(table, frequency, prior):
    statistics = CollectionStatistics(50, np.array(frequency), 10.0)
    found = informed_idf(statistics, np.array(table, np.float32), prior)
    for term in range(4):
        documents = 50 + prior
        df = frequency[term] + prior * math.exp(-np.float32(table[term]))
        wanted = math.log(1 + (documents - df + 0.5) / (df + 0.5))
        assert found[term] == pytest.approx(wanted, rel=1e-5)


def test_informed_idf_is_the_table_in_a_new_collection_and_the_counts_in_a_large_one():
    table = np.array([0.0, 1.0, 6.0], np.float32)
    nothing = CollectionStatistics(0, np.zeros(3, np.int64), 1.0)
    np.testing.assert_allclose(informed_idf(nothing, table, 10**9), table, atol=1e-3)
    many = CollectionStatistics(10**9, np.array([5, 10**8, 3]), 1.0)
    np.testing.assert_allclose(informed_idf(many, table, 1)[1:], many.idf[1:], rtol=1e-4)
    assert informed_idf(many, table, 1)[0] == 0


def test_the_fingerprint_tells_of_the_prior(checkpoint):
    names = ["", ",idf=both", ",idf=both,prior=7"]
    prints = {load_encoder(f"inference-free:{checkpoint.name}{name}").fingerprint for name in names}
    assert len(prints) == 3
