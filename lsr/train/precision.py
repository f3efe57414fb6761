"""What a model computes in while it is trained: float32, or bfloat16 where torch's autocast can."""

from __future__ import annotations

from typing import Any

import torch


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The block in which a model on that device computes as ``MemoryConfig.precision`` says."""
    return torch.autocast(device.type, torch.bfloat16, enabled=is_halved(device, precision))


def is_halved(device: torch.device, precision: str) -> bool:
    """Whether it computes in bfloat16."""
    return precision == "bfloat16" or (precision == "auto" and device.type != "cpu")


def attend_plainly(model: Any) -> None:
    """Compute attention by products and a softmax, on a processor.

    In bfloat16 torch's fused attention takes 1.4 to 1.7 times as long there for texts of up to 256
    tokens, forward and backward of the whole body.
    """
    fused = getattr(model.config, "_attn_implementation", "") == "sdpa"
    if fused and model.device.type == "cpu":
        model.set_attn_implementation("eager")
