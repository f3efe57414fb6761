"""``lsr eval gate``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.commands.options import json_option, trust_option

if TYPE_CHECKING:
    from lsr.trusted_code import TrustedCode


@click.command("gate")
@click.argument("results", type=click.Path(path_type=Path), required=False)
@click.option(
    "--baseline", type=click.Path(path_type=Path), required=True,
    help="The results.json, or the folder of lsr eval --output, that nothing may fall behind.",
)  # fmt: skip
@click.option(
    "--max-drop", default=0.5, show_default=True, type=click.FloatRange(0, 100),
    help="Points of 100 that a measure may lose.",
)  # fmt: skip
@click.option(
    "--measure", "measures", multiple=True, default=("nDCG@10",), show_default=True, metavar="NAME"
)
@trust_option
@json_option
def gate_command(
    results: Path | None,
    baseline: Path,
    max_drop: float,
    measures: Sequence[str],
    trusted: TrustedCode,
    as_json: bool,
) -> None:
    """Fail where results fell behind a baseline: exit code 1, and a sentence for each drop.

    RESULTS is what lsr eval wrote now. Without it, the baseline's own command is repeated.
    """
    from eval.cell import read_results
    from eval.reproduction import drops
    from service.commands import terminal
    from service.commands.repetition import repeated

    before = read_results(baseline)
    now = repeated(baseline, trusted) if results is None else read_results(results)
    found = drops(before, now, measures, max_drop)
    if as_json:
        terminal.print_json(
            {"passed": not found, "max_drop": max_drop, "drops": [each.to_json() for each in found]}
        )
    else:
        for drop in found:
            terminal.out.print(drop.sentence(), markup=False)
        if not found:
            terminal.out.print(
                f"no {' or '.join(measures)} of {len(before)} "
                f"{'result' if len(before) == 1 else 'results'} fell by more than {max_drop:g} "
                "points", markup=False,
            )  # fmt: skip
    if found:
        sys.exit(1)
