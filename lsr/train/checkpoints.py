"""Training state on disk: whole or not at all, without pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lsr.errors import InputError


def save_state(path: Path, tensors: Mapping[str, torch.Tensor], values: Mapping[str, Any]) -> None:
    """Replace the state in a file; after a crash there is the old one or the new one.

    Args:
        path: a safetensors file.
        tensors: on any device.
        values: what JSON can hold; they stand in the file's metadata.
    """
    from safetensors.torch import save_file

    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    working = path.with_suffix(".partial")
    save_file(held, working, metadata={"values": json.dumps(values)})
    with working.open("rb") as stream:
        os.fsync(stream.fileno())
    working.replace(path)


def load_state(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
    """What ``save_state`` wrote, or None where there is nothing.

    Raises:
        InputError: it is damaged.
    """
    from safetensors import safe_open
    from safetensors.torch import load_file

    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            values = json.loads(file.metadata()["values"])
        return load_file(path), values
    except Exception as error:  # what safetensors raises has no common base
        raise InputError(
            f"the training state {path} is damaged ({error}); remove it to begin anew"
        ) from error
