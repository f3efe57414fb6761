"""Max pooling over the vocabulary projection, forward and backward, without the logits."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.backbones.dense_maxima import DenseMaxima, dense_maxima
from lsr.backbones.projection import VOCABULARY_TILE, VocabularyProjection, positive
from lsr.encoders.term_pooling import owners
from lsr.sparse import SparseBatch

# Where logits are searched by the native core; elsewhere by few large operations.
HOST = "cpu"
Keep = Callable[[SparseBatch], SparseBatch]


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
        keep: leaves out weights, such as those of special tokens, or all but the k largest.
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
        maxima = None
        if device.type == HOST:
            pooled = projection.largest(fixed, offsets)
        else:
            maxima = _searched(fixed, projection, offsets, search)
            pooled = positive(maxima.values)
        if keep is not None:
            pooled = keep(pooled)
        self.rows = torch.from_numpy(owners(pooled)).to(device)
        self.terms = torch.from_numpy(pooled.indices.astype(np.int64)).to(device)
        if maxima is None:
            winners = winning_positions(fixed, weight.detach(), offsets, pooled)
        else:
            winners = maxima.positions[self.rows, self.terms]
        self.values: torch.Tensor = _Logits.apply(  # type: ignore[no-untyped-call]
            states, weight, bias, winners, self.terms
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
    """weight[term] . state[position] + bias[term] of chosen pairs; gradients only where chosen."""

    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        positions: torch.Tensor,
        terms: torch.Tensor,
    ) -> torch.Tensor:
        ctx.save_for_backward(states, weight, positions, terms)
        ctx.bias = None if bias is None else bias.shape
        values = (states[positions] * weight[terms]).sum(dim=1)
        return values if bias is None else values + bias[terms]

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = gradients
        states, weight, positions, terms = ctx.saved_tensors
        of_states = of_weight = of_bias = None
        column = gradient.unsqueeze(1)
        if ctx.needs_input_grad[0]:
            of_states = torch.zeros_like(states)
            of_states.index_add_(0, positions, column * weight[terms])
        if ctx.needs_input_grad[1]:
            of_weight = torch.zeros_like(weight)
            of_weight.index_add_(0, terms, column * states[positions])
        if ctx.bias is not None and ctx.needs_input_grad[2]:
            of_bias = gradient.new_zeros(ctx.bias).index_add_(0, terms, gradient)
        return of_states, of_weight, of_bias, None, None


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
