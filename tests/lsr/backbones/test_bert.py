"""The native BERT against transformers' own, with each set of kernels."""

import json
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from lsr import _core
from lsr.backbones.batching import TokenBatch
from lsr.backbones.bert import BertBody, BertLanguageModel
from lsr.backbones.checkpoint import Checkpoint
from lsr.encoders.catalogue import load_encoder
from lsr.vocabulary import Vocabulary
from tests.conftest import ROOT

POSITIONS = 40
TERMS = 30


def arrays_of(model):
    return {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}


def bert(seed, width=16, heads=2, layers=1, inner=24, **changes):
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=TERMS,
        hidden_size=width,
        num_attention_heads=heads,
        num_hidden_layers=layers,
        intermediate_size=inner,
        max_position_embeddings=POSITIONS,
        initializer_range=2 / width**0.5,
        **changes,
    )
    model = transformers.BertForMaskedLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:  # norms and biases begin as ones and zeros
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def native(model, monkeypatch=None, kernels=""):
    if monkeypatch:
        monkeypatch.setattr("lsr.backbones.bert.Bert", partial(_core.Bert, kernels=kernels))
    return BertLanguageModel(arrays_of(model), model.config.to_dict(), TERMS)


def batch_of(documents):
    width = max(map(len, documents))
    ids, mask = np.zeros((2, len(documents), width), dtype=np.int64)
    for row, tokens in enumerate(documents):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return TokenBatch(np.arange(len(documents)), ids, mask, np.zeros_like(ids))


def plain_logits(model, documents):
    """float32 (tokens, terms), each document by itself."""
    with torch.inference_mode():
        rows = [model(torch.tensor([tokens])).logits[0] for tokens in documents]
    return torch.cat(rows).numpy()


def assert_same(model, language_model, documents):
    states, offsets = language_model.states(batch_of(documents))
    assert offsets.tolist() == np.cumsum([0, *map(len, documents)]).tolist()
    head = model.get_output_embeddings()
    found = states @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    np.testing.assert_allclose(found, plain_logits(model, documents), rtol=1e-4, atol=1e-4)


def random_documents(seed, lengths):
    random = np.random.default_rng(seed)
    return [random.integers(0, TERMS, length).tolist() for length in lengths]


@pytest.mark.parametrize("kernels", _core.kernels())
@pytest.mark.parametrize(
    ("width", "heads", "layers", "inner"),
    [(16, 2, 1, 24), (128, 2, 2, 64), (20, 5, 2, 7), (33, 1, 1, 100), (96, 3, 1, 32), (8, 8, 0, 8)],
)
def test_states_are_those_of_transformers(monkeypatch, kernels, width, heads, layers, inner):
    model = bert(1, width, heads, layers, inner)
    documents = random_documents(2, [40, 1, 13, 12, 2, 31, 40, 40, 40, 40, 40, 40])
    assert_same(model, native(model, monkeypatch, kernels), documents)


@pytest.mark.parametrize("kernels", _core.kernels())
@pytest.mark.parametrize(
    ("width", "heads", "layers", "inner"),
    [(16, 2, 1, 24), (20, 5, 2, 7), (96, 3, 3, 32), (8, 8, 0, 8)],
)
def test_last_states_are_those_of_transformers(monkeypatch, kernels, width, heads, layers, inner):
    model = bert(5, width, heads, layers, inner).bert
    documents = random_documents(6, [40, 1, 13, 12, 2, 31, 40, 40, 40])
    monkeypatch.setattr("lsr.backbones.bert.Bert", partial(_core.Bert, kernels=kernels))
    body = BertBody(arrays_of(model), model.config.to_dict(), TERMS)
    states, offsets = body.states(batch_of(documents))
    assert offsets.tolist() == np.cumsum([0, *map(len, documents)]).tolist()
    with torch.inference_mode():
        rows = [model(torch.tensor([tokens])).last_hidden_state[0] for tokens in documents]
    np.testing.assert_allclose(states, torch.cat(rows).numpy(), rtol=1e-4, atol=1e-4)


def rounded(matrix):
    """Whole numbers up to 127 in the place of each row's, and the row's scale, float64."""
    largest = np.abs(matrix).max(axis=1, keepdims=True)
    scales = np.where(largest > 0, largest / 127, 1)
    return np.rint(matrix / scales), scales


