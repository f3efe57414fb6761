"""Dense terms from the command line: made, gone on with, indexed and searched."""

import json

import numpy as np
import pytest

from lsr.encoders.catalogue import load_encoder
from lsr.train.training_log import read_log
from tests.service.conftest import sentence, write_jsonl

WORDS = ["apple", "banana", "cherry", "lemon", "pie", "plum", "wing"]
RECIPE = """
kind = "dense-terms"
output = "made"
licence = "MIT"
[[sources]]
path = "pairs.jsonl"
licence = "CC0-1.0"
[dense_terms]
base = "{base}"
model = "{model}"
top = 5
batch_size = 4
epochs = 2
held_out = 0.25
"""
STUDENT = """
[student]
layers = [0]
steps = 6
batch_size = 4
held_out = 0.2
checkpoint_every = 2
"""
FURTHER = """
losses = [{{ name = "info-nce" }}]
[[sources]]
path = "pairs.jsonl"
[model]
base = "{base}"
[optimizer]
steps = 1
learning_rate = 1e-4
[batches]
queries = 4
"""


@pytest.fixture
def recipe(masked_lm, dense_model, tmp_path):
    random = np.random.default_rng(3)
    texts = [random.choice(WORDS, 4, replace=False).tolist() for _ in range(12)]
    pairs = [{"query": " ".join(words[:2]), "positive": " ".join(words)} for words in texts]
    write_jsonl(tmp_path / "pairs.jsonl", pairs)
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(base=masked_lm, model=dense_model))
    return path


def test_they_are_made_indexed_and_searched(lsr, recipe, masked_lm, tmp_path):
    result = lsr("train", recipe)
    assert result.returncode == 0, result.stderr
    said = result.stdout.decode()
    assert "held-out queries reach a cosine of" in said
    assert "--encoder made/encoder" in said
    entries = read_log(tmp_path / "made/log.jsonl")
    assert "cosine" in entries[-1].measures
    assert (tmp_path / "made/log.png").read_bytes().startswith(b"\x89PNG")
    folder = tmp_path / "made/encoder"
    card = (folder / "README.md").read_text()
    assert "license: mit" in card
    assert str(tmp_path) not in card
    plain, joined = load_encoder(str(masked_lm)), load_encoder(str(folder))
    before, after = (
        each.encode_documents(["apple pie"]).to_scipy().toarray()[0] for each in (plain, joined)
    )
    assert 0 < (after - before > 1e-6).sum() <= 5
    assert (after - before > -1e-6).all()
    assert not after[[0, 100, 101, 102, 103]].any() or before[[0, 100, 101, 102, 103]].any()
    write_jsonl(tmp_path / "corpus.jsonl", [{"_id": word, "text": word} for word in WORDS])
    indexed = lsr("index", "corpus.jsonl", "--into", "c", "--encoder", "made/encoder")
    assert indexed.returncode == 0, indexed.stderr
    found = json.loads(lsr("search", "c", "plum", "--json").stdout)
    assert "plum" in [hit["id"] for hit in found["hits"]]
    # What was computed is taken from the cache, and the result is the same.
    first = load_encoder(str(folder)).fingerprint
    again = lsr("train", tmp_path / "made/training.toml", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["last"]["step"] == entries[-1].step
    assert load_encoder(str(folder)).fingerprint == first
    # A training of its weights keeps them.
    recipe.write_text(FURTHER.format(base=folder))
    further = lsr("train", recipe, "--output", "further", "--json")
    assert further.returncode == 0, further.stderr
    kept = tmp_path / "further/student/dense_terms/term_vectors.safetensors"
    assert kept.read_bytes() == (folder / "dense_terms/term_vectors.safetensors").read_bytes()


def test_a_student_takes_the_place_of_the_dense_model(lsr, recipe, dense_model, tmp_path):
    text = recipe.read_text().replace(str(dense_model), f"{dense_model},dtype=bfloat16")
    recipe.write_text(text + STUDENT)
    result = lsr("train", recipe)
    assert result.returncode == 0, result.stderr
    assert "held-out documents of the student" in result.stdout.decode()
    folder = tmp_path / "made/encoder"
    taught = read_log(tmp_path / "made/student/log.jsonl")
    assert [entry.step for entry in taught] == list(range(1, 7))
    weights = (folder / "dense_terms/model/model.safetensors").read_bytes()
    assert weights == (tmp_path / "made/student/model/model.safetensors").read_bytes()
    assert weights != (dense_model / "model.safetensors").read_bytes()
    card = (folder / "README.md").read_text()
    assert "a student of the dense model" in card
    assert "trained from its layers 0 to make its vectors" in card
    assert load_encoder(str(folder)).encode_documents(["apple pie"]).values.any()
    # Its last checkpoint is the end, so nothing is trained again.
    first = load_encoder(str(folder)).fingerprint
    again = lsr("train", tmp_path / "made/training.toml", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["student"]["step"] == 6
    assert load_encoder(str(folder)).fingerprint == first
    recipe.write_text(text)
    complaint = "allowed is one dense model without options, a folder or hub id"
    assert complaint in sentence(lsr("train", recipe))
    recipe.write_text(text + STUDENT.replace("[0]", "[1]"))
    assert "layers names 1, and the model has the layers 0 to 0" in sentence(lsr("train", recipe))


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("top = 5", "tops = 5", "[dense_terms] there is no 'tops'; allowed are base, model,"),
        ("top = 5", "top = 0", "top is 0; allowed is 1 or more"),
        ("base = ", 'base = "bm25"\nbases = ', "there is no 'bases'"),
        ('base = "{base}"', 'base = "bm25"', "base is 'bm25'; allowed are the folder"),
        ('base = "{base}"', 'base = "{model}"', "lacks 6 weights of an AutoModelForMaskedLM"),
        ('model = "{model}"', 'model = "nowhere/to/be"', "nowhere/to/be"),
        ("[[sources]]", "steps = 3\n[[sources]]", "there is no 'steps'; allowed are kind,"),
    ],
)
def test_a_wrong_recipe_is_refused(lsr, recipe, masked_lm, dense_model, before, after, complaint):
    text = RECIPE.replace(before, after, 1)
    recipe.write_text(text.format(base=masked_lm, model=dense_model))
    result = lsr("train", recipe)
    assert result.returncode != 0
    assert complaint in sentence(result)
