"""Runs: the rankings that a system gave for test queries, and TREC run files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ctypes import c_float
from math import isnan
from pathlib import Path

import numpy as np

from lsr.corpus.files import numbered_lines
from lsr.corpus.qrels import check_trec_id
from lsr.errors import InputError

IN_FOLDERS = ("run.txt", "run.txt.gz")
Run = Mapping[str, Sequence[tuple[str, float]]]
"""Query id to ranking: document id and score, best first."""


def descending(ranking: Sequence[tuple[str, float]]) -> Iterator[tuple[str, float]]:
    """The ranking with scores that fall strictly in float32, each tie lowered by the least step.

    trec_eval orders by score and breaks ties by document id; without ties it keeps the order in
    which the results were served.
    """
    last = np.float32(np.inf)
    for document, score in ranking:
        last = min(np.float32(score), np.nextafter(last, np.float32(-np.inf)))
        yield document, float(last)


def write_run(path: Path, run: Run, tag: str = "lsr") -> None:
    """Write a TREC run, one ``query Q0 document rank score tag`` a line.

    Raises:
        InputError: an id holds white space, which the format can't; then nothing is written.
    """
    lines = run_lines(run, tag)
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(lines)


def run_lines(run: Run, tag: str) -> list[str]:
    """The lines of a TREC run, each with its end.

    Raises:
        InputError: an id holds white space, which the format can't.
    """
    lines = []
    for query, ranking in run.items():
        check_trec_id(query)
        for rank, (document, score) in enumerate(descending(ranking), start=1):
            check_trec_id(document)
            lines.append(f"{query} Q0 {document} {rank} {score:.9g} {tag}\n")
    return lines


def _in_folder(folder: Path) -> Path:
    for name in IN_FOLDERS:
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        f"the folder {str(folder)!r} holds no {' or '.join(IN_FOLDERS)}; give the file of a run"
    )


def read_run(path: Path) -> dict[str, list[tuple[str, float]]]:
    """Read a TREC run, ordered as trec_eval does: score descending, then document descending.

    As there, scores are float32, so that what differs by less is a tie. ``path`` is of a file,
    plain, .gz or .xz, or of a folder with ``run.txt`` or ``run.txt.gz``, as TIRA and lsr-benchmark
    have runs.

    Raises:
        InputError: a line is malformed, the file can't be read, or a query has a document twice.
    """
    if path.is_dir():
        path = _in_folder(path)
    rankings: dict[str, dict[str, float]] = {}
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        try:
            query, _, document, _, score, _ = line.split()
            ranking = rankings.setdefault(query, {})
            if document in ranking:
                raise InputError(f"{path}:{number}: the query {query!r} has {document!r} twice")
            ranking[document] = c_float(float(score)).value
            if isnan(ranking[document]):
                raise ValueError(score)
        except ValueError:
            raise InputError(
                f"{path}:{number}: {line.strip()!r} is no line of a TREC run; lines are "
                "'query Q0 document rank score tag'"
            ) from None
    return {
        query: sorted(ranking.items(), key=lambda scored: (scored[1], scored[0]), reverse=True)
        for query, ranking in rankings.items()
    }


def without_self(run: Run) -> Run:
    """The run without the documents that have the id of their query, as BEIR counts it."""
    return {
        query: [(document, score) for document, score in ranking if document != query]
        for query, ranking in run.items()
    }
