"""The loss of a batch: ranking losses, and the penalties that make weights sparse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.train.batches import TrainingBatch
from lsr.train.config import LossConfig, SparsityConfig, TrainingConfig
from lsr.train.losses import (
    WeightedLosses,
    info_nce,
    kl_divergence,
    margin_mse,
    match,
    symmetric_info_nce,
)
from lsr.train.regularizer_registry import RegularizerOptions, regularizer
from lsr.train.regularizers import DocumentFrequencies, anti_zero
from lsr.train.sparsity import SparsityController, SparsityTarget, warm_up


class Penalty:
    """One side's regulariser times its strength, which is given or steered to a target.

    Args:
        config: of the side.
        steps: of the whole training.
        terms: size of the vocabulary, V.
        idf: float32 (V,), which ``idf-flops`` needs.
    """

    def __init__(
        self,
        config: SparsityConfig,
        steps: int,
        terms: int,
        idf: NDArray[np.float32] | None = None,
    ) -> None:
        self.config = config
        self._warm_up = round(config.warm_up * steps)
        self._step = 0
        self.frequencies = DocumentFrequencies(terms) if config.regularizer == "df-flops" else None
        self.controller = None
        if config.target_nnz:
            target = SparsityTarget.within(steps, config.target_nnz, config.initial, self._warm_up)
            self.controller = SparsityController(target)
        options = RegularizerOptions(
            threshold=config.threshold if config.regularizer == "l0-flops" else None,
            idf=torch.from_numpy(idf) if idf is not None and uses_idf(config) else None,
            frequencies=self.frequencies,
        )
        self._penalty = None
        if config.regularizer != "none":
            self._penalty = regularizer(config.regularizer, options)

    @property
    def strength(self) -> float:
        """The factor of the coming step."""
        if self.controller:
            return self.controller.strength
        return warm_up(self._step + 1, self._warm_up, self.config.strength)

    def __call__(self, weights: torch.Tensor, listed: NDArray[np.int64]) -> torch.Tensor | None:
        """The penalty of the step's vectors (N, V), before its strength; None without one.

        ``listed`` int64 (B, G): the rows of each place of the list, -1 for none. By place is how
        OpenSearch's training code takes it: the penalty of each of the G places on its own, and
        their sum. Where the places look alike that is G times the value over all N = B·G documents
        (naver/splade, sentence-transformers), so a strength from one code doesn't suit the other.
        """
        if self._penalty is None:
            return None
        if not self.config.by_place:
            return self._penalty(weights)
        total = weights.new_zeros(())
        for place in range(listed.shape[1]):
            rows = listed[:, place]
            of_place = weights[torch.from_numpy(rows[rows >= 0]).to(weights.device)]
            # The divisor stays the number of queries.
            missing = weights.new_zeros(len(rows) - len(of_place), weights.shape[1])
            total = total + self._penalty(torch.cat([of_place, missing]))
        return total

    def observe(self, nnz: float) -> None:
        """Tell the mean number of non-zeros of the step just done."""
        self._step += 1
        if self.controller:
            self.controller.observe(nnz)

    def state_dict(self) -> dict[str, Any]:
        """Step and controller, as plain JSON values."""
        steering = self.controller.state_dict() if self.controller else None
        return {"step": self._step, "controller": steering}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where ``state_dict`` was taken."""
        self._step = int(state["step"])
        if self.controller:
            self.controller.load_state_dict(state["controller"])

    def tensors(self) -> dict[str, torch.Tensor]:
        """What DF-FLOPS counted so far."""
        return self.frequencies.state_dict() if self.frequencies else {}

    def load_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        """Continue where ``tensors`` were taken."""
        if self.frequencies:
            self.frequencies.load_state_dict(tensors)


def uses_idf(config: SparsityConfig) -> bool:
    """Whether the regulariser of a side weighs terms by their IDF."""
    return config.regularizer == "idf-flops"


class RankingLoss:
    """The configured losses of a batch, summed with their weights."""

    def __init__(self, config: TrainingConfig) -> None:
        self._losses = {loss_name(loss): loss for loss in config.losses}
        self._raw = {name for name, loss in self._losses.items() if config.learns_raw(loss)}
        self._sum = WeightedLosses({name: loss.weight for name, loss in self._losses.items()})
        taught = {name for name, loss in self._losses.items() if loss.name != "info-nce"}
        # Which scores of the teachers are asked for.
        self.needs_scaled, self.needs_raw = bool(taught - self._raw), bool(self._raw)

    def __call__(
        self,
        queries: torch.Tensor,
        documents: torch.Tensor,
        batch: TrainingBatch,
        scaled: NDArray[np.float32] | None,
        raw: NDArray[np.float32] | None = None,
        beside: NDArray[np.float32] | None = None,
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """The sum, and each loss before its weight.

        Args:
            queries: float (B, V).
            documents: float (N, V).
            batch: of which they are the weights.
            scaled: float32 (B, N), of all teachers; None where no loss needs them.
            raw: float32 (B, N), of the one teacher; None where no loss needs them.
            beside: float32 (B, N), what stands beside the student's scores when it is used; they
                are learned around it. None: nothing.
        """
        taught = {
            name: torch.from_numpy(given).to(documents.device)
            for name, given in (("scaled", scaled), ("raw", raw))
            if given is not None
        }
        scores = match(queries, documents)
        device = scores.device
        if beside is not None:
            scores = scores + torch.from_numpy(beside).to(device)
        listed = torch.from_numpy(batch.listed).to(device)
        allowed = torch.from_numpy(batch.allowed).to(device)
        positives = torch.from_numpy(batch.positives).to(device)
        candidates = {"batch": (scores, taught, allowed, positives)}
        if any(loss.candidates == "list" for loss in self._losses.values()):
            present, columns = listed >= 0, listed.clamp(min=0)
            candidates["list"] = (
                scores.gather(1, columns),
                {name: given.gather(1, columns) for name, given in taught.items()},
                present & allowed.gather(1, columns),
                listed.new_zeros(len(listed)),
            )
        return self._sum(
            {
                name: _loss(
                    loss, "raw" if name in self._raw else "scaled", *candidates[loss.candidates]
                )
                for name, loss in self._losses.items()
            }
        )


def loss_name(loss: LossConfig) -> str:
    """How a loss is called in the log: two of a name differ by their candidates."""
    return f"{loss.name}-{loss.candidates}"


def _loss(
    config: LossConfig,
    learned: str,
    scores: torch.Tensor,
    taught: Mapping[str, torch.Tensor],
    allowed: torch.Tensor,
    positives: torch.Tensor,
) -> torch.Tensor:
    if config.symmetric:
        return symmetric_info_nce(scores, positives, config.temperature, allowed)
    if config.name == "info-nce":
        return info_nce(scores, positives, config.temperature, allowed)
    teacher = taught[learned]
    if config.name == "kl":
        return kl_divergence(scores, teacher, config.temperature, allowed)
    return margin_mse(scores, teacher, allowed, positives if config.pairs == "positive" else None)


def zero_penalty(strength: float, *sides: torch.Tensor) -> torch.Tensor | None:
    """Anti-zero of both sides times its strength, or None where that is 0."""
    return strength * anti_zero(*sides) if strength else None
