"""How the best documents of a ranking are scored anew."""

from __future__ import annotations

from dataclasses import dataclass, fields

from lsr.encoders.encoder import split_name
from lsr.errors import InputError, UsageError

DEFAULT_DEPTH, LARGEST_DEPTH = 100, 1000
LONGEST_BUDGET_MS = 600_000
# What stands before the name of a field whose stored vectors score.
FIELD = "field:"


@dataclass(frozen=True, slots=True)
class Reranking:
    """Score the best documents of the first ranking again, and put them into the new order.

    What is behind them, or was not reached in time, keeps its order after them.
    """

    # MODEL or cross-encoder:MODEL, a cross-encoder; sparse:ENCODER or dense:MODEL, a second encoder
    # of the texts; or field:NAME, a field of the collection with its stored vectors.
    model: str
    # How many of the best are scored anew, 1 to 1000.
    depth: int = DEFAULT_DEPTH
    # Milliseconds that this may take a query, loading of the model left out; None: any time.
    time_budget_ms: float | None = None
    # Share of the new score, above 0 and at most 1; the rest is that of the first ranking, both
    # brought to 0 to 1 by the least and the largest of what was scored anew. 1: the new score
    # alone, as it is.
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.model.strip() or self.model.strip() == FIELD:
            raise InputError("the model that re-ranks has no name; give one, as in field:bm25")
        if not 1 <= self.depth <= LARGEST_DEPTH:
            raise InputError(
                f"the depth of re-ranking is {self.depth}; allowed is 1 to {LARGEST_DEPTH}"
            )
        budget = self.time_budget_ms
        if budget is not None and not 0 < budget <= LONGEST_BUDGET_MS:
            raise InputError(
                f"the time budget of re-ranking is {budget} ms; allowed is above 0, and at most "
                f"{LONGEST_BUDGET_MS}"
            )
        if not 0 < self.weight <= 1:
            raise InputError(
                f"the weight of re-ranking is {self.weight}; allowed is above 0, and at most 1"
            )

    @classmethod
    def parse(cls, text: str) -> Reranking:
        """Settings as a command line has them: ``MODEL[,depth=50][,time_budget_ms=200][,...]``.

        Other options are the model's own, as in ``MODEL,max_length=256``.

        Raises:
            InputError: a setting is out of its range, or there is no model.
            UsageError: a setting is no number.
        """
        model, *options = split_name(text.strip())
        own = {field.name: float for field in fields(cls)} | {"depth": int}
        del own["model"]
        settings: dict[str, float] = {}
        for option in options:
            name, _, value = option.partition("=")
            if name not in own:
                model += f",{option}"
                continue
            try:
                settings[name] = own[name](value)
            except ValueError:
                raise UsageError(
                    f"the setting {option!r} of --rerank is no number that {name} can be"
                ) from None
        return cls(model, **settings)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Reranked:
    """What re-ranking did for one query."""

    # Without the path to its folder.
    model: str
    # Changes with anything that changes a score.
    fingerprint: str
    # How many documents were scored anew, and how many should have been.
    documents: int
    wanted: int
    # As it was asked for.
    time_budget_ms: float | None

    @property
    def whole(self) -> bool:
        """Whether all were scored."""
        return self.documents == self.wanted

    @property
    def sentence(self) -> str:
        """In words."""
        if self.whole:
            return f"re-ranked {self.documents} by {self.model}"
        time = "in time" if self.time_budget_ms is None else f"within {self.time_budget_ms:g} ms"
        return f"re-ranked {self.documents} of {self.wanted} {time} by {self.model}"
