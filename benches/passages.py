"""What passages do to ranking: ``lsr eval`` of several datasets with and without them.

    python benches/passages.py DATASET... [--encoder NAME]...
    python benches/passages.py --quick

``docs/passages.md`` has its table. DATASET is what ``lsr eval`` takes; without one it is the demo.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine_bench.report import publish
from machine import describe_machine, describe_versions

from eval.cell import Cell
from eval.datasets import load_dataset
from eval.experiment import evaluate_dataset
from lsr.encoders.packaged import WITHOUT_DENSE_TERMS
from lsr.errors import LsrError

MEASURES = ("nDCG@10", "R@100")
COLUMNS = {"dataset": "dataset", "encoder": "encoder", "split_percent": "split, %"} | {
    f"{measure} {passages}": f"{measure} {passages}"
    for measure in MEASURES
    for passages in ("off", "auto")
}


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; 2 for a dataset or encoder that is not there."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("datasets", nargs="*", default=["demo"], help="as lsr eval takes them")
    parser.add_argument("--encoder", action="append", help="as lsr index takes it")
    parser.add_argument("--quick", action="store_true", help="bm25 alone, under 50 seconds")
    parser.add_argument("--json", metavar="FILE", help="write the rows; - for standard output")
    options = parser.parse_args(arguments)
    encoders = options.encoder or (["bm25"] if options.quick else ["bm25", WITHOUT_DENSE_TERMS])
    try:
        rows = [measure(name, encoder) for name in options.datasets for encoder in encoders]
    except LsrError as error:
        print(error, file=sys.stderr)
        return 2
    report = {"machine": describe_machine(), "versions": describe_versions([]), "rows": rows}
    publish(report, COLUMNS, options.json)
    return 0


def measure(name: str, encoder: str | None) -> dict[str, Any]:
    """A dataset by an encoder: its measures in per cent, and how many documents were split."""
    dataset = load_dataset(name, "test")
    results = {
        passages: evaluate_dataset(dataset, encoder, measures=MEASURES, passages=passages)[0]
        for passages in ("off", "auto")
    }
    auto = results["auto"]
    return {
        "dataset": auto.dataset,
        "encoder": auto.encoder,
        "split_percent": round(100 * _split(auto) / max(auto.documents, 1)),
        **{
            f"{measure} {passages}": round(100 * result.measures[measure], 1)
            for measure in MEASURES
            for passages, result in results.items()
        },
    }


def _split(result: Cell) -> int:
    return int(result.provenance.passages.partition(": ")[2].removesuffix(")") or 0)


if __name__ == "__main__":
    sys.exit(main())
