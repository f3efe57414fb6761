"""Which files of a checkpoint are used, and which are refused."""

import json
import shutil
import sys
from importlib import resources

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lsr.backbones import json_files
from lsr.backbones.bert import BertLanguageModel
from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.json_files import read_json
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.dense import DenseEncoder
from lsr.errors import InputError, MissingDependencyError, NotFoundError
from lsr.trusted_code import TrustedCode


@pytest.fixture
def folder(tmp_path, masked_lm):
    return shutil.copytree(masked_lm, tmp_path / "model")


def test_pickled_weights_are_refused(folder):
    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(NotFoundError, match=r"no \.safetensors weights, and pickled"):
        load_encoder(str(folder))
    with pytest.raises(NotFoundError, match=r"pickled weights are not loaded"):
        DenseEncoder.load(str(folder))


def test_a_checkpoint_with_vocab_txt_only_is_the_same_encoder(folder, masked_lm):
    (folder / "tokenizer.json").unlink()
    vocabulary = resources.files("lsr") / "data/bert-uncased-vocab.txt"
    (folder / "vocab.txt").write_text(vocabulary.read_text())
    config = '{"tokenizer_class": "BertTokenizer", "do_lower_case": true}'
    (folder / "tokenizer_config.json").write_text(config)
    slow, fast = load_encoder(str(folder)), load_encoder(str(masked_lm))
    texts = ["Naïve BOUNDARY-layer 中文 unfathomably", "", "[MASK] wing"]
    assert slow.vocabulary.tokenize(texts) == fast.vocabulary.tokenize(texts)
    assert slow.fingerprint == fast.fingerprint
    found, expected = slow.encode_documents(texts), fast.encode_documents(texts)
    np.testing.assert_array_equal(found.to_scipy().toarray(), expected.to_scipy().toarray())


def test_a_checkpoint_without_tokenizer_is_refused(folder):
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"use a checkpoint that has a tokenizer\.json"):
        load_encoder(str(folder))


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"model": {"type": "WordPiece"}}'])
def test_a_damaged_tokenizer_is_refused(folder, content):
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(InputError, match=r"tokenizer\.json is no tokenizer"):
        load_encoder(str(folder))


@pytest.mark.parametrize("content", ["", "[]", "null", "{"])
def test_damaged_settings_are_refused(folder, content):
    (folder / "config.json").write_text(content)
    with pytest.raises(InputError, match=r"config\.json"):
        DenseEncoder.load(str(folder))
    with pytest.raises(InputError):
        load_encoder(str(folder)).encode_documents(["wing"])


@pytest.mark.parametrize("package", ["torch", "transformers"])
@pytest.mark.parametrize("kind", ["sums over positions", "dense"])
def test_a_missing_package_is_explained_where_it_is_needed(masked_lm, monkeypatch, package, kind):
    if kind == "dense":
        encode = DenseEncoder.load(f"{masked_lm},pooling=max").encode_documents
    else:
        encode = load_encoder(f"{masked_lm},pool=sum").encode_documents
    monkeypatch.setitem(sys.modules, package, None)
    line = r"pip install 'lsr-search\[models\]'"
    with pytest.raises(MissingDependencyError, match=line) as caught:
        encode(["wing"])
    assert f"needs the package {package!r}" in str(caught.value)


def test_huge_json_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(json_files, "LARGEST_JSON", 10)
    (tmp_path / "small.json").write_text('"12345678"')
    (tmp_path / "large.json").write_text('"123456789"')
    assert read_json(tmp_path / "small.json") == "12345678"
    with pytest.raises(InputError, match="is larger than"):
        read_json(tmp_path / "large.json")


def test_files_that_are_not_there_are_none(masked_lm):
    found = Checkpoint.resolve(str(masked_lm))
    assert found.path("idf.json") is None
    assert found.json("idf.json") is None
    assert found.json("config.json")["model_type"] == "bert"


