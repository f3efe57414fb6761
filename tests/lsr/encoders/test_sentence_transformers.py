"""Folders that sentence-transformers saves, against sentence-transformers, one text at a time."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from lsr.encoders.catalogue import load_encoder
from lsr.encoders.dense import DenseEncoder
from lsr.errors import InputError
from lsr.vocabulary import Vocabulary
from tests.lsr.encoders import published

peer = pytest.importorskip("sentence_transformers")

TEXTS = [
    "a wing",
    "Boundary layer flow over a flat plate, and the wing of the plate",
    "naïve 中文",
    "the",
    "flow " * 30,
]
PROMPTS = {"query": "wing flow: ", "document": "a plate of "}


SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["a", "wing", "the", "plate", "flow", "over", "flat"]


@pytest.fixture(scope="module")
def body(tmp_path_factory):
    """A masked language model of few words, with the tokenizer files that transformers saves."""
    folder = tmp_path_factory.mktemp("peer") / "body"
    folder.mkdir()
    letters = "abcdefghijklmnopqrstuvwxyz:,中文"
    words = dict.fromkeys([*SPECIAL, *WORDS, *letters, *(f"##{letter}" for letter in letters)])
    (folder / "vocab.txt").write_text("\n".join(words))
    vocabulary = Vocabulary.from_vocabulary_file(folder / "vocab.txt")
    (folder / "vocab.txt").unlink()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=vocabulary.tokenizer, model_max_length=40,
        **{f"{kind}_token": f"[{kind.upper()}]" for kind in ("cls", "sep", "pad", "unk", "mask")},
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    published.bert_model(folder, vocab_size=vocabulary.size, max_position_embeddings=64)
    return str(folder)


# Every key that it writes into such a folder: obeyed, refused with values that ask for something
# else, or without a meaning for vectors (docs/encoders.md). Another one has to be decided first.
DECIDED = {
    "config_sentence_transformers.json": {
        *("__version__", "model_type", "prompts", "default_prompt_name", "similarity_fn_name"),
        *("max_active_dims", "truncate_dim"),
    },
    "sentence_bert_config.json": {
        *("transformer_task", "modality_config", "module_output_name", "processing_kwargs"),
        *("unpad_inputs", "query_length", "document_length", "query_expansion"),
        # Of earlier releases, and of later ones by hand.
        *("max_seq_length", "do_lower_case", "model_args", "tokenizer_args", "config_args"),
    },
    "router_config.json": {"types", "structure", "parameters"},
    "tokenizer_config.json": {
        *("backend", "is_local", "local_files_only", "model_max_length", "tokenizer_class"),
        *("cls_token", "mask_token", "pad_token", "sep_token", "unk_token"),
    },
    "SpladePooling": {"pooling_strategy", "activation_function", "embedding_dimension"},
    "SparseStaticEmbedding": {"frozen"},
    "Pooling": {"embedding_dimension", "pooling_mode", "include_prompt"},
    "Normalize": {"module_input_name", "module_output_name"},
    "LayerNorm": {"dimension"},
    "Dense": {
        *("in_features", "out_features", "bias", "activation_function", "use_residual"),
        *("module_input_name", "module_output_name"),
    },
}


def assert_decided(folder):
    """See that each key of the folder's files is one of those above."""
    for path in Path(folder).rglob("*.json"):
        kind = path.parent.name.rpartition("_")[2] if path.name == "config.json" else path.name
        if kind in DECIDED:
            unknown = json.loads(path.read_text()).keys() - DECIDED[kind]
            assert not unknown, f"{path} has {unknown}, which nothing decides about"


def transformer(folder, task="feature-extraction"):
    from sentence_transformers.base.modules import Transformer

    torch.manual_seed(3)
    return Transformer(folder, transformer_task=task)


def splade(folder, **settings):
    from sentence_transformers.sparse_encoder.modules import SpladePooling

    return [transformer(folder, "fill-mask"), SpladePooling(**settings)]


def saved(model, tmp_path):
    model.save(str(tmp_path / "saved"), create_model_card=False)
    return str(tmp_path / "saved")


def dense(batch):
    return batch.to_scipy().toarray()


def assert_sparse(folder, prefix="", atol=1e-4):
    """Both sides of the folder, as its own library encodes them."""
    theirs = peer.SparseEncoder(folder, device="cpu")
    ours = load_encoder(prefix + folder)
    for mine, encode in (
        (ours.encode_documents(TEXTS), theirs.encode_document),
        (ours.encode_queries(TEXTS), theirs.encode_query),
    ):
        wanted = encode(TEXTS, batch_size=1, convert_to_sparse_tensor=False).float().numpy()
        np.testing.assert_allclose(dense(mine), wanted[:, : mine.vocabulary_size], atol=atol)
    assert load_encoder(ours.name).fingerprint == ours.fingerprint
    assert_decided(folder)
    return ours


