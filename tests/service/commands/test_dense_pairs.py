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
    assert "was built with" in sentence(other)
    assert "allowed are finite numbers above 0" in sentence(
        lsr("index", corpus, "--into", "bad", "--dense", name.replace("0.25", "0"))
    )
