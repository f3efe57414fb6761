"""torch and transformers, imported where they are first needed, with their errors explained."""

from __future__ import annotations

import importlib
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from lsr.errors import MissingDependencyError

# Of NVIDIA, the same under Windows' Linux, and of AMD.
GPU_DEVICES = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def transformers(feature: str = "encoding with a model", extra: str = "models") -> ModuleType:
    """The transformers package, with torch present; the ``feature`` needs them, an extra has them.

    Raises:
        MissingDependencyError: one of the two is not installed.
    """
    for package in ("torch", "transformers"):
        try:
            module = importlib.import_module(package)
        except ImportError as error:
            raise MissingDependencyError(feature, package, extra) from error
    module.logging.set_verbosity_error()
    module.logging.disable_progress_bar()
    return module


def has_gpu() -> bool:
    """Whether torch is installed and computes on a GPU here.

    torch, whose import takes seconds, is asked only where there is a device to ask for.
    """
    if find_spec("torch") is None or not any(Path(device).exists() for device in GPU_DEVICES):
        return False
    torch = importlib.import_module("torch")
    return bool(torch.cuda.is_available())


def imported_torch() -> ModuleType | None:
    """torch, where something has imported it to the end; it is not imported."""
    torch = sys.modules.get("torch")
    unfinished = torch is None or getattr(torch.__spec__, "_initializing", False)
    return None if unfinished else torch


def inference_mode() -> AbstractContextManager[Any]:
    """torch's, where something has imported it; else there is nothing to switch."""
    torch = imported_torch()
    return nullcontext() if torch is None else torch.inference_mode()


def seed_torch(seed: int) -> None:
    """Let torch's random numbers begin from a seed, on GPUs too where there are some.

    Without one, torch.manual_seed would note every call with its stack, for a GPU that may be
    initialised later: milliseconds a call, and memory that is never freed.
    """
    torch = importlib.import_module("torch")
    if torch.cuda.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


def first_line(error: Exception) -> str:
    """What transformers or safetensors say first of an error, which is what matters."""
    return str(error).strip().split("\n")[0]
