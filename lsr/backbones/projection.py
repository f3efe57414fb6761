"""The vocabulary projection of a language model, pooled over positions tile by tile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from lsr._core import kernels
from lsr.backbones.dense_maxima import dense_maxima
from lsr.backbones.screening import ScreenedProjection
from lsr.sparse import SparseBatch

VOCABULARY_TILE = 512
# The portable kernels are slower than torch's matrix product in float.
HAS_FAST_KERNELS = len(kernels()) > 1


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
        self._lock = threading.Lock()
        self._prepared = False
        self._screened: ScreenedProjection | None = None

    def largest(
        self, states: torch.Tensor, offsets: NDArray[np.int64], floor: float = 0.0
    ) -> SparseBatch:
        """Largest logit of each term over the positions of each document, where above ``floor``.

        The maximum is taken on raw logits: ReLU and logarithm are monotone, so pooling first
        gives the same vector as SPLADE's max pooling (Formal et al. 2021b) for a fraction
        of the work. On a processor with AVX2 the native core computes only the logits that can
        reach the floor, with the same result; elsewhere torch computes all. A document with
        states that are not finite has a weight that is not a number.
        """
        if screened := self._screening(states):
            return screened.largest(states.numpy(), offsets, floor)
        if states.device.type == "cpu":
            return self._tiled_largest(states, offsets, floor)
        return self._largest_at_once(states, offsets, floor)

    def winners(
        self, states: torch.Tensor, offsets: NDArray[np.int64]
    ) -> tuple[SparseBatch, NDArray[np.int64]] | None:
        """``largest``, and of each weight the row of ``states`` that gives it, int64 (nnz,).

        Of equal ones the first. None where the native core can't be used.
        """
        screened = self._screening(states)
        return screened.winners(states.numpy(), offsets) if screened else None

    def _largest_at_once(
        self, states: torch.Tensor, offsets: NDArray[np.int64], floor: float
    ) -> SparseBatch:
        """``largest`` in few large operations, for a GPU."""
        return positive(dense_maxima(states, self.weight, self.bias, offsets).values, floor)

    def _tiled_largest(
        self, states: torch.Tensor, offsets: NDArray[np.int64], floor: float
    ) -> SparseBatch:
        """``largest`` by torch, a tile of terms at a time."""
        lengths = np.diff(offsets).tolist()

        def maximum(logits: torch.Tensor) -> torch.Tensor:
            return torch.stack([part.amax(dim=0) for part in torch.split(logits, lengths)])

        return self._pooled(states, len(lengths), maximum, floor)

    def summed(
        self,
        states: torch.Tensor,
        offsets: NDArray[np.int64],
        activation: Callable[[torch.Tensor], torch.Tensor],
    ) -> SparseBatch:
        """Sum of ``activation(logit)`` over the positions of each document, where positive.

        SPLADE's first form (Formal et al. 2021a).
        """
        lengths = np.diff(offsets)
        owners = _owners(lengths, states.device).flatten()

        def pool(logits: torch.Tensor) -> torch.Tensor:
            nothing = logits.new_zeros(len(lengths), logits.shape[1])
            return nothing.index_add_(0, owners, activation(logits))

        return self._pooled(states, len(lengths), pool, 0.0)

    def _screening(self, states: torch.Tensor) -> ScreenedProjection | None:
        """The native projection where it can be used.

        A damaged checkpoint's weights, which are not all finite, are for torch, whose results
        then are no numbers either.
        """
        if states.device.type != "cpu" or states.dtype != torch.float32 or not HAS_FAST_KERNELS:
            return None
        with self._lock:
            if not self._prepared:
                self._prepared = True
                weight = self.weight.float().contiguous()
                bias = None if self.bias is None else self.bias.float().contiguous()
                # One that is not finite makes the sum so, in a tenth of the time of a look at each.
                finite = [part.sum().isfinite() for part in (weight, bias) if part is not None]
                if all(finite):
                    self._screened = ScreenedProjection(
                        weight.numpy(), None if bias is None else bias.numpy()
                    )
            return self._screened

    def top_of_positions(
        self, states: torch.Tensor, k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The k largest logits of each position, or all if there are fewer, and their terms.

        Returns:
            float32 and int64 (tokens, k), largest first.
        """
        best: torch.Tensor | None = None
        terms: torch.Tensor | None = None
        for start, logits in self._tiles(states):
            places = torch.arange(start, start + logits.shape[1], device=logits.device)
            places = places.expand_as(logits)
            if best is not None and terms is not None:
                logits, places = torch.cat([best, logits], 1), torch.cat([terms, places], 1)
            best, chosen = logits.topk(min(k, logits.shape[1]), dim=1)
            terms = places.gather(1, chosen)
        assert best is not None
        assert terms is not None
        return best.float().cpu().numpy(), terms.cpu().numpy()

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


class WholeLogits(VocabularyProjection):
    """The same of a model whose head is more than one matrix and a bias.

    The logits themselves, float (tokens, at least ``terms``), come in as the states.
    """

    def __init__(self, terms: int) -> None:
        super().__init__(torch.empty(0), None, terms)

    def _screening(self, states: torch.Tensor) -> None:
        return None

    def _largest_at_once(
        self, states: torch.Tensor, offsets: NDArray[np.int64], floor: float
    ) -> SparseBatch:
        return self._tiled_largest(states, offsets, floor)

    def _tiles(self, states: torch.Tensor) -> Iterator[tuple[int, torch.Tensor]]:
        for start in range(0, self.terms, VOCABULARY_TILE):
            yield start, states[:, start : min(start + VOCABULARY_TILE, self.terms)]


def positive(values: torch.Tensor, floor: float = 0.0) -> SparseBatch:
    """What is above ``floor``, or is no number, of values (texts, terms) on any device."""
    rows, terms = torch.nonzero(~(values <= floor), as_tuple=True)
    ends = torch.bincount(rows, minlength=len(values)).cumsum(0)
    return SparseBatch(
        np.concatenate([np.zeros(1, np.int64), ends.cpu().numpy()]),
        terms.to(torch.int32).cpu().numpy(),
        values[rows, terms].float().cpu().numpy(),
        values.shape[1],
    )


def _owners(lengths: NDArray[np.int64], device: torch.device) -> torch.Tensor:
    """int64 (tokens, 1): the document of each token."""
    return torch.from_numpy(np.repeat(np.arange(len(lengths)), lengths)).to(device).unsqueeze(1)
