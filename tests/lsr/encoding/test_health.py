"""The look at an encoder's first vectors, against a plain loop and on broken models."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from lsr.encoders.catalogue import load_encoder
from lsr.encoding.health import CHECKED, VectorHealth, finite_rows
from lsr.sparse import SparseBatch, SparseVector
from lsr.vocabulary import Vocabulary
from tests.strategies import VOCABULARY, sparse_vectors, texts

WORDS = sorted(Vocabulary.bert_uncased().tokenizer.get_vocab())
WORDS = [word for word in WORDS if word.isalpha() and len(word) > 3]
SENTENCES = [" ".join(WORDS[n * 7 : n * 7 + 5]) for n in range(30)]


def batch(rows, size=VOCABULARY):
    return SparseBatch.from_rows([SparseVector.from_mapping(row) for row in rows], size)


def judge(pairs, size, chunk=3):
    """The health of (text, {term: weight}) pairs, taken chunk by chunk."""
    health = VectorHealth(size)
    for start in range(0, len(pairs), chunk):
        part = pairs[start : start + chunk]
        health.add([text for text, _ in part], batch([row for _, row in part], size))
    return health.report()


def plain(pairs, size):
    """Documents, mean non-zeros, empty, saturated, alike: by counting."""
    counted = [
        (text, row)
        for text, row in pairs
        if text.strip() and all(np.isfinite(weight) for weight in row.values())
    ][:CHECKED]
    n = max(len(counted), 1)
    non_zeros = sum(len(row) for _, row in counted) / n
    empty = sum(not row for _, row in counted) / n
    saturated = sum(
        len(row) > size / 2 or any(weight >= 65504 for weight in row.values()) for _, row in counted
    )
    distinct = {}
    for text, row in counted:
        if row:
            distinct.setdefault(text, row)
    tops = []
    for row in distinct.values():
        tops += sorted(row, key=lambda term: (-np.float32(row[term]), term))[:10]
    frequent = sorted((tops.count(term) for term in set(tops)), reverse=True)[:10]
    alike = sum(frequent) / len(tops) if len(distinct) >= 10 else 0
    return len(counted), non_zeros, empty, saturated / n, alike


broken = st.dictionaries(
    st.integers(0, VOCABULARY - 1),
    st.sampled_from([1.0, float("nan"), float("inf"), 65504.0, 65503.0, 1e30]),
    max_size=3,
)


@given(st.lists(st.tuples(texts, st.one_of(sparse_vectors, broken)), max_size=40))
def test_numbers_are_those_of_a_plain_loop(pairs):
    found = judge(pairs, VOCABULARY)
    numbers = (found.documents, found.non_zeros, found.empty, found.saturated, found.alike)
    assert numbers == pytest.approx(plain(pairs, VOCABULARY))


@given(st.lists(st.one_of(sparse_vectors, broken), max_size=9))
def test_rows_that_are_not_finite_are_found(rows):
    expected = [all(np.isfinite(weight) for weight in row.values()) for row in rows]
    assert finite_rows(batch(rows)).tolist() == expected
    dense = np.array([[row.get(term, 0) for term in range(VOCABULARY)] for row in rows])
    dense = dense.reshape(len(rows), VOCABULARY).astype(np.float32)
    assert finite_rows(dense).tolist() == np.isfinite(dense).all(axis=1).tolist()


def test_the_first_thousand_documents_count_and_blank_ones_do_not():
    pairs = [(f"text {n}", {n % 100: 1.0, 200: 2.0}) for n in range(CHECKED - 1)]
    pairs = [(" \n", {}), *pairs, ("", {}), ("last", {})] + [("later", {})] * 500
    found = judge(pairs, 30_000, chunk=256)
    assert (found.documents, found.empty) == (CHECKED, 1 / CHECKED)
    assert found.sentence() == (
        "first 1,000 documents: 2 non-zeros on average, 0.1 % empty, 0.0 % saturated"
    )


def test_nothing_is_said_of_nothing():
    found = VectorHealth(10).report()
    assert (found.documents, found.warning) == (0, "")


def random_rows(n, non_zeros, size, seed=1):
    generator = np.random.default_rng(seed)
    for number in range(n):
        terms = generator.choice(size, non_zeros, replace=False)
        weights = generator.random(non_zeros) + 0.1
        yield f"text {number}", dict(zip(terms.tolist(), weights.tolist(), strict=True))


def test_a_working_model_gets_no_warning():
    assert judge(list(random_rows(300, 120, 30_000)), 30_000).warning == ""


@pytest.mark.parametrize(
    ("change", "begins"),
    [
        (lambda n, row: {} if n % 5 == 0 else row, "the encoder looks collapsed: 20 % of the"),
        (lambda n, row: row | {7: 65504.0}, "the vectors look dense: 100 % of the documents"),
        (lambda n, row: row | dict.fromkeys(range(150), 1.0), "the vectors look dense: 1"),
        (
            lambda n, row: row | dict.fromkeys(range(n % 3, 10), 9.0),
            "the encoder looks collapsed: the same 10 terms make up",
        ),
    ],
)
def test_each_kind_of_breakage_is_named_in_one_sentence(change, begins):
    pairs = [(text, change(n, row)) for n, (text, row) in enumerate(random_rows(100, 10, 1_000))]
    warning = judge(pairs, 1_000).warning
    assert warning.startswith(begins)
    assert "; check" in warning or "; " in warning
    assert not warning.endswith(".")


def test_the_same_text_again_is_no_sign_of_a_collapse():
    pairs = list(random_rows(3, 20, 1_000)) * 50
    assert judge(pairs, 1_000).warning == ""


@pytest.fixture
def altered(tmp_path, masked_lm):
    """Loads the tiny model with its output bias changed."""

    def make(change):
        for path in masked_lm.iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        weights = load_file(tmp_path / "model.safetensors")
        names = [name for name in weights if name.endswith("predictions.bias")]
        assert names
        for name in names:
            weights[name] = change(weights[name])
        save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
        return load_encoder(f"splade:{tmp_path}")

    return make


def health_of(encoder):
    health = VectorHealth(encoder.vocabulary.size)
    health.add([*SENTENCES, ""], encoder.encode_documents([*SENTENCES, ""]))
    return health.report()


def test_a_model_with_no_active_dimension_is_noticed(altered):
    found = health_of(altered(lambda bias: bias - 100))
    assert (found.documents, found.non_zeros, found.empty) == (30, 0, 1)
    assert found.warning.startswith("the encoder looks collapsed: 100 % of the documents have no")


def test_a_model_with_all_dimensions_active_is_noticed(altered):
    encoder = altered(lambda bias: bias + 100)
    found = health_of(encoder)
    assert (found.non_zeros, found.saturated) == (encoder.vocabulary.size, 1)
    assert found.warning.startswith("the vectors look dense: 100 %")


def test_a_model_that_always_says_the_same_is_noticed(altered):
    def dead(bias):
        changed = torch.full_like(bias, -100)
        changed[5_000:5_012] = 100
        return changed

    found = health_of(altered(dead))
    assert (found.non_zeros, found.alike) == (12, pytest.approx(1, abs=0.2))
    assert found.warning.startswith("the encoder looks collapsed: the same 10 terms make up")


def test_a_model_with_weights_that_are_not_numbers_gives_none_that_pass(altered):
    def holed(bias):
        changed = bias.clone()
        changed[4] = torch.nan
        changed[5] = torch.inf
        return changed

    vectors = altered(holed).encode_documents(["apple pie", "", "plum"])
    assert finite_rows(vectors).tolist() == [False, True, False]
    assert np.isnan(vectors[0].values[vectors[0].indices == 4]).all()
