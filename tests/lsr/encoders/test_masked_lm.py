"""SPLADE vectors against the plain forward pass of transformers, one text at a time."""

import json
import shutil

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.encoders.catalogue import load_encoder
from lsr.encoders.masked_lm import MaskedLmConfig
from lsr.errors import InputError, UsageError
from lsr.vocabulary import Vocabulary
from tests.lsr.encoders.published import byte_level_bpe
from tests.strategies import texts

POSITIONS = 64
SPECIAL_TOKENS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
SIZES = {"vocab_size": 30522, "max_position_embeddings": POSITIONS, "initializer_range": 0.5}
BERT_SIZES = SIZES | {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


class Plain:
    """log1p(relu(max over positions of the logits)), nothing shared with lsr."""

    def __init__(self, folder, positions=POSITIONS):
        self.model = transformers.AutoModelForMaskedLM.from_pretrained(folder).eval()
        self.tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_file=str(folder / "tokenizer.json")
        )
        self.positions = positions

    def __call__(self, texts, logs=1, max_length=256):
        vectors = np.zeros((len(texts), self.model.config.vocab_size), dtype=np.float32)
        for row, text in enumerate(texts):
            if not text.strip():
                continue
            length = min(max_length, self.positions)
            ids = self.tokenizer(text, truncation=True, max_length=length, return_tensors="pt")
            with torch.inference_mode():
                logits = self.model(ids["input_ids"], attention_mask=ids["attention_mask"]).logits
            vector = torch.relu(logits[0].max(dim=0).values)
            for _ in range(logs):
                vector = torch.log1p(vector)
            vectors[row] = vector.numpy()
        return vectors


