"""Sparsity to order: the strength of a regulariser from the number of terms that is wanted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from lsr.errors import CollapseError, InputError, UsageError

PATH_POINTS = 1024


def warm_up(step: int, steps: int, strength: float) -> float:
    """strength · min(1, (step / steps)²): the quadratic warm-up of Paria et al. 2020.

    ``step`` counts from 1, the first optimiser step, so that the full strength is reached at step
    ``steps``; naver/splade's ``RegWeightScheduler`` and OpenSearch's training code do the same.
    naver/splade's ``hf/trainers.py`` counts from 1 too, but divides by ``steps`` + 1;
    sentence-transformers counts finished steps, so that its first step has strength 0. With
    ``steps`` 0 the strength is full from the beginning.
    """
    return strength * min(1.0, (step / steps) ** 2) if steps else strength


@dataclass(frozen=True, slots=True)
class SparsityTarget:
    """What ``SparsityController`` steers to, and how.

    The defaults were chosen on simulated trainings of 1,000 to 5,000 steps whose nnz follows a
    power of the strength (exponent 0.2 to 1) with a lag of 30 to 120 steps.

    Raises:
        UsageError: a value is outside what is allowed.
    """

    # Wanted mean number of non-zero weights of a document; 1 or more.
    nnz: float
    # Strength at the end of the warm-up, before anything is known of the model.
    initial: float = 0.01
    # Length of the quadratic warm-up; 0: none. It ends sooner, at the strength reached, where nnz
    # is about to fall below the target.
    warm_up_steps: int = 200
    # Weight in (0, 1] of a new observation in the level of log nnz; 0.1 averages about 20 batches.
    smoothing: float = 0.1
    # Weight in (0, 1] of a new difference of levels in their trend.
    trend_smoothing: float = 0.05
    # For how many steps the trend is continued, 0 or more; about the lag of nnz behind the
    # strength, or a little more. Larger is more careful and slower.
    horizon: float = 120.0
    # Change of log strength per step and unit of forecast error of log nnz, above 0. Larger is
    # faster and swings more.
    gain: float = 0.05
    # Errors of log nnz count up to here, above 0: the strength changes by a factor of at most
    # exp(gain · largest_error) per step.
    largest_error: float = 1.0
    # Bounds of the strength, above 0.
    lowest: float = 1e-9
    highest: float = 1e4

    @classmethod
    def within(cls, steps: int, nnz: float, initial: float, warm_up_steps: int) -> SparsityTarget:
        """To be reached by the end of a training of ``steps``: a short one is steered faster.

        Of simulated trainings of 600 steps 66 % end within a tenth of the target so, and 31 % with
        the defaults; of 1,000 steps 88 % and 82 %. From 1,440 steps on these are the defaults.
        """
        horizon = min(120.0, max(40.0, steps / 12))
        return cls(nnz, initial, warm_up_steps, horizon=horizon, gain=6 / horizon)

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not math.isfinite(value):
                raise UsageError(f"{name} is {value}; allowed is a finite number")
        if self.nnz < 1:
            raise UsageError(f"the target of {self.nnz} non-zero weights is below 1")
        if not 0 < self.lowest <= self.initial <= self.highest:
            raise UsageError(
                f"initial strength {self.initial} is outside {self.lowest} to {self.highest}; "
                "allowed is lowest <= initial <= highest, all above 0"
            )
        for name in ("smoothing", "trend_smoothing"):
            if not 0 < getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name)}; allowed is above 0, up to 1")
        for name in ("gain", "largest_error"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} is {getattr(self, name)}; allowed is above 0")
        for name in ("horizon", "warm_up_steps"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} is {getattr(self, name)}; allowed is 0 or more")


class SparsityController:
    """Strength of a regulariser, adjusted at every step so that nnz reaches its target.

    Before a step take ``strength``; after it ``observe`` the mean nnz of the step's documents.
    log nnz is smoothed with a trend (Holt 1957), continued for ``horizon`` steps, and log strength
    moves against the error of that forecast:

        error = log nnz - log target;  change = horizon · trend;  clip(.) = within ±largest_error
        log strength += gain · clip(median(error + change, clip(error) + change, 0))

    Near the target this is a proportional-integral controller in the log domain, error + change
    being the forecast's error. It lowers the strength long before the target is passed while nnz
    falls quickly from a dense start, which keeps it from collapse. Far from the target the median
    holds the strength while nnz moves at the pace of largest_error per horizon or faster, because
    a stronger regulariser doesn't move an optimiser like Adam faster, only further. Everything is
    Python arithmetic in a fixed order: a controller restored with ``load_state_dict`` goes on bit
    for bit.
    """

    def __init__(self, target: SparsityTarget) -> None:
        self.target = target
        self._step = 0
        self._warming = target.warm_up_steps > 0
        self._log_strength = math.log(target.initial)
        self._level = 0.0
        self._trend = 0.0
        self._stride = 1
        self._path: list[tuple[int, float, float]] = []
        self._last: tuple[int, float, float] | None = None

    @property
    def strength(self) -> float:
        """Strength for the next step."""
        if self._warming:
            settings = self.target
            return warm_up(self._step + 1, settings.warm_up_steps, settings.initial)
        return math.exp(self._log_strength)

    @property
    def path(self) -> list[tuple[int, float, float]]:
        """(step from 1, its strength, its nnz), at most some thousand evenly spaced, and the last.

        nnz is the batch's, not the smoothed one.
        """
        tail = [self._last] if self._last and self._last not in self._path[-1:] else []
        return self._path + tail

    def observe(self, nnz: float) -> None:
        """Take in the mean number of non-zero weights of the documents of the step just done.

        Raises:
            UsageError: it isn't finite, or is below 0.
        """
        if not (math.isfinite(nnz) and nnz >= 0):
            raise UsageError(f"mean nnz is {nnz}; allowed is a finite number from 0")
        strength = self.strength
        self._step += 1
        self._smooth(math.log(max(nnz, 1.0)))
        now = self._level - math.log(self.target.nnz)
        change = self.target.horizon * self._trend
        if self._warming:
            self._end_warm_up(strength, now + change)
        else:
            self._move(now, change)
        self._record((self._step, strength, float(nnz)))

    def _smooth(self, value: float) -> None:
        if self._step == 1:
            self._level = value
            return
        settings, before = self.target, self._level
        share = max(settings.smoothing, 1 / self._step)
        self._level = share * value + (1 - share) * (before + self._trend)
        change = self._level - before
        share = settings.trend_smoothing
        self._trend = share * change + (1 - share) * self._trend

    def _end_warm_up(self, strength: float, error: float) -> None:
        settled = self._step > 2 / self.target.smoothing
        falls_short = settled and error < 0 and self._trend < 0
        if falls_short or self._step >= self.target.warm_up_steps:
            self._warming = False
            self._log_strength = math.log(max(strength, self.target.lowest))

    def _move(self, now: float, change: float) -> None:
        settings = self.target
        largest = settings.largest_error
        paced = max(-largest, min(largest, now)) + change
        error = sorted((now + change, paced, 0.0))[1]
        error = max(-largest, min(largest, error))
        moved = self._log_strength + settings.gain * error
        low, high = math.log(settings.lowest), math.log(settings.highest)
        self._log_strength = max(low, min(high, moved))

    def _record(self, point: tuple[int, float, float]) -> None:
        self._last = point
        if (point[0] - 1) % self._stride:
            return
        self._path.append(point)
        if len(self._path) > PATH_POINTS:
            self._path = self._path[::2]
            self._stride *= 2

    def state_dict(self) -> dict[str, Any]:
        """Everything but the target, as plain JSON values."""
        return {
            "step": self._step,
            "warming": self._warming,
            "log_strength": self._log_strength,
            "level": self._level,
            "trend": self._trend,
            "stride": self._stride,
            "path": [list(point) for point in self._path],
            "last": list(self._last) if self._last else None,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where ``state_dict`` was taken.

        Raises:
            InputError: the state isn't one of ``state_dict``.
        """
        try:
            step, stride = int(state["step"]), int(state["stride"])
            numbers = [float(state[name]) for name in ("log_strength", "level", "trend")]
            path = [_point(values) for values in state["path"]]
            last = None if state["last"] is None else _point(state["last"])
            warming = bool(state["warming"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"the saved state of the sparsity controller is damaged ({error!r}); resume from "
                "another checkpoint"
            ) from error
        if step < 0 or stride < 1 or not all(map(math.isfinite, numbers)):
            raise InputError(
                f"the saved state of the sparsity controller has step {step}, stride {stride} and "
                f"numbers {numbers}; resume from another checkpoint"
            )
        self._step, self._stride, self._warming = step, stride, warming
        self._log_strength, self._level, self._trend = numbers
        self._path, self._last = path, last


def _point(values: Any) -> tuple[int, float, float]:
    step, strength, nnz = values
    return int(step), float(strength), float(nnz)


@dataclass(slots=True)
class CollapseWatch:
    """Stops a training that can't recover, and says why."""

    # Size of the vocabulary, V.
    terms: int
    # For how many steps in a row documents, or queries, must be empty or full; 1 or more.
    window: int = 50
    # A mean nnz below this is (almost) no active term.
    fewest: float = 1.0
    # A mean nnz above this share of V is (almost) all terms active.
    fullest: float = 0.9
    # Steps from the first in which full documents are no fault; an untrained model begins there.
    # Longer than the warm-up of the regulariser.
    grace: int = 1000
    # Whose vectors they are.
    side: Literal["document", "query"] = "document"
    # For how many steps documents have been empty, and full.
    empty_steps: int = 0
    full_steps: int = 0

    def __post_init__(self) -> None:
        if self.terms < 1 or self.window < 1:
            raise UsageError(
                f"terms is {self.terms} and window {self.window}; allowed is 1 or more"
            )

    @property
    def _plural(self) -> str:
        return {"document": "documents", "query": "queries"}[self.side]

    def observe(self, step: int, loss: float, nnz: float) -> None:
        """Take in the loss and mean nnz of step ``step``, which counts from 1.

        Raises:
            CollapseError: the loss isn't finite, or the vectors were empty or full for a window.
        """
        if not (math.isfinite(loss) and math.isfinite(nnz)):
            raise CollapseError(
                f"training stopped at step {step} because its loss is {loss} with {nnz} active "
                f"terms per {self.side}, which no later step can mend; most likely the learning "
                "rate is too high or the scores overflow: lower the learning rate, clip gradients "
                "or raise the temperature, and resume from an earlier checkpoint"
            )
        self.empty_steps = self.empty_steps + 1 if nnz < self.fewest else 0
        full = nnz > self.fullest * self.terms and step > self.grace
        self.full_steps = self.full_steps + 1 if full else 0
        if self.empty_steps >= self.window:
            raise CollapseError(
                f"training stopped at step {step} because {self._plural} had {nnz:.2f} active "
                f"terms on average and fewer than {self.fewest:g} for {self.window} steps, so that "
                "no gradient flows any more; most likely the regulariser grew too strong too soon: "
                "lower its strength or set target_nnz, lengthen the warm-up or add anti-zero, and "
                f"start before step {step - self.window + 1}"
            )
        if self.full_steps >= self.window:
            raise CollapseError(
                f"training stopped at step {step} because {self._plural} had {nnz:.0f} of "
                f"{self.terms} terms active on average and more than {self.fullest:.0%} for "
                f"{self.window} steps, so that an index of them is no use; most likely the "
                "regulariser is too weak or its warm-up too long: raise its strength or set "
                "target_nnz, or shorten the warm-up"
            )

    def state_dict(self) -> dict[str, int]:
        """How long vectors have been empty and full, as plain JSON values."""
        return {"empty_steps": self.empty_steps, "full_steps": self.full_steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where ``state_dict`` was taken.

        Raises:
            InputError: the state isn't one of ``state_dict``.
        """
        try:
            empty, full = int(state["empty_steps"]), int(state["full_steps"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"the saved state of the collapse watch is damaged ({error!r}); resume from "
                "another checkpoint"
            ) from error
        self.empty_steps, self.full_steps = empty, full
