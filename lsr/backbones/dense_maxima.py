"""Max pooling over the vocabulary projection in few large operations, as a GPU likes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

# Logits that exist at a time: half a gibibyte of bfloat16.
LOGITS_AT_A_TIME = 1 << 28


@dataclass(frozen=True, slots=True, eq=False)
class DenseMaxima:
    """``values`` (texts, terms), in the type of the states, and the ``positions``, int64, of each.

    A position is a row of the packed states: of equal logits of a text one of them.
    """

    values: torch.Tensor
    positions: torch.Tensor


def dense_maxima(
    states: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    offsets: NDArray[np.int64],
) -> DenseMaxima:
    """The largest logit of each term over the positions of each text, and where it is.

    Texts are laid side by side, short ones filled up with their own last position, which changes
    no maximum: one matrix product and one maximum a tile of terms, and nothing to wait for.

    Args:
        states: float (tokens, width), without padding.
        weight: (terms, width), of the same type.
        bias: (terms,) or None.
        offsets: int64 (texts + 1,), where each text's states begin; each has at least one.
    """
    device = states.device
    lengths = np.diff(offsets)
    longest = int(lengths.max(initial=1))
    places = offsets[:-1, None] + np.minimum(np.arange(longest), lengths[:, None] - 1)
    packed = torch.from_numpy(places).to(device)
    side_by_side = states[packed]
    shape = len(lengths), len(weight)
    values = states.new_empty(shape)
    winners = torch.empty(shape, dtype=torch.int64, device=device)
    tile = max(1, LOGITS_AT_A_TIME // max(1, places.size))
    for start in range(0, len(weight), tile):
        end = start + tile
        torch.max(
            side_by_side @ weight[start:end].T,
            dim=1,
            out=(values[:, start:end], winners[:, start:end]),
        )
    if bias is not None:
        values += bias
    return DenseMaxima(values, packed.gather(1, winners))
