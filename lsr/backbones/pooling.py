"""One vector of the states of a text's tokens, as sentence-transformers' Pooling makes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from lsr.backbones.checkpoint import Checkpoint
from lsr.errors import InputError

if TYPE_CHECKING:
    import torch

# The ways to pool, in the order in which old releases put several side by side.
POOLINGS = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
# Keys of old releases, one switch each.
SWITCHES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


class DeclaredPooling(NamedTuple):
    """The ways to pool, joined by a plus, and whether the tokens of the prompt count."""

    modes: str = "mean"
    include_prompt: bool = True


def declared_pooling(checkpoint: Checkpoint, folder: str) -> DeclaredPooling:
    """What a Pooling module declares; without one, the last token of a causal language model.

    Raises:
        InputError: it is none of the known ways, or no way at all.
    """
    settings = checkpoint.json(f"{folder}/config.json")
    if settings is None:
        return DeclaredPooling("lasttoken" if _is_causal(checkpoint) else "mean")
    modes = settings.get("pooling_mode")
    if modes is None:
        switched = [mode for key, mode in SWITCHES.items() if settings.get(key) is True]
        modes = switched or ["mean"]
    modes = [modes] if isinstance(modes, str) else modes
    included = settings.get("include_prompt", True)
    if not isinstance(modes, list) or not modes or any(mode not in POOLINGS for mode in modes):
        raise InputError(
            f"the checkpoint {checkpoint.name!r} pools by {modes!r}; allowed are "
            f"{', '.join(POOLINGS)}"
        )
    if not isinstance(included, bool):
        raise InputError(
            f"the Pooling of {checkpoint.name!r} gives include_prompt as {included!r}; allowed are "
            "true and false"
        )
    return DeclaredPooling("+".join(modes), included)


def pool(states: torch.Tensor, mask: torch.Tensor, modes: str, leave_out: int = 0) -> torch.Tensor:
    """float (b, width times the number of modes) of the states of a padded batch.

    Args:
        states: float (b, length, width); the padding is on the right.
        mask: int64 (b, length), 1 at real tokens.
        modes: the ways to pool, joined by a plus; their vectors are put side by side.
        leave_out: so many tokens at the beginning of each text, the prompt's, don't count.
    """
    import torch

    if leave_out:
        mask = mask.clone()
        mask[:, :leave_out] = 0
    parts = [POOLERS[mode](states, mask) for mode in modes.split("+")]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def _first(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return _at(states, mask.argmax(dim=1))


def _last(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    length = mask.shape[1]
    last = length - 1 - mask.flip(1).argmax(dim=1)
    return _at(states * mask.unsqueeze(-1), last)


def _at(states: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    import torch

    return states[torch.arange(len(states), device=states.device), places]


def _largest(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return states.masked_fill(mask.unsqueeze(-1) == 0, float("-inf")).amax(dim=1)


def _mean(states: torch.Tensor, mask: torch.Tensor, power: float = 1.0) -> torch.Tensor:
    real = mask.unsqueeze(-1).to(states.dtype)
    return (states * real).sum(dim=1) / real.sum(dim=1).clamp(min=1e-9) ** power


def _weighted_mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    import torch

    places = torch.arange(1, states.shape[1] + 1, device=states.device, dtype=states.dtype)
    return _mean(states, mask * places)


POOLERS: dict[str, Callable[[Any, Any], Any]] = {
    "cls": _first,
    "max": _largest,
    "mean": _mean,
    "mean_sqrt_len_tokens": lambda states, mask: _mean(states, mask, 0.5),
    "weightedmean": _weighted_mean,
    "lasttoken": _last,
}


def _is_causal(checkpoint: Checkpoint) -> bool:
    config = checkpoint.json("config.json") or {}
    architectures = config.get("architectures")
    if not isinstance(architectures, list) or not architectures:
        return False
    return str(architectures[0]).endswith("ForCausalLM") and bool(config.get("is_causal", True))
