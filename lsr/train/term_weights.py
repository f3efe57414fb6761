"""Term weights from one number a position, with a gradient."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.train.components import MlpConfig
from lsr.train.regularizers import saturate


def activated(numbers: torch.Tensor, mlp: MlpConfig) -> torch.Tensor:
    """Weights of positions, of the numbers that the term head gives them."""
    if mlp.activation == "softplus":
        numbers = torch.nn.functional.softplus(numbers)
    return saturate(numbers, mlp.logs)


def pool_positions(
    weights: torch.Tensor,
    rows: NDArray[np.int64],
    terms: NDArray[np.int64],
    shape: tuple[int, int],
    how: str,
) -> torch.Tensor:
    """float (texts, V): one weight of each term in each text, with a gradient.

    As ``lsr.encoders.term_pooling.pool_terms`` at inference.

    Args:
        weights: float (n,), 0 or above, of positions.
        rows: int64 (n,), the text of each.
        terms: int64 (n,), its term.
        shape: number of texts, and size of the vocabulary.
        how: ``max``, ``sum``, or ``first`` for the position that comes first in its text.
    """
    texts, size = shape
    keys = rows * np.int64(size) + terms
    if how == "first":
        keys, first = np.unique(keys, return_index=True)
        weights = weights[torch.from_numpy(first).to(weights.device)]
    places = torch.from_numpy(keys).to(weights.device)
    nothing = weights.new_zeros(texts * size)
    reduction = "amax" if how == "max" else "sum"
    return nothing.scatter_reduce(0, places, weights, reduction).view(texts, size)
