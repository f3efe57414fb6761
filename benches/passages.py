"""What passages do to ranking: ``lsr eval`` of several datasets with and without, as a table.

python benches/passages.py DATASET... [--encoder NAME]... writes the table of docs/passages.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from eval.datasets import load_dataset
from eval.experiment import Result, evaluate_dataset

MEASURES = ("nDCG@10", "R@100")
HEADINGS = ("dataset", "encoder", "split", "nDCG@10 off", "auto", "R@100 off", "auto")


class Row(NamedTuple):
    """A dataset and an encoder: the results without passages and with them."""

    off: Result
    auto: Result

    @property
    def cells(self) -> list[str]:
        """A cell for each heading; measures in per cent."""
        split = self.auto.provenance.passages.partition(": ")[2].removesuffix(")")
        measured = [
            f"{100 * result.measures[measure]:.1f}"
            for measure in MEASURES
            for result in (self.off, self.auto)
        ]
        share = f"{100 * int(split) / self.auto.documents:.0f} %"
        return [self.off.dataset, self.off.encoder, share, *measured]


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = [HEADINGS, ["---", "---", *["---:"] * 5], *(row.cells for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    """Evaluate, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", nargs="+", help="as lsr eval takes them")
    parser.add_argument("--encoder", action="append", help="as lsr index takes it")
    arguments = parser.parse_args()
    rows = []
    for name in arguments.datasets:
        dataset = load_dataset(name, "test")
        for encoder in arguments.encoder or ["bm25", None]:
            off, auto = (
                evaluate_dataset(dataset, encoder, measures=MEASURES, passages=passages)[0]
                for passages in ("off", "auto")
            )
            rows.append(Row(off, auto))
            print(" ".join(rows[-1].cells), file=sys.stderr, flush=True)
    print(table(rows))


if __name__ == "__main__":
    main()
