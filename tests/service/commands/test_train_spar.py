"""SPAR's Lambda from the command line: trained, gone on with, and used beside a dense encoder."""

import json

import numpy as np
import pytest

from lsr.encoders.dense import DenseEncoder
from lsr.errors import UsageError
from lsr.train.config_file import parse_config, read_toml
from lsr.train.spar.run import SparTrainingConfig
from lsr.train.training_log import read_log
from tests.service.conftest import sentence, write_jsonl

WORDS = ["wing", "flow", "plate", "shock", "heat", "layer", "gas", "lift", "drag", "jet"]
RECIPE = """
kind = "spar"
output = "trained"
[[sources]]
path = "pairs.jsonl"
[spar]
model = "{model}"
steps = 4
warm_up = 0.25
depth = 6
positives = 2
negatives = 3
batch_size = 4
max_length = 16
checkpoint_every = 2
learning_rate = 1e-3
"""


@pytest.fixture
def recipe(dense_model, tmp_path):
    random = np.random.default_rng(3)
    texts = [random.choice(WORDS, 4, replace=False).tolist() for _ in range(12)]
    pairs = [{"query": words[0], "positive": " ".join(words)} for words in texts]
    write_jsonl(tmp_path / "pairs.jsonl", pairs)
    path = tmp_path / "spar.toml"
    path.write_text(RECIPE.format(model=dense_model))
    return path


def test_lambda_is_trained_and_used(lsr, recipe, dense_model, tmp_path):
    result = lsr("train", recipe)
    assert result.returncode == 0, result.stderr
    assert "--dense MODEL+trained/model,weight=1.0" in result.stdout.decode()
    entries = read_log(tmp_path / "trained/log.jsonl")
    assert [entry.step for entry in entries] == [1, 2, 3, 4]
    assert [sorted(entry.measures) for entry in entries] == [[], ["accuracy"]] * 2
    assert (tmp_path / "trained/log.png").read_bytes().startswith(b"\x89PNG")
    folder = tmp_path / "trained/model"
    joined = DenseEncoder.load(f"{dense_model}+{folder},weight=0.5")
    parts = [
        DenseEncoder.load(str(path)).encode_queries(["wing"]) for path in (dense_model, folder)
    ]
    found = joined.encode_queries(["wing"])
    np.testing.assert_allclose(found, np.hstack([parts[0], 0.5 * parts[1]]), rtol=1e-5)
    assert not np.allclose(*parts)
    # What was written trains the same again: there is nothing left to do.
    again = lsr("train", tmp_path / "trained/training.toml", "--json")
    assert again.returncode == 0, again.stderr
    report = json.loads(again.stdout)
    assert (report["steps"], report["last"]["step"]) == (0, 4)


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("steps = 4", "step = 4", r"\[spar\] there is no 'step'; allowed are model, teacher,"),
        ('kind = "spar"', 'kind = "sparse"', "kind is 'sparse'; allowed"),
        ("depth = 6", "depth = 4", "together are more than depth=4"),
        (
            "[[sources]]",
            "evaluation = 3\n[[sources]]",
            "no 'evaluation'; allowed are kind,",
        ),
        ("steps = 4", "steps = 4.5", r"\[spar\] steps is 4.5; allowed is a whole number"),
    ],
)
def test_a_wrong_recipe_is_refused(recipe, before, after, complaint):
    recipe.write_text(recipe.read_text().replace(before, after, 1))
    with pytest.raises(UsageError, match=complaint):
        parse_config(read_toml(recipe), SparTrainingConfig)


def test_another_kind_is_refused_and_a_cache_has_no_use(lsr, recipe):
    result = lsr("train", recipe, "--cache", "there")
    assert result.returncode == 2
    assert "--cache is given" in sentence(result)
    recipe.write_text(recipe.read_text().replace('"spar"', '"dense"'))
    result = lsr("train", recipe)
    assert result.returncode == 2
    allowed = "'sparse', 'dense-terms', 'spar' and 'cross-encoder'"
    assert f"kind is 'dense'; allowed are {allowed}" in sentence(result)
