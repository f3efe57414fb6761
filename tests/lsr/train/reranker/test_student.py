"""Scores and gradients in micro-batches are those of one plain pass."""

import numpy as np
import torch

from lsr.train.config import SourceConfig
from lsr.train.reranker.config import (
    CrossEncoderModelConfig,
    CrossEncoderTrainingConfig,
    PairBatchConfig,
    PairLossConfig,
    PairOptimizerConfig,
)
from lsr.train.reranker.student import CrossEncoderStudent
from tests.lsr.rerankers.cross_encoders import save_cross_encoder

PAIRS = [("wing", "flow"), ("a " * 9, "b " * 30), ("heat and gas", "jet " * 7), ("", "lift")]


def test_scores_and_gradients_are_those_of_one_pass(tmp_path):
    import transformers

    folder = save_cross_encoder(tmp_path)
    student = CrossEncoderStudent(
        CrossEncoderTrainingConfig(
            "cross-encoder",
            CrossEncoderModelConfig(str(folder), max_length=20),
            PairOptimizerConfig(1),
            (SourceConfig("x"),),
            (PairLossConfig("bce"),),
            batches=PairBatchConfig(chunk_tokens=24),
        )
    )
    scored = student.scores(PAIRS)
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0])
    (scored.values * weights).sum().backward()
    scored.backward()
    # A base that has a head of one output keeps it.
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(
        *zip(*PAIRS, strict=True), truncation="longest_first", max_length=20, padding=True,
        return_tensors="pt",
    )  # fmt: skip
    expected = model(**inputs).logits[:, 0]
    (expected * weights).sum().backward()
    found = scored.values.detach().numpy()
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-4, atol=1e-5)
    for name, parameter in model.named_parameters():
        own = student.parameters[name].grad
        np.testing.assert_allclose(own.numpy(), parameter.grad.numpy(), rtol=1e-3, atol=1e-4)
