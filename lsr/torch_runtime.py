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


def load_model(checkpoint: Checkpoint, auto_class: str) -> Any:
    """A checkpoint as a float32 module in inference mode, on the GPU where there is one.

    Args:
        checkpoint: where the configuration and the safetensors weights are.
        auto_class: name of a transformers class such as ``AutoModelForMaskedLM``.

    Raises:
        InputError: transformers can't load it as that class.
    """
    loader = getattr(transformers(), auto_class)
    import torch

    try:
        model = loader.from_pretrained(
            checkpoint.folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
        )
    except (ValueError, OSError, KeyError, RuntimeError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(
            f"the checkpoint {checkpoint.name!r} can't be loaded as {auto_class} ({reason})"
        ) from error
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
