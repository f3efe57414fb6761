"""A cross-encoder from the command line: trained, gone on with, and loaded by others alike."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file

from lsr.errors import UsageError
from lsr.rerankers.catalogue import load_reranker
from lsr.train.config_file import parse_config, read_toml
from lsr.train.reranker.config import CrossEncoderTrainingConfig
from lsr.train.training_log import read_log
from tests.lsr.rerankers.cross_encoders import save_tokenizer
from tests.service.conftest import sentence, write_jsonl

WORDS = ["wing", "flow", "plate", "shock", "heat", "layer", "gas", "lift", "drag", "jet"]
RECIPE = """
kind = "cross-encoder"
output = "trained"
checkpoint_every = 3
[model]
base = "{base}"
max_length = 24
export_length = 40
[optimizer]
steps = 6
learning_rate = 1e-2
[batches]
queries = 4
negatives = 3
chunk_tokens = 64
[candidates]
depth = 8
pool = 6
[[sources]]
path = "pairs.jsonl"
[[losses]]
name = "{loss}"
[[losses]]
name = "bce"
weight = 0.5
[[teachers]]
name = "bm25"
[[teachers]]
name = "dense:{dense}"
"""


@pytest.fixture
def recipe(masked_lm, dense_model, tmp_path):
    base = tmp_path / "base"
    shutil.copytree(masked_lm, base)
    (base / "tokenizer.json").unlink()
    save_tokenizer(base)
    random = np.random.default_rng(3)
    texts = [random.choice(WORDS, 4, replace=False).tolist() for _ in range(12)]
    pairs = [{"query": words[0], "positive": " ".join(words)} for words in texts]
    write_jsonl(tmp_path / "pairs.jsonl", pairs)

    def make(loss="kl", **changes):
        text = RECIPE.format(base=base, dense=dense_model, loss=loss)
        for before, after in changes.items():
            text = text.replace(before, after, 1)
        path = tmp_path / "recipe.toml"
        path.write_text(text)
        return path

    return make


def test_it_is_trained_and_scores_the_same_everywhere(lsr, recipe, tmp_path):
    from sentence_transformers import CrossEncoder

    result = lsr("train", recipe())
    assert result.returncode == 0, result.stderr
    assert "--rerank trained/model" in result.stdout.decode()
    entries = read_log(tmp_path / "trained/log.jsonl")
    assert [entry.step for entry in entries] == [1, 2, 3, 4, 5, 6]
    assert set(entries[0].losses) == {"kl", "bce"}
    assert (tmp_path / "trained/log.png").read_bytes().startswith(b"\x89PNG")
    folder = str(tmp_path / "trained/model")
    pairs = [("wing", "the flow over a wing"), ("heat " * 30, "gas " * 60), ("jet", "")]
    expected = CrossEncoder(folder, device="cpu").predict(pairs, show_progress_bar=False)
    assert np.std(expected) > 1e-3
    np.testing.assert_allclose(load_reranker(folder).scores(pairs), expected, rtol=1e-5, atol=1e-5)
    # What was written trains the same again: there is nothing left to do.
    again = lsr("train", tmp_path / "trained/training.toml", "--json")
    assert again.returncode == 0, again.stderr
    report = json.loads(again.stdout)
    assert (report["steps"], report["last"]["step"]) == (0, 6)


@pytest.mark.parametrize("loss", ["margin-mse", "info-nce"])
def test_going_on_gives_the_weights_of_one_go(lsr, recipe, tmp_path, monkeypatch, loss):
    from lsr.train.reranker import run

    changes = {} if loss != "info-nce" else {'[[teachers]]\nname = "bm25"\n': ""}
    path = recipe(loss, **changes)
    if loss == "info-nce":
        path.write_text(path.read_text().partition("[[teachers]]")[0])
    assert lsr("train", path, "--output", "whole").returncode == 0
    save = run.save_state

    def stopped(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "save_state", stopped)
        assert lsr("train", path, "--output", "parts").returncode != 0
    assert not (tmp_path / "parts/model").exists()
    assert lsr("train", path, "--output", "parts").returncode == 0
    whole, parts = (
        load_file(tmp_path / f"{n}/model/model.safetensors") for n in ("whole", "parts")
    )
    assert whole.keys() == parts.keys()
    for name, array in whole.items():
        np.testing.assert_array_equal(parts[name], array)
    path.write_text(path.read_text().replace("1e-2", "2e-2"))
    assert "learning_rate" in sentence(lsr("train", path, "--output", "parts"))


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("steps = 6", "step = 6", r"\[optimizer\] there is no 'step'; allowed are steps,"),
        ('kind = "cross-encoder"', 'kind = "sparse"', "kind is 'sparse'; allowed"),
        ("negatives = 3", "negatives = 7", r"negatives is 7, and \[candidates\] pool only 6"),
        ("negatives = 3", "negatives = 0", "negatives is 0"),
        ('name = "kl"', 'name = "bce"', "the loss bce is there twice"),
        ('name = "kl"', 'name = "flops"', "name is 'flops'; allowed"),
        ('name = "bce"\n', 'name = "bce"\ntemperature = 2.0\n', "bce has no temperature"),
        ('name = "kl"', 'name = "info-nce"', "leave it out, or add such a loss"),
        ("max_length = 24", "max_length = 4", "max_length is 4"),
        ("[batches]", "evaluation = 3\n[batches]", "no 'evaluation'; allowed are"),
    ],
)
def test_a_wrong_recipe_is_refused(recipe, before, after, complaint):
    with pytest.raises(UsageError, match=complaint):
        parse_config(read_toml(recipe(**{before: after})), CrossEncoderTrainingConfig)


def test_a_taught_loss_needs_a_teacher(recipe):
    path = recipe()
    path.write_text(path.read_text().partition("[[teachers]]")[0])
    with pytest.raises(UsageError, match=r"the loss kl needs a table \[\[teachers\]\]"):
        parse_config(read_toml(path), CrossEncoderTrainingConfig)


def test_a_base_without_a_template_for_pairs_is_refused(lsr, recipe, masked_lm, tmp_path):
    path = recipe()
    path.write_text(path.read_text().replace(str(tmp_path / "base"), str(masked_lm)))
    result = lsr("train", path)
    assert "puts nothing between query and document" in sentence(result)
