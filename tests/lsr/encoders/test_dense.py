"""Dense vectors against plain mean pooling, one text at a time."""

import json
import shutil
from functools import cache

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.backbones.checkpoint import Checkpoint
from lsr.encoders.dense import DenseEncoder, without_weight
from lsr.encoders.encoder import fingerprint
from lsr.errors import InputError, NotFoundError, UsageError
from lsr.vocabulary import Vocabulary
from tests.strategies import texts

TEXTS = ["a wing", "", "boundary layer flow over a flat plate", "naïve 中文"]
ST = "sentence_transformers.models."
TRANSFORMER = {"path": "", "type": ST + "Transformer"}
POOLING = {"path": "1_Pooling", "type": ST + "Pooling"}
NORMALIZE = {"path": "2_Normalize", "type": ST + "Normalize"}


def mean_pooled(folder, texts, max_length=64):
    return pooled(folder, texts, "mean", normalise=True, max_length=max_length)


def pooled(folder, texts, pooling, normalise, max_length=64):
    model = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    vectors = np.zeros((len(texts), 16), dtype=np.float32)
    for row, text in enumerate(texts):
        if text.strip():
            ids = tokenizer(text, truncation=True, max_length=max_length, return_tensors="pt")
            with torch.inference_mode():
                states = model(ids["input_ids"]).last_hidden_state[0].numpy()
            vectors[row] = states[0] if pooling == "cls" else states.mean(axis=0)
            if normalise:
                vectors[row] /= np.sqrt((vectors[row] ** 2).sum())
    return vectors


def with_settings(folder, tmp_path, files):
    copy = shutil.copytree(folder, tmp_path / "model")
    for name, content in files.items():
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text(json.dumps(content))
    return copy


@pytest.fixture(scope="module")
def encoder(dense_model):
    return DenseEncoder.load(str(dense_model))


@settings(max_examples=12)
@given(st.lists(texts, max_size=6))
def test_vectors_are_normalised_means(encoder, dense_model, texts):
    found = encoder.encode_documents(texts)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, mean_pooled(dense_model, texts), atol=1e-5)


def test_rows_keep_the_order_of_the_texts_over_many_batches(encoder, dense_model):
    many = ["" if number % 7 == 3 else "flow " * (number * 37 % 41) for number in range(60)]
    np.testing.assert_allclose(
        encoder.encode_documents(many), mean_pooled(dense_model, many), atol=1e-5
    )


def test_blank_texts_are_zeros(encoder):
    assert not encoder.encode_documents(["", " \n", "\u3000"]).any()
    assert encoder.encode_documents([]).shape == (0, encoder.dimension)


@pytest.mark.parametrize(("given", "used"), [(8, 8), (64, 64), (500, 64), (None, 64)])
def test_length_limit_of_the_checkpoint(tmp_path, dense_model, given, used):
    files = {"sentence_bert_config.json": {"max_seq_length": given}}
    folder = with_settings(dense_model, tmp_path, files)
    text = [" ".join(f"word {number}" for number in range(100))]
    expected = mean_pooled(folder, text, used)
    np.testing.assert_allclose(
        DenseEncoder.load(str(folder)).encode_documents(text), expected, atol=1e-5
    )


@pytest.mark.parametrize(
    ("pooling", "used"),
    [
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, "cls"),
        ({"pooling_mode": "cls"}, "cls"),
    ],
)
def test_pooling_is_what_the_folder_declares(tmp_path, dense_model, pooling, used):
    folder = with_settings(dense_model, tmp_path, {"1_Pooling/config.json": pooling})
    found = DenseEncoder.load(str(folder)).encode_documents(TEXTS)
    np.testing.assert_allclose(found, pooled(folder, TEXTS, used, normalise=True), atol=1e-5)


@pytest.mark.parametrize(
    ("pooling", "complaint"),
    [
        ({"pooling_mode": "attention"}, "pools by .'attention'.; allowed are cls, max, mean"),
        ({"pooling_mode": ["mean", 3]}, "pools by .'mean', 3"),
        ({"pooling_mode": []}, "pools by "),
        ({"pooling_mode": "mean", "include_prompt": "no"}, "gives include_prompt as 'no'"),
    ],
)
def test_other_pooling_is_refused(tmp_path, dense_model, pooling, complaint):
    folder = with_settings(dense_model, tmp_path, {"1_Pooling/config.json": pooling})
    with pytest.raises(InputError, match=complaint):
        DenseEncoder.load(str(folder))


