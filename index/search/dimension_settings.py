"""Which dimensions a search looks at."""

from __future__ import annotations

from dataclasses import dataclass

from lsr.errors import InputError, UsageError
from lsr.settings import configure

MOST_KEYS = 16
LARGEST_WEIGHT = 1e6


@dataclass(frozen=True, slots=True)
class Dimensions:
    """Which dimensions a search looks at, and how their cells join its ranking.

    A document's score is what it has of the highest score of the ranking, plus ``weight`` times
    what it has of the largest number of cells that any document is in.
    """

    # Metadata keys; none: all that `lsr dimensions` has extracted.
    keys: tuple[str, ...] = ()
    weight: float = 0.1
    # Also phrases whose vectors, by the encoder of the dense field, have at least this cosine with
    # a phrase of the query; None: the same words only, after stemming.
    similarity: float | None = None

    def __post_init__(self) -> None:
        if len(self.keys) > MOST_KEYS:
            raise InputError(f"{len(self.keys)} dimensions are named; allowed are {MOST_KEYS}")
        if not 0 <= self.weight <= LARGEST_WEIGHT:
            raise InputError(
                f"the weight of the dimensions is {self.weight}; allowed is 0 to {LARGEST_WEIGHT:g}"
            )
        if self.similarity is not None and not 0 < self.similarity <= 1:
            raise InputError(
                f"the similarity of phrases is {self.similarity}; allowed is above 0, and at most 1"
            )

    @classmethod
    def parse(cls, text: str) -> Dimensions:
        """Settings as a command line has them: ``auto`` or ``KEY,KEY``, then ``,weight=1``.

        Raises:
            InputError: a setting is out of its range.
            UsageError: a setting is unknown, or no number.
        """
        parts = [part.strip() for part in text.split(",") if part.strip()]
        keys = tuple(part for part in parts if "=" not in part)
        if not keys:
            raise UsageError("no dimension is named; give metadata keys, or auto")
        options = dict(part.split("=", 1) for part in parts if "=" in part)
        settings = configure(_Numbers, options)
        return cls(() if keys == ("auto",) else keys, settings.weight, settings.similarity or None)


@dataclass(frozen=True, slots=True)
class _Numbers:
    weight: float = 0.1
    similarity: float = 0.0
