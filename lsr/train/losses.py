"""Ranking losses over the scores of each query's candidates.

Scores are float (B, C): a row for each of B queries, a column for each of C candidates.
``allowed``, bool (B, C), marks the candidates that count; one that doesn't (padding, a duplicate of
the positive, a likely false negative) has no influence and no gradient, whatever its score, NaN
included. None lets all count. A query with fewer than two candidates that count has nothing to rank
and adds zero. Every loss is the sum over queries divided by B.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from lsr.errors import UsageError


def match(queries: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
    """Score of each document for each query, the inner product: (B, V), (N, V) -> (B, N)."""
    return queries @ documents.T


def info_nce(
    scores: torch.Tensor,
    positives: torch.Tensor,
    temperature: float = 1.0,
    allowed: torch.Tensor | None = None,
) -> torch.Tensor:
    """-log softmax(scores / temperature) of each query's positive.

    van den Oord et al. 2018 ("Representation Learning with Contrastive Predictive Coding");
    SPLADE's ranking loss with in-batch and mined negatives (Formal et al. 2021a). A query
    whose positive doesn't count adds zero.

    Args:
        scores: float (B, C).
        positives: int64 (B,), the column of each query's positive.
        temperature: above 0; inner products of sparse vectors are usually left at 1.
        allowed: bool (B, C) or None.

    Raises:
        UsageError: shapes differ, or the temperature isn't above 0.
    """
    _check_temperature(temperature)
    allowed = _allowed(scores, allowed)
    counts = (allowed.sum(1) >= 2) & allowed.gather(1, positives.unsqueeze(1)).squeeze(1)
    logits = (scores[counts] / temperature).masked_fill(~allowed[counts], -math.inf)
    total = torch.nn.functional.cross_entropy(logits, positives[counts], reduction="sum")
    return total / max(len(scores), 1)


def symmetric_info_nce(
    scores: torch.Tensor,
    positives: torch.Tensor,
    temperature: float = 1.0,
    allowed: torch.Tensor | None = None,
) -> torch.Tensor:
    """The mean of InfoNCE of queries over documents, and of positives over the batch's queries.

    As CLIP has it (Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
    Supervision", figure 3), for matching that is asked for in both directions. A query is no wrong
    one for a document that it has as its positive too, or that does not count for it.

    Args:
        scores: float (B, C).
        positives: int64 (B,), the column of each query's positive.
        temperature: above 0.
        allowed: bool (B, C) or None.

    Raises:
        UsageError: shapes differ, or the temperature isn't above 0.
    """
    allowed = _allowed(scores, allowed)
    own = torch.arange(len(scores), device=scores.device)
    # Rows are the positives, columns the queries.
    same = positives.unsqueeze(1) == positives.unsqueeze(0)
    right = own.unsqueeze(1) == own.unsqueeze(0)
    asked = allowed[:, positives].T & (~same | right)
    forward = info_nce(scores, positives, temperature, allowed)
    return (forward + info_nce(scores[:, positives].T, own, temperature, asked)) / 2


def margin_mse(
    student: torch.Tensor,
    teacher: torch.Tensor,
    allowed: torch.Tensor | None = None,
    positives: torch.Tensor | None = None,
) -> torch.Tensor:
    """Squared difference between the student's and the teacher's margin, averaged over pairs.

    With ``positives`` the pairs are those of Hofstätter et al. 2020 ("Improving Efficient Neural
    Ranking Models with Cross-Architecture Knowledge Distillation"): a query's positive and
    each of its other candidates that count; a query whose positive doesn't count adds zero.

    Without, as in naver/splade's ``hf/trainers.py``, they are all n² ordered pairs of the n
    candidates that count, a candidate with itself included. Their mean equals twice the variance of
    student - teacher, which is how it is computed.

    Args:
        student: float (B, C).
        teacher: (B, C), scores of the same candidates.
        allowed: bool (B, C) or None.
        positives: int64 (B,), the column of each query's positive; None: all pairs count.

    Raises:
        UsageError: shapes differ.
    """
    allowed = _allowed(student, allowed, teacher)
    if positives is not None:
        return _margins_of_positives(student - teacher, allowed, positives.unsqueeze(1))
    size = allowed.sum(1)
    counts = size >= 2
    difference = (student[counts] - teacher[counts]).masked_fill(~allowed[counts], 0)
    size = size[counts]
    mean = difference.sum(1, keepdim=True) / size.unsqueeze(1)
    errors = (difference - mean).masked_fill(~allowed[counts], 0)
    return (errors.square().sum(1) / (size / 2)).sum() / max(len(student), 1)


def _margins_of_positives(
    difference: torch.Tensor, allowed: torch.Tensor, positives: torch.Tensor
) -> torch.Tensor:
    """Mean square of a positive's difference less those of the others, of each query, over B."""
    counts = allowed.gather(1, positives).squeeze(1) & (allowed.sum(1) >= 2)
    own = difference[counts].gather(1, positives[counts])
    others = allowed[counts].scatter(1, positives[counts], False)
    errors = (own - difference[counts]).masked_fill(~others, 0)
    return (errors.square().sum(1) / others.sum(1)).sum() / max(len(difference), 1)


def kl_divergence(
    student: torch.Tensor,
    teacher: torch.Tensor,
    temperature: float = 1.0,
    allowed: torch.Tensor | None = None,
) -> torch.Tensor:
    """KL(p_teacher ‖ p_student) with p = softmax(scores / temperature), for each query.

    Gradients shrink with 1/temperature². Hinton et al. 2015 ("Distilling the Knowledge in a Neural
    Network") multiply the loss by temperature² against it, as sentence-transformers'
    SparseDistillKLDivLoss does at temperature 2; here the weight of the loss can do so.
    naver/splade and OpenSearch's training code have temperature 1, where both are the same.

    Args:
        student: float (B, C).
        teacher: (B, C), scores of the same candidates.
        temperature: above 0.
        allowed: bool (B, C) or None.

    Raises:
        UsageError: shapes differ, or the temperature isn't above 0.
    """
    _check_temperature(temperature)
    allowed = _allowed(student, allowed, teacher)
    counts = allowed.sum(1) >= 2
    kept = allowed[counts]
    ours, theirs = (
        (scores[counts] / temperature).masked_fill(~kept, -math.inf).log_softmax(1)
        for scores in (student, teacher.to(student.dtype))
    )
    surprise = torch.where(theirs > -math.inf, theirs - ours, 0)
    total = (theirs.exp() * surprise).sum()
    return total / max(len(student), 1)


def binary_cross_entropy(
    scores: torch.Tensor, positives: torch.Tensor, allowed: torch.Tensor | None = None
) -> torch.Tensor:
    """-log sigmoid(s) of each query's positive and -log sigmoid(-s) of its other candidates.

    The mean over a query's candidates that count: each pair is judged on its own, as Nogueira and
    Cho 2019 ("Passage Re-ranking with BERT") train a cross-encoder.

    Args:
        scores: float (B, C).
        positives: int64 (B,), the column of each query's positive.
        allowed: bool (B, C) or None.

    Raises:
        UsageError: shapes differ.
    """
    allowed = _allowed(scores, allowed)
    counts = allowed.sum(1) >= 2
    labels = torch.zeros_like(scores).scatter(1, positives.unsqueeze(1), 1.0)
    each = torch.nn.functional.binary_cross_entropy_with_logits(
        scores[counts].masked_fill(~allowed[counts], 0), labels[counts], reduction="none"
    ).masked_fill(~allowed[counts], 0)
    return (each.sum(1) / allowed[counts].sum(1)).sum() / max(len(scores), 1)


@dataclass(frozen=True, slots=True)
class WeightedLosses:
    """Sum of named losses, each times its weight.

    Raises:
        UsageError: there is no weight, or one isn't finite and 0 or more.
    """

    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        if not self.weights:
            raise UsageError("no loss has a weight; give at least one")
        for name, weight in self.weights.items():
            if not (math.isfinite(weight) and weight >= 0):
                raise UsageError(f"the weight of {name} is {weight}; allowed is 0 or more")

    def __call__(self, parts: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
        """The weighted sum of scalar losses, and the value of each before its weight.

        Raises:
            UsageError: ``parts`` isn't exactly the losses that have a weight.
        """
        if parts.keys() != self.weights.keys():
            raise UsageError(
                f"losses {', '.join(sorted(parts))} were given, weights are there for "
                f"{', '.join(sorted(self.weights))}; they must be the same"
            )
        stacked = torch.stack([parts[name] for name in self.weights])
        total = (stacked * stacked.new_tensor(list(self.weights.values()))).sum()
        return total, dict(zip(self.weights, stacked.tolist(), strict=True))


def _allowed(
    scores: torch.Tensor, allowed: torch.Tensor | None, teacher: torch.Tensor | None = None
) -> torch.Tensor:
    """The mask, after a check that all shapes are those of ``scores``."""
    for name, other in (("teacher's scores", teacher), ("mask", allowed)):
        if other is not None and other.shape != scores.shape:
            raise UsageError(
                f"scores are {tuple(scores.shape)} and the {name} {tuple(other.shape)}; "
                f"both must be (queries, candidates)"
            )
    if allowed is None:
        return torch.ones_like(scores, dtype=torch.bool)
    return allowed


def _check_temperature(temperature: float) -> None:
    if not (temperature > 0 and math.isfinite(temperature)):
        raise UsageError(f"temperature is {temperature}; allowed is a number above 0")