def roberta():
    config = transformers.RobertaConfig(
        vocab_size=30522,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        pad_token_id=1,
    )
    return transformers.RobertaModel(config), 62


def distilbert():
    config = transformers.DistilBertConfig(
        dim=16, n_layers=1, n_heads=2, hidden_dim=32, max_position_embeddings=64
    )
    return transformers.DistilBertModel(config), 64


@pytest.mark.parametrize("architecture", [roberta, distilbert])
def test_other_architectures_give_their_plain_means(tmp_path, architecture):
    torch.manual_seed(5)
    model, positions = architecture()
    model.save_pretrained(tmp_path)
    Vocabulary.bert_uncased().tokenizer.save(str(tmp_path / "tokenizer.json"))
    texts = ["a wing", "", "word " * 200, "naïve 中文"]
    expected = mean_pooled(tmp_path, texts, positions)
    np.testing.assert_allclose(
        DenseEncoder.load(str(tmp_path)).encode_documents(texts), expected, atol=1e-5
    )


def test_the_encoder_of_a_masked_language_model_can_be_used(masked_lm):
    texts = ["a wing", "boundary layer"]
    expected = mean_pooled(masked_lm, texts)
    np.testing.assert_allclose(
        DenseEncoder.load(str(masked_lm)).encode_documents(texts), expected, atol=1e-5
    )


def test_fingerprint_follows_weights_and_length_not_the_place(tmp_path, encoder, dense_model):
    moved = with_settings(dense_model, tmp_path, {})
    assert DenseEncoder.load(str(moved)).fingerprint == encoder.fingerprint
    (moved / "sentence_bert_config.json").write_text('{"max_seq_length": 8}')
    assert DenseEncoder.load(str(moved)).fingerprint != encoder.fingerprint


def test_missing_folder_is_named():
    with pytest.raises(NotFoundError, match=r"'\./no-such-model' does not exist"):
        DenseEncoder.load("./no-such-model")


