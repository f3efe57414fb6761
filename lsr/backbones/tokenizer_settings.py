"""What a folder's settings say against its tokenizer.json, as transformers 5 lets them decide.

A folder that names no tokenizer of its own kind, or a tokenizer of BERT, gets one that transformers
builds of the vocabulary and of ``tokenizer_config.json`` (``do_lower_case``, ``strip_accents``,
``tokenize_chinese_chars``, the special tokens); what tokenizer.json says of these is passed over.
For the generic classes tokenizer.json alone counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer, Lowercase, Normalizer, Sequence
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from lsr.errors import InputError

# Tokenizers that transformers 5.23 builds as that of BERT, and the kinds of models that have one
# where their folder names none.
BERT_CLASSES = {
    *("BertTokenizer", "ConvBertTokenizer", "DistilBertTokenizer", "ElectraTokenizer"),
    *("LayoutLMTokenizer", "LxmertTokenizer", "MobileBertTokenizer", "SqueezeBertTokenizer"),
}
BERT_MODELS = {
    *("bert", "convbert", "distilbert", "electra", "ernie", "layoutlm", "megatron-bert"),
    *("mobilebert", "nezha", "nomic_bert", "retribert", "squeezebert", "visual_bert"),
}
# Classes that read tokenizer.json as it is, and kinds of models whose tokenizers are always so.
GENERIC_CLASSES = {"TokenizersBackend", "PreTrainedTokenizer", "PythonBackend"}
GENERIC_MODELS = {
    *("modernbert", "modernbert-decoder", "nystromformer", "xlm-roberta-xl", "mistral"),
    *("mistral3", "ministral", "mixtral", "phi3", "granite", "olmo2", "olmo3", "umt5", "stablelm"),
}


def needs_transformers(
    tokenizer: Tokenizer, config: Mapping[str, Any], settings: Mapping[str, Any]
) -> bool:
    """Whether the settings contradict a tokenizer in what is not obeyed here.

    Of a tokenizer of BERT's kind, everything is obeyed here.

    ``config`` and ``settings`` are config.json and tokenizer_config.json.
    """
    kind = _kind(config, settings)
    if kind == "bert":
        return bool(settings.get("tokenizer_class")) and not isinstance(tokenizer.model, WordPiece)
    if not _frames(tokenizer, settings):
        return True
    if kind == "generic":
        return False
    own = tokenizer.normalizer
    normalizer, splitter = _text(own), _text(tokenizer.pre_tokenizer)
    says: dict[str, Callable[[Any], bool]] = {
        "do_lower_case": lambda value: value == _lowers(own),
        "keep_accents": lambda value: value == ("StripAccents" not in normalizer),
        "add_prefix_space": lambda value: _spaced(splitter) in (None, value),
    }
    if isinstance(own, BertNormalizer):
        says["strip_accents"] = lambda value: value == own.strip_accents
        says["tokenize_chinese_chars"] = lambda value: value == own.handle_chinese_chars
    return not all(
        check(settings[key]) for key, check in says.items() if settings.get(key) is not None
    )


def obey_settings(
    tokenizer: Tokenizer,
    config: Mapping[str, Any],
    settings: Mapping[str, Any],
    lowercase: bool,
    name: str,
) -> Tokenizer | None:
    """The tokenizer as the settings make it, or None where it is that already.

    Args:
        tokenizer: of tokenizer.json; it is left as it is.
        config: the folder's config.json.
        settings: its tokenizer_config.json.
        lowercase: whether text is lowered first, as ``do_lower_case`` of
            sentence_bert_config.json asks.
        name: of the checkpoint, for messages.

    Raises:
        InputError: a setting is of the wrong type, or a special token is not in the vocabulary.
    """
    bert = _kind(config, settings) == "bert" and isinstance(tokenizer.model, WordPiece)
    added = _special(tokenizer, settings, bert)
    if not bert and not lowercase and not added:
        return None
    text = tokenizer.to_str()
    made = Tokenizer.from_str(text)
    try:
        if bert:
            _build_bert(made, settings)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"tokenizer_config.json of {name!r} can't be obeyed ({error}); allowed are true and "
            "false for switches, and tokens of the vocabulary"
        ) from error
    if added:
        made.add_special_tokens(added)
    if lowercase and not _lowers(made.normalizer):
        parts = [] if made.normalizer is None else [made.normalizer]
        made.normalizer = Sequence([Lowercase(), *parts])
    return None if made.to_str() == text else made


def spelling(tokenizer: Tokenizer) -> str:
    """How a tokenizer cuts and frames text, as JSON, without its vocabulary."""
    state = json.loads(tokenizer.to_str())
    parts = ("normalizer", "pre_tokenizer", "post_processor")
    return json.dumps({part: state[part] for part in parts}, sort_keys=True)


def _kind(config: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """``bert``, ``generic``, or ``other``."""
    model = config.get("model_type")
    named = settings.get("tokenizer_class") or config.get("tokenizer_class")
    if not isinstance(named, str):
        return "bert" if model in BERT_MODELS else "generic" if model in GENERIC_MODELS else "other"
    if named.startswith("PreTrainedTokenizer") or named in GENERIC_CLASSES:
        return "generic"
    if model in GENERIC_MODELS:
        return "generic"
    return "bert" if named.removesuffix("Fast") in BERT_CLASSES else "other"


def _build_bert(tokenizer: Tokenizer, settings: Mapping[str, Any]) -> None:
    """What transformers' BertTokenizer has around its vocabulary."""
    lowered = settings.get("do_lower_case", True)
    chinese = settings.get("tokenize_chinese_chars", True)
    accents = settings.get("strip_accents")
    normalizer = BertNormalizer(
        clean_text=True, handle_chinese_chars=chinese, strip_accents=accents, lowercase=lowered
    )
    # Assigned only where it changes something, so that the same file stays the same text.
    if _text(tokenizer.normalizer) != _text(normalizer):
        tokenizer.normalizer = normalizer
    if _text(tokenizer.pre_tokenizer) != _text(BertPreTokenizer()):
        tokenizer.pre_tokenizer = BertPreTokenizer()
    if tokenizer.model.max_input_chars_per_word != 100:
        model = tokenizer.model
        model.max_input_chars_per_word = 100
        tokenizer.model = model
    first, last = (_token(settings, f"{kind}_token") for kind in ("cls", "sep"))
    ids = [tokenizer.token_to_id(token) for token in (first, last)]
    if None in ids:
        if not settings.get("cls_token") and not settings.get("sep_token"):
            return
        raise ValueError(f"the vocabulary has no {first if ids[0] is None else last}")
    bare = tokenizer.encode("a", add_special_tokens=False).ids
    if tokenizer.encode("a").ids != [ids[0], *bare, ids[1]]:
        tokenizer.post_processor = TemplateProcessing(
            single=f"{first}:0 $A:0 {last}:0",
            pair=f"{first}:0 $A:0 {last}:0 $B:1 {last}:1",
            special_tokens=[(first, ids[0]), (last, ids[1])],
        )