def assert_dense(folder, unit=False):
    theirs = peer.SentenceTransformer(folder, device="cpu")
    ours = DenseEncoder.load(folder)
    for mine, encode in (
        (ours.encode_documents(TEXTS), theirs.encode_document),
        (ours.encode_queries(TEXTS), theirs.encode_query),
    ):
        wanted = encode(TEXTS, batch_size=1, normalize_embeddings=unit)
        np.testing.assert_allclose(mine, wanted, atol=1e-4)
    assert ours.dimension == wanted.shape[1]
    assert_decided(folder)
    return ours


@pytest.mark.parametrize("strategy", ["max", "sum"])
@pytest.mark.parametrize("activation", ["relu", "log1p_relu"])
def test_splade(tmp_path, body, strategy, activation):
    modules = splade(body, pooling_strategy=strategy, activation_function=activation)
    assert_sparse(saved(peer.SparseEncoder(modules=modules), tmp_path))


@pytest.mark.parametrize(
    "prompts",
    [
        PROMPTS,
        {"query": "wing flow: "},
        {"query": "flow ", "passage": "plate "},
        {"passage": "plate ", "corpus": "flow "},
    ],
)
def test_prompts_of_a_sparse_encoder(tmp_path, body, prompts):
    # The default prompt is for those who ask for neither side.
    name = next(iter(prompts))
    model = peer.SparseEncoder(modules=splade(body), prompts=prompts, default_prompt_name=name)
    ours = assert_sparse(saved(model, tmp_path))
    plain = peer.SparseEncoder(modules=splade(body))
    shutil.rmtree(tmp_path / "saved")
    without = assert_sparse(saved(plain, tmp_path))
    assert (ours.fingerprint == without.fingerprint) == ("query" not in prompts)
    folder = tmp_path / "saved"
    asked = load_encoder(f'{folder},query.prefix="{prompts.get("query", "")}"')
    np.testing.assert_array_equal(
        dense(asked.encode_documents(TEXTS)), dense(without.encode_documents(TEXTS))
    )


def test_a_prefix_that_is_asked_for_replaces_the_prompt(tmp_path, body):
    folder = saved(peer.SparseEncoder(modules=splade(body), prompts=PROMPTS), tmp_path)
    plain = load_encoder(f'{folder},prefix=""')
    assert plain.name == f'splade:{folder},prefix=""'
    assert load_encoder(plain.name).fingerprint == plain.fingerprint
    theirs = peer.SparseEncoder(folder, device="cpu")
    wanted = theirs.encode_document(TEXTS, prompt="", batch_size=1, convert_to_sparse_tensor=False)
    np.testing.assert_allclose(dense(plain.encode_documents(TEXTS)), wanted.numpy(), atol=1e-4)


@pytest.mark.parametrize("length", [4, 8, 33, 10**30])
def test_length_is_that_of_the_tokenizer(tmp_path, body, length):
    model = peer.SparseEncoder(modules=splade(body), max_active_dims=20, prompts=PROMPTS)
    model.max_seq_length = length
    folder = saved(model, tmp_path)
    ours = assert_sparse(folder)
    for asked in (3, 20):
        longer = load_encoder(f"{folder},max_length={asked}")
        model.max_seq_length = asked
        wanted = model.encode_document(TEXTS, batch_size=1, convert_to_sparse_tensor=False)
        np.testing.assert_allclose(
            dense(longer.encode_documents(TEXTS)), wanted.cpu().numpy(), atol=1e-4
        )
        assert longer.fingerprint != ours.fingerprint


@pytest.mark.parametrize(
    ("dtype", "length"), [(torch.float32, 6), (torch.float16, None), (torch.bfloat16, None)]
)
def test_inference_free(tmp_path, body, dtype, length):
    from sentence_transformers.base.modules import Router
    from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding

    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(body)
    weight = torch.rand(len(tokenizer), generator=torch.Generator().manual_seed(4)).to(dtype)
    # Special tokens get no weight here.
    weight[tokenizer.all_special_ids] = 0
    static = SparseStaticEmbedding(tokenizer, weight=weight)
    documents = splade(body)
    router = Router.for_query_document([static], documents)
    model = peer.SparseEncoder(modules=[router], prompts=PROMPTS, max_active_dims=50)
    if length:
        model.max_seq_length = length
    folder = saved(model, tmp_path)
    theirs, ours = peer.SparseEncoder(folder, device="cpu"), load_encoder(folder)
    assert ours.name == f"inference-free:{folder}"
    queries = theirs.encode_query(TEXTS, batch_size=1, convert_to_sparse_tensor=False)
    np.testing.assert_allclose(dense(ours.encode_queries(TEXTS)), queries.float().numpy())
    found = dense(load_encoder(f"{folder},special=keep").encode_documents(TEXTS))
    wanted = theirs.encode_document(TEXTS, batch_size=1, convert_to_sparse_tensor=False)
    np.testing.assert_allclose(found, wanted.float().numpy(), atol=1e-4)


