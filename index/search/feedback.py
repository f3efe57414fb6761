"""Pseudo-relevance feedback: how a query moves towards the best documents that it found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsr.errors import InputError, UsageError
from lsr.settings import changed, check_choice, configure
from lsr.sparse import SparseBatch, SparseVector

BEFORE, AFTER, BOTH = "before", "after", "both"
DEEPEST = 100
MOST_TERMS = 1000
LARGEST_FACTOR = 1000.0
# Terms kept where nothing is said.
DEFAULT_TERMS, RM3_TERMS = 50, 10
# RM3 takes no term that is in a larger share of the documents, nor in more documents than these.
COMMON_SHARE, FEW = 0.1, 10


@dataclass(frozen=True, slots=True)
class Feedback:
    """What every method has; each is a class of its own, with its formula.

    The best documents of a first round of ranking feed back: the query to one field becomes
    another, and that field is ranked again.
    """

    # How many documents feed back, at most; 1 to 100.
    depth: int = 5
    # Of a sparse field: how many terms of theirs are kept, the heaviest, 1 to 1000; 0: 50, with
    # "rm3" 10.
    terms: int = 0
    # The field that is ranked again; "": with "rm3" the first one of term counts, else the dense
    # one, or the first where there is none.
    using: str = ""
    # Where rankings are fused, after Li et al. (2022): "before", the documents are the best of all
    # rankings fused, and the field ranked again is the answer; "after", they are the best of that
    # field alone, and the answer is fused; "both", of all rankings, and the answer is fused. "":
    # both.
    interpolation: str = ""

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Refuse settings that are not allowed.

        Raises:
            InputError: there are such.
        """
        if not 1 <= self.depth <= DEEPEST:
            raise InputError(f"the feedback's depth is {self.depth}; allowed is 1 to {DEEPEST}")
        if not 0 <= self.terms <= MOST_TERMS:
            raise InputError(
                f"the feedback's terms are {self.terms}; allowed is 1 to {MOST_TERMS}, and 0 for "
                "the usual number"
            )
        check_choice("the feedback's interpolation", self.interpolation, (BEFORE, AFTER, BOTH, ""))

    @property
    def looks_at_fusion(self) -> bool:
        """Whether the documents are the best of all rankings fused, where there are several."""
        return self.interpolation != AFTER

    @property
    def name(self) -> str:
        """As it is asked for."""
        return type(self).__name__.lower()


