"""What happened during training: one JSON object a line, and the plot of it."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from lsr.errors import (
    CorruptionError,
    InputError,
    MissingDependencyError,
    NotFoundError,
    UsageError,
)
from lsr.whole_file import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LARGEST_LINE = 1 << 20
LARGEST_LOG = 1 << 30

Values = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Entry:
    """What was measured up to a step; what was not measured stays empty.

    The keys of ``nnz``, ``target_nnz``, ``flops`` and ``strength`` are sides or their pairs, such
    as ``document`` and ``query``. A value that is not finite is written as null and read as NaN.
    """

    # Counted from 1.
    step: int
    # The weighted sum of ``losses``, its parts, and of the penalties.
    loss: float | None = None
    losses: Values = field(default_factory=dict)
    # Mean number of non-zeros of a vector, and what it should become.
    nnz: Values = field(default_factory=dict)
    target_nnz: Values = field(default_factory=dict)
    # Mean number of terms that a query and a document share.
    flops: Values = field(default_factory=dict)
    # Weight of the regulariser.
    strength: Values = field(default_factory=dict)
    # Learning rate.
    lr: float | None = None
    # Documents a second.
    docs_per_s: float | None = None
    # The evaluation, such as ``scifact nDCG@10``.
    measures: Values = field(default_factory=dict)

    def line(self) -> bytes:
        """The JSON object of what is there, and a line feed."""
        content = {
            name: _finite(value)
            for name, value in ((field.name, getattr(self, field.name)) for field in FIELDS)
            if value is not None and value != {}
        }
        return json.dumps(content, ensure_ascii=False, allow_nan=False).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> Entry:
        """Read a line; fields that are not known are left out.

        Raises:
            ValueError: it holds no entry.
        """
        content = json.loads(line)
        if not isinstance(content, dict) or type(content.get("step")) is not int:
            raise ValueError("no JSON object with a step")
        values: dict[str, Any] = {"step": content["step"]}
        for known in FIELDS[1:]:
            if known.name in content:
                value, grouped = content[known.name], known.default is dataclasses.MISSING
                if isinstance(value, dict) != grouped:
                    raise ValueError(f"{known.name} is {value!r}")
                read = {key: _number(inner) for key, inner in value.items()} if grouped else None
                values[known.name] = _number(value) if read is None else read
        return cls(**values)


FIELDS = dataclasses.fields(Entry)


class TrainingLog:
    """Appends entries to a file; each is in it, whole, when ``write`` returns.

    Args:
        path: the file; its folder exists.
        resumed_from: the step of the checkpoint that training goes on from. Later entries, and a
            last line that was not finished, are cut off, so that the log becomes that of an
            uninterrupted run. None begins a new log over what is there.

    Raises:
        CorruptionError: a line that stays is damaged.
    """

    def __init__(self, path: Path, resumed_from: int | None = None) -> None:
        self._last = -1
        end = 0
        if resumed_from is not None and path.exists():
            for after, entry in _entries(path):
                if entry.step > resumed_from:
                    break
                end, self._last = after, entry.step
        self._file: BinaryIO = path.open("ab")
        self._file.truncate(end)

    def write(self, entry: Entry) -> None:
        """Append an entry.

        Raises:
            UsageError: its step lies before the last one's.
        """
        if entry.step < self._last:
            raise UsageError(
                f"an entry of step {entry.step} can't follow one of step {self._last}; "
                "write entries in the order of their steps"
            )
        self._file.write(entry.line())
        self._file.flush()
        self._last = entry.step

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_log(path: Path) -> list[Entry]:
    """All entries in the order of their steps; a last line that was not finished is left out.

    Raises:
        NotFoundError: there is no such file.
        CorruptionError: another line is damaged.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no training log {path}; give the log.jsonl of a training")
    return [entry for _, entry in _entries(path)]


