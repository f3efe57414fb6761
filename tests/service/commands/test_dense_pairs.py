"""Two dense encoders as one field, from the command line to the scores."""

import json

import numpy as np
import pytest

from lsr.encoders.dense import DenseEncoder
from tests.service.conftest import sentence


def test_scores_of_two_dense_encoders_add_up(lsr, corpus, dense_model, masked_lm):
    name = f"{dense_model}+{masked_lm},weight=0.25"
    result = lsr("index", corpus, "--into", "pair", "--dense", name)
    assert result.returncode == 0, result.stderr
    found = json.loads(lsr("search", "pair", "cherry", "--using", "dense", "--json").stdout)
    texts = {
        row["_id"]: f"{row.get('title', '')} {row['text']}".strip()
        for row in map(json.loads, corpus.read_text().splitlines())
    }
    expected = np.zeros(len(texts))
    for folder, weight in ((dense_model, 1), (masked_lm, 0.25)):
        encoder = DenseEncoder.load(str(folder))
        vectors = encoder.encode_documents(list(texts.values()))
        expected += weight * (vectors @ encoder.encode_queries(["cherry"])[0])
    scores = {hit["id"]: hit["score"] for hit in found["hits"]}
    assert scores == pytest.approx(dict(zip(texts, expected.tolist(), strict=True)), abs=1e-4)
    fields = {
        item["name"]: item for item in json.loads(lsr("info", "pair", "--json").stdout)["fields"]
    }
    assert fields["dense"]["encoder"] == name
    other = lsr("index", corpus, "--into", "pair", "--dense", name.replace("0.25", "0.5"))
    assert "search with --dense-weight 0.5" in sentence(other)
    assert lsr("index", corpus, "--into", "pair", "--dense", name).returncode == 0
    turned = f"{masked_lm}+{dense_model},weight=0.25"
    assert "was built with" in sentence(lsr("index", corpus, "--into", "pair", "--dense", turned))
    assert "allowed are finite numbers above 0" in sentence(
        lsr("index", corpus, "--into", "bad", "--dense", name.replace("0.25", "0"))
    )


def test_a_weight_at_query_time_is_that_of_another_collection(lsr, corpus, dense_model, masked_lm):
    """To the bit, whatever weight the collection was made with; feedback knows it too."""
    name = f"{dense_model}+{masked_lm},weight="
    for weight in (0.25, 3):
        assert lsr("index", corpus, "--into", f"pair{weight}", "--dense", f"{name}{weight}")
    for options in ([], ["--feedback", "rocchio,depth=2"]):
        asked = ["cherry", "--using", "dense", "--json", *options]
        default = json.loads(lsr("search", "pair3", *asked).stdout)
        given = json.loads(lsr("search", "pair0.25", *asked, "--dense-weight", 3).stdout)
        assert given["hits"] == default["hits"]
        assert given["hits"] != json.loads(lsr("search", "pair0.25", *asked).stdout)["hits"]
        assert given["meta"].get("feedback") == default["meta"].get("feedback")


def test_a_dense_weight_without_effect_is_refused(lsr, corpus, dense_model):
    lsr("index", corpus, "--into", "one", "--dense", dense_model)
    for options, complaint in (
        (["--dense-weight", 2], "is one model, and a dense weight is of the second of two"),
        (["--dense-weight", 2, "--using", "sparse"], "a dense weight goes with the field 'dense'"),
        (["--dense-weight", 0], "the dense weight is 0.0; allowed is above 0"),
        (["--dense-weight", "nan"], "the dense weight is nan"),
    ):
        assert complaint in sentence(lsr("search", "one", "cherry", *options))
