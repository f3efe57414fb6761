"""Two results of the same: what differs, and what became worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eval.cell import RESULTS, Cell, read_json
from eval.compared import system_label
from eval.significance import SAME
from lsr.errors import InputError, UsageError

Key = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """What is not the same in two results.

    ``kind`` is ``missing``, ``new``, ``version``, ``encoder``, ``data``, ``setting``, ``measure``
    or ``query``; ``what`` names it, ``before`` and ``after`` are JSON values.
    """

    system: str
    dataset: str
    kind: str
    what: str
    before: Any
    after: Any

    def sentence(self) -> str:
        """The same in words."""
        where = f"{self.system} on {self.dataset}"
        if self.kind == "missing":
            return f"{where} is not in the new result"
        if self.kind == "new":
            return f"{where} was not in the old result"
        if self.kind == "query":
            return f"{self.what} of {where} differs on {self.after} of {self.before} queries"
        before, after = _shown(self.before), _shown(self.after)
        what = self.what if self.kind == "measure" else f"the {self.kind} {self.what}".rstrip()
        return f"{what} of {where} was {before} and is {after}"

    def to_json(self) -> dict[str, Any]:
        """All of it, with the sentence."""
        return asdict(self) | {"sentence": self.sentence()}


def _shown(value: Any) -> str:
    if value is None:
        return "not there"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def differences(old: Sequence[Cell], new: Sequence[Cell]) -> list[Difference]:
    """All that differs but costs, system by system in the order of the old result.

    Measures and the values of queries are the same where they are no further apart than 1e-12.

    Raises:
        UsageError: a result has two rows for one system on one data set.
    """
    before, after = _by_key(old), _by_key(new)
    found: list[Difference] = []
    for key, cell in before.items():
        if key not in after:
            found.append(Difference(system_label(cell), cell.dataset, "missing", "", None, None))
            continue
        found += _of_cell(cell, after[key])
    for key, cell in after.items():
        if key not in before:
            found.append(Difference(system_label(cell), cell.dataset, "new", "", None, None))
    return found


def _of_cell(old: Cell, new: Cell) -> list[Difference]:
    def of(kind: str, what: str, before: Any, after: Any) -> Difference:
        return Difference(system_label(old), old.dataset, kind, what, before, after)

    was, now = old.provenance, new.provenance
    found = []
    for kind, before, after in (
        ("version", was.versions, now.versions),
        ("encoder", was.fields, now.fields),
        ("setting", dict(old.config), dict(new.config)),
    ):
        for name in sorted({*before, *after}):
            if before.get(name) != after.get(name):
                found.append(of(kind, name, before.get(name), after.get(name)))
    for kind, what, one, other in (
        ("data", "(documents/queries and judgements)", was.data, now.data),
        ("setting", "engine", was.engine, now.engine),
        ("setting", "passages", was.passages, now.passages),
        ("data", "(number of documents)", old.documents, new.documents),
        ("data", "(number of queries)", old.queries, new.queries),
    ):
        if one != other:
            found.append(of(kind, what, one, other))
    for name in dict.fromkeys((*old.measures, *new.measures)):
        first, second = old.measures.get(name), new.measures.get(name)
        if first is None or second is None or abs(first - second) > SAME:
            found.append(of("measure", name, first, second))
        if changed := _changed(old.per_query.get(name, {}), new.per_query.get(name, {})):
            found.append(of("query", name, len(old.per_query[name]), changed))
    return found


def _changed(before: Mapping[str, float], after: Mapping[str, float]) -> int:
    """Of how many queries the value differs, where both results have them."""
    if not before or not after:
        return 0
    return sum(
        query not in after or abs(value - after[query]) > SAME for query, value in before.items()
    )


def command_of(path: Path) -> list[str]:
    """The arguments of the ``lsr eval`` that wrote a folder or a file of results; empty where the
    file doesn't say.

    Raises:
        InputError: the file is malformed.
    """
    file = path / RESULTS if path.is_dir() else path
    words = read_json(file).get("command", [])
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise InputError(f"{file}: 'command' must be a list of words; take a file of lsr eval")
    return words[1:] if words[:1] == ["eval"] else words


@dataclass(frozen=True, slots=True)
class Drop:
    """A measure, from 0 to 1, that is lower by more than allowed, or isn't there any more."""

    system: str
    dataset: str
    measure: str
    before: float
    after: float | None
    allowed: float

    def sentence(self) -> str:
        """The same in words, in points of 100."""
        where = f"{self.measure} of {self.system} on {self.dataset}"
        if self.after is None:
            return f"{where} was {100 * self.before:.2f} and is not in the new result"
        return (
            f"{where} fell by {100 * (self.before - self.after):.2f} points, from "
            f"{100 * self.before:.2f} to {100 * self.after:.2f}; allowed are {self.allowed:g}"
        )

    def to_json(self) -> dict[str, Any]:
        """All of it, with the sentence."""
        return asdict(self) | {"sentence": self.sentence()}


def drops(
    baseline: Sequence[Cell], current: Sequence[Cell], measures: Sequence[str], allowed: float
) -> list[Drop]:
    """What of a baseline is lower by more than ``allowed`` points of 100, or is missing.

    Raises:
        UsageError: the baseline has none of the measures, or rows of one name.
    """
    if not any(name in cell.measures for cell in baseline for name in measures):
        there = dict.fromkeys(name for cell in baseline for name in cell.measures)
        raise UsageError(
            f"the baseline has no {', '.join(measures)}; it has {', '.join(there) or 'no measure'}"
        )
    now = _by_key(current)
    found = []
    for key, cell in _by_key(baseline).items():
        for name in measures:
            if name not in cell.measures:
                continue
            before = cell.measures[name]
            after = now[key].measures.get(name) if key in now else None
            # The last digits of a difference that is just allowed are no drop.
            if after is None or 100 * (before - after) > allowed + 1e-9:
                found.append(Drop(system_label(cell), cell.dataset, name, before, after, allowed))
    return found


def _by_key(cells: Sequence[Cell]) -> dict[Key, Cell]:
    found: dict[Key, Cell] = {}
    for cell in cells:
        key = (cell.dataset, cell.encoder, cell.using, cell.engine)
        if key in found:
            raise UsageError(
                f"a result has {system_label(cell)} on {cell.dataset} twice; give one that has "
                "each system once"
            )
        found[key] = cell
    return found
