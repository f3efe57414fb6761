"""A training's configuration: what is read is what is written, and each mistake is named."""

import dataclasses
import tomllib

import pytest

from lsr.errors import InputError, NotFoundError, UsageError
from lsr.train.config import (
    BatchConfig,
    LossConfig,
    MiningConfig,
    OptimizerConfig,
    SourceConfig,
    SparsityConfig,
    TeacherConfig,
    TrainingConfig,
)
from lsr.train.config_file import parse_config, read_toml, to_toml
from lsr.train.model_config import ModelConfig

SMALLEST = """
[model]
base = "bert"
[optimizer]
steps = 10
[[sources]]
path = "pairs.jsonl"
[[losses]]
name = "info-nce"
"""
FULL = TrainingConfig(
    ModelConfig("a/b", queries="model", logs=2, query_logs=4, top_k=7, dropout=0.1),
    OptimizerConfig(steps=3, learning_rate=1e-3),
    (SourceConfig("one.jsonl", limit=5, licence="MIT"), SourceConfig('two "quoted" \\ ü')),
    (LossConfig("kl", 0.5, 2.0, "list"), LossConfig("margin-mse", 0.1), LossConfig("info-nce")),
    (TeacherConfig("bm25"), TeacherConfig("dense:m", 2.5)),
    documents=SparsityConfig("l0-flops", target_nnz=90, threshold=50),
    queries=SparsityConfig("l1", strength=1e-4, by_place=True),
    anti_zero=1e-5,
    batches=BatchConfig(8, 4, "topics"),
    mining=MiningConfig(margin=0.9, rounds=2),
    output="out",
)


def parsed(text):
    return parse_config(tomllib.loads(text), TrainingConfig)


def test_what_is_not_given_has_its_default():
    assert parsed(SMALLEST) == TrainingConfig(
        ModelConfig("bert"),
        OptimizerConfig(10),
        (SourceConfig("pairs.jsonl"),),
        (LossConfig("info-nce"),),
    )


@pytest.mark.parametrize("config", [FULL, parsed(SMALLEST)], ids=["full", "smallest"])
def test_toml_and_back(config, tmp_path):
    text = to_toml(config)
    assert parsed(text) == config
    path = tmp_path / "training.toml"
    path.write_text(text, encoding="utf-8")
    assert parse_config(read_toml(path), TrainingConfig) == config
    # All is written, defaults too.
    written = tomllib.loads(text)
    assert written.keys() == {field.name for field in dataclasses.fields(TrainingConfig)}


def with_keys(changes):
    """The smallest configuration with values put at paths such as ``losses.0.name``."""
    table = tomllib.loads(SMALLEST)
    for path, value in changes.items():
        *place, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        inner = table
        for part in place:
            inner = inner[part] if isinstance(part, int) else inner.setdefault(part, {})
        if value is None:
            del inner[last]
        else:
            inner[last] = value
    return table


