"""The model that ships with the package, and how one is put there."""

import json
import shutil

import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file, save_file

import lsr.encoders.packaged
from lsr.backbones.tensor_files import read_arrays
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.dense import DenseEncoder
from lsr.encoders.dense_terms import FOLDER, MODEL, TABLE, DenseTerms, TermVectors
from lsr.encoders.packaged import (
    DEFAULT_ENCODER,
    LARGEST,
    MODELS,
    PACKAGED,
    WITHOUT_DENSE_TERMS,
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
        (spoil("huge.json", " " * LARGEST), "bytes when packed; allowed are 29,360,128"),
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


@pytest.mark.parametrize("name", PACKAGED)
def test_a_packaged_encoder_is_small_and_weighs_queries_by_a_table(name):
    encoder = load_encoder(name)
    assert encoder.name == name
    assert load_encoder(f"{encoder.name},document.top_k=5").name == f"{encoder.name},top_k=5"
    files = [path for path in (MODELS / name).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= LARGEST
    assert packaged_checkpoint(name).path("README.md")
    queries = encoder.encode_queries(TEXTS)
    tokens = [encoder.vocabulary.token(term) for term in queries[0].indices]
    assert set(tokens) <= {"a", "wing"}
    documents = encoder.encode_documents(TEXTS)
    assert [len(row) > 0 for row in documents] == [True, False, True]
    assert not encoder.vocabulary.special.intersection(documents.indices.tolist())


def test_without_its_dense_terms_the_second_is_the_first():
    first = load_encoder(WITHOUT_DENSE_TERMS)
    second = load_encoder(DEFAULT_ENCODER)
    plain = load_encoder(f"{DEFAULT_ENCODER},document.dense_terms=0")
    for side in ("encode_documents", "encode_queries"):
        one, other = (getattr(each, side)(TEXTS).to_scipy() for each in (first, plain))
        assert (one != other).nnz == 0
    whole, without = (
        load_encoder(f"{name},document.top_k=0").encode_documents(TEXTS).to_scipy()
        for name in (DEFAULT_ENCODER, WITHOUT_DENSE_TERMS)
    )
    more = whole - without
    assert more.min() >= 0
    assert [row.nnz > 0 for row in more] == [True, False, True]
    assert (
        second.encode_queries(TEXTS).to_scipy() != first.encode_queries(TEXTS).to_scipy()
    ).nnz == 0


def test_dense_terms_are_packed_and_nearly_the_same(source, dense_model, tmp_path):
    random = np.random.default_rng(4)
    shutil.copytree(dense_model, source / FOLDER / MODEL)
    vocabulary = load_encoder(str(source)).vocabulary
    vectors = random.normal(size=(vocabulary.size, 16)).astype(np.float32)
    TermVectors(vectors, np.zeros(vocabulary.size, np.float32)).write(source / FOLDER / TABLE)
    declared = {"lsr": {"dense_terms": 3.0, "dense_terms_top": 50}}
    (source / "config_sentence_transformers.json").write_text(json.dumps(declared))
    package_model(source, tmp_path / "m")
    weights = f"{FOLDER}/{MODEL}/model.safetensors"
    before, after = ((folder / weights).stat().st_size for folder in (source, tmp_path / "m"))
    assert after < 0.2 * before
    names = set(load_file(tmp_path / "m" / weights))
    assert "embeddings.word_embeddings.weight.packed4" in names
    assert "encoder.layer.0.output.dense.weight.packed8" in names
    assert set(load_file(tmp_path / "m" / FOLDER / TABLE)) == {
        "vectors.packed4", "vectors.scales", "means"
    }  # fmt: skip
    # What is packed to 8 bits is multiplied so.
    terms = DenseTerms(vocabulary, tmp_path / "m" / FOLDER, 1.0, 5)
    wide = shutil.copytree(tmp_path / "m", tmp_path / "wide")
    save_file(read_arrays(wide / weights), wide / weights, metadata={"format": "pt"})
    whole = DenseEncoder.load(f"{wide / FOLDER / MODEL},dtype=int8").encode_documents(TEXTS)
    np.testing.assert_allclose(terms.model.encode_documents(TEXTS), whole, atol=1e-6)
    off = np.linalg.norm(terms.table.vectors - vectors)
    assert 0 < off < 0.15 * np.linalg.norm(vectors)


def test_its_vectors_hold_the_words_of_a_text_and_more():
    encoder = load_encoder(DEFAULT_ENCODER)
    batch = encoder.encode_documents(["cats hunt mice at night"])
    spelled = [*encoder.vocabulary.tokens, *batch.words]
    tokens = {spelled[term] for term in batch.indices}
    assert {"hunt", "mice", "night", "word:cat", "word:hunt", "word:mice", "word:night"} < tokens
