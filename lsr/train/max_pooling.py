"""Max pooling over the vocabulary projection, forward and backward, without the logits."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lsr._core import add_gradients
from lsr.backbones.dense_maxima import DenseMaxima, dense_maxima
from lsr.backbones.projection import VOCABULARY_TILE, VocabularyProjection, positive
from lsr.encoders.term_pooling import owners
from lsr.sparse import SparseBatch

# Where logits are searched by the native core; elsewhere by few large operations.
HOST = "cpu"
Keep = Callable[[SparseBatch], NDArray[np.bool_]]


class PooledMaxima:
    """The largest logit of each term over the positions of each text, where it is positive.

    ``values`` float (nnz,) has a gradient; ``rows`` and ``terms``, int64 (nnz,), say which weight
    of which text each one is, ascending.

    The gradient of a maximum belongs to the position that has it, and that of a logit below zero
    is zero behind the ReLU. So nothing but the winning position of each positive term takes part
    in the backward pass, and neither direction holds (batch, length, vocabulary) logits: forward
    they are computed a tile of terms at a time, or screened in 8-bit integers first
    (``lsr.backbones.projection``). On a GPU tiles are as large as its memory likes, and which
    logit is the largest is decided in the type of ``search``; values and gradients are of the type
    of the states.

    Args:
        states: float (tokens, width), without padding.
        weight: (at least ``terms``, width).
        bias: (at least ``terms``,), or None.
        offsets: int64 (texts + 1,), where each text's states begin; each has at least one.
        projection: of the same weight and bias.
        keep: bool (nnz,), which weights stay, such as those of no special token.
        search: the type of the logits that are compared on a GPU.
    """

    def __init__(
        self,
        states: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        offsets: NDArray[np.int64],
        projection: VocabularyProjection,
        keep: Keep | None = None,
        search: torch.dtype = torch.float32,
    ) -> None:
        fixed, device = states.detach(), states.device
        maxima = native = None
        if device.type != HOST:
            maxima = _searched(fixed, projection, offsets, search)
            pooled = positive(maxima.values)
        elif native := projection.winners(fixed, offsets):
            pooled = native[0]
        else:
            pooled = projection.largest(fixed, offsets)
        kept = None if keep is None else keep(pooled)
        if kept is not None:
            pooled = pooled.keep(kept)
        self.rows = torch.from_numpy(owners(pooled)).to(device)
        self.terms = torch.from_numpy(pooled.indices.astype(np.int64)).to(device)
        if native is not None:
            winners = torch.from_numpy(native[1] if kept is None else native[1][kept])
        elif maxima is not None:
            winners = maxima.positions[self.rows, self.terms]
        else:
            winners = winning_positions(fixed, weight.detach(), offsets, pooled)
        found = None if native is None else torch.from_numpy(pooled.values)
        self.values: torch.Tensor = _Logits.apply(  # type: ignore[no-untyped-call]
            states, weight, bias, winners, self.terms, found
        )


def _searched(
    states: torch.Tensor,
    projection: VocabularyProjection,
    offsets: NDArray[np.int64],
    dtype: torch.dtype,
) -> DenseMaxima:
    bias = None if projection.bias is None else projection.bias.to(dtype)
    return dense_maxima(states.to(dtype), projection.weight.to(dtype), bias, offsets)


class _Logits(torch.autograd.Function):
    """weight[term] . state[position] + bias[term] of chosen pairs; gradients only where chosen.

    What the native core has ``found`` they are is not computed again, and their gradients are its
    work too: a row of floats for each of a new head's million weights would be half a gigabyte.
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        positions: torch.Tensor,
        terms: torch.Tensor,
        found: torch.Tensor | None,
    ) -> torch.Tensor:
        ctx.save_for_backward(states, weight, positions, terms)
        ctx.bias = None if bias is None else bias.shape
        ctx.native = found is not None
        if found is not None:
            return found
        values = (states[positions] * weight[terms]).sum(dim=1)
        return values if bias is None else values + bias[terms]

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = gradients
        states, weight, positions, terms = ctx.saved_tensors
        of_states = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_states = torch.zeros_like(states)
        if ctx.needs_input_grad[1]:
            of_weight = torch.zeros_like(weight)
        if ctx.native:
            _add_gradients(gradient, positions, terms, states, weight, of_states, of_weight)
        else:
            column = gradient.unsqueeze(1)
            if of_states is not None:
                of_states.index_add_(0, positions, column * weight[terms])
            if of_weight is not None:
                of_weight.index_add_(0, terms, column * states[positions])
        if ctx.bias is not None and ctx.needs_input_grad[2]:
            of_bias = gradient.new_zeros(ctx.bias).index_add_(0, terms, gradient)
        return of_states, of_weight, of_bias, None, None, None


def _add_gradients(*tensors: torch.Tensor | None) -> None:
    """``lsr._core.add_gradients`` of tensors."""
    add_gradients(*(None if t is None else t.detach().contiguous().numpy() for t in tensors))  # type: ignore[arg-type]


def winning_positions(
    states: torch.Tensor,
    weight: torch.Tensor,
    offsets: NDArray[np.int64],
    pooled: SparseBatch,
) -> torch.Tensor:
    """int64 (nnz,): the row of ``states`` that gives each pooled term its largest logit.

    Of equal ones the first. The bias, which is equal at all positions, does not matter.
    """
    winners = torch.empty(pooled.nnz, dtype=torch.int64, device=states.device)
    for text, (first, last) in enumerate(itertools.pairwise(offsets)):
        own = states[first:last]
        for start in range(int(pooled.indptr[text]), int(pooled.indptr[text + 1]), VOCABULARY_TILE):
            end = min(start + VOCABULARY_TILE, int(pooled.indptr[text + 1]))
            terms = torch.from_numpy(pooled.indices[start:end].astype(np.int64)).to(states.device)
            winners[start:end] = (own @ weight[terms].T).argmax(dim=0) + int(first)
    return winners