@pytest.mark.parametrize(
    ("modules", "similarity", "normalised"),
    [
        (None, None, True),
        (None, "dot", True),
        ([TRANSFORMER, POOLING, NORMALIZE], "dot", True),
        ([TRANSFORMER, POOLING], None, False),
        ([TRANSFORMER, POOLING], "dot", False),
        ([TRANSFORMER, POOLING], "cosine", True),
    ],
)
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_vectors_have_length_one_where_the_folder_asks_for_it(
    tmp_path, dense_model, modules, similarity, normalised, pooling
):
    files = {"1_Pooling/config.json": {"pooling_mode": pooling}}
    if modules:
        files["modules.json"] = modules
    if similarity:
        files["config_sentence_transformers.json"] = {"similarity_fn_name": similarity}
    encoder = DenseEncoder.load(str(with_settings(dense_model, tmp_path, files)))
    expected = pooled(dense_model, TEXTS, pooling, normalised)
    np.testing.assert_allclose(encoder.encode_documents(TEXTS), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(encoder.encode_queries(TEXTS), encoder.encode_documents(TEXTS))


def test_fingerprints_of_normalised_means_are_those_of_earlier_releases(tmp_path, dense_model):
    expected = fingerprint(
        "dense",
        vocabulary=Vocabulary.bert_uncased().digest,
        checkpoint=Checkpoint.resolve(str(dense_model)).digest,
        max_length=64,
    )
    seen = {DenseEncoder.load(str(dense_model)).fingerprint}
    assert seen == {expected}
    pooling = {"pooling_mode": "mean"}
    for modules in ([TRANSFORMER, POOLING, NORMALIZE], [TRANSFORMER, POOLING]):
        files = {"modules.json": modules, "1_Pooling/config.json": pooling}
        folder = with_settings(dense_model, tmp_path / str(len(modules)), files)
        seen.add(DenseEncoder.load(str(folder)).fingerprint)
    assert len(seen) == 2
    (folder / "1_Pooling/config.json").write_text('{"pooling_mode": "cls"}')
    assert DenseEncoder.load(str(folder)).fingerprint not in seen


@pytest.mark.parametrize(
    ("modules", "complaint"),
    [
        ([TRANSFORMER, POOLING, {"path": "2_LSTM", "type": ST + "LSTM"}], "Pooling, LSTM; a dense"),
        ([{"path": "", "type": "own.Transformer"}, POOLING], "are own.Transformer, Pooling"),
        ([TRANSFORMER, POOLING, {"path": "2", "type": ST + "Dense"}], "goes from None to None"),
        (
            [POOLING, TRANSFORMER],
            "are Pooling, Transformer; a dense encoder is Transformer and Pooling",
        ),
        ([{"path": "", "type": ST + "MLMTransformer"}, POOLING], "are MLMTransformer, Pooling"),
        (
            [{"path": "../other", "type": ST + "Transformer"}, POOLING],
            "leads out of the checkpoint",
        ),
        ([{"path": "/etc", "type": ST + "Transformer"}, POOLING], "leads out of the checkpoint"),
        ([{"type": ST + "Transformer"}], "is no list of modules with type and path"),
        ([{"path": "", "type": 3}], "is no list of modules"),
        ({"path": ""}, "is no list of modules"),
        (3, "is no list of modules"),
        ([{"path": "", "type": ST + "Router"}], "is no list of modules"),
    ],
)
def test_modules_that_are_not_understood_are_refused(tmp_path, dense_model, modules, complaint):
    folder = with_settings(dense_model, tmp_path, {"modules.json": modules})
    with pytest.raises(InputError, match=complaint):
        DenseEncoder.load(str(folder))


@pytest.fixture(scope="module")
def peer():
    """sentence-transformers, where it is installed."""
    return pytest.importorskip("sentence_transformers")


def saved(peer, folder, modules):
    model = peer.SentenceTransformer(modules=modules, similarity_fn_name="dot")
    model.save(str(folder), create_model_card=False)
    return model


def test_a_folder_that_sentence_transformers_saved_gives_its_vectors(peer, tmp_path, dense_model):
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    for pooling in ("mean", "cls"):
        modules = [Transformer(str(dense_model)), Pooling(16, pooling)]
        model = saved(peer, tmp_path / pooling, modules)
        found = DenseEncoder.load(str(tmp_path / pooling)).encode_documents(TEXTS[:1])
        np.testing.assert_allclose(found, model.encode(TEXTS[:1]), rtol=1e-4, atol=1e-5)


def test_sides_of_a_router_go_through_their_own_models(peer, tmp_path, dense_model):
    from sentence_transformers.sentence_transformer.modules import Pooling, Router, Transformer

    other = shutil.copytree(dense_model, tmp_path / "other")
    torch.manual_seed(9)
    config = transformers.BertConfig.from_pretrained(dense_model)
    transformers.BertModel(config).save_pretrained(other)
    queries, documents = (
        [Transformer(str(folder)), Pooling(16, pooling)]
        for folder, pooling in ((other, "cls"), (dense_model, "mean"))
    )
    router = Router.for_query_document(queries, documents)
    model = saved(peer, tmp_path / "router", [router])
    encoder = DenseEncoder.load(str(tmp_path / "router"))
    texts = [TEXTS[0], *TEXTS[2:]]
    found, expected = encoder.encode_queries(texts), model.encode_query(texts)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found, pooled(other, texts, "cls", False), rtol=1e-4, atol=1e-5)
    found, expected = encoder.encode_documents(texts), model.encode_document(texts)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    alone = DenseEncoder.load(str(tmp_path / "router/document_0_Transformer"))
    assert encoder.fingerprint != alone.fingerprint
    assert encoder.tokens_encoded > 0


@pytest.fixture(scope="module")
def second_model(tmp_path_factory, dense_model):
    """Another model of another width, whose vectors are not normalised."""
    files = {"modules.json": [TRANSFORMER, POOLING], "1_Pooling/config.json": {}}
    folder = with_settings(dense_model, tmp_path_factory.mktemp("second"), files)
    torch.manual_seed(4)
    config = transformers.BertConfig.from_pretrained(dense_model)
    config.update({"hidden_size": 24})
    transformers.BertModel(config).save_pretrained(folder)
    return folder