SPARSE = {"documents.regularizer": "flops", "documents.strength": 0.1}
MISTAKES = [
    ({"colour": 1}, "the configuration: there is no 'colour'; allowed are model, optimizer,"),
    ({"model.size": 1}, "[model] there is no 'size'; allowed are base, base_name, base_licence,"),
    ({"losses.0.t": 1}, "[[losses]] number 1: there is no 't'; allowed are name, weight,"),
    ({"model": None}, "the configuration: 'model' is missing; give it"),
    ({"model.base": None}, "[model] 'base' is missing; give it"),
    ({"sources.0.path": None}, "[[sources]] number 1: 'path' is missing; give it"),
    ({"model": 3}, "the configuration: model is 3; allowed is a table"),
    ({"losses": 3}, "the configuration: losses is 3; allowed is a list of tables"),
    ({"losses": [3]}, "the configuration: losses.0 is 3; allowed is a table"),
    ({"losses": {"name": "kl"}}, "losses is {'name': 'kl'}; allowed is a list of tables"),
    ({"model.base": 3}, "[model] base is 3; allowed is a text"),
    ({"model.max_length": "128"}, "[model] max_length is '128'; allowed is a whole number"),
    ({"model.top_k": True}, "[model] top_k is True; allowed is a whole number"),
    ({"optimizer.steps": 1.5}, "[optimizer] steps is 1.5; allowed is a whole number"),
    ({"optimizer.learning_rate": "x"}, "[optimizer] learning_rate is 'x'; allowed is a number"),
    (SPARSE | {"documents.by_place": 1}, "[documents] by_place is 1; allowed is true or false"),
    ({"model.queries": "tf"}, "[model] queries is 'tf'; allowed are model, mlm, cls-mlm"),
    ({"model.logs": 5}, "[model] logs is 5; allowed is 1 to 4"),
    ({"model.max_length": 2}, "[model] max_length is 2; allowed is 3 to"),
    ({"model.query_length": 1}, "[model] query_length is 1; allowed is 3 to"),
    ({"model.export_length": 0}, "[model] export_length is 0; allowed is 3 to"),
    ({"model.top_k": -1}, "[model] top_k is -1; allowed is 0 or more"),
    ({"model.dropout": 0.95}, "[model] dropout is 0.95; allowed is 0 to 0.9"),
    ({"sources": []}, "a training needs at least one table [[sources]]"),
    ({"sources.0.limit": -1}, "[[sources]] number 1: limit is -1; allowed is 0 or more"),
    ({"batches.queries": 0}, "[batches] queries is 0; allowed is 1 or more"),
    ({"batches.negatives": -1}, "[batches] negatives is -1; allowed is 0 or more"),
    ({"batches.negatives": 40}, "[batches] negatives is 40, and [mining] pool only 30"),
    ({"batches.order": "x"}, "[batches] order is 'x'; allowed are random and topics"),
    ({"teachers": [{"name": "bm25", "weight": -1}]}, "[[teachers]] number 1: weight is -1"),
    ({"losses.0.name": "mse"}, "[[losses]] number 1: name is 'mse'; allowed are kl,"),
    ({"losses.0.weight": float("nan")}, "[[losses]] number 1: weight is nan; allowed is 0 or"),
    ({"losses.0.weight": float("inf")}, "[[losses]] number 1: weight is inf; allowed is 0 to"),
    ({"losses.0.weight": 0}, "at least one table [[losses]] of weight above 0"),
    ({"losses.0.temperature": 0}, "[[losses]] number 1: temperature is 0.0; allowed is 1e-06 or"),
    ({"losses.0.candidates": "all"}, "candidates is 'all'; allowed are list and batch"),
    ({"losses.0.candidates": "list"}, "a loss over the list needs [batches] negatives"),
    ({"losses": [{"name": "margin-mse", "temperature": 2}]}, "margin-mse has no temperature"),
    ({"losses": [{"name": "info-nce"}] * 2}, "the loss info-nce over the batch is there twice"),
    ({"losses.0.name": "kl"}, "the loss kl needs a table [[teachers]] of weight above 0"),
    (
        {"losses.0.name": "kl", "teachers": [{"name": "bm25", "weight": 0}]},
        "the loss kl needs a table [[teachers]] of weight above 0",
    ),
    ({"mining.margin": 0.9}, "[mining] margin needs a table [[teachers]] of weight above 0"),
    ({"documents.regularizer": "l2"}, "[documents] regularizer is 'l2'; allowed are none, flops"),
    ({"documents.regularizer": "flops"}, "[documents] a regularizer needs one of strength and"),
    (SPARSE | {"documents.target_nnz": 9}, "a regularizer needs one of strength and target_nnz"),
    ({"documents.strength": 1}, "strength and target_nnz need a regularizer, such as flops"),
    (SPARSE | {"documents.warm_up": 2}, "[documents] warm_up is 2.0; allowed is 0 to 1"),
    (SPARSE | {"documents.strength": -1}, "[documents] strength is -1.0; allowed is 0 or more"),
    (SPARSE | {"documents.initial": 0}, "[documents] initial is 0.0; allowed is 1e-09 to 10000"),
    (SPARSE | {"documents.threshold": 5}, "threshold is for l0-flops, not for flops"),
    (
        SPARSE | {"documents.regularizer": "l0-flops"},
        "[documents] l0-flops needs a threshold, as 150: non-zeros that a text has for free",
    ),
    ({"losses.0.teacher_scores": "raw"}, "info-nce has no teacher; leave out teacher_scores"),
    ({"losses.0.teacher_scores": "x"}, "teacher_scores is 'x'; allowed are auto, raw and scaled"),
    (
        {
            "losses": [{"name": "margin-mse", "teacher_scores": "raw"}],
            "teachers": [{"name": "bm25"}, {"name": "m"}],
        },
        "the loss margin-mse can't learn the raw scores of 2 teachers, whose ranges differ",
    ),
    (
        SPARSE | {"documents.regularizer": "df-flops", "documents.by_place": True},
        "[documents] df-flops counts all documents at once; leave out by_place",
    ),
    (
        {"documents.regularizer": "flops", "documents.target_nnz": 0.5},
        "[documents] target_nnz is 0.5; allowed is 1 or more",
    ),
    (
        {"queries.regularizer": "flops", "queries.strength": 1},
        "queries = 'idf' has no query model whose weights [queries] could make sparse",
    ),
    ({"anti_zero": 1}, "anti_zero needs queries = 'model'"),
    ({"anti_zero": -1, "model.queries": "model"}, "anti_zero is -1.0; allowed is 0 or more"),
    ({"teacher_scale": 0}, "teacher_scale is 0.0; allowed is 1e-06 or more"),
    ({"optimizer.steps": 0}, "[optimizer] steps is 0; allowed is 1 or more"),
    ({"optimizer.steps": 10**300}, "; allowed is 1 to 9007199254740992"),
    ({"optimizer.warm_up": 1.1}, "[optimizer] warm_up is 1.1; allowed is 0 to 1"),
    ({"mining.depth": 0}, "[mining] depth is 0; allowed is 1 to 10000"),
    ({"mining.first": 101}, "[mining] first is 101; allowed is 1 to 100"),
    ({"mining.first": 0}, "[mining] first is 0; allowed is 1 to 100"),
    ({"mining.pool": 0}, "[mining] pool is 0; allowed is 1 or more"),
    ({"mining.margin": -0.1}, "[mining] margin is -0.1; allowed is 0 or more"),
    ({"mining.margin": float("nan")}, "[mining] margin is nan; allowed is 0 or more"),
    ({"mining.margin": float("inf")}, "[mining] margin is inf; allowed is 0 to"),
    ({"mining.rounds": 101}, "[mining] rounds is 101; allowed is 1 to 100"),
    ({"evaluation.held_out": 0.6}, "[evaluation] held_out is 0.6; allowed is 0 to 0.5"),
    ({"memory.gradient_cache": True}, "[memory] gradient_cache needs chunk_tokens"),
    ({"seed": -1}, "seed is -1; allowed is 0 to 4294967295"),
    ({"checkpoint_every": 0}, "checkpoint_every is 0; allowed is 1 or more"),
]


