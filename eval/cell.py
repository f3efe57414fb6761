"""Cells: the result of one way of searching one data set, as it is kept in files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from eval.run import Run, read_run
from lsr.errors import InputError, NotFoundError

RESULTS = "results.json"
COSTS = ".costs.json"
TEXTS = ("dataset", "encoder", "using", "engine")


@dataclass(frozen=True, slots=True)
class Provenance:
    """What a number came from; enough to tell two numbers apart.

    ``fields`` has the fingerprint of what encoded each field that was searched, ``data`` the digest
    of the documents and that of the queries and judgements, with a slash between.
    """

    fields: dict[str, str]
    data: str
    engine: str
    passages: str
    versions: dict[str, str]

    def line(self) -> str:
        """One line for people."""
        fields = " ".join(f"{name}={fingerprint}" for name, fingerprint in self.fields.items())
        versions = " ".join(f"{name}={number}" for name, number in self.versions.items())
        return f"{fields} data={self.data} engine={self.engine} passages={self.passages} {versions}"


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of a table of results.

    ``measures`` are means over the judged queries, ``per_query`` the value of each measure and
    query id. ``config`` has the settings of the search that are not the defaults, as JSON values.
    ``costs`` are timings and sizes, which differ from run to run: ``ms_per_query`` is wall time,
    the encoding of the query included. ``run`` has the rankings; it is empty where none was kept.
    ``caveats`` are sentences that a reader of the measures should know. ``system`` identifies the
    encoders and the settings, whatever the names, and is the same over all data sets.
    """

    dataset: str
    encoder: str
    using: str
    engine: str
    documents: int
    queries: int
    measures: Mapping[str, float]
    provenance: Provenance
    config: Mapping[str, Any] = field(default_factory=dict)
    per_query: Mapping[str, Mapping[str, float]] = field(default_factory=dict, repr=False)
    costs: Mapping[str, float] = field(default_factory=dict)
    run: Run = field(default_factory=dict, repr=False)
    caveats: Sequence[str] = ()
    system: str = ""

    @property
    def ms_per_query(self) -> float:
        """Wall time of a query in milliseconds, 0.0 where it was not taken."""
        return self.costs.get("ms_per_query", 0.0)

    def to_json(self) -> dict[str, Any]:
        """A row of ``--json``: everything but the rankings and the values of each query."""
        return {
            **{name: getattr(self, name) for name in TEXTS},
            "system": self.system,
            "documents": self.documents,
            "queries": self.queries,
            "measures": dict(self.measures),
            "ms_per_query": self.ms_per_query,
            "costs": dict(self.costs),
            "config": dict(self.config),
            "caveats": list(self.caveats),
            "provenance": asdict(self.provenance),
        }

    def repeatable(self) -> dict[str, Any]:
        """What every run of this cell gives alike, the values of each query included."""
        row = self.to_json()
        del row["ms_per_query"], row["costs"]
        return row | {"per_query": {name: dict(each) for name, each in self.per_query.items()}}

    @classmethod
    def from_json(
        cls,
        row: Mapping[str, Any],
        costs: Mapping[str, float] | None = None,
        run: Run | None = None,
    ) -> Cell:
        """The cell of ``to_json`` or of ``repeatable``, with costs and rankings of other files.

        Raises:
            InputError: it is no such object.
        """
        try:
            known = {each.name for each in dataclasses.fields(Provenance)}
            provenance = {name: row["provenance"][name] for name in known}
            return cls(
                **{name: _text(row[name]) for name in TEXTS},
                documents=int(row["documents"]),
                queries=int(row["queries"]),
                measures=_numbers(row["measures"]),
                provenance=Provenance(**provenance),
                config=dict(row.get("config", {})),
                per_query={
                    _text(name): _numbers(each) for name, each in row.get("per_query", {}).items()
                },
                costs=_numbers(row.get("costs", {}) if costs is None else costs),
                run={} if run is None else run,
                system=_text(row.get("system", "")),
                caveats=[_text(each) for each in row.get("caveats", [])],
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"a result is malformed ({error!r}); take a file of lsr eval"
            ) from error


def read_results(path: Path) -> list[Cell]:
    """The cells of a folder that ``lsr eval --output`` wrote, or of a file of ``--json``.

    Args:
        path: the folder, its ``results.json``, or the file of one cell. The values of each query
            and the rankings are there where the files of the cells stand beside.

    Raises:
        NotFoundError: there is no such file.
        InputError: it is malformed.
    """
    if path.is_dir():
        path = path / RESULTS
    if not path.exists():
        raise NotFoundError(
            f"there is no file {str(path)!r}; give a folder or results.json of lsr eval --output"
        )
    value = read_json(path)
    rows = value.get("results")
    if rows is None:
        return [read_cell(path)]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path}: 'results' must be a list of objects; take a file of lsr eval")
    cells = []
    for row in rows:
        kept = _beside(path, row)
        cells.append(Cell.from_json(row) if kept is None else read_cell(kept))
    return cells


def read_cell(path: Path) -> Cell:
    """The cell of one file, with the costs and the rankings that stand beside it, if any.

    Raises:
        InputError: it is malformed.
    """
    costs, run = path.with_name(path.stem + COSTS), path.with_name(path.stem + ".run")
    try:
        return Cell.from_json(
            read_json(path),
            read_json(costs) if costs.exists() else None,
            read_run(run) if run.exists() else None,
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object of a file.

    Raises:
        InputError: it holds none.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON ({error}); take a file of lsr eval") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds no JSON object; take a file of lsr eval")
    return value


def _beside(path: Path, row: Mapping[str, Any]) -> Path | None:
    """The file of a row's cell, which stands below the folder of the results."""
    name = row.get("cell")
    if not isinstance(name, str):
        return None
    kept = (path.parent / name).resolve()
    return kept if kept.is_file() and kept.is_relative_to(path.parent.resolve()) else None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {_text(name): float(value) for name, value in values.items()}
