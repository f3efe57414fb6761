"""Cells that are finished: listed once, and kept in a folder, from which a later run takes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from eval.cell import COSTS, Cell, read_cell
from eval.datasets import Dataset
from eval.experiment import installed
from eval.measures import measured
from eval.run import run_lines
from eval.saved_runs import file_name
from eval.systems import Planned
from index.collection.field import BM25
from lsr.errors import InputError
from lsr.whole_file import write_whole

OnCell = Callable[[Cell, bool], None]


class FinishedCells:
    """The cells of one data set.

    A cell is the same where its data, the encoders of its index, its settings and the versions are.
    Each file appears whole and the one with the measures last, so that what a killed process leaves
    is either a cell or none.

    Args:
        label: the name of the data set in the results.
        folder: of its files; None: they are kept in memory alone.
        bm25_listed: whether BM25 is one of the encoders, so that no BM25 beside another encoder is
            listed on its own.
        on_cell: takes each cell that is listed, and whether it was there already.

    ``files`` has the file of each that is listed, in their order.
    """

    def __init__(
        self,
        label: str,
        folder: Path | None = None,
        bm25_listed: bool = False,
        on_cell: OnCell = lambda cell, kept: None,
    ) -> None:
        self.label = label
        self.folder = folder
        self.files: list[Path] = []
        self._on_cell = on_cell
        self._bm25_listed = bm25_listed
        self._listed: dict[str, Cell] = {}

    def wants(self, planned: Planned) -> bool:
        """Whether a search gets a row: no system has two, and BM25 no second under a field."""
        if planned.system in self._listed:
            return False
        return not (planned.config.using == BM25 and self._bm25_listed)

    def find(self, dataset: Dataset, planned: Planned) -> Cell | None:
        """The cell of a search, if it is there; with measures that it lacks from its rankings."""
        kept = self._listed.get(planned.system)
        path = self.path(planned)
        if kept is None and path is not None and path.exists():
            kept = _usable(path, dataset, planned)
            if kept is not None:
                self._write(planned, kept)
        return kept

    def keep(self, planned: Planned, cell: Cell) -> Cell:
        """Take a new cell, and write its files."""
        cell = replace(cell, dataset=self.label)
        self._write(planned, cell)
        return cell

    def list(self, planned: Planned, cell: Cell, kept: bool) -> None:
        """Give a cell its row."""
        self._listed[planned.system] = cell
        self._bm25_listed = self._bm25_listed or planned.config.using == BM25
        path = self.path(planned)
        if path is not None:
            self.files.append(path)
        self._on_cell(cell, kept)

    def path(self, planned: Planned) -> Path | None:
        """The file of a cell; None without a folder."""
        if self.folder is None:
            return None
        name = file_name(planned.encoder, planned.config.using or "")
        return self.folder / f"{name}-{planned.system[:8]}.json"

    def _write(self, planned: Planned, cell: Cell) -> None:
        path = self.path(planned)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        costs = {name: round(value, 6) for name, value in cell.costs.items()}
        lines = run_lines(cell.run, f"lsr-{cell.using}")
        write_whole(path.with_suffix(".run"), "".join(lines))
        write_whole(path.with_name(path.stem + COSTS), _json(costs))
        write_whole(path, _json(replace(cell, dataset=self.label).repeatable()))


def _usable(path: Path, dataset: Dataset, planned: Planned) -> Cell | None:
    """The cell of a file as it is asked for; None where it is of something else, or damaged."""
    try:
        cell = read_cell(path)
    except InputError:
        return None
    made = cell.provenance
    data = f"{dataset.contents.digest}/{dataset.digest()}"
    same_fields = planned.fields.items() <= made.fields.items()
    if (cell.system, made.data, made.versions) != (planned.system, data, installed()):
        return None
    if not same_fields or not path.with_suffix(".run").exists():
        return None
    # As they stand in a cell that is made now, whatever version of ours wrote the file.
    made = replace(made, versions=installed(), fields={**planned.fields, **made.fields})
    cell = replace(cell, provenance=made)
    if set(planned.measures) <= cell.per_query.keys() & cell.measures.keys():
        return replace(
            cell,
            encoder=planned.encoder,
            measures={name: cell.measures[name] for name in planned.measures},
            per_query={name: cell.per_query[name] for name in planned.measures},
        )
    values = measured(dataset.qrels, cell.run, planned.measures)
    return replace(cell, encoder=planned.encoder, measures=values.means, per_query=values.per_query)


def _json(value: Mapping[str, object]) -> str:
    """JSON whose names stand as they do in the value: of measures, the first is the main one."""
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
