"""Folders that sentence-transformers saves with a side of its own for documents and queries."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from lsr.checkpoint import Checkpoint
from lsr.encoder import load_encoder
from lsr.errors import NotFoundError
from lsr.lexical import Bm25Encoder
from lsr.router import declared_logs, declared_pool, side_checkpoint
from tests.lsr import published

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
    assert encoder.fingerprint == load_encoder("bm25").fingerprint


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
