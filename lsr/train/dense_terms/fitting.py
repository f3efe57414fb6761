"""Vectors of terms that add up to the dense vectors of queries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.errors import InputError
from lsr.sparse import SparseBatch
from lsr.train.dense_terms.config import DenseTermsConfig
from lsr.train.optimization import rate_share

OnFit = Callable[[int, int, float, float, float | None], None]
"""Takes the step, counted from 1, how many there are, its loss, its learning rate, and at the end
of an epoch the mean cosine of the held-out queries."""


@dataclass(frozen=True, eq=False)
class Queries:
    """Term weights of queries, and float (n, dimension) their dense vectors."""

    weights: SparseBatch
    vectors: NDArray[np.float16]


def fit_term_vectors(
    queries: Queries, start: NDArray[np.float32], config: DenseTermsConfig, on_fit: OnFit
) -> NDArray[np.float32]:
    """float32 (V, dimension): v_t, so that sum over terms t of w_t v_t points to the dense vector.

    The mean of 1 - cos(sum of w_t v_t, d) over queries is made small by SparseAdam, from ``start``.
    At last all are multiplied by one number, so that the sums have a mean length of 1. Vectors of
    terms that no query has stay those of the start, times that number.

    Args:
        queries: those without a term or whose vector is zero are left out.
        start: float32 (V, dimension).
        config: epochs, rate, batches, and the share that is held out.
        on_fit: is told of each step.

    Raises:
        InputError: no query is left.
    """
    there = np.diff(queries.weights.indptr) > 0
    usable = np.flatnonzero(there & np.asarray(queries.vectors).any(axis=1))
    random = np.random.default_rng(config.seed)
    usable = random.permutation(usable)
    kept = round(len(usable) * config.held_out)
    held_out, trained = usable[:kept], usable[kept:]
    if not len(trained):
        raise InputError(
            "no query has both a term of the sparse encoder and a dense vector; give other sources"
        )
    bag = torch.nn.EmbeddingBag.from_pretrained(
        torch.from_numpy(start.copy()), freeze=False, mode="sum", sparse=True
    )
    adam = torch.optim.SparseAdam(bag.parameters(), lr=config.learning_rate)
    size = config.batch_size
    steps = config.epochs * -(-len(trained) // size)
    step = 0
    for _ in range(config.epochs):
        order = random.permutation(trained)
        for begin in range(0, len(order), size):
            rate = config.learning_rate * rate_share(step, steps, 0.0)
            for group in adam.param_groups:
                group["lr"] = rate
            loss = 1 - _cosines(bag, queries, order[begin : begin + size]).mean()
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()  # type: ignore[no-untyped-call]
            step += 1
            ended = begin + size >= len(order)
            reached = _mean_cosine(bag, queries, held_out, size) if ended and kept else None
            on_fit(step, steps, loss.item(), rate, reached)
    return (bag.weight.detach() / _mean_length(bag, queries, trained, size)).numpy()


def _cosines(bag: torch.nn.EmbeddingBag, queries: Queries, rows: NDArray[np.int64]) -> torch.Tensor:
    targets = torch.from_numpy(queries.vectors[rows].astype(np.float32))
    return torch.nn.functional.cosine_similarity(_sums(bag, queries, rows), targets)


def _sums(bag: torch.nn.EmbeddingBag, queries: Queries, rows: NDArray[np.int64]) -> torch.Tensor:
    """float32 (n, dimension): the weighted sum of the vectors of each query's terms."""
    part = queries.weights.to_scipy()[rows]
    summed: torch.Tensor = bag(
        torch.from_numpy(part.indices.astype(np.int64)),
        torch.from_numpy(part.indptr[:-1].astype(np.int64)),
        per_sample_weights=torch.from_numpy(part.data.astype(np.float32)),
    )
    return summed


@torch.no_grad()
def _mean_cosine(
    bag: torch.nn.EmbeddingBag, queries: Queries, rows: NDArray[np.int64], size: int
) -> float:
    parts = [_cosines(bag, queries, rows[at : at + size]) for at in range(0, len(rows), size)]
    return float(torch.cat(parts).mean())


@torch.no_grad()
def _mean_length(
    bag: torch.nn.EmbeddingBag, queries: Queries, rows: NDArray[np.int64], size: int
) -> float:
    parts = [_sums(bag, queries, rows[at : at + size]) for at in range(0, len(rows), size)]
    return float(torch.cat(parts).norm(dim=1).mean())
