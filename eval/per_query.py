"""Files of the value of each query: JSON, or CSV with a line for each query."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.cell import TEXTS, Cell
from eval.table import csv_text
from lsr.errors import UsageError
from lsr.whole_file import write_whole

KINDS = (".json", ".csv")


@dataclass(frozen=True)
class QueryValues:
    """The values of a system: what names it, and ``values`` by measure and query id."""

    names: Mapping[str, str]
    values: Mapping[str, Mapping[str, float]]

    @classmethod
    def of_cell(cls, cell: Cell) -> QueryValues:
        """Those of a result."""
        return cls({name: getattr(cell, name) for name in TEXTS}, cell.per_query)


def check_kind(path: Path) -> None:
    """Raise UsageError where the name of a file tells none of the two formats."""
    if path.suffix.lower() not in KINDS:
        raise UsageError(
            f"--per-query {str(path)!r} is of no known kind; give {' or '.join(KINDS)}"
        )


def write_per_query(path: Path, systems: Sequence[QueryValues]) -> None:
    """Write the values of all systems, in the format that the file's name tells.

    JSON has ``results``, each with the names of its system and ``per_query``, the value by measure
    and query id. CSV has a line for each system and query, a column for each measure.

    Raises:
        UsageError: the name tells no format.
    """
    check_kind(path)
    write_whole(path, _csv(systems) if path.suffix.lower() == ".csv" else _json(systems))


def _json(systems: Sequence[QueryValues]) -> str:
    rows = [{**each.names, "per_query": each.values} for each in systems]
    return json.dumps({"results": rows}, indent=1, ensure_ascii=False) + "\n"


def _csv(systems: Sequence[QueryValues]) -> str:
    names = list(dict.fromkeys(name for each in systems for name in each.names))
    measures = list(dict.fromkeys(name for each in systems for name in each.values))
    rows: list[Sequence[object]] = [[*names, "query", *measures]]
    for each in systems:
        queries = dict.fromkeys(query for values in each.values.values() for query in values)
        for query in queries:
            found = (each.values.get(name, {}).get(query) for name in measures)
            rows.append([*(each.names.get(name) for name in names), query, *found])
    return csv_text(rows)
