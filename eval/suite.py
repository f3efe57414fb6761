"""Suites: data sets x encoders x ways of searching, cell by cell, resumed where a run stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eval.cell import RESULTS, Cell
from eval.costs import over_bm25
from eval.datasets import Dataset, load_dataset, local_folder
from eval.experiment import ExperimentProgress, evaluate_dataset, installed
from eval.finished import FinishedCells, OnCell
from eval.known import BY_NAME, SUITES, expand, group_of
from eval.machine import describe_machine
from eval.names import distinct_names
from eval.results import Results
from eval.saved_runs import file_name
from index.collection.field import Field, encoder_fields
from index.opening import Place
from index.search.config import SearchConfig
from lsr.encoders.encoder import short_name
from lsr.errors import NotFoundError, UsageError
from lsr.trusted_code import NO_CODE, TrustedCode
from lsr.whole_file import write_whole


@dataclass(frozen=True)
class Systems:
    """What is compared on every data set; members as for ``evaluate_dataset``.

    ``encoders`` each have an index, with ``dense`` and ``bm25`` beside. ``language_of`` gives the
    analyser of a data set's words.
    """

    encoders: Sequence[str | None] = (None,)
    dense: str | None = None
    bm25: bool = False
    using: Sequence[str] = ()
    searching: SearchConfig | None = None
    index: Place | None = None
    measures: Sequence[str] = ()
    depth: int | None = None
    against: str | None = None
    passages: str | None = None
    language_of: Callable[[Dataset], str | None] = lambda dataset: None
    trusted: TrustedCode = NO_CODE


@dataclass(frozen=True)
class Suite:
    """Data sets with their names in the results.

    ``groups`` has by these names the data sets that they are parts of, and ``missing`` a sentence
    for each data set that is not to be had.
    """

    datasets: Mapping[str, Dataset]
    groups: Mapping[str, str] = field(default_factory=dict)
    missing: Sequence[str] = ()


def load_suite(names: Sequence[str], split: str = "test", data: Path | None = None) -> Suite:
    """Load data sets, and those of suites.

    Args:
        names: data sets as for ``load_dataset``, and names of ``SUITES``.
        split: of BEIR folders.
        data: a folder with BEIR folders, in which a data set that is no folder itself is looked for
            before it is downloaded.

    Raises:
        NotFoundError: a data set that is named is not to be had, or none of a suite is.
        InputError: one of its files is malformed.
        UsageError: a data set is given twice, or none is.
    """
    if not names:
        raise UsageError("there is no data set; name one")
    loaded: dict[str, tuple[str, Dataset]] = {}
    missing = []
    for name in expand(names):
        try:
            dataset = load_dataset(name, split, data)
        except NotFoundError as error:
            if name in names:
                raise
            missing.append(str(error))
            continue
        folder = local_folder(name, data)
        where = dataset.name if folder is None else str(folder.resolve())
        if where in loaded:
            raise UsageError(f"the data set {name!r} is given twice; give each once")
        loaded[where] = name, dataset
    if not loaded:
        raise NotFoundError(
            f"no data set of {', '.join(names)} is here or can be downloaded; `lsr datasets "
            f"{names[0]}` says what to fetch and where to put it"
        )
    suites = any(each in SUITES for each in names)

    def named(where: str, parts: int) -> str:
        name, dataset = loaded[where]
        if suites and name in BY_NAME:
            return name
        return "/".join(Path(where).parts[-parts:]) if Path(where).is_absolute() else dataset.name

    labels = distinct_names([loaded], named)
    groups = {labels[where]: group_of(name) for where, (name, _) in loaded.items()}
    return Suite(
        {labels[where]: dataset for where, (_, dataset) in loaded.items()},
        {label: group for label, group in groups.items() if group in SUITES},
        missing,
    )


def run_suite(
    suite: Suite,
    systems: Systems,
    output: Path | None = None,
    progress: ExperimentProgress | None = None,
    on_cell: OnCell = lambda cell, kept: None,
    command: Sequence[str] = (),
    baseline: str | None = None,
) -> Results:
    """Score every system on every data set; what a folder has already is not searched again.

    Args:
        suite: of ``load_suite``.
        systems: what is compared.
        output: a folder for the files of each cell and ``results.json``; None: nothing is written.
            A run that was interrupted and is repeated ends with the same files of cells as one that
            was not, costs aside.
        progress: who is told what.
        on_cell: takes each cell when it is there, and whether an earlier run made it.
        command: what was typed, for ``results.json``.
        baseline: what the systems are tested against there, as for ``Results.tested``; where it
            is no system of each data set, nothing is tested.

    Raises:
        InputError: a TREC file can't hold an id, where there is an output.
        UsageError: as for ``evaluate_dataset``.
        LsrError: as for ``evaluate_dataset``.
    """
    if systems.index is not None and (len(systems.encoders) > 1 or len(suite.datasets) > 1):
        raise UsageError(
            "--index holds one collection; give one --encoder and one data set with it"
        )
    folders = {} if output is None else _folders(output, list(suite.datasets))
    if output is not None:
        for dataset in suite.datasets.values():
            dataset.check_trec_ids()
        output.mkdir(parents=True, exist_ok=True)
    languages = {label: systems.language_of(each) for label, each in suite.datasets.items()}
    fields = _fields(systems, list(dict.fromkeys(languages.values())))
    names = _names(fields)
    cells: list[Cell] = []
    files: list[Path] = []
    number, total = 0, len(suite.datasets) * len(systems.encoders)
    for label, dataset in suite.datasets.items():
        alone = any(each[0].counts for each in fields)
        done = FinishedCells(label, folders.get(label), bm25_listed=alone, on_cell=on_cell)
        for encoder in systems.encoders:
            number += 1
            told = _numbered(progress or ExperimentProgress(), number, total)
            rows = evaluate_dataset(
                dataset, encoder, systems.dense, systems.bm25, index=systems.index,
                searching=systems.searching, using=systems.using, measures=systems.measures,
                depth=systems.depth, against=systems.against, progress=told,
                trusted=systems.trusted, passages=systems.passages, language=languages[label],
                names=names, done=done,
            )  # fmt: skip
            cells += [replace(row, dataset=label) for row in rows]
        files += done.files
    results = Results(over_bm25(cells), suite.groups, suite.missing)
    if output is not None:
        _write_results(output, files, document(results, command, baseline))
    return results


def _numbered(progress: ExperimentProgress, number: int, total: int) -> ExperimentProgress:
    """The same, where there are several told which of them it is."""
    if total == 1:
        return progress
    which = f"{number} of {total}, "
    return ExperimentProgress(
        lambda items, label: progress.indexing(items, which + label),
        lambda queries, label: progress.searching(queries, which + label),
    )


def _folders(output: Path, labels: Sequence[str]) -> dict[str, Path]:
    """The folder of each data set's cells, no two the same where letter case does not count."""

    def named(label: str, parts: int) -> str:
        return file_name(label) if parts == 1 else file_name(label).casefold()

    names = distinct_names([labels], named, str.casefold)
    return {label: output / name for label, name in names.items()}


