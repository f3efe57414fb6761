"""Term weights of decoder-only models against transformers' model, one text at a time."""

import json
import shutil

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.backbones.batching import TokenBatch
from lsr.backbones.causal import CausalLanguageModel
from lsr.backbones.checkpoint import Checkpoint
from lsr.encoders.catalogue import EncoderName, load_encoder
from lsr.encoders.decoder import DecoderConfig, DecoderEncoder
from lsr.errors import InputError, NotFoundError, UsageError
from tests.lsr.encoders.decoders import TEXTS, Plain, byte_level, save, sentence_piece
from tests.strategies import texts

WINDOW = 6


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One checkpoint of each architecture, with the tokenizer and the habits of its family."""
    root = tmp_path_factory.mktemp("decoders")
    llama, qwen = byte_level(), byte_level(template=False)
    padded = qwen.get_vocab_size() + 14
    return {
        "llama": save(root / "llama", "Llama", llama, tie_word_embeddings=True),
        "mistral": save(root / "mistral", "Mistral", sentence_piece(), sliding_window=None),
        "window": save(root / "window", "Mistral", sentence_piece(), sliding_window=WINDOW),
        "qwen2": save(root / "qwen2", "Qwen2", qwen, vocab_size=padded),
        "qwen3": save(root / "qwen3", "Qwen3", qwen, vocab_size=padded, tie_word_embeddings=True),
    }


@pytest.fixture(scope="module")
def plain(folders):
    return {name: Plain(folder) for name, folder in folders.items()}


ARCHITECTURES = ["llama", "mistral", "window", "qwen2", "qwen3"]
# What the tokenizer of each puts around a text.
OWN = {
    "llama": {"bos": 0},
    "mistral": {"bos": 1, "eos": 2},
    "window": {"bos": 1, "eos": 2},
    "qwen2": {},
    "qwen3": {},
}


def encoder(folder, **options):
    return DecoderEncoder.load(str(folder), DecoderConfig(**options))


def assert_close(batch, expected):
    found = batch.to_scipy().toarray()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_weights_are_those_of_the_plain_model(folders, plain, name, bidirectional):
    found = encoder(folders[name], bidirectional="yes" if bidirectional else "no")
    expected = plain[name](TEXTS, bidirectional=bidirectional, **OWN[name])
    assert expected.any(axis=1).tolist() == [bool(text.strip()) for text in TEXTS]
    assert_close(found.encode_documents(TEXTS), expected)
    assert_close(found.encode_queries(TEXTS), expected)


@pytest.mark.parametrize("name", ["llama", "mistral", "qwen3"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_an_echoed_text_is_pooled_at_its_second_reading(folders, plain, name, bidirectional):
    found = encoder(folders[name], echo="yes", bidirectional="yes" if bidirectional else "no")
    # 32 tokens twice are all of the 64 positions.
    cut = {"echo": True, "max_length": 32, "bidirectional": bidirectional}
    assert_close(found.encode_documents(TEXTS), plain[name](TEXTS, **cut, **OWN[name]))


@pytest.mark.parametrize("name", ["llama", "qwen2"])
@pytest.mark.parametrize("bos", ["yes", "no"])
@pytest.mark.parametrize("eos", ["yes", "no"])
def test_bos_and_eos_are_put_or_left_out(folders, plain, name, bos, eos):
    found = encoder(folders[name], bos=bos, eos=eos, max_length=12)
    ids = {"bos": 0 if bos == "yes" else None, "eos": 1 if eos == "yes" else None}
    assert_close(found.encode_documents(TEXTS), plain[name](TEXTS, max_length=12, **ids))


def test_bos_changes_the_weights(folders):
    with_bos = encoder(folders["llama"]).encode_documents(["a wing"]).to_scipy().toarray()
    without = encoder(folders["llama"], bos="no").encode_documents(["a wing"])
    assert np.abs(with_bos - without.to_scipy().toarray()).max() > 0.1


def test_queries_and_documents_have_their_prefixes(folders, plain):
    options = {"query_prefix": "query: ", "document_prefix": "passage: "}
    found = encoder(folders["llama"], bos="no", max_length=20, **options)
    queries = plain["llama"](TEXTS, prefix="query: ", max_length=20)
    documents = plain["llama"](TEXTS, prefix="passage: ", max_length=20)
    assert np.abs(queries - documents).max() > 0.1
    assert_close(found.encode_queries(TEXTS), queries)
    assert_close(found.encode_documents(TEXTS), documents)


def test_laconic_settings_together(folders, plain):
    found = load_encoder(
        f"decoder:{folders['llama']},bidirectional=yes,bos=no,query_prefix=query: ,"
        "document_prefix=passage: ,top_k=40,max_length=24"
    )
    settings = {"bidirectional": True, "top_k": 40, "max_length": 24}
    expected = plain["llama"](TEXTS, prefix="passage: ", **settings)
    assert (np.count_nonzero(expected, axis=1) <= 40).all()
    assert_close(found.encode_documents(TEXTS), expected)


@pytest.mark.parametrize(
    "options", [{"logs": 2}, {"shift": 1.5}, {"top_k": 1}, {"top_k": 10_000}, {"shift": 1e6}]
)
def test_logarithms_shift_and_cap(folders, plain, options):
    found = encoder(folders["qwen2"], **options).encode_documents(TEXTS)
    assert_close(found, plain["qwen2"](TEXTS, **options))
    assert (found.values > 0).all()


@pytest.mark.parametrize("max_length", [3, 7, 64, 300])
def test_texts_are_cut_at_max_length_or_at_the_last_position(folders, plain, max_length):
    long = ["plate flow " * 90, "short"]
    found = encoder(folders["llama"], max_length=max_length, eos="yes").encode_documents(long)
    assert_close(found, plain["llama"](long, max_length=min(max_length, 64), bos=0, eos=1))


def test_an_echoed_text_fits_the_sliding_window(folders, plain):
    found = encoder(folders["window"], echo="yes", bos="no", eos="no")
    expected = plain["window"](TEXTS, echo=True, max_length=WINDOW)
    assert_close(found.encode_documents(TEXTS), expected)


@pytest.mark.parametrize("name", ["llama", "window", "qwen3"])
@pytest.mark.parametrize("options", [{}, {"bidirectional": "yes"}, {"echo": "yes"}])
def test_a_batch_gives_what_each_text_gives_alone(folders, name, options):
    found = encoder(folders[name], **options)
    many = ["plate flow " * (number * 7 % 13) + "wing" for number in range(40)]
    alone = np.vstack([found.encode_documents([text]).to_scipy().toarray() for text in many])
    assert_close(found.encode_documents(many), alone)


@pytest.fixture(scope="module")
def bidirectional_encoder(folders):
    return encoder(folders["mistral"], bidirectional="yes", bos="no", query_prefix="q: ")


@settings(max_examples=15)
@given(st.lists(texts, max_size=4))
def test_any_text_is_encoded_as_by_the_plain_model(bidirectional_encoder, plain, texts):
    expected = plain["mistral"](texts, prefix="q: ", bidirectional=True, max_length=64, eos=2)
    assert_close(bidirectional_encoder.encode_queries(texts), expected)


def states_of(model, ids, padding):
    padded = np.array([[*ids, *[0] * padding], [*reversed(ids), *[0] * padding]], dtype=np.int64)
    mask = np.array([[1] * len(ids) + [0] * padding] * 2, dtype=np.int64)
    with torch.inference_mode():
        states, offsets = model.states(TokenBatch(np.arange(2), padded, mask, np.zeros_like(mask)))
    return states[offsets[0] : offsets[1]]


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_later_token_changes_earlier_states_only_if_asked(folders, name, padding, bidirectional):
    checkpoint = Checkpoint.resolve(str(folders[name]))
    terms = checkpoint.vocabulary.size
    model = CausalLanguageModel(checkpoint, terms, bidirectional=bidirectional)
    one, other = (states_of(model, [5, 6, 7, last], padding) for last in (8, 9))
    changed = (one - other).abs().amax(dim=1) > 1e-3
    assert changed.tolist() == [bidirectional] * 3 + [True]


def test_the_second_reading_sees_later_tokens(folders):
    checkpoint = Checkpoint.resolve(str(folders["llama"]))
    model = CausalLanguageModel(checkpoint, checkpoint.vocabulary.size, echo=True)
    one, other = (states_of(model, [5, 6, 7, last], 2) for last in (8, 9))
    assert ((one - other).abs().amax(dim=1) > 1e-3).all()


def test_a_checkpoint_says_that_it_is_bidirectional(folders, plain, tmp_path):
    folder = shutil.copytree(folders["qwen3"], tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    # As published models do; the code of theirs is neither needed nor run.
    config |= {"is_causal": False, "auto_map": {"AutoModelForCausalLM": "splade.Splade"}}
    (folder / "config.json").write_text(json.dumps(config))
    assert_close(encoder(folder).encode_documents(TEXTS), plain["qwen3"](TEXTS, bidirectional=True))
    causal = encoder(folder, bidirectional="no")
    assert_close(causal.encode_documents(TEXTS), plain["qwen3"](TEXTS))


def test_a_model_that_stays_causal_is_refused(tmp_path):
    config = transformers.MambaConfig(
        vocab_size=290, hidden_size=8, state_size=4, num_hidden_layers=1
    )
    transformers.MambaForCausalLM(config).save_pretrained(tmp_path)
    byte_level().save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(InputError, match="can't be made bidirectional"):
        encoder(tmp_path, bidirectional="yes").encode_documents(["a wing"])


def test_capped_logits_are_refused(tmp_path):
    folder = save(tmp_path / "gemma", "Gemma2", byte_level(), head_dim=4)
    with pytest.raises(InputError, match="caps its logits"):
        encoder(folder).encode_documents(["a wing"])


def test_another_kind_of_model_is_refused(tmp_path, folders):
    config = transformers.T5Config(vocab_size=290, d_model=8, d_ff=8, num_layers=1, num_heads=2)
    transformers.T5ForConditionalGeneration(config).save_pretrained(tmp_path)
    shutil.copy(folders["llama"] / "tokenizer.json", tmp_path)
    with pytest.raises(InputError, match="can't be loaded as AutoModelForCausalLM"):
        encoder(tmp_path).encode_documents(["a wing"])


def test_rows_that_pad_the_projection_are_no_terms(folders):
    found = encoder(folders["qwen3"])
    weights = found.encode_documents(TEXTS)
    assert Plain(folders["qwen3"]).model.config.vocab_size == found.vocabulary.size + 14
    assert weights.vocabulary_size == found.vocabulary.size > weights.indices.max()


def test_added_tokens_without_a_row_are_read_as_text(folders, tmp_path, plain):
    folder = shutil.copytree(folders["llama"], tmp_path / "model")
    tokenizer = byte_level()
    tokenizer.add_special_tokens(["<pad>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    found = encoder(folder)
    weights = found.encode_documents(["a <pad> wing", *TEXTS])
    assert found.vocabulary.size == 1 + byte_level().get_vocab_size()
    assert weights.vocabulary_size == found.vocabulary.size
    expected = plain["llama"](["a <pad> wing", *TEXTS], bos=0)
    assert_close(weights, np.pad(expected, ((0, 0), (0, 1))))


def test_a_tokenizer_of_a_larger_model_is_refused(tmp_path):
    folder = save(tmp_path / "small", "Llama", byte_level(), vocab_size=100)
    with pytest.raises(InputError, match=r"has 290 tokens, and the model .* knows 100"):
        encoder(folder).encode_documents(["a wing"])


def test_a_model_without_tokenizer_takes_anothers(folders, tmp_path, plain):
    folder = shutil.copytree(folders["llama"], tmp_path / "model")
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(
        InputError, match="name the model that it was trained from with tokenizer=MODEL"
    ):
        encoder(folder)
    tokenizer = tmp_path / "tokenizer"
    tokenizer.mkdir()
    shutil.copy(folders["llama"] / "tokenizer.json", tokenizer)
    found = encoder(folder, tokenizer=str(tokenizer))
    assert_close(found.encode_documents(TEXTS), plain["llama"](TEXTS, bos=0))
    assert found.fingerprint == encoder(folders["llama"]).fingerprint
    with pytest.raises(InputError, match=r"names no eos_token of its vocabulary; use eos=no"):
        encoder(folder, tokenizer=str(tokenizer), eos="yes")
    with pytest.raises(NotFoundError, match=r"holds no tokenizer\.json or tokenizer_config"):
        encoder(folder, tokenizer=str(tmp_path))


def test_half_precision_is_near(folders, plain):
    found = encoder(folders["llama"], dtype="bfloat16").encode_documents(TEXTS)
    expected = plain["llama"](TEXTS, bos=0)
    np.testing.assert_allclose(found.to_scipy().toarray(), expected, atol=0.15)
    assert found.values.dtype == np.float32


@pytest.mark.parametrize(
    "options",
    [
        "",
        ",bos=no,echo=yes,max_length=9",
        ",query_prefix=query: ,document_prefix=passage: ",
        ",document_prefix=passage: ",
        ",bidirectional=yes,top_k=512,shift=0.5,logs=2,dtype=bfloat16",
    ],
)
def test_a_name_loads_the_same_encoder(folders, options):
    found = load_encoder(f"decoder:{folders['llama']}{options}")
    again = load_encoder(found.name)
    assert (again.name, again.fingerprint) == (found.name, found.fingerprint)
    assert again.config == found.config


def test_a_prefix_keeps_its_blank():
    assert EncoderName.parse('decoder:m,query_prefix="q: "').options == {"query_prefix": "q: "}
    assert EncoderName.parse("bm25 ").family == "bm25"


def test_fingerprints_are_equal_exactly_where_the_vectors_are(folders):
    groups = [
        [{}, {"bos": "yes"}, {"bidirectional": "no"}, {"eos": "no"}, {"logs": 1}],
        [{"bos": "no"}],
        [{"eos": "yes"}],
        [{"echo": "yes"}],
        [{"bidirectional": "yes"}],
        [{"query_prefix": "a: "}],
        [{"document_prefix": "a: "}],
        [{"top_k": 5}],
        [{"shift": 0.5}],
        [{"max_length": 9}],
        [{"logs": 2}],
        [{"dtype": "bfloat16"}],
    ]
    prints = [{encoder(folders["llama"], **kind).fingerprint for kind in group} for group in groups]
    assert [len(group) for group in prints] == [1] * len(groups)
    assert len(set().union(*prints)) == len(groups)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"echo": "true"}, "echo is 'true'; allowed are yes, no"),
        ({"bos": "maybe"}, "bos is 'maybe'; allowed are auto, yes, no"),
        ({"dtype": "int8"}, "dtype is 'int8'; allowed are auto, float32"),
        ({"top_k": -1}, "top_k is -1"),
        ({"shift": -0.5}, r"shift is -0\.5"),
        ({"shift": float("nan")}, "shift is nan"),
        ({"max_length": 2}, "max_length is 2"),
        ({"logs": 5}, "logs is 5; allowed are 1 to 4"),
        ({"query_prefix": "a, b"}, "can't hold a comma"),
    ],
)
def test_settings_out_of_range_are_refused(options, complaint):
    with pytest.raises(UsageError, match=complaint):
        DecoderConfig(**options)