@cache
def loaded(folder):
    return DenseEncoder.load(str(folder))


@settings(max_examples=8)
@given(st.lists(texts, max_size=4), st.lists(texts, max_size=4), st.floats(1e-3, 100))
def test_inner_products_of_two_encoders_add_up(dense_model, second_model, asked, written, weight):
    name = f"{dense_model}+{second_model},weight={weight}"
    encoder = DenseEncoder.load(name)
    found = encoder.encode_queries(asked) @ encoder.encode_documents(written).T
    parts = [loaded(dense_model), loaded(second_model)]
    first, second = (
        part.encode_queries(asked).astype(float) @ part.encode_documents(written).astype(float).T
        for part in parts
    )
    assert encoder.dimension == 16 + 24
    np.testing.assert_allclose(found, first + weight * second, rtol=1e-4, atol=1e-4)


def test_the_name_of_two_encoders_loads_them_again(dense_model, second_model, tmp_path):
    encoder = DenseEncoder.load(f"{dense_model}+{second_model},weight=0.50")
    assert encoder.name == f"{dense_model}+{second_model},weight=0.5"
    assert DenseEncoder.load(encoder.name).fingerprint == encoder.fingerprint
    plain = DenseEncoder.load(f"{dense_model}+{second_model}")
    assert plain.name.endswith(",weight=1.0")
    turned = DenseEncoder.load(f"{second_model}+{dense_model},weight=0.5")
    # Documents' vectors are the same whatever the weight.
    assert plain.fingerprint == encoder.fingerprint != turned.fingerprint
    former = {"dense": [loaded(dense_model).fingerprint, loaded(second_model).fingerprint]}
    assert encoder.former == (fingerprint("dense", concatenated=former["dense"], weight=0.5),)
    # A folder may have a plus in its name.
    moved = [
        shutil.copytree(folder, tmp_path / f"c++ {n}+b" / "model")
        for n, folder in enumerate((dense_model, second_model))
    ]
    again = DenseEncoder.load(f"{moved[0]}+{moved[1]},weight=0.5")
    assert again.fingerprint == encoder.fingerprint
    assert DenseEncoder.load(str(moved[0])).dimension == 16


@pytest.mark.parametrize(
    ("ending", "complaint"),
    [
        (",weight=0", "weight is 0.0; allowed are finite numbers above 0"),
        (",weight=inf", "weight is inf"),
        (",weight=nan", "weight is nan"),
        (",weight=much", "weight=much is not a valid number"),
        (",weight", "weight= is not a valid number"),
        (",heft=1", "'heft' is not an option of this encoder; allowed are max_length"),
        (",lambda.heft=1", "'heft' is not an option of this encoder; allowed are max_length"),
        (",lambda.pooling=best", "pooling is 'best'; allowed are cls"),
        (",normalise=1", "normalise is '1'; allowed are yes and no"),
        (",", "'' is not an option"),
        ("+./no-such-model", r"'.*\+\./no-such-model' does not exist"),
    ],
)
def test_malformed_names_of_two_encoders_are_explained(dense_model, ending, complaint):
    with pytest.raises(UsageError, match=complaint):
        DenseEncoder.load(f"{dense_model}+{dense_model}{ending}")


