"""The regularizers by name; each is imported when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lsr.errors import UsageError

if TYPE_CHECKING:
    import torch

    from lsr.train.regularizers import DocumentFrequencies

    Regularizer = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class RegularizerOptions:
    """What a named regularizer may need; None is not given."""

    # Of l0-flops: t, the non-zero weights that a vector may have for free; 0 or more.
    threshold: int | None = None
    # Of idf-flops: float (V,), 0 or above.
    idf: torch.Tensor | None = None
    # Of df-flops: its state belongs into checkpoints.
    frequencies: DocumentFrequencies | None = None


def _flops(options: RegularizerOptions) -> Regularizer:
    from lsr.train.regularizers import flops

    return flops


def _l1(options: RegularizerOptions) -> Regularizer:
    from lsr.train.regularizers import l1

    return l1


def _l0_flops(options: RegularizerOptions) -> Regularizer:
    from lsr.train.regularizers import l0_flops

    threshold = options.threshold
    if threshold is None or threshold < 0:
        raise UsageError(f"the threshold of l0-flops is {threshold}; give a number from 0, as 150")
    return lambda weights: l0_flops(weights, threshold)


def _idf_flops(options: RegularizerOptions) -> Regularizer:
    from lsr.train.regularizers import idf_flops

    idf = options.idf
    if idf is None:
        raise UsageError("idf-flops needs the IDF of each term; give it, or use flops")
    return lambda weights: idf_flops(weights, idf.to(weights))


def _df_flops(options: RegularizerOptions) -> Regularizer:
    from lsr.train.regularizers import DfFlops

    if options.frequencies is None:
        raise UsageError("df-flops needs document frequencies; give them, or use flops")
    return DfFlops(options.frequencies)


# Name in a configuration: its factory, and the options that only it reads.
REGULARIZERS: dict[str, tuple[Callable[[RegularizerOptions], Regularizer], frozenset[str]]] = {
    "flops": (_flops, frozenset()),
    "l1": (_l1, frozenset()),
    "l0-flops": (_l0_flops, frozenset({"threshold"})),
    "idf-flops": (_idf_flops, frozenset({"idf"})),
    "df-flops": (_df_flops, frozenset({"frequencies"})),
}


def regularizer(name: str, options: RegularizerOptions) -> Regularizer:
    """The regularizer of that name: weights (N, V) to their penalty, a scalar before its strength.

    Raises:
        UsageError: the name is unknown, what it needs isn't given, or what it ignores is.
    """
    if name not in REGULARIZERS:
        raise UsageError(f"regulariser is {name!r}; allowed is {', '.join(REGULARIZERS)}")
    factory, reads = REGULARIZERS[name]
    for option in ("threshold", "idf", "frequencies"):
        if getattr(options, option) is not None and option not in reads:
            raise UsageError(f"{name} has no {option}; leave it out")
    return factory(options)
