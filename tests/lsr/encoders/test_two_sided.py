"""The component matrix: any kind for documents with any kind for queries."""

import hashlib
import json
import re
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from lsr.encoders.catalogue import load_encoder
from lsr.encoders.component import SharedModels
from lsr.encoders.two_sided import KINDS
from lsr.errors import InputError, UsageError
from tests.lsr.encoders import published
from tests.strategies import texts as any_texts

TEXTS = ["the wing flow of a layer", "", "wings Wing the wing 中文 [SEP]", "flow " * 90]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A masked language model, a term-weighting head and a table, in one folder."""
    folder = published.with_idf(published.bert_mlm)(tmp_path_factory.mktemp("matrix") / "model")
    torch.manual_seed(11)
    head = {"tok_proj.weight": torch.randn(1, 16), "tok_proj.bias": torch.randn(1)}
    with_tensors(folder, head)
    return folder


def with_tensors(folder, tensors):
    weights = folder / "model.safetensors"
    save_file(load_file(weights) | tensors, weights, metadata={"format": "pt"})


@pytest.fixture(scope="module")
def alone(model):
    """The vectors of each kind on its own, as documents and as queries."""
    return {
        kind: load_encoder(f"pair:{model},document={kind},query={kind}")
        for kind in KINDS
    }  # fmt: skip


def dense(batch):
    return batch.to_scipy().toarray()


@pytest.mark.parametrize("query", KINDS)
@pytest.mark.parametrize("document", KINDS)
def test_each_side_is_its_component_whatever_the_other_is(document, query, model, alone):
    name = f"pair:{model},document={document},query={query}"
    encoder = load_encoder(name)
    assert encoder.name == name
    found = dense(encoder.encode_documents(TEXTS)), dense(encoder.encode_queries(TEXTS))
    np.testing.assert_array_equal(found[0], dense(alone[document].encode_documents(TEXTS)))
    np.testing.assert_array_equal(found[1], dense(alone[query].encode_queries(TEXTS)))
    assert found[0][0].any()
    assert found[1][0].any()
    assert load_encoder(name).fingerprint == encoder.fingerprint


def test_fingerprints_tell_all_pairs_apart(model):
    prints = {
        load_encoder(f"pair:{model},document={document},query={query}").fingerprint
        for document in KINDS
        for query in KINDS
    }
    assert len(prints) == len(KINDS) ** 2


def test_the_old_families_are_pairs_with_the_old_fingerprints(model):
    def printed(family, **parts):
        text = json.dumps([family, parts], sort_keys=True)
        return f"{family}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    splade = load_encoder(f"splade:{model},max_length=50")
    vocabulary, checkpoint = splade.vocabulary.digest, splade.document.identity["checkpoint"]
    settings = {"max_length": 50, "logs": 1}
    common = {"vocabulary": vocabulary, "checkpoint": checkpoint}
    assert splade.fingerprint == printed("splade", **common, config=settings)
    same = load_encoder(f"pair:{model},document=mlm,query=mlm,max_length=50")
    assert same.fingerprint == splade.fingerprint
    table = np.zeros(splade.vocabulary.size, dtype=np.float32)
    for token, weight in published.IDF.items():
        term = splade.vocabulary.tokenizer.token_to_id(token)
        if term is not None and weight > 0 and token != "[CLS]":
            table[term] = weight
    free = load_encoder(f"inference-free:{model},max_length=50")
    expected = printed("inference-free", **common, config=settings | {"idf": table.tobytes().hex()})
    assert free.fingerprint == expected
    assert load_encoder(f"{free.name},special=keep").fingerprint != expected


def test_options_count_for_both_sides_or_for_the_one_named(model):
    name = f"splade:{model},max_length=20,query.max_length=10,document.top_k=3"
    encoder = load_encoder(name)
    assert (encoder.document.config.max_length, encoder.query.config.max_length) == (20, 10)
    assert np.diff(encoder.encode_documents(TEXTS).indptr).tolist() == [3, 0, 3, 3]
    assert np.diff(encoder.encode_queries(TEXTS).indptr).min(initial=9, where=[1, 0, 1, 1]) > 3
    assert encoder.name.endswith(",document.max_length=20,query.max_length=10,document.top_k=3")
    assert load_encoder(encoder.name).fingerprint == encoder.fingerprint


@pytest.mark.parametrize("order", ["query.top_k=7,top_k=5", "top_k=5,query.top_k=7"])
def test_the_option_of_one_side_goes_over_that_of_both(model, order):
    encoder = load_encoder(f"splade:{model},{order}")
    assert (encoder.document.config.top_k, encoder.query.config.top_k) == (5, 7)


def test_a_value_may_begin_or_end_with_a_space(model):
    encoder = load_encoder(f'splade:{model},document.prefix="passage: "')
    assert encoder.document.config.prefix == "passage: "
    assert encoder.name.endswith('document.prefix="passage: "')
    assert load_encoder(encoder.name).fingerprint == encoder.fingerprint
    assert load_encoder(f'splade:{model},document.prefix=""').fingerprint == (
        load_encoder(f"splade:{model}").fingerprint
    )


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("pair:{},document=dense", "document=dense is no component; allowed are mlm, cls-mlm, mlp"),
        ("pair:{},query=", "is not an encoder name"),
        ("splade:{},document=mlp", "'document' is not an option of this encoder; allowed are max"),
        ("splade:{},idf=auto", "'idf' is not an option of this encoder"),
        ("splade:{},query.idf=auto", "'query.idf' is not an option of this encoder"),
        ("splade:{},image.top_k=1", "'image.top_k' is not an option"),
        ("splade:{},own_terms=maybe", "own_terms=maybe is not allowed; give yes or no"),
        ("splade:{},top_k=x", "top_k=x is not a valid number"),
        ("splade:{},pool=mean", "pool is 'mean'; allowed are auto, max, sum and cls"),
        ("splade:{},shift=-1", "shift is -1.0; allowed is 0 or more"),
        ("splade:{},position_top_k=-1", "position_top_k is -1; allowed is 0 or more"),
        ("splade:{},positions=some", "positions is 'some'; allowed are all, no-prefix and text"),
        ("splade:{},importance=epic,head=embeddings", "importance=epic goes with head=mlm"),
        ("pair:{},document=mlp,logs=2", "logs is 2; allowed are 0 and 1"),
        ("pair:{},document=mlp,pool=mean", "pool is 'mean'; allowed are max, sum and first"),
        ("pair:{},document=mlp,activation=tanh", "activation is 'tanh'; allowed are relu and sof"),
        ("pair:{},query=binary,weight=0", "weight is 0.0; allowed is more than 0"),
        ("pair:{},query=table,missing=-1", "missing is -1; allowed are auto, and 0 or more"),
        ("pair:{},query=table,missing=nan", "missing is nan; allowed are auto"),
        ("pair:{},document=table,idf=collection", "the document side can't estimate IDF"),
        ("splade:{},query.checkpoint=./nowhere", "the model folder './nowhere' does not exist"),
    ],
)
def test_what_is_not_allowed_is_named(name, complaint, model):
    with pytest.raises(UsageError, match=re.escape(complaint)):
        load_encoder(name.format(model))


def test_two_vocabularies_are_refused(model, tmp_path):
    other = published.roberta_mlm(tmp_path / "other")
    with pytest.raises(InputError, match=r"different vocabularies, of 30522 and \d+ terms"):
        load_encoder(f"splade:{model},query.checkpoint={other}")


def test_a_head_that_is_not_there_is_named(tmp_path):
    folder = published.bert_mlm(tmp_path / "plain")
    encoder = load_encoder(f"pair:{folder},document=mlp,query=binary")
    with pytest.raises(InputError, match=r"no layer from hidden states to one number.*tok_proj"):
        encoder.encode_documents(["wing"])
    two = shutil.copytree(folder, tmp_path / "two")
    with_tensors(two, {"classifier.weight": torch.zeros(2, 16)})
    with pytest.raises(InputError, match="no layer from hidden states to one number"):
        load_encoder(f"pair:{two},document=mlp,query=binary").encode_documents(["wing"])


def test_a_model_under_an_unknown_name_is_refused(tmp_path):
    folder = published.bert_mlm(tmp_path / "plain")
    save_file({"some.other.weight": torch.zeros(3, 3)}, folder / "model.safetensors")
    with pytest.raises(InputError, match=r"no tensor is named .*word_embeddings\.weight"):
        load_encoder(f"pair:{folder},document=mlp,query=binary").encode_documents(["wing"])


def test_both_sides_share_one_loaded_model():
    made = []
    models = SharedModels()
    first, second, other = (models.get(key, lambda: made.append(1)) for key in "aab")
    assert first is second
    assert first is not other
    assert made == []
    _ = first.value, second.value, first.value
    assert made == [1]


@settings(max_examples=8)
@given(st.lists(any_texts, max_size=4))
def test_any_text_gets_finite_weights_on_either_side(alone, texts):
    for encoder in alone.values():
        for batch in (encoder.encode_documents(texts), encoder.encode_queries(texts)):
            assert len(batch) == len(texts)
            assert (batch.values > 0).all()
            assert np.isfinite(batch.values).all()
