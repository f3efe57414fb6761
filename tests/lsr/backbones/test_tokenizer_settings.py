"""Tokenizers of model folders against those that transformers makes of the same folders."""

import itertools
import json
import shutil

import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.backbones.checkpoint import Checkpoint
from lsr.encoders.catalogue import load_encoder
from lsr.errors import InputError
from tests.lsr.encoders import published

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "[D]",
    "cat",
    "Cat",
    "naive",
    "naïve",
    "Naïve",
]
TEXTS = ["Cat cat", "naïve Naïve NAIVE", "中文 cat", "[D] Cat [MASK]", "", "x" * 120 + " cat"]
SWITCH = st.sampled_from([True, False])
CLASSES = ["BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer", "ElectraTokenizer"]
GENERIC = ["PreTrainedTokenizerFast", "TokenizersBackend"]


def write(folder, normalizer, tokenizer_config, model="bert", st_config=None, long=100):
    folder.mkdir(parents=True, exist_ok=True)
    ids = {word: term for term, word in enumerate([*WORDS, "中", "文", "##t", "c", "n", "N"])}
    special = [
        {"id": ids[word], "content": word, "special": True, "normalized": False}
        | dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
        for word in WORDS[:5]
    ]
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": normalizer and {"type": "BertNormalizer", "clean_text": True} | normalizer,
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "decoder": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                       {"Sequence": {"id": "A", "type_id": 0}},
                       {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "pair": [],
            "special_tokens": {word: {"id": word, "ids": [ids[word]], "tokens": [word]}
                               for word in ("[CLS]", "[SEP]")},
        },
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": long, "vocab": ids},
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "config.json").write_text(json.dumps({"model_type": model}))
    for name, content in {
        "tokenizer_config.json": tokenizer_config,
        "sentence_bert_config.json": st_config,
    }.items():
        (folder / name).unlink(missing_ok=True)
        if content is not None:
            (folder / name).write_text(json.dumps(content))
    return folder


def ids(tokenizer):
    return [tokenizer.encode(text).ids for text in TEXTS]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    counter = itertools.count()
    folder = tmp_path_factory.mktemp("tokenizers")
    return lambda: folder / str(next(counter))


@settings(max_examples=40)
@given(
    normalizer=st.fixed_dictionaries(
        {
            "lowercase": SWITCH,
            "strip_accents": st.sampled_from([None, True, False]),
            "handle_chinese_chars": SWITCH,
        }
    ),
    config=st.one_of(
        st.none(),
        st.fixed_dictionaries(
            {},
            optional={
                "tokenizer_class": st.sampled_from([*CLASSES, *GENERIC]),
                "do_lower_case": SWITCH,
                "strip_accents": st.sampled_from([None, True, False]),
                "tokenize_chinese_chars": SWITCH,
                "cls_token": st.sampled_from(["[CLS]", "[D]"]),
                "mask_token": st.just("[MASK]"),
                "model_max_length": st.sampled_from([8, 512, 10**30]),
            },
        ),
    ),
    model=st.sampled_from(["bert", "distilbert", "electra", "convbert", "modernbert"]),
    long=st.sampled_from([100, 200]),
)
def test_the_settings_decide_as_in_transformers(place, normalizer, config, model, long):
    folder = write(place(), normalizer, config, model, long=long)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    ours = Checkpoint.resolve(str(folder))
    assert ids(ours.vocabulary.tokenizer) == [theirs(text)["input_ids"] for text in TEXTS]
    plain = Checkpoint.resolve(str(write(place(), normalizer, {"tokenizer_class": GENERIC[0]})))
    differs = ids(plain.vocabulary.tokenizer) != ids(ours.vocabulary.tokenizer)
    assert not differs or ours.tokenization != plain.tokenization
    assert plain.tokenization == ""


