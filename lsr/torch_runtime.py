"""torch and transformers, imported where they are first needed, with their errors explained."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from lsr.checkpoint import Checkpoint
from lsr.errors import InputError, MissingDependencyError


def transformers() -> ModuleType:
    """The transformers package, with torch present.

    Raises:
        MissingDependencyError: one of the two is not installed.
    """
    for package in ("torch", "transformers"):
        try:
            module = importlib.import_module(package)
        except ImportError as error:
            raise MissingDependencyError("encoding with a model", package, "models") from error
    module.logging.set_verbosity_error()
    module.logging.disable_progress_bar()
    return module


def load_tokenizer(checkpoint: Checkpoint) -> Any:
    """The fast form of a checkpoint's tokenizer, through transformers.

    Raises:
        InputError: it has no tokenizer files, or no fast form.
    """
    loader = transformers().AutoTokenizer
    try:
        tokenizer = loader.from_pretrained(checkpoint.folder)
    except Exception as error:  # what transformers raises has no common base
        raise InputError(
            f"the tokenizer of {checkpoint.name!r} can't be loaded ({_first_line(error)}); "
            "use a checkpoint that has a tokenizer.json"
        ) from error
    # Without its files transformers makes a tokenizer that knows no word.
    found = any(map(checkpoint.path, tokenizer.vocab_files_names.values()))
    if not found or getattr(tokenizer, "backend_tokenizer", None) is None:
        raise InputError(
            f"the checkpoint {checkpoint.name!r} has no tokenizer with a fast form; "
            "use a checkpoint that has a tokenizer.json"
        )
    return tokenizer.backend_tokenizer


def longest_input(model: Any, wanted: int) -> int:
    """``wanted`` tokens, or as many as a model has positions for.

    Positions of the RoBERTa family begin after the padding index.
    """
    limit = getattr(model.config, "max_position_embeddings", None) or wanted
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None):
            limit -= module.padding_idx + 1
    return min(wanted, limit)


def load_model(checkpoint: Checkpoint, auto_class: str, dtype: str = "float32") -> Any:
    """A checkpoint as a module in inference mode, on the GPU where there is one.

    Args:
        checkpoint: where the configuration and the safetensors weights are.
        auto_class: name of a transformers class such as ``AutoModelForMaskedLM``.
        dtype: ``float32``, ``bfloat16`` or ``float16``; ``auto`` is bfloat16 on a GPU, else
            float32.

    Raises:
        InputError: transformers can't load it as that class, or it lacks weights of that class.
    """
    loader = getattr(transformers(), auto_class)
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == "auto":
        dtype = "bfloat16" if device == "cuda" else "float32"
    try:
        model, info = loader.from_pretrained(
            checkpoint.folder,
            dtype=getattr(torch, dtype),
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except Exception as error:  # what transformers and safetensors raise has no common base
        raise InputError(
            f"the checkpoint {checkpoint.name!r} can't be loaded as {auto_class} "
            f"({_first_line(error)})"
        ) from error
    # transformers fills what is missing with random numbers; a pooler is not used here.
    if missing := sorted(key for key in info["missing_keys"] if "pooler" not in key):
        raise InputError(
            f"the checkpoint {checkpoint.name!r} lacks {len(missing)} weights of an {auto_class}, "
            f"such as {missing[0]}; give a checkpoint that was trained as one"
        )
    return model.eval().to(device)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
