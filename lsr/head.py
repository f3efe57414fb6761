"""The vocabulary projection of a language model, pooled over positions tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.sparse import SparseBatch

VOCABULARY_TILE = 512


class VocabularyProjection:
    """Logit of each term at each position, and what is left of it after pooling.

    The logits of one tile of terms exist at a time, never the (batch, length, vocabulary)
    tensor. A batch comes packed, without padding: ``states`` float (tokens, width) are what
    enters the projection, and document d owns the rows ``offsets[d]`` to ``offsets[d + 1]``,
    int64 (documents + 1,); each has at least one.

    Args:
        weight: (at least ``terms``, width).
        bias: (at least ``terms``,) or None.
        terms: how many rows of the projection are terms; the rest pads it.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, terms: int) -> None:
        self.weight = weight.detach()[:terms]
        self.bias = None if bias is None else bias.detach()[:terms]
        self.terms = terms

    def largest(
        self, states: torch.Tensor, offsets: NDArray[np.int64], floor: float = 0.0
    ) -> SparseBatch:
        """Largest logit of each term over the positions of each document, where above ``floor``.

        The maximum is taken on raw logits: ReLU and logarithm are monotone, so pooling first
        gives the same vector as SPLADE's max pooling (Formal et al. 2021b, eq. 1) for a fraction
        of the work.
        """
        lengths = np.diff(offsets)
        if states.device.type == "cpu":
            parts = lengths.tolist()

            def pool(logits: torch.Tensor) -> torch.Tensor:
                return torch.stack([part.amax(dim=0) for part in torch.split(logits, parts)])

        else:
            owners = _owners(lengths, states.device)

            def pool(logits: torch.Tensor) -> torch.Tensor:
                lowest = logits.new_full((len(lengths), logits.shape[1]), -torch.inf)
                return lowest.scatter_reduce_(0, owners.expand_as(logits), logits, "amax")

        return self._pooled(states, len(lengths), pool, floor)

    def summed(
        self,
        states: torch.Tensor,
        offsets: NDArray[np.int64],
        activation: Callable[[torch.Tensor], torch.Tensor],
    ) -> SparseBatch:
        """Sum of ``activation(logit)`` over the positions of each document, where positive.

        SPLADE's first form (Formal et al. 2021a, eq. 3).
        """
        lengths = np.diff(offsets)
        owners = _owners(lengths, states.device).flatten()

        def pool(logits: torch.Tensor) -> torch.Tensor:
            nothing = logits.new_zeros(len(lengths), logits.shape[1])
            return nothing.index_add_(0, owners, activation(logits))

        return self._pooled(states, len(lengths), pool, 0.0)

    def _pooled(
        self,
        states: torch.Tensor,
        documents: int,
        pool: Callable[[torch.Tensor], torch.Tensor],
        floor: float,
    ) -> SparseBatch:
        rows, terms, values = [], [], []
        for start, logits in self._tiles(states):
            pooled = pool(logits)
            # What is not a number stays, so that it is found and refused.
            row, term = torch.nonzero(~(pooled <= floor), as_tuple=True)
            values.append(pooled[row, term].float().cpu().numpy())
            rows.append(row.cpu().numpy())
            terms.append((term + start).cpu().numpy())
        owners = np.concatenate(rows)
        order = np.argsort(owners, kind="stable")
        indptr = np.searchsorted(owners[order], np.arange(documents + 1))
        return SparseBatch(
            indptr.astype(np.int64),
            np.concatenate(terms)[order].astype(np.int32),
            np.concatenate(values)[order],
            self.terms,
        )

    def _tiles(self, states: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
        for start in range(0, self.terms, VOCABULARY_TILE):
            logits = states @ self.weight[start : start + VOCABULARY_TILE].T
            if self.bias is not None:
                logits += self.bias[start : start + VOCABULARY_TILE]
            yield start, logits


def _owners(lengths: NDArray[np.int64], device: torch.device) -> torch.Tensor:
    """int64 (tokens, 1): the document of each token."""
    return torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths)).to(device).unsqueeze(1)
