"""A cross-encoder scores as sentence-transformers' CrossEncoder does over the same folder."""

import json

import numpy as np
import pytest

from lsr.encoders.catalogue import load_encoder
from lsr.encoders.dense import DenseEncoder
from lsr.errors import InputError, NotFoundError, UsageError
from lsr.rerankers.catalogue import load_reranker
from lsr.trusted_code import TrustedCode
from tests.lsr.rerankers.cross_encoders import (
    IDENTITY,
    SIGMOID,
    save_cross_encoder,
    save_pooled,
    save_with_settings,
)

PAIRS = [
    (query, text)
    for query in ("apple pie", "who sells cherries? " * 20, "中文")
    for text in ("Apple pie is a pie of apples.", "cherry", "long word lists " * 60, "é", "")
]
LAYOUTS = {
    "bert": save_cross_encoder,
    "distilbert": lambda folder: save_cross_encoder(folder, "DistilBert"),
    "modernbert": lambda folder: save_cross_encoder(folder, "ModernBert"),
    "sees-padding": lambda folder: save_cross_encoder(folder, "ConvBert"),
    "two-labels": lambda folder: save_cross_encoder(folder, labels=2),
    "two-labels-sigmoid": lambda folder: save_cross_encoder(
        folder, labels=2, sentence_transformers={"activation_fn": SIGMOID, "version": "4.1.0"}
    ),
    "identity-new": lambda folder: save_cross_encoder(
        folder, sentence_transformers={"activation_fn": IDENTITY, "version": "4.1.0"}
    ),
    "identity-old": lambda folder: save_cross_encoder(
        folder, sbert_ce_default_activation_function=IDENTITY
    ),
    "modules": save_with_settings,
    "prompt": lambda folder: save_with_settings(
        folder, prompts={"ask": "query about: "}, default_prompt_name="ask", activation_fn=IDENTITY
    ),
    "ettin": save_pooled,
    "pooled-bert-mean": lambda folder: save_pooled(folder, "Bert", "mean"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_scores_are_those_of_sentence_transformers(tmp_path, layout):
    from sentence_transformers import CrossEncoder

    folder = LAYOUTS[layout](tmp_path)
    oracle = CrossEncoder(str(folder), device="cpu")
    two = layout.startswith("two")
    one_by_one = [
        oracle.predict([pair], apply_softmax=two, show_progress_bar=False)[0] for pair in PAIRS
    ]
    expected = np.array(one_by_one)[:, 1] if two else np.array(one_by_one)
    assert np.std(expected) > 1e-3
    reranker = load_reranker(str(folder))
    np.testing.assert_allclose(reranker.scores(PAIRS), expected, rtol=1e-5, atol=1e-5)
    score = reranker.scorer("apple pie")
    texts = [text for query, text in PAIRS if query == "apple pie"]
    np.testing.assert_allclose(score(texts), expected[: len(texts)], rtol=1e-5, atol=1e-5)
    assert score([]).shape == (0,)


def test_the_length_is_the_folders_or_what_is_asked_for(tmp_path):
    from sentence_transformers import CrossEncoder

    folder = save_cross_encoder(tmp_path)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_max_length": 20}))
    for name, length in ((str(folder), 20), (f"{folder},max_length=12", 12)):
        oracle = CrossEncoder(str(folder), device="cpu", max_length=length)
        expected = oracle.predict(PAIRS, show_progress_bar=False)
        found = load_reranker(name).scores(PAIRS)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_fingerprint_tells_what_changes_a_score(tmp_path):
    first = save_with_settings(tmp_path / "a")
    second = save_with_settings(tmp_path / "b", activation_fn=IDENTITY)
    prompts = {"prompts": {"q": "ask: "}, "default_prompt_name": "q"}
    third = save_with_settings(tmp_path / "c", **prompts)
    pooled = save_pooled(tmp_path / "d")
    mean = save_pooled(tmp_path / "e", pooling="mean")
    names = [str(each) for each in (first, second, third, pooled, mean)]
    names.append(f"{first},max_length=12")
    found = [load_reranker(name) for name in names]
    assert len({each.fingerprint for each in found}) == len(names)
    for name, each in zip(names, found, strict=True):
        assert load_reranker(each.name).fingerprint == each.fingerprint
        assert name in each.name


def test_what_is_no_cross_encoder_is_refused(tmp_path, masked_lm, dense_model):
    three = save_cross_encoder(tmp_path / "three", labels=3)
    with pytest.raises(InputError, match="has 3 outputs"):
        load_reranker(str(three)).load()
    with pytest.raises(InputError, match="lacks"):
        load_reranker(str(masked_lm)).load()
    with pytest.raises(
        InputError, match=r"the modules of .* are Transformer|sparse:MODEL or dense:MODEL|lacks"
    ):
        load_reranker(str(dense_model)).load()
    with pytest.raises(NotFoundError, match="does not exist"):
        load_reranker(str(tmp_path / "none"))
    for name in ("", "sparse:", "dense:", "cross-encoder:"):
        with pytest.raises(UsageError, match=r"re-ranker|names no model"):
            load_reranker(name)
    with pytest.raises(UsageError, match="'depth' is not an option"):
        load_reranker(f"{three},depth=3")
    with pytest.raises(UsageError, match="field:bm25"):
        load_reranker("sparse:bm25")


CHANGES = {
    "activation": ({"activation_fn": "os.system"}, "allowed are those of torch.nn"),
    "kind": ({"model_type": "SparseEncoder"}, "says that it is a SparseEncoder"),
    "prompt": ({"default_prompt_name": "q", "prompts": {"q": 3}}, "default_prompt_name='q'"),
    "unnamed": ({"default_prompt_name": "q", "prompts": {}}, "default_prompt_name='q'"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_settings_that_cant_be_obeyed_are_refused(tmp_path, change):
    settings, message = CHANGES[change]
    with pytest.raises(InputError, match=message):
        load_reranker(str(save_with_settings(tmp_path, **settings)))


def test_a_chat_template_or_a_language_model_is_refused(tmp_path):
    folder = save_cross_encoder(tmp_path)
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | {"chat_template": "{{ messages }}"}))
    with pytest.raises(InputError, match="chat template"):
        load_reranker(str(folder))
    path.write_text(json.dumps(settings))
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"architectures": ["AForCausalLM"]}))
    with pytest.raises(InputError, match="answers a prompt with words"):
        load_reranker(str(folder))


