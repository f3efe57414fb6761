"""Whether an encoder's vectors look like those of a working model: a look at the first thousand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.term_pooling import owners
from lsr.encoding.coverage import CHECKED as COVERED
from lsr.encoding.coverage import MOST_UNKNOWN, Coverage, coverage
from lsr.sparse import LARGEST_WEIGHT, SparseBatch, SparseVector
from lsr.vocabulary import Vocabulary

CHECKED = 1_000
TOP_TERMS = 10
# Shares of documents, of the vocabulary, and of the top terms above which a warning is due.
MOST_EMPTY = 0.1
MOST_SATURATED = 0.1
DENSEST = 0.1
MOST_ALIKE = 0.9
FEWEST_TO_COMPARE = 10
NOT_FINITE = (
    "the encoder of the {} gave a vector with numbers that are not finite; check the encoder's "
    "weights, or leave the document out"
)


@dataclass(frozen=True, slots=True)
class Health:
    """What the vectors of some texts look like; blank texts don't count. Shares are 0 to 1."""

    # How many texts were looked at.
    documents: int
    # Mean number of active dimensions.
    non_zeros: float
    # Share of vectors without any.
    empty: float
    # Share of vectors that have more than half of the vocabulary active, or a weight that float16
    # can't tell from larger ones (65504 or more).
    saturated: float
    # Share of all top terms (the ten heaviest of each distinct text) that the ten most frequent of
    # them make up: 1 where all texts have the same ones, 0 for fewer than ten texts.
    alike: float
    # What looks wrong, in one sentence; empty where nothing does.
    warning: str
    # Share of words that the vocabulary has no term for; of an open one none.
    unknown: float = 0.0
    # What most letters are of, as in "Latin" or "Thai".
    script: str = ""

    def sentence(self) -> str:
        """One line, as in ``first 1,000 documents: 118 non-zeros on average, ...``."""
        return (
            f"first {self.documents:,} documents: {self.non_zeros:,.0f} non-zeros on average, "
            f"{100 * self.empty:.1f} % empty, {100 * self.saturated:.1f} % saturated"
            + (f", {100 * self.unknown:.1f} % of the words without a term" if self.unknown else "")
        )