def by_whole_numbers(model, tokens):
    """The last states of a BERT whose linear layers multiply ``rounded`` matrices."""

    def linear(layer, states):
        numbers, scales = rounded(states)
        weights, factors = rounded(layer.weight.detach().numpy().astype(np.float64))
        return numbers @ weights.T * scales * factors.T + layer.bias.detach().numpy()

    def in_torch(module, *states):
        with torch.inference_mode():
            return module(*(torch.from_numpy(each) for each in states)).numpy()

    model = model.double()
    states = in_torch(model.embeddings, np.array([tokens]))[0]
    heads = model.config.num_attention_heads
    for layer in model.encoder.layer:
        own, attention = layer.attention.self, layer.attention.output
        query, key, value = (
            linear(part, states).reshape(len(tokens), heads, -1).transpose(1, 0, 2)
            for part in (own.query, own.key, own.value)
        )
        scores = query @ key.transpose(0, 2, 1) / query.shape[-1] ** 0.5
        shares = in_torch(torch.nn.Softmax(-1), scores)
        attended = (shares @ value).transpose(1, 0, 2).reshape(len(tokens), -1)
        states = in_torch(attention.LayerNorm, states + linear(attention.dense, attended))
        inner = in_torch(torch.nn.GELU(), linear(layer.intermediate.dense, states))
        states = in_torch(layer.output.LayerNorm, states + linear(layer.output.dense, inner))
    return states


@pytest.mark.parametrize("kernels", _core.kernels())
@pytest.mark.parametrize(
    ("width", "heads", "layers", "inner"), [(16, 2, 1, 24), (20, 5, 1, 7), (96, 3, 2, 65)]
)
def test_whole_numbers_are_those_of_a_loop(monkeypatch, kernels, width, heads, layers, inner):
    """A number that is rounded to its other neighbour moves states by about a hundredth."""
    model = bert(7, width, heads, layers, inner).bert
    monkeypatch.setattr("lsr.backbones.bert.Bert", partial(_core.Bert, kernels=kernels))
    body = BertBody(arrays_of(model), model.config.to_dict(), TERMS, whole=True)
    exact = BertBody(arrays_of(model), model.config.to_dict(), TERMS)
    for tokens in random_documents(8, [40, 13, 1]):
        found, plain = (each.states(batch_of([tokens]))[0] for each in (body, exact))
        expected = by_whole_numbers(model, tokens)
        assert np.abs(found - expected).mean() < 2e-3
        assert np.abs(found - plain).mean() > 3 * np.abs(found - expected).mean()
        assert np.linalg.norm(found - plain) < 0.05 * np.linalg.norm(plain)


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.lists(st.integers(1, POSITIONS), min_size=1, max_size=12))
def test_any_batch_gives_what_each_document_gives_alone(seed, lengths):
    model = bert(seed % 5)
    assert_same(model, native(model), random_documents(seed, lengths))


@pytest.mark.parametrize("kernels", _core.kernels())
def test_extreme_weights_stay_those_of_transformers(monkeypatch, kernels):
    model = bert(3)
    with torch.no_grad():
        model.bert.encoder.layer[0].attention.self.query.weight *= 300  # softmax of one
        model.bert.encoder.layer[0].intermediate.dense.weight *= 50  # GELU far from zero
    assert_same(model, native(model, monkeypatch, kernels), random_documents(4, [17, 5]))


def save(model, folder):
    model.save_pretrained(folder)
    Vocabulary.from_tokens([f"t{term}" for term in range(TERMS)]).tokenizer.save(
        str(folder / "tokenizer.json")
    )
    return Checkpoint.resolve(str(folder))


def test_untied_and_old_fashioned_checkpoints_are_read(tmp_path):
    model = bert(5, tie_word_embeddings=False)
    checkpoint = save(model, tmp_path)
    path = tmp_path / "model.safetensors"
    old = {
        name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): array
        for name, array in load_file(path).items()
    }
    save_file(old, path, metadata={"format": "pt"})
    found = BertLanguageModel.of(checkpoint)
    assert found is not None
    assert (found.longest(1000), found.longest(7)) == (POSITIONS, 7)
    assert_same(model, found, random_documents(6, [9]))


def without(name):
    return lambda config, arrays: arrays.pop(name)


def put(name, value):
    def change(config, arrays):
        arrays[name].flat[0] = value

    return change


def doubled_bias(config, arrays):
    arrays["cls.predictions.decoder.bias"] = arrays["cls.predictions.bias"] + 1


