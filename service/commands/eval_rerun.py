"""``lsr eval rerun``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.commands.options import json_option, trust_option

if TYPE_CHECKING:
    from lsr.trusted_code import TrustedCode

# Differences that are of what was measured, and not only of what measured it.
RESULTS = ("missing", "new", "measure", "query")


@click.command("rerun")
@click.argument("results", type=click.Path(path_type=Path))
@trust_option
@json_option
def rerun_command(results: Path, trusted: TrustedCode, as_json: bool) -> None:
    """Repeat an evaluation and say what differs: versions, encoders, data, measures.

    RESULTS is a folder that lsr eval --output wrote, or a file of lsr eval --json. The exit code is
    1 where a measure differs.
    """
    from eval.cell import read_results
    from eval.reproduction import differences
    from service.commands import terminal
    from service.commands.repetition import repeated

    before = read_results(results)
    found = differences(before, repeated(results, trusted))
    measured = [each for each in found if each.kind in RESULTS]
    if as_json:
        terminal.print_json(
            {"repeated": not measured, "differences": [each.to_json() for each in found]}
        )
    else:
        for each in found:
            terminal.out.print(each.sentence(), markup=False)
        count = "1 result" if len(before) == 1 else f"{len(before)} results"
        terminal.out.print(
            f"{count} repeated: " + ("measures differ" if measured else "all measures are the same")
        )
    if measured:
        sys.exit(1)