def _fields(systems: Systems, languages: Sequence[str | None]) -> list[list[Field]]:
    """The fields of each index, those of ``index`` aside, which are known when it is opened."""
    if systems.index is not None:
        return []
    return [
        encoder_fields(encoder, systems.dense, systems.bm25, systems.trusted, language)
        for encoder in systems.encoders
        for language in languages
    ]


def _names(fields: Sequence[Sequence[Field]]) -> dict[str, str]:
    """A name for each encoder by its fingerprint: of two alike, with more of their paths."""
    encoders = {field.fingerprint: field.encoder for each in fields for field in each}
    return distinct_names([encoders], lambda key, parts: short_name(encoders[key], parts))


def document(
    results: Results, command: Sequence[str], baseline: str | None = None
) -> dict[str, Any]:
    """The object of ``--json``: the results, what they were made by and on, and all tests."""
    try:
        significance = results.tested(baseline).to_json()
    except UsageError:
        significance = []
    return results.to_dict() | {
        "missing": list(results.notes),
        "command": list(command),
        "versions": installed(),
        "machine": describe_machine(),
        "significance": significance,
    }


def _write_results(output: Path, files: Sequence[Path], found: dict[str, Any]) -> None:
    for row, file in zip(found["results"], files, strict=True):
        row["cell"] = file.relative_to(output).as_posix()
    write_whole(output / RESULTS, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
