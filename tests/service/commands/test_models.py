import json
import re

import pytest
from click.testing import CliRunner

from lsr.encoders.presets import PRESETS
from service.cli import cli
from tests.service.conftest import sentence


def test_every_preset_stands_in_the_table():
    shown = CliRunner().invoke(cli, ["models"])
    assert shown.exit_code == 0
    words = shown.output.split()
    for preset in PRESETS.values():
        assert {preset.name, preset.licence.split()[0]} <= set(words)
        assert preset.hub is None or preset.hub in words
    assert {"name", "model", "length", "licence", "paper", "handling"} <= set(words)


def test_the_table_as_json_is_the_cards():
    listed = json.loads(CliRunner().invoke(cli, ["models", "--json"]).output)
    assert listed == [preset.card() for preset in PRESETS.values()]
    gte = next(card for card in listed if card["name"] == "opensearch-doc-v3-gte")
    assert (gte["max_length"], gte["licence"]) == (8192, "Apache-2.0")
    assert "--trust-remote-code" in gte["handling"]


@pytest.mark.parametrize(
    "name", ["lsr-tiny-v1", "efficient-splade-vi-bt-large", "epic", "sparseup", "tilde"]
)
def test_a_card_shows_all_of_one_model(name):
    shown = CliRunner().invoke(cli, ["models", name]).output
    card = json.loads(CliRunner().invoke(cli, ["models", name, "--json"]).output)
    preset = PRESETS[name]
    assert card == preset.card() | {"settings": preset.settings()}
    for value in (name, preset.paper, preset.handling, *card["settings"].values()):
        assert value in shown
    assert (
        preset.hub or ("ships with lsr" if preset.packaged else f"write {name}:FOLDER")
    ) in shown
    assert ("query model" in shown) == (preset.query_hub is not None)
    assert re.search(r"length\s+\d+ tokens", shown)


def test_settings_are_those_that_the_family_pair_takes():
    assert PRESETS["tilde"].settings() == {
        "document": "cls-mlm,max_length=256,logs=1,special=drop",
        "query": "binary,counts=yes",
    }
    assert PRESETS["opensearch-doc-v3-distill"].settings() == {
        "document": "mlm,max_length=512,logs=2,pool=max,special=drop",
        "query": "table",
    }


@pytest.mark.parametrize(
    ("name", "hint"), [("splade-v33", "did you mean splade-v3?"), ("zzz", "lsr models lists all")]
)
def test_an_unknown_name_is_one_sentence(lsr, name, hint):
    result = lsr("models", name)
    assert result.returncode == 2
    assert sentence(result) == f"Error: no model is named {name!r}; {hint}"