def test_code_that_transformers_has_itself_is_not_asked_for(folder):
    settings = json.loads((folder / "config.json").read_text())
    settings["auto_map"] = {"AutoModelForMaskedLM": "modeling.Own"}
    (folder / "config.json").write_text(json.dumps(settings))
    assert Checkpoint.resolve(str(folder)).code is None
    assert load_encoder(str(folder)).encode_documents(["wing"]).nnz
    for kind in ("own", "own-kind", "../own", ""):
        (folder / "config.json").write_text(json.dumps(settings | {"model_type": kind}))
        assert Checkpoint.resolve(str(folder)).code == "modeling.Own"


@pytest.mark.parametrize("auto_map", [None, [], {}, "modeling.Own"])
def test_an_odd_auto_map_asks_for_nothing(folder, auto_map):
    settings = {"model_type": "own", "auto_map": auto_map}
    (folder / "config.json").write_text(json.dumps(settings))
    assert Checkpoint.resolve(str(folder)).code is None


@pytest.mark.parametrize("code", [True, False])
def test_python_files_are_fetched_only_if_they_may_run(masked_lm, monkeypatch, code):
    asked = []

    def download(name, allow_patterns, ignore_patterns):
        asked.append((name, allow_patterns))
        return str(masked_lm)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    trusted = TrustedCode(names=frozenset(["owner/model" if code else "owner/other"]))
    load_encoder("owner/model", trusted)
    ((name, patterns),) = asked
    assert (name, "*.py" in patterns, "*.bin" in patterns) == ("owner/model", code, False)


def vectors(folder):
    return load_encoder(str(folder)).encode_documents(["a wing", "flow"]).to_scipy().toarray()


@pytest.mark.parametrize("native", [True, False])
def test_only_the_files_that_transformers_reads_count(folder, masked_lm, monkeypatch, native):
    if not native:
        monkeypatch.setattr(BertLanguageModel, "of", lambda checkpoint: None)
    expected, digest = vectors(folder), Checkpoint.resolve(str(folder)).digest
    weights = load_file(folder / "model.safetensors")
    twice = {name: tensor * 2 for name, tensor in weights.items()}
    others = ["model_ema", "a", "z", "model.fp16", "adapter_model", "model-00001-of-00001"]
    for name in others:
        save_file(twice, folder / f"{name}.safetensors", metadata={"format": "pt"})
    assert Checkpoint.resolve(str(folder)).digest == digest
    np.testing.assert_array_equal(vectors(folder), expected)
    (folder / "model.safetensors").unlink()
    with pytest.raises(NotFoundError, match=r"looked for model\.safetensors and model\.saf"):
        load_encoder(str(folder))
    names = sorted(weights)
    halves = {"z.safetensors": names[:5], "shard-1.safetensors": names[5:]}
    for file, part in halves.items():
        tensors = {name: weights[name] for name in part}
        save_file(tensors, folder / file, metadata={"format": "pt"})
    files = {name: file for file, part in halves.items() for name in part}
    index = {"metadata": {}, "weight_map": files}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    np.testing.assert_array_equal(vectors(folder), expected)
    (folder / "z.safetensors").unlink()
    with pytest.raises(InputError, match=r"names z\.safetensors, which is missing"):
        load_encoder(str(folder))


@pytest.mark.parametrize(
    "index",
    [None, {}, ["a"], *({"a": file} for file in ("../x.safetensors", "/etc/passwd", 3, []))],
)
def test_an_index_that_leads_elsewhere_is_refused(folder, index):
    (folder / "model.safetensors").unlink()
    text = json.dumps({} if index is None else {"weight_map": index})
    (folder / "model.safetensors.index.json").write_text(text)
    with pytest.raises(InputError, match="has no weight_map from tensors to files beside it"):
        load_encoder(str(folder))


def test_an_adapter_over_another_model_is_refused(folder):
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "elsewhere"}')
    for load in (load_encoder, DenseEncoder.load):
        with pytest.raises(InputError, match="holds a LoRA adapter"):
            load(str(folder))
