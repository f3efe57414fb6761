"""Decoder students: gradients, learning, and the adapter that is saved, loaded again."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open

from lsr.backbones.checkpoint import Checkpoint
from lsr.encoders.catalogue import load_encoder
from lsr.errors import InputError, MissingDependencyError, NotFoundError, UsageError
from lsr.train.decoder_student import DecoderStudent, DecoderStudentConfig, LoraConfig
from lsr.train.export import Exported
from tests.lsr.encoders.decoders import TEXTS, Plain, byte_level, save, sentence_piece

READINGS = {
    "plain": DecoderStudentConfig(echo="no"),
    "echo": DecoderStudentConfig(echo="yes"),
    "bidirectional": DecoderStudentConfig(
        echo="no", bidirectional="yes", document_prefix="passage: "
    ),
}
SETTINGS = Exported(max_length=24)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("students")
    qwen = byte_level(template=False)
    padded = qwen.get_vocab_size() + 14
    return {
        "llama": save(root / "llama", "Llama", byte_level(), tie_word_embeddings=True),
        "mistral": save(root / "mistral", "Mistral", sentence_piece(), sliding_window=None),
        "qwen3": save(root / "qwen3", "Qwen3", qwen, vocab_size=padded, tie_word_embeddings=True),
    }


def student(
    folder, config=READINGS["plain"], dropout=0.0, targets=("q_proj", "v_proj"), seed=0, **changes
):
    lora = LoraConfig(rank=4, alpha=8, dropout=dropout, targets=list(targets))
    checkpoint = Checkpoint.resolve(str(folder))
    return DecoderStudent(checkpoint, replace(config, **changes), lora, seed)


def weights(model, texts, side="document"):
    """log1p(relu(max over positions)) of all logits at once, (n, V)."""
    weight, bias = model.projection()
    rows = torch.zeros(len(texts), weight.shape[0])
    for batch in model.batcher(side, 24, 512)(texts):
        states, offsets = model.states(batch)
        logits = states @ weight.T + (0 if bias is None else bias)
        parts = torch.split(logits, np.diff(offsets).tolist())
        pooled = torch.stack([part.amax(dim=0) for part in parts])
        places = torch.from_numpy(batch.rows)
        rows = rows.index_copy(0, places, torch.log1p(torch.relu(pooled)))
    return rows


def learn(model, steps=8, rate=3e-2):
    """Draw the weights of some texts to those of a fixed term; the losses on the way."""
    optimizer = torch.optim.AdamW(model.parameters().values(), lr=rate)
    target = torch.zeros(model.vocabulary.size)
    target[70:90] = 1.0
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = ((weights(model, TEXTS) - target) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


# Each two of model, reading and projection, once.
@pytest.mark.parametrize(
    ("name", "reading", "projection"),
    [
        ("llama", "plain", False),
        ("llama", "echo", True),
        ("mistral", "echo", False),
        ("mistral", "bidirectional", True),
        ("qwen3", "bidirectional", False),
        ("qwen3", "plain", True),
    ],
)
def test_what_was_learnt_is_loaded_again(folders, tmp_path, name, reading, projection):
    model = student(folders[name], READINGS[reading], train_projection=projection)
    losses = learn(model)
    assert losses[-1] < 0.9 * losses[0]
    model.train(False)
    with torch.no_grad():
        expected = weights(model, TEXTS).numpy()
    model.export(tmp_path / "adapter", SETTINGS, None)
    encoder = load_encoder(model.encoder_name(str(tmp_path / "adapter"), SETTINGS))
    found = encoder.encode_documents(TEXTS).to_scipy().toarray()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    before = (
        load_encoder(f"decoder:{folders[name]},max_length=24")
        .encode_documents(TEXTS)
        .to_scipy()
        .toarray()
    )
    assert np.abs(found - before).max() > 0.1
    with safe_open(tmp_path / "adapter/adapter_model.safetensors", "np") as file:
        kinds = {"lora" if ".lora_" in key else key for key in file.keys()}  # noqa: SIM118
    assert kinds == {"lora"} | ({"base_model.model.lm_head.weight"} if projection else set())
    assert {path.name for path in (tmp_path / "adapter").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }


@pytest.mark.parametrize("name", ["llama", "mistral", "qwen3"])
def test_a_student_begins_as_its_checkpoint(folders, name):
    own = {"llama": {"bos": 0}, "mistral": {"bos": 1, "eos": 2}, "qwen3": {}}[name]
    with torch.no_grad():
        found = weights(student(folders[name], dropout=0.5), TEXTS)
    np.testing.assert_allclose(
        found, Plain(folders[name])(TEXTS, **own, max_length=24), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("projection", [False, True])
@pytest.mark.parametrize("reading", READINGS)
def test_only_the_adapter_gets_a_gradient(folders, reading, projection):
    model = student(folders["llama"], READINGS[reading], train_projection=projection)
    learn(model, steps=1)
    next(iter(model.parameters().values())).grad = None
    weights(model, TEXTS).sum().backward()
    everything = dict(model._adapted.named_parameters())
    trained = {name for name, parameter in everything.items() if parameter.requires_grad}
    assert {id(everything[name]) for name in trained} == {
        id(p) for p in model.parameters().values()
    }
    assert all(".lora_" in name or ".lm_head." in name for name in trained)
    assert any(".lm_head." in name for name in trained) == projection
    for name, parameter in everything.items():
        assert (parameter.grad is not None and bool(parameter.grad.any())) == (name in trained)
    assert [part is not None and part.requires_grad for part in model.projection()] == [
        projection,
        False,
    ]


def test_gradients_are_those_of_finite_differences(folders):
    model = student(folders["qwen3"], READINGS["echo"])
    learn(model, steps=1)
    factor = torch.rand(len(TEXTS), model.vocabulary.size, generator=torch.manual_seed(3))

    def value():
        return (weights(model, TEXTS).double() * factor).sum()

    parameters = model.parameters().values()
    for parameter in parameters:
        parameter.grad = None
    value().backward()
    # Along the gradient itself the change is far above the rounding of float32.
    length = torch.sqrt(sum((parameter.grad**2).sum() for parameter in parameters))
    sides = []
    for sign in (1, -1):
        with torch.no_grad():
            for parameter in parameters:
                parameter += sign * 3e-3 * parameter.grad / length
            sides.append(value().item())
            for parameter in parameters:
                parameter -= sign * 3e-3 * parameter.grad / length
    assert length.item() == pytest.approx((sides[0] - sides[1]) / 6e-3, rel=2e-2)


def test_checkpointed_gradients_are_the_same(folders):
    found = []
    for checkpointing in (False, True):
        model = student(folders["llama"], gradient_checkpointing=checkpointing)
        assert model.model.is_gradient_checkpointing == checkpointing
        weights(model, TEXTS).sum().backward()
        found.append([parameter.grad for parameter in model.parameters().values()])
    for first, second in zip(*found, strict=True):
        torch.testing.assert_close(first, second)


def test_dropout_is_of_training_alone_and_the_seed_makes_the_first_weights(folders):
    model = student(folders["llama"], dropout=0.5)
    learn(model, steps=2)
    with torch.no_grad():
        assert not torch.equal(weights(model, TEXTS), weights(model, TEXTS))
        model.train(False)
        assert torch.equal(weights(model, TEXTS), weights(model, TEXTS))
    first, same, other = (
        student(folders["llama"], seed=seed).parameters().values() for seed in (1, 1, 2)
    )
    assert all(torch.equal(*pair) for pair in zip(first, same, strict=True))
    assert not all(torch.equal(*pair) for pair in zip(first, other, strict=True))


def test_queries_have_a_prefix_of_their_own(folders):
    config = DecoderStudentConfig(echo="no", query_prefix="query: ", document_prefix="passage: ")
    model = student(folders["llama"], config)
    with torch.no_grad():
        asked, written = (weights(model, TEXTS, side).numpy() for side in ("query", "document"))
    loaded = load_encoder(f'decoder:{folders["llama"]},max_length=24,query_prefix="query: "')
    expected = loaded.encode_queries(TEXTS).to_scipy().toarray()
    np.testing.assert_allclose(asked, expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(asked, written)
    assert not asked[TEXTS.index("")].any()
    assert list(model.batcher("query", 24, 512)([" ", ""])) == []


def test_the_terms_are_those_of_the_tokenizer(folders):
    model = student(folders["qwen3"])
    assert model.projection()[0].shape == (model.vocabulary.size, 16)
    trained = student(folders["qwen3"], train_projection=True)
    assert trained.projection()[0].shape == (model.vocabulary.size, 16)


@pytest.mark.parametrize(
    ("targets", "complaint"),
    [
        (["lm_head"], "the target 'lm_head' is the vocabulary projection or the input"),
        (["q_proj", "embed_tokens"], "the target 'embed_tokens'"),
        (["query"], r"the targets query can't be adapted in .*; most models have q_proj"),
        (["norm"], r"the targets norm can't be adapted"),
    ],
)
def test_targets_that_can_not_be_adapted_are_refused(folders, targets, complaint):
    with pytest.raises(UsageError, match=complaint):
        student(folders["llama"], targets=targets)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: LoraConfig(rank=0), "rank is 0; allowed is 1 or more"),
        (lambda: LoraConfig(alpha=0), "alpha is 0"),
        (lambda: LoraConfig(dropout=1.0), "dropout is 1.0; allowed is 0 to below 1"),
        (lambda: LoraConfig(targets=[]), "targets is empty; give modules, such as q_proj"),
        (lambda: DecoderStudentConfig(echo="maybe"), "echo is 'maybe'; allowed are yes, no"),
        (lambda: DecoderStudentConfig(query_prefix="a,b"), "a prefix can't hold a comma"),
    ],
)
def test_settings_are_checked(make, complaint):
    with pytest.raises(UsageError, match=complaint):
        make()


def test_other_checkpoints_are_refused(folders, masked_lm, monkeypatch):
    with pytest.raises(NotFoundError, match=r"'\./nowhere' does not exist"):
        student("./nowhere")
    with pytest.raises(InputError):
        student(masked_lm)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'lsr-search\[lora\]'"):
        student(folders["llama"])