def _special(tokenizer: Tokenizer, settings: Mapping[str, Any], bert: bool) -> list[str]:
    """The special tokens that the settings name, and the vocabulary has as words only."""
    kinds = ("unk", "sep", "pad", "cls", "mask", "bos", "eos")
    keys = [f"{kind}_token" for kind in kinds]
    # A tokenizer of BERT has five that need no name.
    named = [
        _token(settings, key) for key in keys if settings.get(key) or (bert and key in keys[:5])
    ]
    known = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    return [
        token for token in named if token not in known and tokenizer.token_to_id(token) is not None
    ]


def _token(settings: Mapping[str, Any], key: str) -> str:
    value = settings.get(key)
    if isinstance(value, dict):
        value = value.get("content")
    if value is None:
        return f"[{key.removesuffix('_token').upper()}]"
    if not isinstance(value, str):
        raise InputError(
            f"tokenizer_config.json gives {key} as {value!r}; allowed is a token of the vocabulary"
        )
    return value


def _lowers(normalizer: Normalizer | None) -> bool:
    text = _text(normalizer)
    return '"Lowercase"' in text or '"lowercase":true' in text


def _frames(tokenizer: Tokenizer, settings: Mapping[str, Any]) -> bool:
    """Whether a text begins and ends as the settings ask with ``add_bos_token`` and its like.

    Where they say one of the two, transformers leaves out the other.
    """
    switches = [settings.get(f"add_{kind}_token") for kind in ("bos", "eos")]
    if all(switch is None for switch in switches):
        return True
    bos, eos = (
        [tokenizer.token_to_id(_token(settings, f"{kind}_token"))] * bool(switch)
        for kind, switch in zip(("bos", "eos"), switches, strict=True)
    )
    bare = tokenizer.encode("a", add_special_tokens=False).ids
    return bool(tokenizer.encode("a").ids == [*bos, *bare, *eos])


def _spaced(splitter: str) -> bool | None:
    """Whether a space goes before a text's first word, or None where that is not said."""
    for value in (True, False):
        if f'"add_prefix_space":{json.dumps(value)}' in splitter:
            return value
    return None


def _text(part: Any) -> str:
    """A part of a tokenizer as JSON without spaces; empty for none."""
    return "" if part is None else bytes(part.__getstate__()).decode()
