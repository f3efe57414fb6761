"""The TREC runs of several results, each in a file of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from eval.cell import Cell
from eval.names import distinct_names
from eval.run import write_run
from lsr.errors import InputError


def save_runs(path: Path, results: Sequence[Cell]) -> list[Path]:
    """Write a TREC run; of several, each to a file with encoder and search before the suffix.

    Returns:
        What was written, in the order of the results.

    Raises:
        InputError: an id holds white space, which the format can't.
    """
    targets = [path] if len(results) == 1 else _targets(path, results)
    for target, result in zip(targets, results, strict=True):
        try:
            write_run(target, result.run, f"lsr-{result.using}")
        except InputError as error:
            raise InputError(f"the run {target} was not written: {error}") from error
    return targets


def _targets(path: Path, results: Sequence[Cell]) -> list[Path]:
    """A file for each result, no two the same."""
    several = len({result.dataset for result in results}) > 1

    def named(place: int, parts: int) -> str:
        result = results[place]
        kind = file_name(*([result.dataset] if several else []), result.encoder, result.using)
        return kind if parts == 1 else f"{kind}-{result.system[:8]}"

    names = distinct_names([range(len(results))], named, str.casefold)
    return [path.with_name(f"{path.stem}.{name}{path.suffix}") for name in names.values()]


def file_name(*parts: str) -> str:
    """Names that a user gave as a part of a file's name, joined by dots."""
    safe = (re.sub(r"[^\w.,+=@~-]+", "-", part, flags=re.ASCII).strip("-.") for part in parts)
    return ".".join(safe)[:150]