class VectorHealth:
    """Takes vectors as they come, counts the first thousand that stand for a text, and judges."""

    def __init__(
        self, vocabulary_size: int, vocabulary: Vocabulary | None = None, opened: bool = False
    ) -> None:
        self._size = vocabulary_size
        self._vocabulary = vocabulary
        self._open = opened
        self._texts: list[str] = []
        self._documents = self._non_zeros = self._empty = self._saturated = 0
        self._compared: set[int] = set()
        self._top_terms = np.zeros(vocabulary_size, dtype=np.int64)

    @property
    def complete(self) -> bool:
        """Whether a thousand have been seen; more change nothing."""
        return self._documents >= CHECKED

    def add(self, texts: Sequence[str], vectors: SparseBatch) -> None:
        """Take the vector of each text; those that are not finite don't count: they are refused."""
        for text, row in zip(texts, vectors, strict=True):
            if self.complete:
                return
            if len(self._texts) < COVERED:
                self._texts.append(text)
            if not text.strip() or not np.isfinite(row.values).all():
                continue
            # The words of an open vocabulary come from no model.
            closed = row.indices < self._size
            row = SparseVector(row.indices[closed], row.values[closed])
            self._documents += 1
            self._non_zeros += len(row)
            self._empty += len(row) == 0
            self._saturated += bool(
                2 * len(row) > self._size or (row.values >= LARGEST_WEIGHT).any()
            )
            if len(row) and hash(text) not in self._compared:
                self._compared.add(hash(text))
                heaviest = np.argsort(-row.values, kind="stable")[:TOP_TERMS]
                self._top_terms[row.indices[heaviest]] += 1

    def report(self) -> Health:
        """What was seen so far."""
        seen = max(self._documents, 1)
        non_zeros = self._non_zeros / seen
        empty, saturated = self._empty / seen, self._saturated / seen
        alike = 0.0
        if len(self._compared) >= FEWEST_TO_COMPARE:
            frequent = np.sort(self._top_terms)[-TOP_TERMS:]
            alike = float(frequent.sum() / self._top_terms.sum())
        covered = coverage(self._vocabulary, self._texts) if self._vocabulary else Coverage()
        warning = _poor(covered, self._open) or self._warning(non_zeros, empty, saturated, alike)
        unknown = 0.0 if self._open else covered.unknown
        return Health(
            self._documents, non_zeros, empty, saturated, alike, warning, unknown, covered.script
        )

    def _warning(self, non_zeros: float, empty: float, saturated: float, alike: float) -> str:
        if empty > MOST_EMPTY:
            return (
                f"the encoder looks collapsed: {_percent(empty)} of the documents have no active "
                "dimension and can't be found; check that the checkpoint was trained for this "
                "kind of encoder"
            )
        if saturated > MOST_SATURATED:
            return (
                f"the vectors look dense: {_percent(saturated)} of the documents have more than "
                f"half of the {self._size:,} dimensions active or a weight of {LARGEST_WEIGHT:.0f} "
                "or more; check that the checkpoint was trained for sparse retrieval"
            )
        if non_zeros > DENSEST * self._size:
            return (
                f"the vectors look dense: {non_zeros:,.0f} of {self._size:,} dimensions are active "
                "on average, and published encoders have a few hundred, so that the index will be "
                "large and slow; check that the checkpoint was trained for sparse retrieval"
            )
        if alike > MOST_ALIKE:
            return (
                f"the encoder looks collapsed: the same {TOP_TERMS} terms make up "
                f"{_percent(alike)} of what weighs most in each document; check that the "
                "checkpoint was trained for this kind of encoder"
            )
        return ""


def _poor(covered: Coverage, opened: bool) -> str:
    """What to do where the vocabulary was not made for the texts; empty where it was."""
    if not covered.poor:
        return ""
    if covered.unknown > MOST_UNKNOWN:
        script = covered.unknown_script
        lacks = f"has no term for {_percent(covered.unknown)} of the words"
        lacks += f", most of them in {script} letters" if script else ""
    else:
        lacks = f"has the words in {covered.pieces:.1f} pieces each"
        lacks += f", most letters being {covered.script}" if covered.script else ""
    found = "they are found by the words themselves alone" if opened else "they are hardly found"
    return (
        f"the encoder's vocabulary {lacks}: {found}; for such texts give "
        "bm25,analyzer=LANGUAGE (auto, cjk, german, ...) or a multilingual model"
    )


class HealthWatch:
    """Takes vectors as they come, and tells once what the first thousand of them look like."""

    def __init__(
        self,
        vocabulary_size: int,
        tell: Callable[[Health], None],
        vocabulary: Vocabulary | None = None,
        opened: bool = False,
    ) -> None:
        self._seen = VectorHealth(vocabulary_size, vocabulary, opened)
        self._tell = tell
        self._told = False

    def add(self, texts: Sequence[str], vectors: SparseBatch) -> None:
        """Take the vector of each text."""
        if self._told:
            return
        self._seen.add(texts, vectors)
        if self._seen.complete:
            self.finish()

    def finish(self) -> None:
        """Tell now, if it was not told and there was a vector."""
        if self._told:
            return
        health = self._seen.report()
        if health.documents:
            self._told = True
            self._tell(health)


def finite_rows(vectors: SparseBatch | NDArray[np.float32]) -> NDArray[np.bool_]:
    """bool (n,): whether all numbers of a row are finite."""
    if isinstance(vectors, SparseBatch):
        bad = owners(vectors)[~np.isfinite(vectors.values)]
    else:
        bad = np.nonzero(~np.isfinite(vectors))[0]
    finite = np.ones(len(vectors), dtype=np.bool_)
    finite[bad] = False
    return finite


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
