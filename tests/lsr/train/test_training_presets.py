"""Presets are configurations: whole, trainable on any pairs, and overruled by the file."""

import dataclasses
import json

import pytest

from eval.training import train
from lsr.encoders.catalogue import load_encoder
from lsr.errors import UsageError
from lsr.train.config import TrainingConfig
from lsr.train.config_file import parse_config
from lsr.train.training_presets import TRAINING_PRESETS, with_preset
from tests.lsr.train.tiny_training import tiny_checkpoint, tiny_pairs, write_pairs

FILE = {"model": {"base": "b"}, "optimizer": {"steps": 3}, "sources": [{"path": "p"}]}
TEACHERS = {"teachers": [{"name": "bm25"}]}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return str(tiny_checkpoint(tmp_path_factory.mktemp("tiny")))


@pytest.mark.parametrize("name", TRAINING_PRESETS)
def test_a_preset_trains_on_any_pairs_and_loads(base, tmp_path, name):
    pairs = write_pairs(tmp_path / "pairs.jsonl", tiny_pairs(30))
    preset = TRAINING_PRESETS[name]
    taught = any(loss["name"] != "info-nce" for loss in preset.tables["losses"])
    lines = [
        f'preset = "{name}"',
        "[model]",
        f"base = {json.dumps(base)}",
        "max_length = 20",
        "query_length = 20",
        "export_length = 20",
        "[optimizer]",
        "steps = 2",
        "learning_rate = 1e-3",
        "[batches]",
        "queries = 4",
        "[mining]",
        "depth = 20",
        "pool = 10",
        "[evaluation]",
        "every = 0",
        "[[sources]]",
        f"path = {json.dumps(str(pairs))}",
        '[[teachers]]\nname = "bm25"' if taught else "",
    ]
    config = tmp_path / "training.toml"
    config.write_text("\n".join(lines))
    report = train(config, tmp_path / "out")
    encoder = load_encoder(report.encoder)
    documents = encoder.encode_documents(["ba be bi bo", "da de di"])
    queries = encoder.encode_queries(["ba", "de da"])
    assert documents.nnz
    assert queries.nnz
    kinds = preset.tables["model"]
    assert encoder.inference_free == (kinds["queries"] in ("binary", "idf"))
    whole = (tmp_path / "out" / "training.toml").read_text()
    assert f'documents = "{kinds["documents"]}"' in whole
    assert "preset = " not in whole


def test_the_file_overrules_the_preset_setting_by_setting():
    asked = {"preset": "splade-max", "documents": {"target_nnz": 50.0}, "batches": {"queries": 9}}
    config = parse_config(with_preset(FILE | asked), TrainingConfig)
    assert (config.documents.target_nnz, config.documents.strength) == (50.0, 0.0)
    assert config.documents.regularizer == "flops"
    assert config.queries.strength == 3e-4
    assert (config.batches.queries, config.batches.negatives) == (9, 1)
    other = with_preset(FILE | {"preset": "unicoil", "model": {"base": "b", "queries": "idf"}})
    assert other["model"]["documents"] == "mlp"
    assert other["model"]["queries"] == "idf"
    own = with_preset(FILE | TEACHERS | {"preset": "splade-v3", "losses": [{"name": "kl"}]})
    assert own["losses"] == [{"name": "kl"}]


def test_a_file_without_a_preset_stays_and_an_unknown_one_is_refused():
    assert with_preset(FILE) == FILE
    for name in ("splade", 3, ["unicoil"]):
        with pytest.raises(UsageError, match=r"preset is .*allowed are deepct, unicoil"):
            with_preset(FILE | {"preset": name})


def test_presets_that_learn_from_teachers_ask_for_them():
    with pytest.raises(UsageError, match=r"needs a table \[\[teachers\]\]"):
        parse_config(with_preset(FILE | {"preset": "distilsplade"}), TrainingConfig)


def test_no_two_presets_are_the_same():
    tables = [json.dumps(preset.tables, sort_keys=True) for preset in TRAINING_PRESETS.values()]
    assert len(set(tables)) == len(tables)
    for preset in TRAINING_PRESETS.values():
        assert all(dataclasses.astuple(preset))