@pytest.mark.parametrize("normalizer", [{"lowercase": False}, {"lowercase": True}, None])
def test_a_switch_of_sentence_transformers_lowers_text_first(place, normalizer):
    normalizer = normalizer and normalizer | {"strip_accents": None, "handle_chinese_chars": True}
    generic = {"tokenizer_class": "PreTrainedTokenizerFast"}
    found = Checkpoint.resolve(
        str(write(place(), normalizer, generic, st_config={"do_lower_case": True}))
    )
    plain = Checkpoint.resolve(str(write(place(), normalizer, generic)))
    lowered = [text.lower().replace("[d]", "[D]").replace("[mask]", "[MASK]") for text in TEXTS]
    # [D] is a word of the vocabulary and no special token, so it is lowered too.
    lowered = [text.replace("[D]", "[d]") for text in lowered]
    expected = [plain.vocabulary.tokenizer.encode(text).ids for text in lowered]
    assert ids(found.vocabulary.tokenizer) == expected
    assert bool(found.tokenization) == (normalizer is None or not normalizer["lowercase"])


def test_the_fingerprint_follows_what_the_settings_change(tmp_path, masked_lm):
    folder = shutil.copytree(masked_lm, tmp_path / "model")
    before = load_encoder(str(folder)), load_encoder(f"bm25:{folder}")
    config = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    for encoder, name in zip(before, (str(folder), f"bm25:{folder}"), strict=True):
        assert load_encoder(name).fingerprint == encoder.fingerprint
    config["do_lower_case"] = False
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    for encoder, name in zip(before, (str(folder), f"bm25:{folder}"), strict=True):
        assert load_encoder(name).fingerprint != encoder.fingerprint


def test_a_tokenizer_of_another_kind_is_asked_of_transformers_where_settings_contradict_it(place):
    folder = published.roberta_mlm(place())
    plain = Checkpoint.resolve(str(folder))
    config = {"tokenizer_class": "RobertaTokenizer", "add_prefix_space": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    same = Checkpoint.resolve(str(folder))
    assert same.tokenization == plain.tokenization == ""
    config["add_prefix_space"] = True
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    changed = Checkpoint.resolve(str(folder))
    for text in ("wing flow", "the wing"):
        assert changed.vocabulary.tokenizer.encode(text).ids == theirs(text)["input_ids"]
    assert changed.digest != plain.digest


@pytest.mark.parametrize("switches", [(None, None), (True, False), (False, True), (None, True)])
def test_tokens_around_a_text_are_those_that_transformers_puts(place, switches):
    normalizer = {"lowercase": True, "strip_accents": None, "handle_chinese_chars": True}
    config = {"tokenizer_class": GENERIC[0], "bos_token": "[CLS]", "eos_token": "[SEP]"}
    config |= {
        f"add_{kind}_token": switch
        for kind, switch in zip(("bos", "eos"), switches, strict=True)
        if switch is not None
    }
    folder = write(place(), normalizer, config)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    found = Checkpoint.resolve(str(folder))
    assert ids(found.vocabulary.tokenizer) == [theirs(text)["input_ids"] for text in TEXTS]
    assert bool(found.tokenization) == (switches != (None, None))


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"do_lower_case": "yes"}, "of .* can't be obeyed"),
        ({"strip_accents": 3}, "of .* can't be obeyed"),
        ({"sep_token": "[none]"}, r"of .* can't be obeyed \(the vocabulary has no \[none\]\)"),
        ({"cls_token": 5}, "gives cls_token as 5"),
        ({"mask_token": {"text": 5}}, None),
        ({"tokenizer_class": GENERIC[0], "add_bos_token": True, "bos_token": [1]}, "gives bos_tok"),
    ],
)
def test_malformed_settings_are_refused(place, config, complaint):
    normalizer = {"lowercase": True, "strip_accents": None, "handle_chinese_chars": True}
    folder = write(place(), normalizer, {"tokenizer_class": "BertTokenizer"} | config)
    if complaint is None:
        assert Checkpoint.resolve(str(folder)).vocabulary.size
        return
    with pytest.raises(InputError, match=rf"tokenizer_config\.json {complaint}"):
        _ = Checkpoint.resolve(str(folder)).vocabulary
