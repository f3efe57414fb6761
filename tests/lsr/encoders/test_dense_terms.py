"""Dense terms against their formula, written as a loop, and as a part of an encoder."""

import json
import math
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from lsr.encoders.catalogue import load_encoder
from lsr.encoders.dense import DenseEncoder
from lsr.encoders.dense_terms import FOLDER, MODEL, TABLE, DenseTerms, TermVectors
from lsr.errors import InputError, UsageError
from lsr.vocabulary import Vocabulary

VOCABULARY = Vocabulary.bert_uncased()
DIMENSION = 16
TEXTS = st.lists(
    st.lists(st.sampled_from(["apple", "pie", "Zürich", "wing", "", "\x00"]), max_size=80).map(
        " ".join
    ),
    max_size=4,
)


@pytest.fixture(scope="module")
def table():
    random = np.random.default_rng(5)
    vectors = random.normal(size=(VOCABULARY.size, DIMENSION)).astype(np.float16)
    means = random.normal(scale=0.1, size=VOCABULARY.size).astype(np.float32)
    return TermVectors(vectors.astype(np.float32), means)


@pytest.fixture
def folder(masked_lm, dense_model, table, tmp_path):
    """An encoder with dense terms, of which the settings say 3.0 and 7."""
    made = shutil.copytree(masked_lm, tmp_path / "encoder")
    shutil.copytree(dense_model, made / FOLDER / MODEL)
    table.write(made / FOLDER / TABLE)
    declare(made, dense_terms=3.0, dense_terms_top=7)
    return made


def declare(folder, **numbers):
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"lsr": numbers}))


def loop(text, dense_model, table, weight, top):
    """Term to weight."""
    vector = DenseEncoder.load(str(dense_model)).encode_documents([text])[0]
    if not vector.any():
        return {}
    products = {
        term: float(np.dot(table.vectors[term], vector) - table.means[term])
        for term in range(VOCABULARY.size)
    }
    best = sorted(products, key=products.__getitem__, reverse=True)[:top]
    return {term: weight * products[term] for term in best if products[term] > 0}


@settings(max_examples=5)
@given(TEXTS, st.floats(0.1, 9), st.sampled_from([1, 20, 40_000]))
def test_each_text_has_the_nearest_terms(folder, dense_model, table, texts, weight, top):
    rows = DenseTerms(VOCABULARY, folder / FOLDER, weight, top)(texts)
    assert len(rows) == len(texts)
    for row, text in zip(rows, texts, strict=True):
        wanted = loop(text, dense_model, table, weight, top)
        assert row.indices.tolist() == sorted(wanted)
        values = [wanted[term] for term in sorted(wanted)]
        np.testing.assert_allclose(row.values, values, rtol=1e-4, atol=1e-5)


def test_texts_beyond_a_tile_are_those_encoded_alone(folder):
    terms = DenseTerms(VOCABULARY, folder / FOLDER, 1.0, 5)
    texts = [f"apple {n}" for n in range(150)]
    together = terms(texts).to_scipy().toarray()
    for place in (0, 63, 64, 149):
        alone = terms([texts[place]]).to_scipy().toarray()[0]
        np.testing.assert_allclose(together[place], alone, rtol=1e-4, atol=1e-5)


def test_they_join_the_models_weights_of_documents_in_quadrature(
    folder, masked_lm, dense_model, table
):
    texts = ["apple pie", ""]
    plain, joined = load_encoder(str(masked_lm)), load_encoder(str(folder))
    found = joined.encode_documents(texts).to_scipy().toarray()
    wanted = plain.encode_documents(texts).to_scipy().toarray()
    for term, weight in loop(texts[0], dense_model, table, 3.0, 7).items():
        wanted[0, term] = math.hypot(wanted[0, term], weight)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    queries = joined.encode_queries(texts).to_scipy().toarray()
    np.testing.assert_array_equal(queries, plain.encode_queries(texts).to_scipy().toarray())
    # Of which the dense model reads 64 tokens.
    assert joined.cuts(["apple " * 300, "apple " * 200]).tolist() == [True, False]


def test_options_change_them_and_leave_them_out(folder, masked_lm):
    def encoded(name):
        return load_encoder(name).encode_documents(["apple pie"]).to_scipy().toarray()

    none = f"{folder},document.dense_terms=0"
    np.testing.assert_array_equal(encoded(none), encoded(str(masked_lm)))
    assert load_encoder(none).fingerprint == load_encoder(str(masked_lm)).fingerprint
    joined = encoded(f"{folder},document.dense_terms=30,document.dense_terms_top=2")
    assert (joined > encoded(none) + 1e-6).sum() == 2
    # A cap is on all terms of a text together.
    capped = encoded(
        f"{folder},document.dense_terms=30,document.dense_terms_top=2,document.top_k=3"
    )
    largest = joined >= np.sort(joined)[0, -3]
    np.testing.assert_array_equal(capped, np.where(largest, joined, 0))
    twice = encoded(f"{folder},document.dense_terms=6") - encoded(none)
    once = encoded(str(folder)) - encoded(none)
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-4, atol=1e-5)
    for option in ("dense_terms=-2", "dense_terms=nan", "dense_terms_top=-1"):
        with pytest.raises(UsageError, match="allowed is 0 or more"):
            load_encoder(f"{folder},{option}")


def test_the_fingerprint_follows_table_model_and_settings(folder, table, masked_lm):
    before = load_encoder(str(folder)).fingerprint
    seen = {before, load_encoder(str(masked_lm)).fingerprint}
    declare(folder, dense_terms=2.0, dense_terms_top=7)
    seen.add(load_encoder(str(folder)).fingerprint)
    declare(folder, dense_terms=3.0, dense_terms_top=7)
    assert load_encoder(str(folder)).fingerprint == before
    TermVectors(table.vectors + 1, table.means).write(folder / FOLDER / TABLE)
    seen.add(load_encoder(str(folder)).fingerprint)
    table.write(folder / FOLDER / TABLE)
    shutil.copyfile(masked_lm / "config.json", folder / FOLDER / MODEL / "config.json")
    seen.add(load_encoder(str(folder)).fingerprint)
    assert len(seen) == 5


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"vectors": np.zeros((3, DIMENSION), np.float16), "means": np.zeros(3, np.float32)},
        {"vectors": np.zeros((VOCABULARY.size, DIMENSION), np.float16)},
        {
            "vectors": np.full((VOCABULARY.size, DIMENSION), np.nan, np.float16),
            "means": np.zeros(VOCABULARY.size, np.float32),
        },
    ],
)
def test_a_table_that_is_no_table_is_refused(folder, arrays):
    save_file(arrays, folder / FOLDER / TABLE)
    with pytest.raises(InputError, match="term_vectors"):
        load_encoder(str(folder)).encode_documents(["apple"])


def test_what_is_missing_or_damaged_is_refused(folder, masked_lm):
    (folder / FOLDER / TABLE).write_bytes(b"\xff" * 100)
    with pytest.raises(InputError, match="can't be read"):
        load_encoder(str(folder)).encode_documents(["apple"])
    shutil.rmtree(folder / FOLDER / MODEL)
    for name in (str(folder), f"{masked_lm},dense_terms=1"):
        with pytest.raises(InputError, match="has no dense terms"):
            load_encoder(name)
    declare(folder, dense_terms="many")
    with pytest.raises(InputError, match="numbers from 0 for dense_terms and dense_terms_top"):
        load_encoder(str(folder))