def test_a_table_counts_before_an_old_idf_json(tmp_path, body):
    from sentence_transformers.base.modules import Router
    from sentence_transformers.sparse_encoder.modules import SparseStaticEmbedding

    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(body)
    static = SparseStaticEmbedding(tokenizer, weight=torch.full((len(tokenizer),), 0.5))
    router = Router.for_query_document([static], splade(body))
    folder = saved(peer.SparseEncoder(modules=[router]), tmp_path)
    (tmp_path / "saved/idf.json").write_text('{"wing": 9.0}')
    assert set(load_encoder(folder).encode_queries(TEXTS).values.tolist()) == {0.5}


def test_each_side_of_a_router_with_its_own_model(tmp_path, body):
    from sentence_transformers.base.modules import Router

    query = splade(body, activation_function="log1p_relu")
    with torch.no_grad():
        for parameter in query[0].model.parameters():
            parameter.mul_(1.1)
    router = Router.for_query_document(query, splade(body, pooling_strategy="sum"))
    model = peer.SparseEncoder(modules=[router], prompts=PROMPTS)
    query[0].max_seq_length = 6
    assert_sparse(saved(model, tmp_path))


def test_modules_in_folders_of_their_own(tmp_path, body):
    from sentence_transformers.base.modules import Router

    folder = saved(peer.SparseEncoder(modules=splade(body), prompts=PROMPTS), tmp_path)
    root, inner = tmp_path / "saved", tmp_path / "saved/0_Transformer"
    inner.mkdir()
    for path in list(root.iterdir()):
        if path.is_file() and "modules" not in path.name and "sentence_trans" not in path.name:
            shutil.move(path, inner / path.name)
    modules = json.loads((root / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (root / "modules.json").write_text(json.dumps(modules))
    assert_sparse(folder)
    # A route for texts of any task, and one module for both sides.
    shared = splade(body)
    mapped = Router({"both": shared}, route_mappings={(None, "text"): "both"})
    shutil.rmtree(root)
    assert_sparse(saved(peer.SparseEncoder(modules=[mapped]), tmp_path))


def refuse_sparse(folder, complaint):
    with pytest.raises(InputError, match=complaint):
        load_encoder(folder)


def test_sparse_forms_that_are_refused(tmp_path, body):
    from sentence_transformers.base.modules import Normalize
    from sentence_transformers.sentence_transformer.modules import Pooling
    from sentence_transformers.sparse_encoder.modules import SparseAutoEncoder

    csr = [transformer(body), Pooling(16), SparseAutoEncoder(16, 64, k=4, k_aux=8)]
    cosine = peer.SparseEncoder(modules=splade(body), similarity_fn_name="cosine")
    for number, (model, complaint) in enumerate(
        (
            (
                peer.SparseEncoder(modules=[*splade(body), Normalize()]),
                "SpladePooling, Normalize; ",
            ),
            (peer.SparseEncoder(modules=csr), "Pooling, SparseAutoEncoder; a sparse encoder is"),
            (cosine, "gives similarity_fn_name as 'cosine'; a sparse encoder is compared by dot"),
        )
    ):
        refuse_sparse(saved(model, tmp_path / str(number)), complaint)


POOLINGS = ["mean", "cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]


@pytest.mark.parametrize(
    ("mode", "include_prompt"),
    [*((mode, False) for mode in POOLINGS), (("cls", "mean"), True), (("lasttoken", "max"), True)],
)
def test_pooling(tmp_path, body, mode, include_prompt):
    from sentence_transformers.sentence_transformer.modules import Pooling

    pooling = Pooling(16, pooling_mode=mode, include_prompt=include_prompt)
    modules = [transformer(body), pooling]
    model = peer.SentenceTransformer(modules=modules, prompts=PROMPTS, similarity_fn_name="dot")
    assert_dense(saved(model, tmp_path))


@pytest.mark.parametrize(
    ("layers", "cut", "similarity"),
    [
        ("", None, "cosine"),
        ("N", None, "dot"),
        ("N", 5, "dot"),
        ("N", 5, "cosine"),
        ("ND", 5, "dot"),
        ("DN", 99, "dot"),
        ("RLN", None, "dot"),
        ("LD", 5, "cosine"),
        ("NN", 5, "dot"),
    ],
)
def test_layers_behind_pooling(tmp_path, body, layers, cut, similarity):
    from sentence_transformers.base.modules import Dense, Normalize
    from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling

    torch.manual_seed(7)
    made = {
        "N": Normalize,
        "D": lambda: Dense(16, 12, activation_function=torch.nn.GELU(), bias=False),
        "R": lambda: Dense(16, 16, use_residual=True),
        "L": lambda: LayerNorm(16),
    }
    modules = [transformer(body), Pooling(16), *(made[layer]() for layer in layers)]
    model = peer.SentenceTransformer(
        modules=modules, similarity_fn_name=similarity, truncate_dim=cut
    )
    assert_dense(saved(model, tmp_path), unit=similarity == "cosine")


def test_a_layer_that_differs_is_another_encoder(tmp_path, body):
    from sentence_transformers.base.modules import Dense
    from sentence_transformers.sentence_transformer.modules import Pooling

    seen = set()
    for number, (activation, prompts, cut) in enumerate(
        (
            (torch.nn.Tanh(), {}, None),
            (torch.nn.ReLU(), {}, None),
            (torch.nn.Tanh(), PROMPTS, None),
            (torch.nn.Tanh(), {}, 3),
        )
    ):
        torch.manual_seed(1)
        modules = [transformer(body), Pooling(16), Dense(16, 8, activation_function=activation)]
        model = peer.SentenceTransformer(modules=modules, prompts=prompts, truncate_dim=cut)
        seen.add(DenseEncoder.load(saved(model, tmp_path / str(number))).fingerprint)
    assert len(seen) == 4


def test_a_router_of_two_dense_models(tmp_path, body):
    from sentence_transformers.base.modules import Normalize, Router
    from sentence_transformers.sentence_transformer.modules import Pooling

    query = [transformer(body), Pooling(16, "cls")]
    document = [transformer(body), Pooling(16, "max")]
    router = Router.for_query_document(query, document)
    model = peer.SentenceTransformer(modules=[router, Normalize()], prompts=PROMPTS)
    document[0].max_seq_length = 7
    assert_dense(saved(model, tmp_path))


def test_dense_forms_that_are_refused(tmp_path, body):
    from sentence_transformers.base.modules import Dense
    from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding

    base = [transformer(body), Pooling(16)]
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(body)
    static = StaticEmbedding(tokenizer, embedding_dim=8)
    tokenwise = [base[0], Dense(16, 8, module_input_name="token_embeddings"), Pooling(8)]
    for number, (model, complaint) in enumerate(
        (
            (peer.SentenceTransformer(modules=[static]), "modules StaticEmbedding, and none of"),
            (peer.SentenceTransformer(modules=tokenwise), "are Transformer, Dense, Pooling; a d"),
            (
                peer.SentenceTransformer(modules=base, similarity_fn_name="euclidean"),
                "gives similarity_fn_name as 'euclidean'; a dense encoder is compared by dot or c",
            ),
            (peer.SparseEncoder(modules=splade(body)), "are Transformer, SpladePooling; a dense"),
        )
    ):
        folder = saved(model, tmp_path / str(number))
        with pytest.raises(InputError, match=complaint):
            DenseEncoder.load(folder)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"processing_kwargs": {"text": {"truncation": False}}}, "ask for a processing_kwargs"),
        ({"modality_config": {"message": {}, "text": {}}}, "ask for a modality_config"),
        ({"query_expansion": {"length": 32}}, "ask for a query_expansion"),
        ({"transformer_task": "text-generation"}, "ask for a transformer_task"),
        ({"model_args": {"num_hidden_layers": 1}}, r"ask for a model_kwargs \(num_hidden_layers\)"),
        ({"processing_kwargs": [1]}, r"gives processing_kwargs as \[1\]; allowed is an object"),
        ({"tokenizer_args": "x"}, "gives tokenizer_args as 'x'; allowed is an object"),
        ({"max_seq_length": "long"}, "gives max_seq_length as 'long'"),
    ],
)
def test_settings_of_the_transformer_that_are_refused(tmp_path, body, changed, complaint):
    folder = saved(peer.SparseEncoder(modules=splade(body)), tmp_path)
    path = tmp_path / "saved/sentence_bert_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    refuse_sparse(folder, complaint)


@pytest.mark.parametrize(
    "changed",
    [
        {"processing_kwargs": {"text": {"max_length": 6}}},
        {"query_length": 5, "document_length": 9},
        {"max_seq_length": 7},
        {"tokenizer_args": {"model_max_length": 10}, "model_args": {"dtype": "float32"}},
    ],
)
def test_lengths_of_other_keys(tmp_path, body, changed):
    folder = saved(peer.SparseEncoder(modules=splade(body)), tmp_path)
    path = tmp_path / "saved/sentence_bert_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    assert_sparse(folder)
