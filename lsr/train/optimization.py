"""AdamW as every training here runs it: which weights decay, and how the rate rises and falls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

FULL_RATE = "full_rate"


def rate_share(step: int, steps: int, warm_up: float) -> float:
    """Share of the full learning rate at a step, counted from 0.

    It rises linearly over the share ``warm_up`` of all ``steps``, and falls linearly to 0.
    """
    rising = (step + 1) / max(1.0, warm_up * steps)
    falling = (steps - step) / max(1.0, (1 - warm_up) * steps)
    return min(1.0, rising, falling)


def adamw(
    parameters: Iterable[torch.nn.Parameter],
    rate: float,
    weight_decay: float,
    table: Iterable[torch.nn.Parameter] = (),
    table_rate: float = 0.0,
) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) over what needs gradients.

    Vectors, which are biases and scales, do not decay; nor does a query ``table``, which has a rate
    of its own.
    """
    trained = [each for each in parameters if each.requires_grad]
    groups: list[dict[str, Any]] = [
        {
            "params": [each for each in trained if each.ndim > 1],
            FULL_RATE: rate,
            "weight_decay": weight_decay,
        },
        {"params": [each for each in trained if each.ndim <= 1], FULL_RATE: rate},
        {"params": list(table), FULL_RATE: table_rate},
    ]
    groups = [{"weight_decay": 0.0} | group for group in groups if group["params"]]
    return torch.optim.AdamW(groups, fused=True)


def update(optimizer: torch.optim.Optimizer, share: float, max_norm: float) -> None:
    """Take a step at a share of the full rates, and forget the gradients.

    The gradient as a whole is shortened to ``max_norm``, unless that is 0.
    """
    for group in optimizer.param_groups:
        group["lr"] = group[FULL_RATE] * share
    if max_norm:
        trained = [each for group in optimizer.param_groups for each in group["params"]]
        torch.nn.utils.clip_grad_norm_(trained, max_norm)
    optimizer.step()
    optimizer.zero_grad()