def save(folder, model):
    model.save_pretrained(folder)
    Vocabulary.bert_uncased().tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def assert_close(batch, expected):
    np.testing.assert_allclose(batch.to_scipy().toarray(), expected, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def plain(masked_lm):
    return Plain(masked_lm)


@pytest.fixture(scope="module", params=[1, 2, 4])
def encoder(request, masked_lm):
    return load_encoder(f"splade:{masked_lm},logs={request.param}")


@settings(max_examples=12)
@given(st.lists(texts, max_size=5))
def test_vectors_are_those_of_the_plain_model(encoder, plain, texts):
    expected = plain(texts, encoder.document.config.logs)
    assert_close(encoder.encode_documents(texts), expected)
    assert_close(encoder.encode_queries(texts), expected)


def test_rows_keep_the_order_of_the_texts_over_many_batches(encoder, plain):
    many = ["wing flow " * (number * 37 % 41) for number in range(90)]
    assert_close(encoder.encode_documents(many), plain(many, encoder.document.config.logs))


@pytest.mark.parametrize("blank", [[], [""], ["", "  \n\t", "\u3000"], ["", "wing", " "]])
def test_blank_texts_have_no_terms(encoder, blank):
    rows = encoder.encode_documents(blank)
    assert [len(row) > 0 for row in rows] == [bool(text.strip()) for text in blank]


@pytest.mark.parametrize("max_length", [3, 10, 63, 64, 500])
def test_texts_are_cut_at_max_length(masked_lm, plain, max_length):
    encoder = load_encoder(f"splade:{masked_lm},max_length={max_length}")
    long = [" ".join(f"word {number}" for number in range(100)), "short"]
    assert_close(encoder.encode_documents(long), plain(long, max_length=max_length))


@pytest.mark.parametrize(("activation", "logs"), [("log1p_relu", 2), ("relu", 1), (None, 1)])
def test_checkpoint_declares_its_logarithms(tmp_path, masked_lm, plain, activation, logs):
    folder = shutil.copytree(masked_lm, tmp_path / "model")
    if activation:
        (folder / "1_SpladePooling").mkdir()
        pooling = {"pooling_strategy": "max", "activation_function": activation}
        (folder / "1_SpladePooling/config.json").write_text(json.dumps(pooling))
    assert_close(load_encoder(str(folder)).encode_documents(["a wing"]), plain(["a wing"], logs))


def test_the_logs_asked_for_win_over_the_checkpoint(tmp_path, masked_lm, plain):
    folder = shutil.copytree(masked_lm, tmp_path / "model")
    (folder / "1_SpladePooling").mkdir()
    (folder / "1_SpladePooling/config.json").write_text('{"activation_function": "log1p_relu"}')
    encoder = load_encoder(f"splade:{folder},logs=1")
    assert_close(encoder.encode_documents(["a wing"]), plain(["a wing"], logs=1))


def roberta():
    config = transformers.RobertaConfig(
        **BERT_SIZES, pad_token_id=1, bos_token_id=101, eos_token_id=102
    )
    # Position ids start after the padding index, so two positions are never used.
    return transformers.RobertaForMaskedLM(config), POSITIONS - 2


def distilbert():
    config = transformers.DistilBertConfig(**SIZES, dim=16, n_layers=1, n_heads=2, hidden_dim=32)
    return transformers.DistilBertForMaskedLM(config), POSITIONS


@pytest.mark.parametrize("architecture", [roberta, distilbert])
def test_other_architectures_give_their_plain_vectors(tmp_path, architecture):
    torch.manual_seed(3)
    model, positions = architecture()
    folder = save(tmp_path / "model", model)
    texts = ["a wing", "", "boundary layer flow over a flat plate", "word " * 200, "naïve 中文"]
    expected = Plain(folder, positions)(texts)
    assert expected.any(axis=1).tolist() == [True, False, True, True, True]
    assert_close(load_encoder(str(folder)).encode_documents(texts), expected)


def test_untied_projection_with_more_rows_than_terms(tmp_path):
    torch.manual_seed(4)
    config = transformers.BertConfig(
        **BERT_SIZES | {"vocab_size": 30528}, tie_word_embeddings=False
    )
    folder = save(tmp_path / "model", transformers.BertForMaskedLM(config))
    batch = load_encoder(str(folder)).encode_documents(["a wing"])
    assert_close(batch, Plain(folder)(["a wing"])[:, :30522])


def test_projection_smaller_than_the_vocabulary_is_refused(tmp_path):
    config = transformers.BertConfig(**BERT_SIZES | {"vocab_size": 30000})
    folder = save(tmp_path / "model", transformers.BertForMaskedLM(config))
    with pytest.raises(InputError, match="no vocabulary projection over its 30522 terms"):
        load_encoder(str(folder)).encode_documents(["a wing"])


def test_checkpoint_without_a_trained_head_is_refused(dense_model):
    with pytest.raises(InputError, match=r"lacks \d+ weights of an AutoModelForMaskedLM"):
        load_encoder(f"splade:{dense_model}").encode_documents(["a wing"])


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"max_length": 2}, "max_length is 2; allowed is 3 to"),
        ({"max_length": 1_000_001}, "max_length is 1000001"),
        ({"logs": 5}, "logs is 5; allowed are 1 to 4"),
        ({"logs": -1}, "logs is -1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, complaint):
    with pytest.raises(UsageError, match=complaint):
        MaskedLmConfig(**settings)


def plain_weights(logits, kept, config):
    """The weights of one text of which the positions ``kept`` count, by the definition."""
    activated = (logits[kept] - config["shift"]).relu()
    if config["position_top_k"]:
        for position in activated:
            best = set(position.topk(min(config["position_top_k"], len(position))).indices.tolist())
            for term in range(len(position)):
                if term not in best:
                    position[term] = 0
    for _ in range(config["logs"]):
        activated = activated.log1p()
    return activated.sum(dim=0) if config["pool"] == "sum" else activated.amax(dim=0)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A model over few terms, so that every position can be looked at."""
    folder = tmp_path_factory.mktemp("small") / "model"
    tokenizer = byte_level_bpe("<s>", "</s>")
    torch.manual_seed(5)
    config = transformers.BertConfig(**BERT_SIZES | {"vocab_size": tokenizer.get_vocab_size()})
    transformers.BertForMaskedLM(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@settings(max_examples=20)
@given(
    texts=st.lists(texts, max_size=4),
    config=st.fixed_dictionaries(
        {
            "logs": st.sampled_from([1, 2]),
            "pool": st.sampled_from(["max", "sum", "cls"]),
            "shift": st.sampled_from([0.0, 0.5, 2.0]),
            "position_top_k": st.sampled_from([0, 1, 4, 1000]),
            "positions": st.sampled_from(["all", "no-prefix", "text"]),
            "prefix": st.sampled_from(["", "the wing: ", "Q"]),
        }
    ),
)
def test_any_settings_give_what_the_definition_gives(small, texts, config):
    spelled = ",".join(f'{key}="{value}"' for key, value in config.items())
    found = load_encoder(f"splade:{small},{spelled}").encode_documents(texts)
    plain = Plain(small)
    special = {plain.tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS}
    expected = np.zeros((len(texts), plain.model.config.vocab_size), dtype=np.float32)
    for row, text in enumerate(texts):
        if not text.strip():
            continue
        whole = config["prefix"] + text
        ids = plain.tokenizer(
            whole, truncation=True, max_length=POSITIONS, return_offsets_mapping=True
        )
        with torch.inference_mode():
            logits = plain.model(torch.tensor([ids["input_ids"]])).logits[0].clone()
        kept = []
        for place, (term, (start, end)) in enumerate(
            zip(ids["input_ids"], ids["offset_mapping"], strict=True)
        ):
            of_prefix = end > start and start < len(config["prefix"].rstrip())
            outside = of_prefix or (config["positions"] == "text" and term in special)
            if config["positions"] == "all" or not outside:
                kept.append(place)
        kept = [0] if config["pool"] == "cls" else kept
        if kept:
            expected[row] = plain_weights(logits, kept, config).numpy()
    np.testing.assert_allclose(found.to_scipy().toarray(), expected, rtol=1e-4, atol=1e-4)


def test_sum_pooling_is_taken_from_the_checkpoint(tmp_path, masked_lm, plain):
    folder = shutil.copytree(masked_lm, tmp_path / "model")
    (folder / "1_SpladePooling").mkdir()
    (folder / "1_SpladePooling/config.json").write_text('{"pooling_strategy": "sum"}')
    encoder = load_encoder(str(folder))
    ids = plain.tokenizer("a wing", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        summed = plain.model(ids).logits[0].relu().log1p().sum(dim=0)
    assert_close(encoder.encode_documents(["a wing"]), summed.numpy()[None])
    assert encoder.fingerprint == load_encoder(f"{masked_lm},pool=sum").fingerprint
    assert encoder.fingerprint != load_encoder(f"{folder},pool=max").fingerprint


def test_an_unknown_pooling_is_refused(tmp_path, masked_lm):
    folder = shutil.copytree(masked_lm, tmp_path / "model")
    (folder / "1_SpladePooling").mkdir()
    (folder / "1_SpladePooling/config.json").write_text('{"pooling_strategy": "mean"}')
    with pytest.raises(InputError, match="asks for the pooling 'mean'; known are max and sum"):
        load_encoder(str(folder))
    assert load_encoder(f"{folder},pool=max").document.config.pool == "max"
