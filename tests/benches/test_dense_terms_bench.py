"""The bench of dense terms scores the encoder that ships, where it joins as that does."""

import pytest
from dense_terms import main, measure, mixed

from eval.datasets import load_dataset
from eval.judged_set import JudgedSet
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.packaged import DEFAULT_ENCODER


@pytest.fixture(scope="module")
def judged():
    return JudgedSet.from_dataset(load_dataset("demo")).head(12)


def test_its_rows_are_of_the_encoder_with_these_settings(judged):
    rows = measure(judged, DEFAULT_ENCODER, [30.0, 5.0])
    for weight in (0.0, 30.0, 5.0):
        (row,) = [
            row for row in rows if row["weight"] == weight and row["join"] in ("", "quadrature")
        ]
        encoder = load_encoder(f"{DEFAULT_ENCODER},document.dense_terms={weight:g}")
        score = judged.score(encoder)
        measured = {name: round(100 * value, 2) for name, value in score.measures.items()}
        assert {name: row[name] for name in measured} == measured
        assert row["nnz"] == round(score.nnz)


def test_mixed_documents_hold_all_texts_and_answers(judged):
    found = mixed(judged)
    assert len(found.documents) < len(judged.documents)
    together = " ".join(found.documents.values())
    assert all(text in together for text in judged.documents.values())
    for query, grades in judged.qrels.items():
        assert max(found.qrels[query].values()) == max(grades.values())
        for name, grade in grades.items():
            holders = [
                row for row in found.documents if judged.documents[name] in found.documents[row]
            ]
            assert any(found.qrels[query].get(row, 0) >= grade for row in holders)


def test_what_is_not_there_is_said(capsys):
    assert main(["./none"]) == 2
    assert "none" in capsys.readouterr().err
