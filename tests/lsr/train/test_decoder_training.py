"""A decoder-only student through a whole training: adapter, resumption, what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file

from index.mining import retrieve
from lsr.encoders.catalogue import load_encoder
from lsr.errors import UsageError
from lsr.train.config import TrainingConfig
from lsr.train.config_file import parse_config, read_toml
from lsr.train.run import Tools, Watching, run_training
from tests.lsr.encoders.decoders import byte_level, save

WORDS = ["wing", "flow", "plate", "shock", "heat", "layer", "gas", "lift", "drag", "jet"]


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return save(tmp_path_factory.mktemp("decoder") / "llama", "Llama", byte_level())


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    random = np.random.default_rng(3)
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    lines = []
    for _ in range(20):
        words = random.choice(WORDS, 4, replace=False).tolist()
        lines.append({"query": words[0], "positive": " ".join(words)})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def config(llama, pairs):
    tables = {
        "model": {
            "base": str(llama),
            "queries": "model",
            "max_length": 16,
            "export_length": 20,
            "top_k": 40,
            "lora": {"rank": 2, "alpha": 4, "dropout": 0.2, "targets": ["q_proj", "v_proj"]},
            "decoder": {"echo": "yes", "query_prefix": "query: "},
        },
        "optimizer": {"steps": 4, "learning_rate": 0.01},
        "sources": [{"path": str(pairs)}],
        "losses": [{"name": "info-nce"}],
        "batches": {"queries": 4, "negatives": 1},
        "mining": {"depth": 5, "pool": 2, "rounds": 2},
        "documents": {"regularizer": "flops", "strength": 0.001},
        "evaluation": {"every": 2, "held_out": 0.2},
        "checkpoint_every": 1,
    }
    return parse_config(tables, TrainingConfig)


def train(config, folder, on_step=lambda entry, steps: None):
    names = []

    def judge(config, held_out):
        def score(encoder):
            names.append(encoder.name)
            return {"terms": float(encoder.encode_queries(["wing flow"]).nnz)}

        return score

    watching = Watching(on_step, lambda *progress: None, pytest.fail)
    report = run_training(config, folder, folder / "teachers", Tools(retrieve, judge), watching)
    return report, names


def test_an_adapter_is_trained_killed_and_resumed(config, llama, tmp_path):
    whole, names = train(config, tmp_path / "whole")
    name = f'decoder:{tmp_path}/whole/student,echo=yes,query_prefix="query: "'
    name += ",max_length=20,logs=1,top_k=40"
    assert whole.encoder == name
    assert whole.steps == 4
    encoder = load_encoder(name)
    assert encoder.config.lora == f"{tmp_path}/whole/student"
    found = encoder.encode_documents(["wing flow", ""]).to_scipy().toarray()
    assert 0 < (found[0] > 0).sum() <= 40
    assert not found[1].any()
    before = load_encoder(f"decoder:{llama},max_length=20,logs=1,top_k=40,echo=yes")
    assert not np.allclose(found, before.encode_documents(["wing flow", ""]).to_scipy().toarray())
    # Twice while it was trained, and nothing but the adapter was kept for it.
    assert len(names) == 2
    assert whole.last.measures["terms"] > 0
    state = load_file(tmp_path / "whole/state.safetensors")
    weights = {key for key in state if key.startswith("weight/")}
    assert weights
    assert all(".lora_A." in key or ".lora_B." in key for key in weights)
    card = (whole.student / "README.md").read_text()
    assert "decoder-only language model with a low-rank adapter" in card
    assert 'load_encoder("decoder:whole,echo=yes' in card
    assert "SparseEncoder(" not in card

    def kill(entry, steps):
        if entry.step == 3:
            raise Killed

    with pytest.raises(Killed):
        train(config, tmp_path / "cut", kill)
    cut, _ = train(config, tmp_path / "cut")
    assert cut.steps == 2
    expected, found = (
        load_file(report.student / "adapter_model.safetensors") for report in (whole, cut)
    )
    assert expected.keys() == found.keys()
    assert all(np.array_equal(expected[key], found[key]) for key in expected)
    saved = parse_config(read_toml(tmp_path / "whole/training.toml"), TrainingConfig)
    assert saved == config


def test_the_prefix_of_queries_and_the_echo_are_trained_with(config, tmp_path):
    model = config.model
    seen = {}
    for name, changes in (("as-is", {}), ("plain", {"echo": "no"}), ("bare", {"query_prefix": ""})):
        decoder = replace(model.decoder, **changes)
        changed = replace(
            config,
            model=replace(model, decoder=decoder, lora=replace(model.lora, dropout=0.0), top_k=0),
            optimizer=replace(config.optimizer, steps=1),
            evaluation=replace(config.evaluation, every=0),
        )
        seen[name] = train(changed, tmp_path / name)[0].last
    assert seen["as-is"].nnz["document"] != seen["plain"].nnz["document"]
    assert seen["as-is"].nnz["query"] != seen["bare"].nnz["query"]
    assert seen["as-is"].nnz["document"] == seen["bare"].nnz["document"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"queries": "idf"}, "queries is 'idf', but a decoder encodes them itself"),
        ({"queries": "learned", "decoder": None}, "queries is 'learned'"),
        ({"dropout": 0.1}, "the dropout of a decoder is its adapter's"),
        ({"lora": {"rank": 0}}, "rank is 0"),
        ({"lora": {"rank": 2.5}}, r"\[model.lora\] rank is 2.5; allowed is a whole number"),
        ({"decoder": {"echo": "maybe"}}, "echo is 'maybe'"),
        ({"decoder": {"shift": 0.1}}, r"\[model.decoder\] there is no 'shift'; allowed are echo,"),
    ],
)
def test_what_a_decoder_can_not_be_is_refused(changes, complaint):
    tables = {
        "model": {"base": "m", "queries": "model", "lora": {}, "decoder": {}} | changes,
        "optimizer": {"steps": 1},
        "sources": [{"path": "pairs.jsonl"}],
        "losses": [{"name": "info-nce"}],
    }
    with pytest.raises(UsageError, match=complaint):
        parse_config(tables, TrainingConfig)