def test_code_and_pickles_of_a_folder_never_run(tmp_path):
    folder = save_cross_encoder(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(NotFoundError, match="pickled weights are not loaded"):
        load_reranker(str(folder)).load()
    folder = save_cross_encoder(tmp_path / "own")
    path = folder / "config.json"
    own = {"model_type": "mine", "auto_map": {"AutoModelForSequenceClassification": "m.M"}}
    path.write_text(json.dumps(json.loads(path.read_text()) | own))
    for trusted in (TrustedCode(), TrustedCode(all=True)):
        with pytest.raises(UsageError, match="runs Python code of its own"):
            load_reranker(str(folder), trusted).load()


def test_a_second_encoder_scores_texts_alone(masked_lm, dense_model):
    texts = [text for _, text in PAIRS[:5]]
    for name, encoder in (
        (f"sparse:splade:{masked_lm}", load_encoder(f"splade:{masked_lm}")),
        (f"dense:{dense_model}", DenseEncoder.load(str(dense_model))),
    ):
        reranker = load_reranker(name)
        assert load_reranker(reranker.name).fingerprint == reranker.fingerprint
        queries, documents = encoder.encode_queries(["apple"]), encoder.encode_documents(texts)
        if name.startswith("sparse"):
            queries, documents = queries.to_scipy().toarray(), documents.to_scipy().toarray()
        found = reranker.scorer("apple")(texts)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, documents @ queries[0], rtol=1e-5, atol=1e-6)
