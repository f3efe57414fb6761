"""Every component of either side is trained by its formula, and loads as what it was."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lsr.backbones.checkpoint import Checkpoint
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.term_counts import term_statistics
from lsr.errors import CollapseError, InputError, UsageError
from lsr.train.components import MODELS, TABLES, MlpConfig
from lsr.train.config import (
    BatchConfig,
    LossConfig,
    MemoryConfig,
    OptimizerConfig,
    SourceConfig,
    SparsityConfig,
    TrainingConfig,
)
from lsr.train.export import Exported
from lsr.train.micro_batches import MicroBatchEncoder, Weighing
from lsr.train.model_config import ModelConfig
from lsr.train.student import MaskedLanguageStudent, SeparateTowers
from lsr.train.trainer import STATE, Surroundings, Trainer
from tests.lsr.encoders import published
from tests.lsr.train.tiny_training import tiny_checkpoint, tiny_corpus

pytestmark = pytest.mark.long

CORPUS = tiny_corpus(24)
LENGTH = 12
TEXTS = ["ba", "", "bo bo da [SEP] zz ba", *CORPUS.documents[:6], "ka ke ki ko ku " * 6]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return str(tiny_checkpoint(tmp_path_factory.mktemp("tiny")))


def trainer(base, folder, steps=2, sides=None, **model):
    config = TrainingConfig(
        ModelConfig(base, max_length=LENGTH, query_length=LENGTH, export_length=LENGTH, **model),
        OptimizerConfig(steps=steps, learning_rate=1e-2, table_rate=1e-2),
        (SourceConfig("in memory"),),
        (LossConfig("info-nce", temperature=2.0),),
        batches=BatchConfig(8),
        checkpoint_every=steps,
        **sides or {},
    )
    folder.mkdir(exist_ok=True)
    return Trainer(config, CORPUS, folder, Surroundings())


def dense(batch):
    return batch.to_scipy().toarray()


def assert_same_vectors(training, encoder):
    """The training's weights of its own texts are the loaded encoder's."""
    sides = {
        "document": (training.documents, CORPUS.documents, encoder.encode_documents),
        "query": (training.queries, CORPUS.queries, encoder.encode_queries),
    }
    for name, (side, corpus, encode) in sides.items():
        if isinstance(side, MicroBatchEncoder):
            texts = [*TEXTS, *corpus]
            weights = side(texts).weights
        else:
            texts = list(corpus)
            weights = side(np.arange(len(corpus)))
        found = dense(encode(texts))
        np.testing.assert_allclose(found, weights.detach(), rtol=0, atol=1e-5, err_msg=name)
        assert found.any()


SHARED = [
    (document, query, "shared")
    for document, query in [
        *itertools.product(MODELS, MODELS),
        *((model, "idf") for model in MODELS),
        *(("binary", model) for model in MODELS),
        ("mlp", "learned"),
        ("own-terms", "binary"),
        ("learned", "mlm"),
        ("idf", "mlp"),
    ]
]
SEPARATE = [
    (document, query, "separate")
    for document, query in [
        ("mlm", "mlm"),
        ("mlm", "mlp"),
        ("mlp", "own-terms"),
        ("cls-mlm", "mlm"),
        ("embeddings", "mlp"),
        ("mlp", "mlp"),
    ]
]


@pytest.mark.parametrize(("documents", "queries", "towers"), SHARED + SEPARATE)
def test_what_is_exported_is_what_was_trained(base, tmp_path, documents, queries, towers):
    training = trainer(base, tmp_path, documents=documents, queries=queries, towers=towers)
    student = training.run()
    encoder = load_encoder(training.encoder_name(student))
    assert_same_vectors(training, encoder)
    again = load_encoder(encoder.name)
    assert again.fingerprint == encoder.fingerprint
    assert again.name == encoder.name
    assert encoder.inference_free == (queries in TABLES)


@pytest.mark.parametrize(
    "model",
    [
        {"documents": "mlm", "queries": "own-terms", "logs": 2, "query_logs": 1, "top_k": 9},
        {"documents": "own-terms", "queries": "learned", "literal": 1.5},
        {"documents": "cls-mlm", "queries": "idf", "literal": 0.5, "top_k": 12, "logs": 3},
        {
            "documents": "mlp",
            "queries": "mlp",
            "mlp": MlpConfig("softplus", 1, "first", "sum"),
            "top_k": 3,
        },
        {"documents": "mlm", "queries": "model", "towers": "separate", "logs": 2, "query_logs": 4},
    ],
    ids=str,
)
def test_settings_of_a_component_are_exported(base, tmp_path, model):
    training = trainer(base, tmp_path, 4, **model)
    student = training.run()
    assert_same_vectors(training, load_encoder(str(student)))


def test_weights_of_both_towers_are_averaged_with_their_base(base, tmp_path):
    model = {"documents": "mlp", "queries": "model", "towers": "separate"}
    whole = trainer(base, tmp_path / "whole", **model)
    begun = {name: value.detach().clone() for name, value in whole.student.parameters().items()}
    half = trainer(base, tmp_path / "half", base_share=0.5, **model)
    whole.run()
    student = half.run()
    for side, folder in (("document", student), ("query", student / "query_0_MLMTransformer")):
        stored = load_file(folder / "model.safetensors")
        for name in ("tok_proj.weight", "bert.encoder.layer.0.output.dense.weight"):
            trained = whole.student.parameters()[f"{side}.{name}"]
            mean = (trained + begun[f"{side}.{name}"]) / 2
            torch.testing.assert_close(stored[name], mean.detach(), rtol=1e-5, atol=1e-6)


def test_a_training_begins_with_the_head_of_its_base(base, tmp_path):
    first = trainer(base, tmp_path / "first", documents="mlp", queries="binary")
    student = first.run()
    second = trainer(str(student), tmp_path / "second", documents="mlp", queries="model")
    documents = first.documents(TEXTS).weights
    torch.testing.assert_close(second.documents(TEXTS).weights, documents)


@pytest.mark.parametrize("documents", ["mlm", "mlp"])
def test_separate_towers_begin_alike_and_come_apart(base, tmp_path, documents):
    model = {"documents": documents, "queries": "model", "new_head": True}
    training = trainer(base, tmp_path, towers="separate", **model)
    before = {name: value.clone() for name, value in training.student.parameters().items()}
    for name, value in before.items():
        side, _, rest = name.partition(".")
        assert side in ("document", "query")
        torch.testing.assert_close(value, before[f"document.{rest}"])
    training.run()
    after = training.student.parameters()
    assert not torch.equal(
        after["document.bert.encoder.layer.0.output.dense.weight"],
        after["query.bert.encoder.layer.0.output.dense.weight"],
    )


@pytest.mark.parametrize("towers", ["shared", "separate"])
def test_an_interrupted_training_goes_on_to_the_same_weights(base, tmp_path, towers):
    model = {"documents": "mlp", "queries": "own-terms", "towers": towers}
    whole = trainer(base, tmp_path / "whole", 4, **model)
    whole.run()
    config = whole.config
    folder = tmp_path / "halves"
    folder.mkdir()

    def stop(entry, steps):
        if entry.step == 3:
            raise KeyboardInterrupt

    often = dataclasses.replace(config, checkpoint_every=2)
    with pytest.raises(KeyboardInterrupt):
        Trainer(often, CORPUS, folder, Surroundings(on_step=stop)).run()
    again = Trainer(often, CORPUS, folder, Surroundings())
    assert again.step == 2
    again.run()
    for name, value in whole.student.parameters().items():
        assert torch.equal(value, again.student.parameters()[name]), name


def test_a_state_from_before_there_were_components_is_gone_on_with(base, tmp_path):
    first = trainer(base, tmp_path)
    first.run()
    path = tmp_path / STATE
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    facts = json.loads(metadata["facts"])
    for setting in ("documents", "towers", "layers"):
        del facts[f"model.{setting}"]
    save_file(load_file(path), path, metadata | {"facts": json.dumps(facts)})
    assert trainer(base, tmp_path).step == 2
    with pytest.raises(UsageError, match=r"model.documents='mlm'.*'cls-mlm'"):
        trainer(base, tmp_path, documents="cls-mlm")


def test_a_documents_table_is_trained_too(base, tmp_path):
    training = trainer(base, tmp_path, documents="learned", queries="mlm")
    before = term_statistics(training.student.vocabulary, CORPUS.documents).idf
    training.run()
    table = training.documents.table()
    assert not np.allclose(table, before)
    assert not table[list(training.student.vocabulary.special)].any()


def test_sentence_transformers_reads_separate_towers_and_refuses_what_it_has_not(base, tmp_path):
    sparse = pytest.importorskip("sentence_transformers").SparseEncoder
    training = trainer(base, tmp_path / "mlm", queries="model", towers="separate")
    student = training.run()
    reader = sparse(str(student), device="cpu")
    for encode, side, texts in [
        (reader.encode_document, training.documents, CORPUS.documents),
        (reader.encode_query, training.queries, CORPUS.queries),
    ]:
        found = encode(list(texts), convert_to_sparse_tensor=False)
        torch.testing.assert_close(
            torch.as_tensor(found).cpu(), side(texts).weights.detach(), rtol=0, atol=1e-5
        )
    other = trainer(base, tmp_path / "mlp", documents="mlp", queries="model").run()
    with pytest.raises(ValueError, match=r"pooling_strategy|by-component"):
        sparse(str(other), device="cpu")
    with pytest.raises(InputError, match="by-component"):
        load_encoder(f"splade:{other}")


def test_options_of_the_name_win_over_those_of_the_folder(base, tmp_path):
    student = trainer(base, tmp_path, documents="mlp", queries="mlp").run()
    short = load_encoder(f"{student},max_length=4")
    assert (short.document.config.max_length, short.query.config.max_length) == (4, 4)
    one = load_encoder(f"{student},query.pool=sum")
    assert (one.document.config.pool, one.query.config.pool) == ("max", "sum")
    capped = dense(load_encoder(f"{student},top_k=1").encode_documents(CORPUS.documents))
    assert (np.count_nonzero(capped, axis=1) <= 1).all()


@pytest.mark.parametrize("found", [["mlp"], "mlp", {"document": 3}, {"documents": "mlp"}])
def test_a_damaged_declaration_is_refused(base, tmp_path, found):
    student = trainer(base, tmp_path, documents="mlp", queries="mlp").run()
    path = student / "config_sentence_transformers.json"
    settings = json.loads(path.read_text())
    settings["lsr"]["components"] = found
    path.write_text(json.dumps(settings))
    with pytest.raises((InputError, UsageError), match=r"components|document"):
        load_encoder(str(student))


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        (
            {"documents": "binary", "queries": "mlm"},
            {"documents": SparsityConfig("flops", strength=1.0)},
            "no model whose weights",
        ),
        (
            {"documents": "mlp", "queries": "idf"},
            {"queries": SparsityConfig("flops", strength=1.0)},
            "no query model",
        ),
        ({"documents": "binary", "queries": "mlm"}, {"anti_zero": 1.0}, "anti_zero"),
    ],
)
def test_a_side_that_is_fixed_has_no_regularizer(base, tmp_path, model, settings, message):
    with pytest.raises(UsageError, match=message):
        trainer(base, tmp_path, sides=settings, **model)


def test_a_training_whose_queries_become_empty_is_stopped(base, tmp_path):
    strong = {"queries": SparsityConfig("l1", strength=1e4, warm_up=0.0)}
    training = trainer(base, tmp_path, 80, strong, documents="binary", queries="mlm")
    with pytest.raises(CollapseError, match=r"queries had 0\.00 active terms"):
        training.run()


@pytest.mark.parametrize("documents", MODELS)
def test_a_component_is_trained_in_bfloat16(base, tmp_path, documents):
    memory = {"memory": MemoryConfig(precision="bfloat16")}
    training = trainer(base, tmp_path, 3, memory, documents=documents, queries="mlp")
    before = training.documents(TEXTS).weights.detach().clone()
    entry = training.run()
    after = training.documents(TEXTS).weights.detach()
    assert entry.is_dir()
    assert after.isfinite().all()
    assert not torch.equal(before, after)
    found = dense(load_encoder(str(entry)).encode_documents(TEXTS))
    np.testing.assert_allclose(found, after, rtol=0, atol=0.05 * float(after.max()))


@pytest.mark.parametrize(
    "sides",
    [
        {"documents": SparsityConfig("flops", target_nnz=3)},
        {"queries": SparsityConfig("l1", strength=1e-2)},
        {"documents": SparsityConfig("flops", strength=1e-2), "anti_zero": 1e-3},
    ],
)
def test_a_term_weighting_side_can_be_made_sparse(base, tmp_path, sides):
    training = trainer(base, tmp_path, 3, sides, documents="mlp", queries="own-terms")
    training.run()
    assert_same_vectors(training, load_encoder(str(tmp_path / "student")))


@pytest.mark.parametrize("build", ["distilbert_mlm", "roberta_mlm", "modernbert_mlm"])
@pytest.mark.parametrize(
    ("document", "query", "towers"),
    [("mlp", "own-terms", "shared"), ("embeddings", "mlp", "separate")],
)
def test_other_architectures_have_components_too(tmp_path, build, document, query, towers):
    getattr(published, build)(tmp_path / "base")
    checkpoint = Checkpoint.resolve(str(tmp_path / "base"))
    torch.manual_seed(3)
    if towers == "shared":
        trained = MaskedLanguageStudent(checkpoint, document=document, query=query)
    else:
        kinds = (document, query)
        trained = SeparateTowers(
            *(MaskedLanguageStudent(checkpoint, document=kind, query=kind) for kind in kinds)
        )
    settings = Exported(document=document, query=query, towers=towers, max_length=LENGTH)
    trained.export(tmp_path / "out", settings, None)
    encoder = load_encoder(str(tmp_path / "out"))
    texts = ["the wing", "Wing flow over a boundary layer; the Wing!", "unknownish flow " * 9]
    sides = (
        ("document", document, encoder.encode_documents),
        ("query", query, encoder.encode_queries),
    )
    for side, kind, encode in sides:
        weighing = Weighing(
            max_length=LENGTH,
            drop_special=not settings.keeps_special,
            own_terms=kind == "own-terms",
            mlp=MlpConfig() if kind == "mlp" else None,
        )
        weights = MicroBatchEncoder(trained.tower(side), weighing, side=side)(texts).weights
        np.testing.assert_allclose(dense(encode(texts)), weights.detach(), rtol=0, atol=2e-5)
        assert weights.any()
