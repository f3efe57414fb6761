"""The training configurations of the pages are valid, and the guide has every setting."""

import dataclasses
import json
import re
import tomllib

import pytest

from lsr.train import config, decoder_student
from lsr.train.components import MlpConfig
from lsr.train.config_file import parse_config
from lsr.train.dense_terms.config import DenseTermsConfig, DenseTermsTrainingConfig, StudentConfig
from lsr.train.reranker.config import CrossEncoderTrainingConfig
from lsr.train.spar import config as spar
from lsr.train.spar.run import SparTrainingConfig
from lsr.train.training_presets import TRAINING_PRESETS, with_preset
from tests.docs.pages import GUIDE, blocks, name_of, pages_with

KINDS = {
    "sparse": config.TrainingConfig,
    "dense-terms": DenseTermsTrainingConfig,
    "spar": SparTrainingConfig,
    "cross-encoder": CrossEncoderTrainingConfig,
}


@pytest.mark.parametrize("page", pages_with("toml"), ids=name_of)
def test_every_configuration_is_valid(page):
    for block in blocks(page, "toml"):
        raw = with_preset(tomllib.loads(block))
        parse_config(raw, KINDS[raw.get("kind", "sparse")])


def test_the_guide_has_a_sparse_and_a_dense_training_and_dense_terms():
    sparse, dense, terms, taught = map(tomllib.loads, blocks(GUIDE, "toml"))
    assert parse_config(sparse, config.TrainingConfig).documents.target_nnz == 120
    assert parse_config(dense, SparTrainingConfig).spar.teacher == "bm25"
    assert parse_config(terms, DenseTermsTrainingConfig).dense_terms.base == "lsr-tiny-v1"
    assert parse_config(taught, DenseTermsTrainingConfig).student == StudentConfig(
        (0, 5), words=True
    )


def settings_of_the_guide():
    """{table: {setting: default as written}} of the guide's tables."""
    part = GUIDE.read_text().partition("## All settings")[2].partition("\n## The exported")[0]
    found, tables = {}, [""]
    for line in part.splitlines():
        if line.startswith("`["):
            tables = re.findall(
                r"`\[+([\w.]+)\]+`", line.partition(" with ")[0].partition(" for ")[0]
            )
        row = re.match(r"\| `(\w+)` \|(.*?)\|", line)
        if row:
            for table in tables:
                found.setdefault(table, {})[row[1]] = row[2].strip(" `")
    return found


def test_the_training_guide_names_every_setting_and_its_default():
    tables = {
        "": config.TrainingConfig,
        "model": config.ModelConfig,
        "model.mlp": MlpConfig,
        "model.lora": decoder_student.LoraConfig,
        "model.decoder": decoder_student.DecoderStudentConfig,
        "sources": config.SourceConfig,
        "losses": config.LossConfig,
        "teachers": config.TeacherConfig,
        "documents": config.SparsityConfig,
        "queries": config.SparsityConfig,
        "batches": config.BatchConfig,
        "mining": config.MiningConfig,
        "optimizer": config.OptimizerConfig,
        "evaluation": config.EvaluationConfig,
        "memory": config.MemoryConfig,
        "spar": spar.SparConfig,
        "dense_terms": DenseTermsConfig,
        "student": StudentConfig,
    }
    written = settings_of_the_guide()
    assert written.keys() == tables.keys()
    for table, kind in tables.items():
        fields = {
            field.name: field.default
            for field in dataclasses.fields(kind)
            if f"{table}.{field.name}".strip(".") not in tables
        }
        assert written[table].keys() == fields.keys()
        for name, value in fields.items():
            shown = written[table][name]
            if value is dataclasses.MISSING:
                assert not shown or name == "targets"
            else:
                assert json.loads(shown) == value, (table, name)


def test_the_page_of_components_names_every_preset_and_what_differs():
    text = (GUIDE.parent / "components.md").read_text()
    for name, preset in TRAINING_PRESETS.items():
        line = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        assert preset.paper in line
        assert preset.differs in line
