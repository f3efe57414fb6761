"""The model that ships with the package, and how one is put there."""

import json
import shutil

import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file, save_file

import lsr.encoders.packaged
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.packaged import (
    DEFAULT_ENCODER,
    LARGEST,
    MODELS,
    package_model,
    packaged_checkpoint,
)
from lsr.errors import InputError, NotFoundError

TEXTS = ["a wing", "", "boundary layer flow over a flat plate"]


@pytest.fixture
def source(tmp_path, masked_lm):
    folder = shutil.copytree(masked_lm, tmp_path / "exported")
    (folder / "README.md").write_text("# A model\n")
    (folder / "idf.json").write_text('{"wing": 2.5, "flow": 1.5, "a": 0.1}')
    (folder / "query_0_SparseStaticEmbedding").mkdir()
    table = {"weight": np.full(3, 1 / 3, np.float32)}
    save_file(table, folder / "query_0_SparseStaticEmbedding/model.safetensors")
    (folder / "optimizer.bin").write_bytes(b"not for users")
    return folder


def test_weights_are_halved_and_everything_else_is_kept(source, tmp_path):
    folder = tmp_path / "models" / "m"
    size = package_model(source, folder)
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert "optimizer.bin" not in files
    assert {"README.md", "idf.json", "tokenizer.json", "config.json", "model.safetensors"} <= files
    assert size == sum((folder / name).stat().st_size for name in files)
    whole, halves = load_file(source / "model.safetensors"), load_file(folder / "model.safetensors")
    assert whole.keys() == halves.keys()
    for name, array in whole.items():
        assert halves[name].dtype == np.float16
        np.testing.assert_array_equal(halves[name], array.astype(np.float16))
    kept = "query_0_SparseStaticEmbedding/model.safetensors"
    assert (folder / kept).read_bytes() == (source / kept).read_bytes()
    # A second run replaces the first.
    (source / "README.md").write_text("# Another\n")
    package_model(source, folder)
    assert (folder / "README.md").read_text() == "# Another\n"
    assert [path.name for path in folder.parent.iterdir()] == ["m"]


def test_transformers_reads_it_in_single_precision_with_the_same_vectors(source, tmp_path):
    package_model(source, tmp_path / "m")
    model = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "m").eval()
    assert model.dtype == torch.float32
    encoder = load_encoder(f"inference-free:{tmp_path / 'm'}")
    found = encoder.encode_documents(["a wing"]).to_scipy().toarray()[0]
    ids = encoder.vocabulary.tokenizer.encode("a wing").ids
    with torch.inference_mode():
        expected = model(torch.tensor([ids])).logits[0].amax(dim=0).relu().log1p().numpy()
    expected[list(encoder.vocabulary.special)] = 0
    np.testing.assert_allclose(found, expected, atol=1e-4)


def spoil(name, content):
    def change(folder):
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_text(content)

    return change


def too_large_a_weight(folder):
    arrays = {name: array.copy() for name, array in load_file(folder / "model.safetensors").items()}
    arrays["cls.predictions.bias"][0] = 1e6
    save_file(arrays, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (spoil("README.md", None), "has no README.md; a packaged model needs its model card"),
        (spoil("config.json", json.dumps({"model_type": "electra"})), "is no BERT masked language"),
        (too_large_a_weight, "whose weights float16 can hold"),
        (spoil("huge.json", " " * LARGEST), "bytes when packed; allowed are 26,214,400"),
    ],
)
def test_what_can_not_ship_is_refused_and_the_old_model_stays(source, tmp_path, change, complaint):
    package_model(source, tmp_path / "m")
    before = (tmp_path / "m/config.json").read_bytes()
    change(source)
    with pytest.raises(InputError, match=complaint):
        package_model(source, tmp_path / "m")
    assert (tmp_path / "m/config.json").read_bytes() == before


def test_an_installation_without_the_files_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(lsr.encoders.packaged, "MODELS", tmp_path)
    with pytest.raises(NotFoundError, match="its files are missing; install lsr again, or give"):
        load_encoder(DEFAULT_ENCODER)


def test_the_default_encoder_is_small_and_weighs_queries_by_a_table():
    encoder = load_encoder(DEFAULT_ENCODER)
    assert encoder.name == DEFAULT_ENCODER
    assert load_encoder(f"{encoder.name},document.top_k=5").name == f"{encoder.name},top_k=5"
    files = [path for path in (MODELS / DEFAULT_ENCODER).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LARGEST
    assert packaged_checkpoint(DEFAULT_ENCODER).path("README.md")
    queries = encoder.encode_queries(TEXTS)
    tokens = [encoder.vocabulary.token(term) for term in queries[0].indices]
    assert set(tokens) <= {"a", "wing"}
    documents = encoder.encode_documents(TEXTS)
    assert [len(row) > 0 for row in documents] == [True, False, True]
    assert not encoder.vocabulary.special.intersection(documents.indices.tolist())


def test_its_vectors_hold_the_words_of_a_text_and_more():
    encoder = load_encoder(DEFAULT_ENCODER)
    batch = encoder.encode_documents(["cats hunt mice at night"])
    spelled = [*encoder.vocabulary.tokens, *batch.words]
    tokens = {spelled[term] for term in batch.indices}
    assert {"hunt", "mice", "night", "word:cat", "word:hunt", "word:mice", "word:night"} < tokens