def _entries(path: Path) -> Iterator[tuple[int, Entry]]:
    """Each entry, after the place where its line ends."""
    if path.stat().st_size > LARGEST_LOG:
        raise InputError(f"{path} is larger than {LARGEST_LOG >> 30} GiB; no such log is read")
    end = 0
    with path.open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(LARGEST_LINE), b""), start=1):
            if not line.endswith(b"\n") and not file.read(1):
                return
            end += len(line)
            try:
                yield end, Entry.parse(line)
            except (ValueError, RecursionError, OverflowError) as error:
                raise CorruptionError(
                    f"line {number} of {path} is no entry of a training log ({error}); delete the "
                    "line, or train into another folder"
                ) from error


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    return value if isinstance(value, int) else float(value) if math.isfinite(value) else None


def _number(value: object) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def plot(log: Path, png: Path) -> None:
    """Draw losses, non-zeros with their targets, strengths and measures over steps.

    Args:
        log: a training log.
        png: the picture; it is replaced as a whole.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        InputError: the log has no entries.
        NotFoundError, CorruptionError: as for ``read_log``.
    """
    entries = read_log(log)
    if not entries:
        raise InputError(f"the training log {log} has no entries yet; train for some steps first")
    figure = draw(entries)
    with replacing(png) as partial:
        figure.savefig(partial, format="png", dpi=120)


def draw(entries: Iterable[Entry]) -> Figure:
    """The figure of ``plot``: a panel for each kind of value that was measured.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("plotting a training log", "matplotlib", "train") from error
    entries = list(entries)
    series = {title: _series(entries, values) for title, values in PANELS.items()}
    shown = {title: lines for title, lines in series.items() if lines}
    rows = max(1, len(shown))
    figure = Figure(figsize=(9, 0.6 + 2.4 * rows), layout="constrained")
    axes: list[Axes] = list(figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0])
    for axis, (title, lines) in zip(axes, shown.items(), strict=False):
        for name, (steps, heights) in lines.items():
            marker = "o" if len(steps) < 60 else None
            axis.plot(steps, heights, label=name, marker=marker, markersize=3, linewidth=1.3)
        if title == NNZ:
            _draw_targets(axis, entries)
        positive = [height for _, heights in lines.values() for height in heights if height > 0]
        if title in (NNZ, STRENGTH) and positive and max(positive) > 10 * min(positive):
            axis.set_yscale("log")
        axis.set_ylabel(title)
        axis.grid(alpha=0.3)
        axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize="small")
    axes[-1].set_xlabel("step")
    return figure


def _draw_targets(axis: Axes, entries: Iterable[Entry]) -> None:
    """A dashed line for each target, in the colour of its side."""
    colours = {str(line.get_label()): line.get_color() for line in axis.get_lines()}
    for side, (steps, heights) in _series(entries, lambda entry: entry.target_nnz).items():
        colour = colours.get(side, "black")
        axis.plot(steps, heights, label=f"{side}, target", linestyle="--", color=colour)


def _losses(entry: Entry) -> Values:
    """The parts, and their sum where there are several."""
    alone = len(entry.losses) == 1 and entry.loss in entry.losses.values()
    total = {} if entry.loss is None or alone else {"total": entry.loss}
    return total | dict(entry.losses)


def _series(
    entries: Iterable[Entry], values: Callable[[Entry], Values]
) -> dict[str, tuple[list[int], list[float]]]:
    """Steps and values of each name, in the order of their appearance."""
    series: dict[str, tuple[list[int], list[float]]] = {}
    for entry in entries:
        for name, value in values(entry).items():
            steps, heights = series.setdefault(name, ([], []))
            steps.append(entry.step)
            heights.append(value)
    return series


NNZ, STRENGTH = "non-zeros of a vector", "regulariser's strength"
PANELS: dict[str, Callable[[Entry], Values]] = {
    "loss": _losses,
    NNZ: lambda entry: entry.nnz,
    STRENGTH: lambda entry: entry.strength,
    "evaluation": lambda entry: entry.measures,
}