def another_projection(config, arrays):
    arrays["cls.predictions.decoder.weight"] = arrays["bert.embeddings.word_embeddings.weight"] + 1


def quantised(config, arrays):
    name = "cls.predictions.transform.dense.weight"
    arrays[name] = arrays[name].astype(np.int8)


def cut(config, arrays):
    name = "cls.predictions.transform.dense.weight"
    arrays[name] = arrays[name][:, 1:].copy()


@pytest.mark.parametrize(
    "change",
    [
        lambda config, arrays: config.update(hidden_act="relu"),
        lambda config, arrays: config.update(is_decoder=True),
        lambda config, arrays: config.update(position_embedding_type="relative_key"),
        lambda config, arrays: config.update(model_type="electra"),
        lambda config, arrays: config.update(num_attention_heads=3),
        lambda config, arrays: config.update(tie_word_embeddings=False),
        lambda config, arrays: config.update(num_hidden_layers=2),
        without("cls.predictions.bias"),
        without("bert.encoder.layer.0.output.LayerNorm.bias"),
        put("cls.predictions.bias", np.nan),
        put("bert.embeddings.word_embeddings.weight", np.inf),
        doubled_bias,
        another_projection,
        quantised,
        cut,
    ],
)
def test_what_is_another_kind_or_damaged_is_left_to_transformers(tmp_path, change):
    checkpoint = save(bert(7), tmp_path)
    assert BertLanguageModel.of(checkpoint) is not None
    config = json.loads((tmp_path / "config.json").read_text())
    path = tmp_path / "model.safetensors"
    arrays = {name: array.copy() for name, array in load_file(path).items()}
    change(config, arrays)
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(arrays, path, metadata={"format": "pt"})
    assert BertLanguageModel.of(checkpoint) is None


def test_a_truncated_file_is_left_to_transformers(tmp_path):
    checkpoint = save(bert(7), tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    assert BertLanguageModel.of(checkpoint) is None


@pytest.mark.parametrize(
    ("ids", "offsets", "error"),
    [
        ([0, TERMS], [0, 2], IndexError),
        ([0, -1], [0, 2], IndexError),
        ([0] * (POSITIONS + 1), [0, POSITIONS + 1], IndexError),
        ([0, 1], [0, 1], ValueError),
        ([0, 1], [1, 2], ValueError),
        ([0, 1], [0, 0, 2], ValueError),
        ([0, 1], [0, 2, 1, 2], ValueError),
        ([0, 1], [], ValueError),
    ],
)
def test_tokens_that_make_no_documents_are_refused(ids, offsets, error):
    body = native(bert(8))._native
    with pytest.raises(error):
        body.states(np.array(ids, np.int64), np.array(offsets, np.int64))


def test_documents_are_encoded_without_torch(masked_lm):
    texts = ["a wing", "", "flow " * 90] * 40
    program = f"""
import json, sys
for name in ("torch", "transformers"):
    sys.modules[name] = None
from lsr.encoders.catalogue import load_encoder
found = load_encoder("splade:{masked_lm}").encode_documents({texts})
print(json.dumps([found.indptr.tolist(), found.indices.tolist(), found.values.tolist()]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, cwd=ROOT, check=True
    )
    expected = load_encoder(f"splade:{masked_lm}").encode_documents(
        ["a wing", "", "flow " * 90] * 40
    )
    for found, part in zip(
        json.loads(done.stdout), (expected.indptr, expected.indices, expected.values), strict=True
    ):
        assert found == part.tolist()


@pytest.mark.assets
def test_splade_tiny_weighs_as_torch_does(assets):
    texts = ["boundary layer flow over a flat plate at low speed. " * n for n in range(1, 14)]
    name = f"splade:{assets / 'models/splade-tiny'}"
    found = load_encoder(name).encode_documents(texts).to_scipy().toarray()
    checkpoint = Checkpoint.resolve(str(assets / "models/splade-tiny"))
    tokenizer = checkpoint.vocabulary.tokenizer
    model = transformers.AutoModelForMaskedLM.from_pretrained(checkpoint.folder).eval()
    for row, text in zip(found, texts, strict=True):
        ids = tokenizer.encode(text).ids[:255]
        ids = ids if len(ids) < 255 else [*ids, tokenizer.token_to_id("[SEP]")]
        with torch.inference_mode():
            logits = model(torch.tensor([ids])).logits[0]
        expected = logits.amax(dim=0).relu().log1p().numpy()
        np.testing.assert_allclose(row, expected, atol=1e-4)