def test_each_of_two_encoders_may_have_two_towers_and_options(dense_model, second_model, tmp_path):
    """As the published Lambdas: a model for queries, one for contexts, CLS, not normalised."""
    queries = shutil.copytree(second_model, tmp_path / "queries, own")
    torch.manual_seed(11)
    config = transformers.BertConfig.from_pretrained(second_model)
    transformers.BertModel(config).save_pretrained(queries)
    towers = f"lambda.query.checkpoint={queries},lambda.pooling=cls,lambda.normalise=no"
    name = f"{dense_model}+{second_model},max_length=5,{towers},weight=0.5"
    encoder = DenseEncoder.load(name)
    again = DenseEncoder.load(encoder.name)
    assert (again.name, again.fingerprint) == (encoder.name, encoder.fingerprint)
    shared = DenseEncoder.load(f"{dense_model}+{second_model},max_length=5,weight=0.5")
    assert shared.fingerprint != encoder.fingerprint
    texts = [TEXTS[0], *TEXTS[2:]]
    for side, folder, weight in (("queries", queries, 0.5), ("documents", second_model, 1.0)):
        found = getattr(encoder, f"encode_{side}")(texts)
        np.testing.assert_allclose(found[:, :16], mean_pooled(dense_model, texts, 5), atol=1e-5)
        expected = weight * cls_pooled(folder, texts)
        np.testing.assert_allclose(found[:, 16:], expected, rtol=1e-4, atol=1e-5)


def cls_pooled(folder, texts):
    model = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    rows = []
    for text in texts:
        ids = tokenizer(text, truncation=True, max_length=64, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            rows.append(model(ids).last_hidden_state[0, 0].numpy())
    return np.array(rows)


def test_the_weight_of_the_second_is_one_of_queries(dense_model, second_model):
    encoder = DenseEncoder.load(f"{dense_model}+{second_model},weight=0.5")
    other = encoder.weighed(0.75)
    assert other.fingerprint == encoder.fingerprint
    documents = encoder.encode_documents(TEXTS)
    np.testing.assert_array_equal(other.encode_documents(TEXTS), documents)
    queries = np.hstack([loaded(f).encode_queries(TEXTS) for f in (dense_model, second_model)])
    factors = np.repeat(np.array([1, 0.75], np.float32), [16, 24])
    np.testing.assert_array_equal(other.encode_queries(TEXTS), queries * factors)
    np.testing.assert_array_equal(other.as_queries(documents), documents * factors)
    assert without_weight(encoder.name) == (f"{dense_model}+{second_model}", 0.5)
    assert without_weight(str(dense_model)) == (str(dense_model), None)
    with pytest.raises(UsageError, match="is one model, and a dense weight is of the second"):
        loaded(dense_model).weighed(2)


@pytest.mark.parametrize("name", ["+", "a+", "+a", "./none+{}", "{}+./none"])
def test_a_missing_half_is_named(dense_model, name):
    with pytest.raises(NotFoundError):
        DenseEncoder.load(name.format(dense_model))


def test_options_of_a_dense_encoder(dense_model):
    plain = DenseEncoder.load(str(dense_model))
    short = DenseEncoder.load(f"{dense_model},max_length=4")
    long_texts = ["wing flow over a boundary layer", "a flat plate and the wing"]
    np.testing.assert_allclose(
        short.encode_documents(long_texts),
        mean_pooled(dense_model, long_texts, max_length=4),
        atol=1e-5,
    )
    half = DenseEncoder.load(f"{dense_model},dtype=bfloat16")
    whole = DenseEncoder.load(f"{dense_model},dtype=int8")
    for coarse in (half, whole):
        found = coarse.encode_documents(TEXTS)
        assert found.dtype == np.float32
        difference = np.linalg.norm(found - plain.encode_documents(TEXTS), axis=1)
        assert 0 < difference.max() < 0.1
    assert len({encoder.fingerprint for encoder in (plain, short, half, whole)}) == 4
    for encoder in (plain, short, half, whole):
        again = DenseEncoder.load(encoder.name)
        assert (again.name, again.fingerprint) == (encoder.name, encoder.fingerprint)


def test_whole_numbers_are_for_berts_in_the_native_core(dense_model):
    encoder = DenseEncoder.load(f"{dense_model},dtype=int8,pooling=max")
    with pytest.raises(InputError, match="is asked for with dtype=int8, which is for BERTs that"):
        encoder.encode_documents(["a wing"])


@pytest.mark.parametrize(
    ("option", "complaint"),
    [("max_length=2", "max_length is 2"), ("dtype=int4", "dtype is 'int4'"), ("a=1", "a")],
)
def test_malformed_options_are_explained(dense_model, option, complaint):
    with pytest.raises(UsageError, match=complaint):
        DenseEncoder.load(f"{dense_model},{option}")
