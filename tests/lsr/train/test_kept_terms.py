"""Trainings that begin with an encoder of dense terms: beside these they learn, and keep them."""

import numpy as np
import pytest

from lsr.encoders.catalogue import load_encoder
from lsr.encoders.dense_terms import FOLDER, MODEL, TABLE, DenseTerms
from lsr.errors import UsageError
from lsr.train.config import (
    BatchConfig,
    EvaluationConfig,
    LossConfig,
    OptimizerConfig,
    SourceConfig,
    TrainingConfig,
)
from lsr.train.model_config import ModelConfig
from lsr.train.run import Tools, Watching, run_training
from lsr.train.trainer import Surroundings, Trainer
from lsr.train.training_log import read_log
from lsr.train.vector_cache import no_progress
from tests.lsr.train.tiny_training import (
    tiny_checkpoint,
    tiny_corpus,
    tiny_pairs,
    with_dense_terms,
    with_table,
    write_pairs,
)

pytestmark = pytest.mark.long

CORPUS = tiny_corpus(40)
SOURCES = (SourceConfig("in memory"),)
NCE = LossConfig("info-nce", temperature=2.0)
SILENT = Watching(lambda *_: None, no_progress, lambda *_: None)


@pytest.fixture
def base(dense_model, tmp_path):
    """An encoder whose documents have dense terms."""
    folder = tiny_checkpoint(tmp_path / "base")
    with_table(folder)
    with_dense_terms(folder, dense_model)
    return folder


def recipe(base, steps, rate, sources=SOURCES, **model):
    return TrainingConfig(
        ModelConfig(str(base), max_length=40, export_length=40, **model),
        OptimizerConfig(steps, rate),
        sources,
        (NCE,),
        batches=BatchConfig(8),
        evaluation=EvaluationConfig(every=0, held_out=0.1),
    )


def trained(base, output, steps, rate, **model):
    source = SourceConfig(str(write_pairs(output.with_suffix(".jsonl"), tiny_pairs(40))))
    config = recipe(base, steps, rate, (source,), **model)
    tools = Tools(lambda *_: None, lambda *_: None)
    return run_training(config, output, output / "cache", tools, SILENT)


def test_a_model_is_trained_around_them(base, tmp_path):
    """The loss of a step is that of whole documents, and only what is trained is counted."""
    config = recipe(base, 1, 1e-12, queries="idf", idf=str(base))
    terms = config.model.kept_dense_terms().of_documents(CORPUS, tmp_path / "cache", no_progress)
    (tmp_path / "made").mkdir()
    trainer = Trainer(config, CORPUS, tmp_path / "made", Surroundings(dense_terms=terms))
    batch = trainer._prepared(0).batch
    texts = [CORPUS.documents[row] for row in batch.documents]
    queries = trainer.queries(batch.queries).detach().numpy()
    trainer.run()
    entry = read_log(tmp_path / "made/log.jsonl")[0]

    def expected(encoder):
        documents = load_encoder(encoder).encode_documents(texts).to_scipy()
        scores = queries @ documents.toarray().T
        right = scores[np.arange(len(scores)), batch.positives]
        spread = np.where(batch.allowed, (scores - right[:, None]) / NCE.temperature, -np.inf)
        return np.diff(documents.indptr).mean(), np.mean(np.log(np.exp(spread).sum(axis=1)))

    whole = expected(f"inference-free:{base}")
    alone = expected(f"inference-free:{base},document.dense_terms=0")
    assert entry.loss == pytest.approx(whole[1], rel=1e-4)
    assert abs(whole[1] - alone[1]) > 0.01
    assert entry.nnz["document"] == pytest.approx(alone[0])


@pytest.mark.parametrize("model", [{"queries": "idf"}, {"towers": "separate", "queries": "mlm"}])
def test_the_encoder_that_comes_out_has_them(base, tmp_path, model):
    report = trained(base, tmp_path / "made", 3, 1e-2, **model)
    for name in (f"{FOLDER}/{TABLE}", f"{FOLDER}/{MODEL}/model.safetensors"):
        assert (report.student / name).read_bytes() == (base / name).read_bytes()
    texts = CORPUS.documents[:9]
    before, after = (
        [
            load_encoder(f"{folder}{option}").encode_documents(texts).to_scipy().toarray()
            for option in ("", ",document.dense_terms=0")
        ]
        for folder in (base, report.student)
    )
    assert abs(after[1] - before[1]).max() > 1e-3
    terms = DenseTerms(load_encoder(str(base)).vocabulary, base / FOLDER, 3.0, 7)(texts)
    np.testing.assert_allclose(after[0], np.hypot(after[1], terms.to_scipy().toarray()), atol=1e-4)
    card = (report.student / "README.md").read_text()
    assert "The 7 dense terms of its base join them, in quadrature, with the weight 3." in card
    assert "sentence-transformers, which leaves out dense terms:" in card
    # It can be gone on with.
    again = trained(report.student, tmp_path / "again", 1, 1e-12, **model)
    whole = load_encoder(again.encoder).encode_documents(texts).to_scipy().toarray()
    np.testing.assert_allclose(whole, after[0], atol=1e-4)


def test_documents_without_a_projection_have_no_place_for_them(base, tmp_path):
    complaint = "has dense terms, which stand beside the vocabulary projection .* by 'mlp' have"
    with pytest.raises(UsageError, match=complaint):
        trained(base, tmp_path / "made", 1, 1e-3, documents="mlp", queries="idf")
    assert not (tmp_path / "made/state.safetensors").exists()
