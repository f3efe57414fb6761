"""Dense vectors against plain mean pooling, one text at a time."""

import json
import shutil

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.dense import DenseEncoder
from lsr.errors import InputError, NotFoundError
from lsr.vocabulary import Vocabulary
from tests.strategies import texts


def mean_pooled(folder, texts, max_length=64):
    model = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    vectors = np.zeros((len(texts), 16), dtype=np.float32)
    for row, text in enumerate(texts):
        if text.strip():
            ids = tokenizer(text, truncation=True, max_length=max_length, return_tensors="pt")
            with torch.inference_mode():
                mean = model(ids["input_ids"]).last_hidden_state[0].mean(dim=0).numpy()
            vectors[row] = mean / np.sqrt((mean**2).sum())
    return vectors


def with_settings(folder, tmp_path, files):
    copy = shutil.copytree(folder, tmp_path / "model")
    for name, content in files.items():
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text(json.dumps(content))
    return copy


@pytest.fixture(scope="module")
def encoder(dense_model):
    return DenseEncoder.load(str(dense_model))


@settings(deadline=None, max_examples=12)
@given(st.lists(texts, max_size=6))
def test_vectors_are_normalised_means(encoder, dense_model, texts):
    found = encoder.encode(texts)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, mean_pooled(dense_model, texts), atol=1e-5)


def test_rows_keep_the_order_of_the_texts_over_many_batches(encoder, dense_model):
    many = ["" if number % 7 == 3 else "flow " * (number * 37 % 41) for number in range(60)]
    np.testing.assert_allclose(encoder.encode(many), mean_pooled(dense_model, many), atol=1e-5)


def test_blank_texts_are_zeros(encoder):
    assert not encoder.encode(["", " \n", "\u3000"]).any()
    assert encoder.encode([]).shape == (0, encoder.dimension)


@pytest.mark.parametrize(("given", "used"), [(8, 8), (64, 64), (500, 64), (None, 64)])
def test_length_limit_of_the_checkpoint(tmp_path, dense_model, given, used):
    files = {"sentence_bert_config.json": {"max_seq_length": given}}
    folder = with_settings(dense_model, tmp_path, files)
    text = [" ".join(f"word {number}" for number in range(100))]
    expected = mean_pooled(folder, text, used)
    np.testing.assert_allclose(DenseEncoder.load(str(folder)).encode(text), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("pooling", "is_mean"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, True),
        ({"pooling_mode": "mean"}, True),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, False),
        ({"pooling_mode": "cls"}, False),
        ({"pooling_mode_max_tokens": True}, False),
    ],
)
def test_only_mean_pooling_is_taken(tmp_path, dense_model, pooling, is_mean):
    folder = with_settings(dense_model, tmp_path, {"1_Pooling/config.json": pooling})
    if is_mean:
        assert DenseEncoder.load(str(folder)).dimension == 16
    else:
        with pytest.raises(InputError, match="does not pool by mean"):
            DenseEncoder.load(str(folder))


def roberta():
    config = transformers.RobertaConfig(
        vocab_size=30522,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        pad_token_id=1,
    )
    return transformers.RobertaModel(config), 62


def distilbert():
    config = transformers.DistilBertConfig(
        dim=16, n_layers=1, n_heads=2, hidden_dim=32, max_position_embeddings=64
    )
    return transformers.DistilBertModel(config), 64


@pytest.mark.parametrize("architecture", [roberta, distilbert])
def test_other_architectures_give_their_plain_means(tmp_path, architecture):
    torch.manual_seed(5)
    model, positions = architecture()
    model.save_pretrained(tmp_path)
    Vocabulary.bert_uncased().tokenizer.save(str(tmp_path / "tokenizer.json"))
    texts = ["a wing", "", "word " * 200, "naïve 中文"]
    expected = mean_pooled(tmp_path, texts, positions)
    np.testing.assert_allclose(DenseEncoder.load(str(tmp_path)).encode(texts), expected, atol=1e-5)


def test_the_encoder_of_a_masked_language_model_can_be_used(masked_lm):
    texts = ["a wing", "boundary layer"]
    expected = mean_pooled(masked_lm, texts)
    np.testing.assert_allclose(DenseEncoder.load(str(masked_lm)).encode(texts), expected, atol=1e-5)


def test_fingerprint_follows_weights_and_length_not_the_place(tmp_path, encoder, dense_model):
    moved = with_settings(dense_model, tmp_path, {})
    assert DenseEncoder.load(str(moved)).fingerprint == encoder.fingerprint
    (moved / "sentence_bert_config.json").write_text('{"max_seq_length": 8}')
    assert DenseEncoder.load(str(moved)).fingerprint != encoder.fingerprint


def test_missing_folder_is_named():
    with pytest.raises(NotFoundError, match=r"'\./no-such-model' does not exist"):
        DenseEncoder.load("./no-such-model")