@pytest.mark.parametrize(("changes", "sentence"), MISTAKES, ids=[str(m[0])[:60] for m in MISTAKES])
def test_a_mistake_is_named(changes, sentence):
    with pytest.raises(UsageError) as raised:
        parse_config(with_keys(changes), TrainingConfig)
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_second_of_several_tables_is_named():
    table = with_keys({})
    table["sources"] = [{"path": "a"}, {"path": "b", "limit": -3}]
    with pytest.raises(UsageError, match=r"\[\[sources\]\] number 2: limit is -3"):
        parse_config(table, TrainingConfig)


def test_files_that_can_not_be_read(tmp_path):
    path = tmp_path / "training.toml"
    with pytest.raises(NotFoundError, match="does not exist; give a TOML file"):
        parse_config(read_toml(path), TrainingConfig)
    for content, complaint in (
        (b"[model", "is not valid TOML"),
        (b"\xff = 1", "is not valid TOML"),
        (b"#" * (2**20 + 1), "larger than 1 MiB"),
        (b"steps = " + b"9" * 5000, "holds a number that is too long"),
        (b"steps = " + b"[" * 100_000, "is nested too deeply"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=complaint):
            parse_config(read_toml(path), TrainingConfig)
    path.write_text("steps = 1\nday = 2020-01-01\n")
    with pytest.raises(UsageError):
        parse_config(read_toml(path), TrainingConfig)
