"""The vocabulary projection of a masked language model, pooled by maximum, tile by tile."""

from __future__ import annotations

import torch

VOCABULARY_TILE = 512


def max_over_positions(
    hidden: torch.Tensor,
    mask: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    tile: int = VOCABULARY_TILE,
) -> torch.Tensor:
    """Largest logit of each term over the positions of each text.

    The logits of one tile of terms exist at a time, never the (batch, length, vocabulary)
    tensor. The maximum is taken on raw logits: ReLU and logarithm are monotone, so pooling first
    gives the same vector as SPLADE's max pooling (Formal et al. 2021b, eq. 1) for a fraction of
    the work. Adding the bias after the maximum is exact as well, for it is one constant a term.

    Args:
        hidden: (batch, length, width), the states that enter the projection.
        mask: (batch, length), non-zero at real tokens; position 0 must be real.
        weight: (vocabulary, width).
        bias: (vocabulary,) or None.
        tile: terms in a tile.

    Returns:
        (batch, vocabulary) raw logits.
    """
    batch, length, width = hidden.shape
    # A padded position repeats position 0, so it can't change a maximum.
    positions = torch.where(mask.bool().unsqueeze(-1), hidden, hidden[:, :1])
    positions = positions.reshape(batch * length, width)
    pooled = hidden.new_empty(batch, weight.shape[0])
    for start in range(0, weight.shape[0], tile):
        logits = positions @ weight[start : start + tile].T
        pooled[:, start : start + tile] = logits.view(batch, length, -1).amax(dim=1)
    return pooled if bias is None else pooled + bias
