"""The state of a training run in one safetensors file: weights, optimizer, step, settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from lsr.errors import InputError, UsageError
from lsr.whole_file import replacing

Parameters = Mapping[str, torch.nn.Parameter]


def step_seed(seed: int, step: int) -> int:
    """What random numbers of a step, such as dropout, begin from: on seed and step alone.

    A resumed training then draws the same ones, whatever else has drawn some in between.
    """
    return int(np.random.SeedSequence([seed, 2, step]).generate_state(1)[0])


@dataclass(frozen=True)
class Resumed:
    """``step`` steps were taken; ``values`` and ``others`` as they were saved."""

    step: int
    values: dict[str, Any]
    others: dict[str, torch.Tensor]


def save_state(
    path: Path,
    parameters: Parameters,
    optimizer: torch.optim.Optimizer,
    step: int,
    facts: Mapping[str, Any],
    values: Mapping[str, Any] | None = None,
    others: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write the state; the file appears whole or not at all.

    Args:
        path: where.
        parameters: by name, all that are trained; each once.
        optimizer: over these parameters, with a state of tensors.
        step: steps taken so far.
        facts: JSON of what must be the same when training is resumed.
        values: JSON of what else changes from step to step.
        others: tensors that do.
    """
    tensors = {f"weight/{name}": parameter.detach() for name, parameter in parameters.items()}
    for name, parameter in parameters.items():
        for key, value in optimizer.state[parameter].items():
            tensors[f"optimizer/{key}/{name}"] = value
    for name, tensor in (others or {}).items():
        tensors[f"other/{name}"] = tensor
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    metadata = {
        "step": str(step),
        "facts": json.dumps(dict(facts)),
        "values": json.dumps(dict(values or {})),
    }
    with replacing(path) as partial:
        save_file(contiguous, partial, metadata=metadata)


def load_state(
    path: Path,
    parameters: Parameters,
    optimizer: torch.optim.Optimizer,
    facts: Mapping[str, Any],
    usual: Mapping[str, Any] | None = None,
) -> Resumed:
    """Put weights and optimizer back as they were saved; arguments as for ``save_state``.

    ``usual`` are facts that held where a state does not tell them, because it is older than they.

    Raises:
        InputError: the file is damaged, or of another model.
        UsageError: it was saved with other facts.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            step, saved = int(metadata["step"]), json.loads(metadata["facts"])
            values = json.loads(metadata["values"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(
            f"{path} is no training state ({error}); delete it to begin anew"
        ) from error
    saved = {name: value for name, value in (usual or {}).items() if name in facts} | saved
    for name in sorted({*facts, *saved}):
        if facts.get(name) != saved.get(name):
            raise UsageError(
                f"{path} was saved with {name}={saved.get(name)!r}, but {name}={facts.get(name)!r} "
                "is asked for; resume with the same, or give another folder"
            )
    if {name.removeprefix("weight/") for name in tensors if name.startswith("weight/")} != {
        *parameters
    }:
        raise InputError(f"{path} holds the weights of another model; delete it to begin anew")
    fused = any(group.get("fused") for group in optimizer.param_groups)
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[f"weight/{name}"])
    for name, tensor in tensors.items():
        kind, _, rest = name.partition("/")
        if kind == "optimizer":
            key, _, owner = rest.partition("/")
            parameter = parameters[owner]
            # Only a fused optimizer has its count of steps on the GPU.
            there = tensor.ndim > 0 or fused
            value = tensor.to(parameter.device) if there else tensor
            optimizer.state[parameter][key] = value
    others = {
        name.removeprefix("other/"): tensor
        for name, tensor in tensors.items()
        if name.startswith("other/")
    }
    return Resumed(step, values, others)