@dataclass(frozen=True, slots=True)
class VectorFeedback(Feedback, ABC):
    """Feedback of vectors, be they dense or sparse: q' is a share of q and one of their mean."""

    @abstractmethod
    def shares(self, documents: int) -> tuple[float, float]:
        """What the query is multiplied by, and the mean of that many documents, one or more."""

    def dense(
        self, query: NDArray[np.float32], documents: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The query to ask again, float32 (dimension,).

        Args:
            query: float32 (dimension,).
            documents: float32 (n, dimension), in the scale of queries; where n is 0 the query
                stays as it is.
        """
        if not len(documents):
            return query
        own, theirs = self.shares(len(documents))
        mean: NDArray[np.float64] = documents.mean(axis=0, dtype=np.float64)
        with np.errstate(over="ignore"):
            return (own * query + theirs * mean).astype(np.float32)

    def sparse(self, query: SparseVector, documents: SparseBatch) -> SparseVector:
        """The query to ask again: its terms, and of the mean of the documents the heaviest ones.

        Args:
            query: in the field's terms.
            documents: rows of weights in the scale of queries; where there are none the query
                stays as it is.
        """
        if not len(documents):
            return query
        own, theirs = self.shares(len(documents))
        kept = _heaviest(_summed(documents), self.terms or DEFAULT_TERMS)
        return _joined(query, own, kept, theirs / len(documents))


@dataclass(frozen=True, slots=True)
class Average(VectorFeedback):
    """The mean of the query and the documents (Li et al. 2021, "Vector PRF").

    q' = (q + d_1 + ... + d_n) / (n + 1)
    """

    depth: int = 3

    def shares(self, documents: int) -> tuple[float, float]:
        """See ``VectorFeedback``."""
        return 1 / (documents + 1), documents / (documents + 1)


@dataclass(frozen=True, slots=True)
class Rocchio(VectorFeedback):
    """Rocchio (1971) without documents that are wrong, and with the parameters of Vector PRF.

    q' = alpha q + beta (d_1 + ... + d_n) / n
    """

    # Of the query, 0 or more.
    alpha: float = 0.4
    # Of the documents, 0 or more.
    beta: float = 0.6

    def check(self) -> None:
        """See ``Feedback``."""
        Feedback.check(self)
        for name, value in (("alpha", self.alpha), ("beta", self.beta)):
            if not 0 <= value <= LARGEST_FACTOR:
                raise InputError(
                    f"the feedback's {name} is {value}; allowed is 0 to {LARGEST_FACTOR:g}"
                )
        if self.alpha == self.beta == 0:
            raise InputError("the feedback's alpha and beta are both 0; give one of them more")

    def shares(self, documents: int) -> tuple[float, float]:
        """See ``VectorFeedback``."""
        return self.alpha, self.beta


@dataclass(frozen=True, slots=True)
class Rm3(Feedback):
    """The relevance model RM3 (Abdul-Jaleel et al. 2004) for fields of term counts, as Anserini's.

    P(t | q') = weight P(t | q) + (1 - weight) sum over documents of P(t | d) s(d), where s is the
    score by which a document was found. Each document is cut to its most frequent terms and so is
    the sum, which is then brought to 1; stop words and terms of more than a tenth of the documents
    (and of more than 10) don't count. What comes out has the length of the query.
    """

    depth: int = 10
    # Of the query's own terms, 0 to 1.
    weight: float = 0.5

    def check(self) -> None:
        """See ``Feedback``."""
        Feedback.check(self)
        if not 0 <= self.weight <= 1:
            raise InputError(f"the feedback's weight is {self.weight}; allowed is 0 to 1")

    def relevance(
        self, query: SparseVector, documents: SparseBatch, scores: Sequence[float]
    ) -> SparseVector:
        """How often each term is in what is asked for, in the query's own length.

        Args:
            query: counts of its terms.
            documents: a row of counts for each; terms that don't count are left out.
            scores: of each document; where none is above 0, all weigh the same.
        """
        terms = self.terms or RM3_TERMS
        weights = np.maximum(np.asarray(scores, dtype=np.float64), 0)
        if not weights.any():
            weights = np.ones(len(documents))
        rows = []
        for row, weight in zip(documents, weights, strict=True):
            cut = _heaviest(row, terms)
            total = cut.values.sum(dtype=np.float64)
            if total > 0:
                shares = (weight * cut.values.astype(np.float64) / total).astype(np.float32)
                rows.append(SparseVector(cut.indices, shares))
        summed = _summed(SparseBatch.from_rows(rows, documents.vocabulary_size))
        found = _heaviest(summed, terms)
        total = found.values.sum(dtype=np.float64)
        if total <= 0:
            return query
        length = query.values.sum(dtype=np.float64) or 1.0
        return _joined(query, self.weight, found, (1 - self.weight) * length / total)


METHODS: dict[str, type[Feedback]] = {
    "average": Average,
    "rocchio": Rocchio,
    "rm3": Rm3,
}


def parse_feedback(text: str) -> Feedback:
    """The feedback of a method's name and its settings, as in ``rocchio,depth=5``.

    Raises:
        UsageError: there is no such method or setting, or one is malformed.
        InputError: a setting is not allowed.
    """
    name, *options = text.split(",")
    method = method_named(name.strip())
    parted = [option.partition("=")[::2] for option in options]
    given = {key.strip(): value.strip() for key, value in parted}
    if len(given) < len(parted):
        raise UsageError(f"the feedback {text!r} has a setting more than once; give each once")
    return configure(method, given, of="feedback")


def feedback_text(feedback: Feedback) -> str:
    """The text of which ``parse_feedback`` makes this feedback."""
    return ",".join([feedback.name, *(f"{key}={v}" for key, v in changed(feedback).items())])


def method_named(name: str) -> type[Feedback]:
    """The class of a method.

    Raises:
        UsageError: there is none of that name.
    """
    check_choice("the feedback", name, tuple(METHODS))
    return METHODS[name]


def is_common(frequency: NDArray[np.int64], documents: int) -> NDArray[np.bool_]:
    """Which terms RM3 leaves out, by the number of documents that hold each."""
    common: NDArray[np.bool_] = frequency > max(COMMON_SHARE * documents, FEW)
    return common


def _summed(rows: SparseBatch) -> SparseVector:
    """The sum of all rows."""
    terms, places = np.unique(rows.indices, return_inverse=True)
    sums = np.bincount(places, weights=rows.values.astype(np.float64), minlength=len(terms))
    with np.errstate(over="ignore"):
        return SparseVector(terms.astype(np.int32), sums.astype(np.float32))


def _heaviest(row: SparseVector, terms: int) -> SparseVector:
    """The terms of largest weight above 0; of those that weigh alike, the first."""
    order = np.argsort(-row.values, kind="stable")[:terms]
    kept = np.sort(order[row.values[order] > 0])
    return SparseVector(row.indices[kept], row.values[kept])


def _joined(query: SparseVector, own: float, found: SparseVector, theirs: float) -> SparseVector:
    """own * query + theirs * found, without what is 0 then."""
    both = np.concatenate([query.indices, found.indices])
    terms, places = np.unique(both, return_inverse=True)
    scaled = own * query.values.astype(np.float64), theirs * found.values.astype(np.float64)
    sums = np.bincount(places, weights=np.concatenate(scaled), minlength=len(terms))
    with np.errstate(over="ignore"):
        values = sums.astype(np.float32)
    return SparseVector(terms[values > 0].astype(np.int32), values[values > 0])
