"""Folders that sentence-transformers saves with a side of its own for documents and queries."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.declared import (
    declared_logs,
    declared_pool,
    declared_top_k,
    side_checkpoint,
)
from lsr.backbones.transformer_settings import declared_length
from lsr.encoders.bm25 import Bm25Encoder
from lsr.encoders.catalogue import load_encoder
from lsr.errors import InputError, NotFoundError
from tests.lsr.encoders import published

TEXTS = ["the wing flow", "", "layer of layers"]


@pytest.fixture(scope="module")
def routed(tmp_path_factory):
    """As sentence-transformers saves it: every module in a folder, the root without config.json."""
    folder = tmp_path_factory.mktemp("routed") / "model"
    published.bert_mlm(folder / "document_0_MLMTransformer")
    module = folder / "query_0_SparseStaticEmbedding"
    module.mkdir()
    save_file({"weight": np.full(30522, 0.5, np.float32)}, module / "model.safetensors")
    pooling = folder / "document_1_SpladePooling"
    pooling.mkdir()
    settings = {"pooling_strategy": "max", "activation_function": "log1p_relu"}
    (pooling / "config.json").write_text(json.dumps(settings))
    (folder / "router_config.json").write_text("{}")
    return folder


def test_a_router_without_a_model_in_its_root_is_inference_free(routed):
    encoder = load_encoder(str(routed))
    plain = load_encoder(
        f"splade:{routed / 'document_0_MLMTransformer'},logs=2,special=drop"
    ).encode_documents(TEXTS)
    found = encoder.encode_documents(TEXTS)
    np.testing.assert_array_equal(found.to_scipy().toarray(), plain.to_scipy().toarray())
    assert set(encoder.encode_queries(TEXTS).values.tolist()) == {0.5}
    assert encoder.name == f"inference-free:{routed}"
    assert load_encoder(encoder.name).fingerprint == encoder.fingerprint


def test_its_tokenizer_serves_bm25_too(routed):
    encoder = Bm25Encoder(checkpoint=Checkpoint.resolve(str(routed)))
    assert encoder.fingerprint == load_encoder("bm25,analyzer=wordpiece").fingerprint


def test_a_query_model_in_the_folder_is_the_query_side(tmp_path):
    folder = published.efficient(tmp_path / "model")
    encoder = load_encoder(str(folder))
    assert encoder.name == f"splade:{folder}"
    query = load_encoder(f"splade:{folder / 'query_0_MLMTransformer'}")
    np.testing.assert_array_equal(
        encoder.encode_queries(TEXTS).to_scipy().toarray(),
        query.encode_queries(TEXTS).to_scipy().toarray(),
    )
    shared = shutil.copytree(folder, tmp_path / "shared", ignore=shutil.ignore_patterns("query_0*"))
    np.testing.assert_array_equal(
        encoder.encode_documents(TEXTS).to_scipy().toarray(),
        load_encoder(str(shared)).encode_queries(TEXTS).to_scipy().toarray(),
    )


def test_each_side_has_its_own_settings_where_it_declares_some(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    checkpoint = Checkpoint.resolve(str(tmp_path))
    assert [declared_logs(checkpoint, side) for side in ("document", "query")] == [1, 1]
    assert declared_pool(checkpoint, "query") == "max"
    assert side_checkpoint(checkpoint, "query") is None
    for side, settings in {
        "document": {"pooling_strategy": "sum", "activation_function": "log1p_relu"},
        "query": {"pooling_strategy": "max", "activation_function": "relu"},
    }.items():
        module = tmp_path / f"{side}_1_SpladePooling"
        module.mkdir()
        (module / "config.json").write_text(json.dumps(settings))
    assert [declared_logs(checkpoint, side) for side in ("document", "query")] == [2, 1]
    assert [declared_pool(checkpoint, side) for side in ("document", "query")] == ["sum", "max"]


def test_a_folder_without_any_model_is_refused(tmp_path):
    (tmp_path / "router_config.json").write_text("{}")
    with pytest.raises(NotFoundError, match=r"holds no config\.json"):
        load_encoder(str(tmp_path))


LONG = "the wing flow over a boundary layer " * 12
DECLARED = {"sentence_bert_config.json": {"max_seq_length": 16}}
CAPPED = {"config_sentence_transformers.json": {"max_active_dims": 5}}


def declare(folder, files):
    for name, settings in files.items():
        (folder / name).write_text(json.dumps(settings))
    return str(folder)


def rows(batch):
    return batch.to_scipy().toarray()


@pytest.mark.parametrize("family", ["splade", "inference-free"])
def test_length_and_cap_are_those_that_the_folder_declares(tmp_path, family):
    folder = published.with_idf(published.bert_mlm)(tmp_path / "model")
    plain = load_encoder(f"{family}:{folder}")
    explicit = load_encoder(f"{family}:{folder},max_length=256,document.top_k=0")
    assert plain.fingerprint == explicit.fingerprint
    asked = "max_length=16," * (family == "splade") + "document.max_length=16,document.top_k=5"
    same = load_encoder(f"{family}:{folder},{asked}").encode_documents([LONG])
    declared = load_encoder(f"{family}:{declare(folder, DECLARED | CAPPED)}")
    np.testing.assert_array_equal(rows(declared.encode_documents([LONG])), rows(same))
    assert declared.fingerprint != plain.fingerprint
    assert declared.name == f"{family}:{folder}"
    freed = load_encoder(f"{family}:{folder},document.max_length=256,document.top_k=0")
    np.testing.assert_array_equal(
        rows(freed.encode_documents([LONG])), rows(plain.encode_documents([LONG]))
    )
    assert load_encoder(freed.name).fingerprint == freed.fingerprint


@pytest.mark.parametrize("family", ["splade", "inference-free"])
def test_the_cap_counts_for_queries_too(tmp_path, family):
    folder = published.bert_mlm(tmp_path / "model")
    table = {token: 1 + place / 8 for place, token in enumerate(["wing", "flow", "over", "the"])}
    declare(folder, {"idf.json": table})
    whole = rows(load_encoder(f"{family}:{folder}").encode_queries([*TEXTS, LONG]))
    without = load_encoder(f"{family}:{folder}").fingerprint
    cap = {"config_sentence_transformers.json": {"max_active_dims": 2}}
    encoder = load_encoder(f"{family}:{declare(folder, cap)}")
    found = rows(encoder.encode_queries([*TEXTS, LONG]))
    for full, cut in zip(whole, found, strict=True):
        kept = np.argsort(-full, kind="stable")[:2]
        np.testing.assert_array_equal(cut, np.where(np.isin(np.arange(len(full)), kept), full, 0))
    assert encoder.fingerprint != without
    # Documents cut by hand, queries left whole: another encoder.
    declare(folder, {"config_sentence_transformers.json": {}})
    assert load_encoder(f"{family}:{folder},document.top_k=2").fingerprint != encoder.fingerprint


def test_a_query_model_of_its_own_follows_the_folder_too(tmp_path):
    folder = published.efficient(tmp_path / "model")
    declare(folder / "query_0_MLMTransformer", DECLARED)
    declare(
        folder / "query_1_SpladePooling", {"config.json": {"activation_function": "log1p_relu"}}
    )
    plain = load_encoder(f"splade:{folder / 'query_0_MLMTransformer'},max_length=16,logs=2,top_k=5")
    found = load_encoder(f"splade:{declare(folder, CAPPED)}").encode_queries([LONG])
    np.testing.assert_array_equal(rows(found), rows(plain.encode_queries([LONG])))


@pytest.mark.parametrize("value", [0, 2, -1, True, 1.5, "512", [512], 10**7])
def test_a_declared_number_that_is_none_is_refused(tmp_path, value):
    (tmp_path / "config.json").write_text("{}")
    checkpoint = Checkpoint.resolve(str(tmp_path))
    assert (declared_length(checkpoint, "document"), declared_top_k(checkpoint)) == (256, 0)
    declare(tmp_path, {"sentence_bert_config.json": {"max_seq_length": value}})
    with pytest.raises(InputError, match="gives max_seq_length as"):
        declared_length(checkpoint, "document")
    declare(tmp_path, {"config_sentence_transformers.json": {"max_active_dims": value}})
    if value == 2 and value is not True:
        assert declared_top_k(checkpoint) == 2
    else:
        with pytest.raises(InputError, match="gives max_active_dims as"):
            declared_top_k(checkpoint)
    declare(tmp_path, {"sentence_bert_config.json": {"max_seq_length": None}})
    assert declared_length(checkpoint, "document") == 256


@pytest.mark.parametrize(
    ("said", "plain", "saved"),
    [
        ({}, 256, 512),
        ({"tokenizer_config.json": {"model_max_length": 10**30}}, 256, 512),
        ({"tokenizer_config.json": {"model_max_length": 1e30}}, 256, 512),
        ({"tokenizer_config.json": {"model_max_length": 400}}, 256, 400),
        ({"tokenizer_config.json": {"model_max_length": 9}}, 9, 9),
        (DECLARED | {"tokenizer_config.json": {"model_max_length": 9}}, 16, 16),
        ({"sentence_distilbert_config.json": {"max_seq_length": 20}}, 20, 20),
    ],
)
def test_the_length_of_a_folder_with_and_without_modules(tmp_path, said, plain, saved):
    declare(tmp_path, {"config.json": {"max_position_embeddings": 512}} | said)
    assert declared_length(Checkpoint.resolve(str(tmp_path)), "document") == plain
    modules = [{"path": "", "type": "sentence_transformers.models.Transformer"}]
    declare(tmp_path, {"modules.json": modules})
    assert declared_length(Checkpoint.resolve(str(tmp_path)), "document") == saved


@pytest.mark.parametrize("value", [0, 2, -5, True, "512", [9], 8.5])
def test_a_tokenizer_length_that_is_none_is_refused(tmp_path, value):
    files = {"config.json": {}, "tokenizer_config.json": {"model_max_length": value}}
    with pytest.raises(InputError, match="gives model_max_length as"):
        declared_length(Checkpoint.resolve(declare(tmp_path, files)), "document")
