"""Trainings on a tiny model: they learn, stop and go on, and what they export is what they had."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file
from safetensors.torch import save_file

from eval.judged_set import JudgedSet
from index.mining import retrieve
from lsr.backbones.torch_runtime import seed_torch
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.open_vocabulary import beside_model
from lsr.encoders.term_counts import term_statistics
from lsr.errors import CollapseError, UsageError
from lsr.train.config import (
    BatchConfig,
    EvaluationConfig,
    LossConfig,
    MemoryConfig,
    MiningConfig,
    OptimizerConfig,
    SourceConfig,
    SparsityConfig,
    TeacherConfig,
    TrainingConfig,
)
from lsr.train.losses import match
from lsr.train.model_config import ModelConfig
from lsr.train.regularizers import idf_flops
from lsr.train.run import Tools, Watching, doubtful_targets, run_training, training_corpus
from lsr.train.student import MaskedLanguageStudent
from lsr.train.teachers import load_ensemble, load_teacher
from lsr.train.trainer import LOG, STATE, STUDENT, Surroundings, Trainer
from lsr.train.training_log import read_log
from lsr.train.training_state import step_seed
from lsr.train.vector_cache import no_progress
from tests.lsr.train.tiny_training import tiny_checkpoint, tiny_corpus, tiny_pairs, write_pairs

pytestmark = pytest.mark.long

CORPUS = tiny_corpus(40)
SOURCES = (SourceConfig("in memory"),)
KL, NCE = LossConfig("kl"), LossConfig("info-nce", temperature=2.0)


class StoppedError(Exception):
    """What a training is interrupted by."""


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return str(tiny_checkpoint(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    config = recipe("unused", teachers=(TeacherConfig("bm25"), TeacherConfig("none", 0)))
    return load_ensemble(config, CORPUS, tmp_path_factory.mktemp("teachers"), lambda *_: None)


def recipe(base, steps=12, model=None, losses=(NCE,), sources=SOURCES, **settings):
    return TrainingConfig(
        ModelConfig(base, max_length=20, query_length=20, **model or {}),
        OptimizerConfig(steps=steps, learning_rate=5e-3, table_rate=1e-2),
        sources,
        losses,
        **{"batches": BatchConfig(8), "checkpoint_every": 4} | settings,
    )


def judge(encoder):
    documents = {f"d{row}": text for row, text in enumerate(CORPUS.documents)}
    queries = {f"q{row}": text for row, text in enumerate(CORPUS.queries[:10])}
    qrels = {f"q{row}": {f"d{CORPUS.positives[row]}": 1} for row in range(10)}
    return JudgedSet("tiny", documents, queries, qrels).score(encoder).named()


def train(config, folder, teacher=None, stop=None, evaluate=None, cache=None):
    """The trainer at its end; with ``stop`` it is interrupted after that step."""
    folder.mkdir(exist_ok=True)

    def on_step(entry, steps):
        if entry.step == stop:
            raise StoppedError

    around = Surroundings(teacher, retrieve, evaluate, on_step, raw_teacher=teacher, cache=cache)
    trainer = Trainer(config, CORPUS, folder, around)
    if stop is None:
        trainer.run()
    else:
        with pytest.raises(StoppedError):
            trainer.run()
    return trainer


def measured(folder):
    """The log without how long each step took."""
    return [dataclasses.replace(entry, docs_per_s=None) for entry in read_log(folder / LOG)]


LEARNED = {
    "model": {"queries": "learned", "dropout": 0.2},
    "losses": (KL, LossConfig("info-nce", 0.5, candidates="list")),
    "teachers": (TeacherConfig("bm25"),),
    "documents": SparsityConfig("df-flops", strength=1e-2),
    "batches": BatchConfig(8, 2),
    "mining": MiningConfig(depth=20, pool=5, rounds=2, margin=0.99),
    "memory": MemoryConfig(gradient_cache=True, chunk_tokens=40),
}
SYMMETRIC = {
    "model": {"queries": "model", "dropout": 0.1, "top_k": 30, "logs": 1, "query_logs": 3},
    "losses": (LossConfig("margin-mse"), NCE),
    "teachers": (TeacherConfig("bm25"),),
    "documents": SparsityConfig("flops", target_nnz=20),
    "queries": SparsityConfig("l1", strength=1e-3),
    "anti_zero": 1e-3,
    "batches": BatchConfig(8, order="topics"),
    "mining": MiningConfig(retriever="{base}", depth=20, pool=5),
}
FIXED = {
    "model": {"queries": "idf", "logs": 2},
    "documents": SparsityConfig("l0-flops", target_nnz=20, threshold=10, by_place=True),
    "batches": BatchConfig(8, 1),
}


@pytest.mark.parametrize(
    ("settings", "stops"),
    [(LEARNED, [2, 7, 9]), (SYMMETRIC, [3, 6]), (FIXED, [11, 12])],
    ids=["learned", "symmetric", "fixed"],
)
def test_interrupted_and_resumed_is_uninterrupted(base, teacher, tmp_path, settings, stops):
    config = recipe(base, **settings)
    if "{base}" in config.mining.retriever:
        # A retriever with random weights, which is loaded in one of the two runs alone.
        config = dataclasses.replace(
            config, mining=dataclasses.replace(config.mining, retriever=f"splade:{base}")
        )
    config = dataclasses.replace(config, evaluation=EvaluationConfig(every=5))
    train(config, tmp_path / "whole", teacher, evaluate=judge)
    for stop in stops:
        train(config, tmp_path / "parts", teacher, stop, judge)
    train(config, tmp_path / "parts", teacher, evaluate=judge)
    whole, parts = (load_file(tmp_path / name / STATE) for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    for name, tensor in whole.items():
        assert tensor.tobytes() == parts[name].tobytes(), name
    assert measured(tmp_path / "whole") == measured(tmp_path / "parts")
    exported = [
        (tmp_path / name / STUDENT / "model.safetensors").read_bytes()
        for name in ("whole", "parts")
    ]
    assert exported[0] == exported[1]


@pytest.mark.parametrize("settings", [LEARNED, SYMMETRIC, FIXED], ids=["l", "s", "f"])
def test_what_is_read_ahead_and_kept_changes_nothing(
    base, teacher, tmp_path, monkeypatch, settings
):
    config = recipe(base, **settings)
    if "{base}" in config.mining.retriever:
        config = dataclasses.replace(
            config, mining=dataclasses.replace(config.mining, retriever=f"splade:{base}")
        )
    train(config, tmp_path / "plain", teacher)
    monkeypatch.setattr("lsr.train.trainer.AHEAD_OF", ("cpu",))
    for name in ("ahead", "again"):
        train(config, tmp_path / name, teacher, cache=tmp_path / "cache")
    plain, *others = (load_file(tmp_path / name / STATE) for name in ("plain", "ahead", "again"))
    for name, tensor in plain.items():
        assert all(tensor.tobytes() == other[name].tobytes() for other in others), name


def test_a_model_is_trained_around_its_words(base, tmp_path):
    """The loss of the first step is that of the model's scores and the words' together."""
    config = recipe(base, steps=1, model={"queries": "idf", "words": 1.6}, losses=(NCE,))
    words = load_teacher(beside_model(), CORPUS, tmp_path / "cache")
    (tmp_path / "made").mkdir()
    around = Surroundings(words=words)
    trainer = Trainer(config, CORPUS, tmp_path / "made", around)
    batch = trainer._prepared(0).batch
    documents = trainer.documents([CORPUS.documents[row] for row in batch.documents])
    queries = trainer.queries(batch.queries)
    scores = (queries @ documents.weights.T).detach().numpy()
    beside = words.scores(batch.queries, np.tile(batch.documents, (len(batch.queries), 1)))
    assert beside.max() > 0
    total = np.where(batch.allowed, scores + 1.6 * beside, -np.inf)
    right = total[np.arange(len(total)), batch.positives]
    spread = (total - right[:, None]) / NCE.temperature
    expected = np.mean(np.log(np.exp(spread).sum(axis=1)))
    trainer.run()
    assert measured(tmp_path / "made")[0].loss == pytest.approx(expected, rel=1e-5)
    assert trainer.encoder_name(Path("x")) == "x,words=yes,words_weight=1.6"


def test_half_precision_trains_alike(base, tmp_path):
    losses = {}
    for precision in ("float32", "bfloat16"):
        config = recipe(base, memory=MemoryConfig(precision=precision))
        train(config, tmp_path / precision)
        losses[precision] = [entry.loss for entry in measured(tmp_path / precision)]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.1)
    assert losses["bfloat16"] != losses["float32"]


def test_evaluation_does_not_change_the_weights(base, teacher, tmp_path):
    config = recipe(base, model={"queries": "model", "dropout": 0.2})
    often = dataclasses.replace(config, evaluation=EvaluationConfig(every=2))
    train(config, tmp_path / "never")
    train(often, tmp_path / "often", evaluate=judge)
    never, often = (load_file(tmp_path / name / STATE) for name in ("never", "often"))
    for name, tensor in never.items():
        np.testing.assert_array_equal(tensor, often[name], name)


def test_the_student_is_exported_once_for_its_evaluation_and_its_end(base, tmp_path, monkeypatch):
    written = []
    export = MaskedLanguageStudent.export

    def counted(student, folder, *rest):
        written.append(folder)
        export(student, folder, *rest)

    monkeypatch.setattr(MaskedLanguageStudent, "export", counted)
    config = dataclasses.replace(recipe(base), evaluation=EvaluationConfig(every=6))
    train(config, tmp_path, evaluate=judge)
    assert written == [tmp_path / STUDENT] * 2
    # A finished training that is run again writes what its checkpoint holds.
    weights = (tmp_path / STUDENT / "model.safetensors").read_bytes()
    (tmp_path / STUDENT / "model.safetensors").unlink()
    train(config, tmp_path, evaluate=judge)
    assert written == [tmp_path / STUDENT] * 3
    assert (tmp_path / STUDENT / "model.safetensors").read_bytes() == weights


def test_a_stale_student_of_another_training_is_not_mined_with(base, teacher, tmp_path):
    config = dataclasses.replace(recipe(base, **LEARNED), checkpoint_every=100)
    other = dataclasses.replace(config, seed=9)
    train(other, tmp_path / "reused", teacher, stop=8)
    assert (tmp_path / "reused" / "student-of-round-1").is_dir()
    for name in ("reused", "fresh"):
        train(config, tmp_path / name, teacher)
    reused, fresh = (load_file(tmp_path / name / STATE) for name in ("reused", "fresh"))
    for name, tensor in fresh.items():
        np.testing.assert_array_equal(tensor, reused[name], name)


@pytest.mark.parametrize(
    ("loss", "queries", "share"),
    [(KL, "learned", 0.6), (LossConfig("margin-mse"), "model", 0.85), (NCE, "idf", 0.8)],
    ids=lambda value: str(getattr(value, "name", value)),
)
def test_a_few_steps_lower_the_loss(base, teacher, tmp_path, loss, queries, share):
    teachers = (TeacherConfig("bm25"),)
    config = recipe(base, 60, {"queries": queries}, (loss,), teachers=teachers)
    train(config, tmp_path, teacher)
    losses = [entry.loss for entry in read_log(tmp_path / LOG)]
    assert len(losses) == 60
    assert np.mean(losses[-10:]) < share * np.mean(losses[:5])


def test_the_log_is_what_the_vectors_say(base, tmp_path):
    """Step 1 measures the untrained model; each number is computed from its exported vectors."""
    config = recipe(
        base, steps=2, model={"queries": "model"}, documents=SparsityConfig("flops", strength=1.0)
    )
    trainer = train(config, tmp_path)
    (tmp_path / "before").mkdir()
    before = Trainer(config, CORPUS, tmp_path / "before", Surroundings())
    batch = before._batches(0)(0)
    encoder = load_encoder(f"splade:{base},max_length=20")
    documents = encoder.encode_documents([CORPUS.documents[row] for row in batch.documents])
    queries = encoder.encode_queries([CORPUS.queries[row] for row in batch.queries])
    documents, queries = (vectors.to_scipy().toarray() for vectors in (documents, queries))
    entry = read_log(tmp_path / LOG)[0]
    assert entry.nnz["document"] == pytest.approx((documents > 0).sum(axis=1).mean())
    assert entry.nnz["query"] == pytest.approx((queries > 0).sum(axis=1).mean())
    shares = (documents > 0).mean(axis=0), (queries > 0).mean(axis=0)
    assert entry.flops["document-query"] == pytest.approx(shares[0] @ shares[1], rel=1e-5)
    logits = torch.from_numpy(queries @ documents.T) / 2.0
    logits = logits.masked_fill(~torch.from_numpy(batch.allowed), -torch.inf)
    nce = torch.nn.functional.cross_entropy(logits, torch.from_numpy(batch.positives))
    assert entry.losses["info-nce-batch"] == pytest.approx(float(nce), rel=1e-4)
    flops = (documents.mean(axis=0) ** 2).sum()
    # The warm-up has a third of two steps, which is one.
    assert entry.strength == {"document": 1.0}
    assert entry.loss == pytest.approx(float(nce) + flops, rel=1e-4)
    assert trainer.step == 2


def test_rates_rise_and_fall(base, tmp_path):
    config = recipe(base, steps=20)
    config = dataclasses.replace(
        config, optimizer=dataclasses.replace(config.optimizer, warm_up=0.25)
    )
    train(config, tmp_path)
    rates = [entry.lr for entry in read_log(tmp_path / LOG)]
    expected = [5e-3 * min((s + 1) / 5, (20 - s) / 15, 1) for s in range(20)]
    assert rates == pytest.approx(expected)


def test_what_is_exported_is_what_was_trained(base, tmp_path):
    texts, asked = CORPUS.documents[:6], CORPUS.queries[:6]
    for queries in ("learned", "model"):
        config = recipe(base, model={"queries": queries, "top_k": 12, "export_length": 20})
        trainer = train(config, tmp_path / queries)
        encoder = load_encoder(str(tmp_path / queries / STUDENT))
        weights = trainer.documents(texts).weights.detach().numpy()
        found = encoder.encode_documents(texts).to_scipy().toarray()
        np.testing.assert_allclose(found, weights, rtol=1e-4, atol=1e-5)
        if queries == "learned":
            own = trainer.queries(np.arange(6)).detach().numpy()
            found = encoder.encode_queries(asked).to_scipy().toarray()
            # The format has one cap of terms for both sides; no query reaches it here.
            np.testing.assert_allclose(found, own, rtol=1e-6)


@pytest.mark.parametrize("queries", ["model", "binary", "idf"])
def test_idf_weighs_the_penalty_whatever_the_queries_are(base, tmp_path, queries):
    config = recipe(
        base, model={"queries": queries}, documents=SparsityConfig("idf-flops", strength=0.1)
    )
    trainer = Trainer(config, CORPUS, tmp_path, Surroundings())
    weights = torch.rand(3, trainer.student.vocabulary.size)
    statistics = term_statistics(trainer.student.vocabulary, CORPUS.documents)
    table = torch.from_numpy(statistics.idf.copy())
    table[list(trainer.student.vocabulary.special)] = 0
    penalty = trainer.penalties["document"](weights, np.arange(3)[:, None])
    torch.testing.assert_close(penalty, idf_flops(weights, table))


def test_sentence_transformers_loads_the_student(base, tmp_path):
    peer = pytest.importorskip("sentence_transformers").SparseEncoder
    trainer = train(recipe(base, steps=3, model={"queries": "learned"}), tmp_path)
    loaded = peer(str(tmp_path / STUDENT), device="cpu")
    texts = CORPUS.documents[:5]
    found = loaded.encode_document(texts, convert_to_sparse_tensor=False).numpy()
    np.testing.assert_allclose(
        found, trainer.documents(texts).weights.detach().numpy(), rtol=1e-4, atol=1e-5
    )
    found = loaded.encode_query(CORPUS.queries[:5], convert_to_sparse_tensor=False).numpy()
    own = trainer.queries(np.arange(5)).detach().numpy()
    np.testing.assert_allclose(found, own, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 2}, "seed=1, but seed=2"),
        (
            {"optimizer": OptimizerConfig(13, 5e-3, 1e-2)},
            "optimizer.steps=12, but optimizer.steps=13",
        ),
        ({"losses": (KL,), "teachers": (TeacherConfig("bm25"),)}, "losses="),
    ],
)
def test_another_training_in_the_folder_is_refused(base, tmp_path, change, named):
    config = recipe(base)
    train(config, tmp_path, stop=5)
    with pytest.raises(UsageError, match="is asked for; resume with the same") as raised:
        train(dataclasses.replace(config, **change), tmp_path)
    assert named in str(raised.value)
    # How it is reported is no part of it.
    train(dataclasses.replace(config, output="elsewhere", checkpoint_every=3), tmp_path)


def test_a_state_from_before_a_setting_is_gone_on_with_where_it_is_off(base, tmp_path):
    config = recipe(base)
    train(config, tmp_path, stop=5)
    with safe_open(tmp_path / STATE, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    facts = json.loads(metadata["facts"])
    del facts["model.new_head"]
    save_file(tensors, tmp_path / STATE, metadata | {"facts": json.dumps(facts)})
    begun = dataclasses.replace(config, model=dataclasses.replace(config.model, new_head=True))
    with pytest.raises(UsageError, match=r"new_head=False, but model\.new_head=True"):
        train(begun, tmp_path)
    train(config, tmp_path)


def test_another_corpus_in_the_folder_is_refused(base, tmp_path):
    train(recipe(base), tmp_path, stop=5)
    with pytest.raises(UsageError, match="was saved with pairs="):
        Trainer(recipe(base), tiny_corpus(41, seed=1), tmp_path, Surroundings())


def test_collapse_stops_the_training(base, tmp_path):
    sparse = SparsityConfig("flops", strength=1e6, warm_up=0.0)
    config = recipe(base, steps=200, documents=sparse)
    with pytest.raises(CollapseError, match="most likely the regulariser grew too strong"):
        train(config, tmp_path)
    entries = read_log(tmp_path / LOG)
    assert len(entries) < 200
    assert entries[-1].nnz["document"] < 1


def test_a_loss_that_is_no_number_stops_the_training(base, tmp_path):
    config = recipe(base, steps=50)
    config = dataclasses.replace(
        config, optimizer=dataclasses.replace(config.optimizer, learning_rate=1e15)
    )
    with pytest.raises(CollapseError, match="lower the learning rate"):
        train(config, tmp_path)


def test_negatives_need_a_retriever(base, tmp_path):
    trainer = Trainer(recipe(base, batches=BatchConfig(8, 1)), CORPUS, tmp_path, Surroundings())
    with pytest.raises(UsageError, match="need a retriever"):
        trainer.run()


@pytest.mark.parametrize(
    ("target", "steps", "rate"),
    [pytest.param(8, 800, 5e-3, marks=pytest.mark.slow), (16, 300, 4e-3)],
)
def test_target_nnz_is_reached(base, tmp_path, target, steps, rate):
    sparse = SparsityConfig("flops", target_nnz=target, warm_up=0.1)
    config = recipe(base, documents=sparse, checkpoint_every=steps)
    train(dataclasses.replace(config, optimizer=OptimizerConfig(steps, rate)), tmp_path)
    entries = read_log(tmp_path / LOG)
    assert entries[0].nnz["document"] > 1.3 * target
    assert np.mean([entry.nnz["document"] for entry in entries[-50:]]) == pytest.approx(
        target, rel=0.1
    )
    assert {json.dumps(dict(entry.target_nnz)) for entry in entries} == {
        json.dumps({"document": float(target)})
    }


def test_one_teachers_margins_are_learned_as_they_are(base, tmp_path):
    """From the configuration to the loss: the first step's, by a loop over the margins."""
    write_pairs(tmp_path / "pairs.jsonl", tiny_pairs(12))
    config = recipe(
        base, 1, {"queries": "binary"}, (LossConfig("margin-mse"),),
        sources=(SourceConfig(str(tmp_path / "pairs.jsonl")),),
        teachers=(TeacherConfig("bm25"),),
        batches=BatchConfig(4),
        evaluation=EvaluationConfig(every=0, held_out=0),
    )  # fmt: skip
    watching = Watching(lambda entry, steps: None, no_progress, lambda sentence: None)
    tools = Tools(retrieve, lambda config, held_out: judge)
    report = run_training(config, tmp_path / "out", tmp_path / "cache", tools, watching)
    corpus = training_corpus(config, lambda sentence: None)
    around = Surroundings()
    fresh = Trainer(config, corpus, tmp_path / "fresh", around)
    batch = fresh._batches(0)(0)
    seed_torch(step_seed(config.seed, 0))
    documents = fresh.documents([corpus.documents[row] for row in batch.documents]).weights
    ours = match(fresh.queries(batch.queries), documents).detach().numpy()
    bm25 = load_teacher("bm25", corpus, tmp_path / "cache")
    candidates = np.broadcast_to(batch.documents, ours.shape)
    theirs = bm25.scores(batch.queries, candidates)
    total = 0.0
    for query in range(len(ours)):
        allowed = np.flatnonzero(batch.allowed[query])
        squares = [
            ((ours[query, i] - ours[query, j]) - (theirs[query, i] - theirs[query, j])) ** 2
            for i in allowed
            for j in allowed
        ]
        total += float(np.mean(squares)) / len(ours)
    assert report.last.loss == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("side", ["documents", "queries"])
def test_a_target_that_df_flops_can_only_reach_by_forgetting_is_told(base, side):
    steered = SparsityConfig("df-flops", target_nnz=20)
    plain = recipe(
        base, 1, {"queries": "model"}, documents=SparsityConfig("df-flops", strength=0.1)
    )
    assert doubtful_targets(plain) == []
    assert doubtful_targets(dataclasses.replace(plain, **{side: steered})) == [side]
