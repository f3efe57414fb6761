"""What the command line shows of comparisons: tests of pairs, and queries with both rankings."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal

from rich.table import Table
from rich.text import Text

from service.commands import terminal

if TYPE_CHECKING:
    from eval.comparison import PairComparison
    from eval.query_changes import QueryChange, RankedHit

PAIRS = (
    *("A", "B", "A mean", "B mean", "A - B", "95 % interval", "d_z", "wins/ties/losses"),
    *("t-test p", "randomisation p"),
)


def print_pairs(pairs: Sequence[PairComparison]) -> None:
    """A row for each pair; what differs significantly is marked by ``*``."""
    rows = [
        (
            pair.first, pair.second, f"{pair.first_mean:.4f}", f"{pair.second_mean:.4f}",
            f"{pair.difference:+.4f}", f"{pair.interval.low:+.4f} to {pair.interval.high:+.4f}",
            "-" if pair.effect is None else f"{pair.effect:+.2f}",
            f"{pair.wins}/{pair.ties}/{pair.losses}", f"{pair.t_p_holm:.4f}",
            f"{pair.randomisation_p_holm:.4f}{' *' if pair.is_significant else ''}",
        )
        for pair in pairs
    ]  # fmt: skip
    print_plain_table(PAIRS, rows, left=2)
    terminal.out.print(
        f"{pairs[0].measure}; p of paired tests, two-sided, "
        f"{'' if len(pairs) == 1 else f'Holm over {len(pairs)} pairs, '}* below 0.05; interval by "
        "bootstrap",
        style="dim", markup=False,
    )  # fmt: skip


def print_query_change(change: QueryChange, first: str, second: str) -> None:
    """The measure, both rankings side by side, and why documents stand where they do."""
    title = f"{change.query}: {change.text}" if change.text else change.query
    terminal.out.print(
        f"\n{title}\n  {change.first:.4f} -> {change.second:.4f} ({change.difference:+.4f})",
        markup=False,
    )
    rows = [
        (f"{rank}", _hit(ours), _hit(theirs))
        for rank, (ours, theirs) in enumerate(
            zip_longest(change.first_hits, change.second_hits), start=1
        )
    ]
    if rows:
        print_plain_table(("", first, second), rows)
    for reason in change.reasons:
        terminal.out.print(
            f"  {reason.document} by {reason.system}: {reason.sentence}", markup=False
        )


def _hit(hit: RankedHit | None) -> str:
    """The id, ``*`` before it where it is relevant, with a grade above 1."""
    if hit is None:
        return ""
    grade = f"({hit.grade})" if hit.grade is not None and hit.grade > 1 else ""
    return f"{'*' if hit.is_relevant else ' '} {hit.id}{grade}"


def print_plain_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], left: int | None = None
) -> None:
    """Cells as they are, without markup; the columns from ``left`` on stand right, if any."""
    left = len(headings) if left is None else left
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, heading in enumerate(headings):
        justify: Literal["left", "right"] = "left" if place < left else "right"
        table.add_column(Text(heading), justify=justify, no_wrap=place >= left, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    terminal.out.print(table)
