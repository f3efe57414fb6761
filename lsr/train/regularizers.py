"""Penalties on sparse vectors that keep them sparse, and the operations that cut them.

Vectors are float (N, V): N texts, V terms. Those of an encoder are 0 or above; the formulas take
absolute values as the papers do. A penalty is a scalar before its strength, which queries and
documents have each their own of (``lsr.train.sparsity``: ``warm_up``, ``SparsityController``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from lsr.errors import InputError, UsageError

# The least sum that anti-zero sees, so that its value stays finite where every weight is 0.
SMALLEST_SUM = 1e-3
# The least IDF that divides a weight in idf-flops.
SMALLEST_IDF = 0.1


def flops(weights: torch.Tensor) -> torch.Tensor:
    """FLOPS: Σ_j (1/N Σ_i |w_ij|)², a smooth stand-in for the multiplications of a search.

    Paria et al. 2020 ("Minimizing FLOPs to Learn Efficient Sparse Representations");
    SPLADE (Formal et al. 2021a).
    """
    return _mean_weights(weights).square().sum()


def l1(weights: torch.Tensor) -> torch.Tensor:
    """L1: 1/N Σ_i Σ_j |w_ij|, on queries in "Efficient SPLADE" (Lassance and Clinchant 2022)."""
    return weights.abs().sum(1).mean()


def l0_flops(weights: torch.Tensor, threshold: int) -> torch.Tensor:
    """FLOPS of the vectors with more than ``threshold`` non-zero weights; the others are let be.

    Σ_j (1/N Σ_i M_i |w_ij|)² with M_i = 1[‖w_i‖₀ > t] and the divisor still N, from Shen et al.
    2025 ("Exploring l0 Sparsification for Inference-free Sparse Retrievers"; the l0 mask).
    """
    long = weights.count_nonzero(1) > threshold
    return flops(torch.where(long.unsqueeze(1), weights, 0))


def idf_flops(weights: torch.Tensor, idf: torch.Tensor) -> torch.Tensor:
    """FLOPS with each term's weight over its IDF: Σ_j (1/N Σ_i |w_ij| / max(idf_j, 0.1))².

    Terms that many documents hold are pressed hardest, as in the ``IDFFlopsLoss`` that was in
    sentence-transformers' development branch, and as the abstract of the second version of Geng et
    al. 2024 reads ("Towards Competitive Search Relevance for Inference-Free Learned Sparse
    Retrievers": an IDF-aware penalty, by which tokens of low IDF are suppressed). An IDF below 0.1,
    that of a term in more than nine of ten documents, counts as 0.1; there the published code has
    no bound.

    It isn't what made the models of that paper, whose released training code has no IDF in FLOPS:
    there IDF is in the query vector only, s(q, d) = Σ_{j in q} idf_j w_j(d), so that rare terms get
    larger gradients of the ranking loss against a penalty that is the same for all. That recipe is
    ``flops`` with ``queries = "idf"``.

    Args:
        weights: (N, V).
        idf: (V,), 0 or above.

    Raises:
        UsageError: ``idf`` isn't (V,).
    """
    if idf.shape != weights.shape[1:]:
        raise UsageError(
            f"IDF has shape {tuple(idf.shape)} and vectors have {weights.shape[1]} terms; "
            "both must have the same vocabulary"
        )
    return (_mean_weights(weights) / idf.to(weights).clamp(min=SMALLEST_IDF)).square().sum()


class DocumentFrequencies:
    """Weight of each term by how many documents it is active in, for DF-FLOPS.

    w_j = 1 / (1 + (x_j^(log_α 2) - 1)^β) with x_j = DF_j/|C|: 0 for a term in no document, 1/2 for
    one in a share α of them, 1 for one in all; β is how steep the way is (Porco et al. 2025, "An
    Alternative to FLOPS Regularization to Effectively Productionize SPLADE-Doc").

    The paper estimates DF every 100 steps on validation documents; here it comes from the training
    documents of the last ``every`` calls of ``observe``. Until the first estimate all weights
    are 1, which is FLOPS. Not verified against the paper's body: α = 0.1 and β = 10, which are
    those of public re-implementations.

    Args:
        terms: V.
        alpha: above 0 and below 1.
        beta: above 0.
        every: calls of ``observe`` per estimate.

    Raises:
        UsageError: a value is outside what is allowed.
    """

    def __init__(
        self, terms: int, alpha: float = 0.1, beta: float = 10.0, every: int = 100
    ) -> None:
        if terms < 1 or every < 1:
            raise UsageError(f"terms is {terms} and every {every}; allowed is 1 or more")
        if not (0 < alpha < 1 and beta > 0):
            raise UsageError(
                f"alpha is {alpha} and beta {beta}; allowed is alpha between 0 and 1, beta above 0"
            )
        self._exponent = math.log(2) / math.log(alpha)
        self._beta = beta
        self._every = every
        self._counts = torch.zeros(terms, dtype=torch.int64)
        self._documents = torch.zeros((), dtype=torch.int64)
        self._calls = torch.zeros((), dtype=torch.int64)
        self.weights = torch.ones(terms)

    def observe(self, documents: torch.Tensor) -> None:
        """Count the active terms of documents (N, V); each ``every``th call is a new estimate."""
        with torch.no_grad():
            self._counts += documents.count_nonzero(0).to(self._counts.device)
        self._documents += len(documents)
        self._calls += 1
        if self._calls < self._every:
            return
        share = self._counts.double() / self._documents.clamp(min=1)
        base = (share**self._exponent - 1).clamp(min=0)
        self.weights = (1 / (1 + base**self._beta)).float()
        for count in (self._counts, self._documents, self._calls):
            count.zero_()

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Counts so far and the weights, as tensors."""
        names = ("counts", "documents", "calls", "weights")
        values = (self._counts, self._documents, self._calls, self.weights)
        return {name: value.clone() for name, value in zip(names, values, strict=True)}

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Continue where ``state_dict`` was taken.

        Raises:
            InputError: names, shapes or types aren't those of ``state_dict``.
        """
        own = self.state_dict()
        for name, value in own.items():
            other = state.get(name)
            if other is None or other.shape != value.shape or other.dtype != value.dtype:
                raise InputError(
                    f"the saved document frequencies need {name} of shape {tuple(value.shape)} and "
                    f"type {value.dtype}; resume from another checkpoint"
                )
        self._counts, self._documents, self._calls, self.weights = (
            state[name].clone() for name in own
        )


@dataclass(frozen=True, slots=True)
class DfFlops:
    """DF-FLOPS: Σ_j (w_j/N Σ_i |w_ij|)² with w_j from the document frequencies seen so far.

    Porco et al. 2025. The weight stands inside the square; one summary of the paper puts it
    outside. A call takes its documents into the frequencies: call it once per training step.
    """

    frequencies: DocumentFrequencies

    def __call__(self, weights: torch.Tensor) -> torch.Tensor:
        """The penalty of vectors (N, V)."""
        self.frequencies.observe(weights)
        terms = self.frequencies.weights.to(weights)
        return (_mean_weights(weights) * terms).square().sum()


def anti_zero(*sides: torch.Tensor) -> torch.Tensor:
    """Σ over sides of 1 / (Σ of all weights)², which keeps vectors from becoming all 0.

    naver/splade's ``hf/trainers.py`` gives it queries and documents of the whole batch; give it
    documents only where queries are a table. Sums below 0.001 count as 0.001, without gradient, so
    that value and gradient are finite where everything is 0.
    """
    sums = torch.stack([side.sum() for side in sides])
    return sums.clamp(min=SMALLEST_SUM).pow(-2).sum()


def top_k(weights: torch.Tensor, k: int) -> torch.Tensor:
    """The k largest weights of each row, the others 0; of equal weights the smaller term ids stay.

    As ``lsr.encoders.term_pruning`` does at inference. The gradient passes to those kept only.

    Raises:
        UsageError: k is below 1.
    """
    if k < 1:
        raise UsageError(f"k is {k}; allowed is 1 or more")
    if k >= weights.shape[1]:
        return weights
    with torch.no_grad():
        least = weights.topk(k, dim=1).values[:, -1:]
        above, equal = weights > least, weights == least
        room = k - above.sum(1, keepdim=True)
        kept = above | (equal & (equal.cumsum(1) <= room))
    return torch.where(kept, weights, 0)


def saturate(logits: torch.Tensor, logs: int) -> torch.Tensor:
    """ReLU and then ``logs`` times log(1 + .): 1 is SPLADE's, 2 the l0 activation.

    Formal et al. 2021b ("SPLADE v2"), max pooling; Shen et al. 2025. Of logits z > 0 the gradient
    is 1/(1+z) with one logarithm and 1/((1+z)(1+log(1+z))) with two; of others it is 0.

    Raises:
        UsageError: ``logs`` is below 0.
    """
    if logs < 0:
        raise UsageError(f"logs is {logs}; allowed is 0 or more")
    saturated = logits.relu()
    for _ in range(logs):
        saturated = saturated.log1p()
    return saturated


def _mean_weights(weights: torch.Tensor) -> torch.Tensor:
    """Mean absolute weight of each term: (N, V) -> (V,)."""
    return weights.abs().mean(0)
