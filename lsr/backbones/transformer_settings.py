"""How a folder says that its transformer is run: on how many tokens, and of which of its outputs.

sentence-transformers keeps that in ``sentence_bert_config.json`` and, since release 6, in
``tokenizer_config.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lsr.backbones.checkpoint import (
    CONFIG,
    TOKENIZER_SETTINGS,
    TRANSFORMER_SETTINGS,
    Checkpoint,
)
from lsr.backbones.pipeline import pipeline
from lsr.errors import InputError

# Tokens of a text that count where a checkpoint says nothing, as in SPLADE's own evaluation.
LENGTH = 256
# And where it says that there is no limit, and its model has none.
LONGEST = 32_768
# A number from here on means that there is no limit: the default of transformers is 10^30.
UNLIMITED = 1_000_000
# What may stand in ``processing_kwargs`` for text, beside max_length: values that change nothing.
CALL = {
    "padding": (True, False, "longest", "do_not_pad"),
    "truncation": (True, "longest_first", "only_first"),
    "return_tensors": ("pt",),
    "add_special_tokens": (True,),
}
# Arguments of loading that say where a model is put, and in what it is computed, not what.
LOADING = {
    *("dtype", "torch_dtype", "attn_implementation", "device_map", "low_cpu_mem_usage"),
    *("use_safetensors", "trust_remote_code", "add_pooling_layer", "use_cache", "use_fast"),
    *("use_memory_efficient_attention", "unpad_inputs", "padding_side"),
}
ARGUMENTS = ("model", "tokenizer", "processor", "config")


def declared_length(checkpoint: Checkpoint, side: str) -> int:
    """Tokens of a side's text that count, special ones included: what sentence-transformers counts.

    A folder without ``modules.json`` is no model of that library: of its texts at most 256 count,
    unless ``sentence_bert_config.json`` says otherwise.

    Raises:
        InputError: it is no length.
    """
    said = _said_length(checkpoint, side)
    if said is not None:
        return said
    declared = _tokenizer_length(checkpoint, least=3)
    if pipeline(checkpoint.root, side):
        most = positions(checkpoint) or LONGEST
        return min(most, declared or most)
    return min(LENGTH, declared or LENGTH)


def declared_pair_length(checkpoint: Checkpoint) -> int:
    """Tokens of a pair of texts that count, as sentence-transformers' CrossEncoder counts them.

    Without ``modules.json`` that library looks at the tokenizer and the model alone.

    Raises:
        InputError: it is no length.
    """
    module = bool(pipeline(checkpoint.root, "document"))
    said = _said_length(checkpoint, "document") if module else None
    if said is not None:
        return said
    most = positions(checkpoint) or LONGEST
    return min(most, _tokenizer_length(checkpoint, least=3) or most)


def _said_length(checkpoint: Checkpoint, side: str) -> int | None:
    """What the settings of the Transformer module say."""
    settings = checkpoint.transformer_settings
    file = f"{TRANSFORMER_SETTINGS[0]} of {checkpoint.name!r}"
    loaded = _arguments(settings, "tokenizer") | _arguments(settings, "processor")
    for key, value in (
        ("max_length", _call(settings).get("max_length")),
        (f"{side}_length", settings.get(f"{side}_length")),
        ("model_max_length", loaded.get("model_max_length")),
        ("max_seq_length", settings.get("max_seq_length")),
    ):
        if value is not None:
            return whole_number(value, file, key, least=3)
    return None


def declared_cut(checkpoint: Checkpoint) -> int:
    """Tokens of a text, without special ones, that a table's tokenizer lets count; 0 for all.

    Raises:
        InputError: it is no length.
    """
    return _tokenizer_length(checkpoint, least=1)


def _tokenizer_length(checkpoint: Checkpoint, least: int) -> int:
    """What tokenizer_config.json says, 0 for no limit."""
    value = (checkpoint.json(TOKENIZER_SETTINGS) or {}).get("model_max_length")
    if value is None or (isinstance(value, int | float) and value >= UNLIMITED):
        return 0
    where = f"{TOKENIZER_SETTINGS} of {checkpoint.name!r}"
    return whole_number(value, where, "model_max_length", least)


def check_transformer(checkpoint: Checkpoint, task: str, output: str) -> None:
    """See that the folder asks for nothing of its transformer that isn't done.

    ``task`` and ``output`` are what is done, such as ``fill-mask`` and ``logits``.

    Raises:
        InputError: it asks for something else.
    """
    settings = checkpoint.transformer_settings
    asked = {
        "transformer_task": settings.get("transformer_task", task) != task,
        "modality_config": not _reads_text(settings.get("modality_config"), output),
        "query_expansion": settings.get("query_expansion") is not None,
        "processing_kwargs": any(
            value not in CALL.get(key, ())
            for key, value in _call(settings).items()
            if key != "max_length"
        ),
        "truncation_side": (checkpoint.json(TOKENIZER_SETTINGS) or {}).get("truncation_side")
        not in (None, "right"),
    }
    for name in ARGUMENTS:
        unknown = _arguments(settings, name).keys() - LOADING - {"model_max_length"}
        asked[f"{name}_kwargs ({', '.join(sorted(unknown))})"] = bool(unknown)
    for key, differs in asked.items():
        if differs:
            raise InputError(
                f"the settings of the transformer of {checkpoint.name!r} ask for a {key} that is "
                f"not supported; it is run for {task}, on text as it is, and its {output} are taken"
            )


def whole_number(value: Any, where: str, key: str, least: int) -> int:
    """The value, if it is a whole number from ``least`` to 1,000,000; else raises InputError."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= 1_000_000:
        raise InputError(f"{where} gives {key} as {value!r}; allowed is {least} to 1000000")
    return value


def positions(checkpoint: Checkpoint) -> int | None:
    """The positions that the model has by its config.json, or None where it doesn't say."""
    found = (checkpoint.json(CONFIG) or {}).get("max_position_embeddings")
    return found if isinstance(found, int) and found > 0 else None


def _object(settings: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = settings.get(key)
    if not isinstance(value, dict | None):
        raise InputError(
            f"{TRANSFORMER_SETTINGS[0]} gives {key} as {value!r}; allowed is an object: restore "
            "the checkpoint's own file"
        )
    return value or {}


def _arguments(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What a part is loaded with, by the key of this release and by that of earlier ones."""
    return _object(settings, f"{name}_kwargs") | _object(settings, f"{name}_args")


def _call(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the tokenizer is called with."""
    processing = _object(settings, "processing_kwargs")
    return _object(processing, "text") | _object(processing, "common")


def _reads_text(modalities: Any, output: str) -> bool:
    """Whether text goes in as it is, not as a message, and the output asked for comes out."""
    if modalities is None:
        return True
    text = modalities.get("text") if isinstance(modalities, dict) else None
    if not isinstance(text, dict) or "message" in modalities:
        return False
    names = text.get("method_output_name")
    return text.get("method") == "forward" and names in (output, [output])
