"""What the cells of a query add to a ranking: the cube of Hypercube-RAG (Shi et al. 2025).

    python benches/dimensions.py ../shared/data/scifact [--dense MODEL]
    python benches/dimensions.py --quick

Key phrases of each document (YAKE) stand for themes, beside names and dates. ``cube`` ranks by the
number of cells alone, older documents first; the last rows join the cells with a ranking.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine_bench.report import publish
from machine import describe_machine, describe_versions

from eval.datasets import Dataset, load_dataset
from eval.experiment import evaluate, evaluate_dataset
from eval.kept_indexes import experiment_folder
from eval.measures import measure
from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.collection.passage_table import AUTO
from index.extracting import extract_dimensions
from index.search.config import SearchConfig
from index.search.dimension_settings import Dimensions
from index.search.dimensions import cube_of
from index.search.query import SearchQuery
from lsr.corpus.dimensions import extractors_of
from lsr.encoders.packaged import WITHOUT_DENSE_TERMS

EXTRACTED = ("dates", "names", "phrases")
MEASURES = ("nDCG@10", "MAP@100", "Recall@100")
DEPTH = 100
WEIGHTS = (0.1, 0.25, 0.5)
PACKAGES = ["numpy", "yake", "torch", "faiss-cpu", "ir-measures"]
COLUMNS = {"dataset": "dataset", "system": "system", **{name: name for name in MEASURES}}


def main(arguments: list[str] | None = None) -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("datasets", nargs="*", default=["../shared/data/scifact"])
    parser.add_argument("--encoder", default=WITHOUT_DENSE_TERMS)
    parser.add_argument("--dense", metavar="MODEL", help="add a dense field, and its fusion")
    parser.add_argument("--quick", action="store_true", help="the demo, without key phrases")
    parser.add_argument("--json", metavar="FILE", help="write the rows; - for standard output")
    options = parser.parse_args(arguments)
    names = ["demo"] if options.quick else options.datasets
    extracted = EXTRACTED[:2] if options.quick else EXTRACTED
    rows = []
    for name in names:
        dataset = load_dataset(name)
        fields = encoder_fields(options.encoder, options.dense, True)
        folder = experiment_folder(dataset, fields, AUTO)
        evaluate_dataset(
            dataset, options.encoder, options.dense, True, index=folder,
            searching=SearchConfig(using="bm25"), measures=MEASURES[:1],
        )  # fmt: skip
        with closing(Collection.open(folder)) as collection:
            report = extract_dimensions(collection, extractors_of(extracted))
            print(f"{name}: {report.phrases:,} phrases of {report.extracted:,} documents",
                  file=sys.stderr)  # fmt: skip
            rows += rows_of(dataset, collection, bool(options.dense))
    machine, versions = describe_machine(), describe_versions(PACKAGES)
    publish({"machine": machine, "versions": versions, "rows": rows}, COLUMNS, options.json)
    return 0


def rows_of(dataset: Dataset, collection: Collection, dense: bool) -> list[dict[str, Any]]:
    """Each ranking, the cube, and what they are together."""
    rankings = ["bm25", "sparse", *(["dense", "hybrid"] if dense else [])]
    found = [_row(dataset, name, _searched(dataset, collection, name, None)) for name in rankings]
    found.append(_row(dataset, "cube", _cubes(dataset, collection)))
    joined = ["bm25", rankings[-1]] if rankings[-1] != "bm25" else ["bm25"]
    for name in joined:
        for weight in WEIGHTS:
            measures = _searched(dataset, collection, name, Dimensions(weight=weight))
            found.append(_row(dataset, f"{name} and cube, weight {weight:g}", measures))
    return found


def _row(dataset: Dataset, system: str, measures: dict[str, float]) -> dict[str, Any]:
    return {"dataset": dataset.name, "system": system} | {
        name: round(100 * value, 2) for name, value in measures.items()
    }


def _searched(
    dataset: Dataset, collection: Collection, using: str, dimensions: Dimensions | None
) -> dict[str, float]:
    config = SearchConfig(
        limit=DEPTH, using=using, payload=False, highlight=False, dimensions=dimensions
    )
    return evaluate(dataset, collection, config, MEASURES).measures


def _cubes(dataset: Dataset, collection: Collection) -> dict[str, float]:
    """Of the documents by the number of their cells alone."""
    run: dict[str, Sequence[tuple[str, float]]] = {}
    with collection.pinned() as view:
        for query in dataset.queries:
            best = cube_of(view, Dimensions(), SearchQuery(query.text), None).ranking()[:DEPTH]
            ids = view.store.ids([number for number, _ in best])
            run[query.id] = [(ids[number], score) for number, score in best]
    return measure(dataset.qrels, run, MEASURES)


if __name__ == "__main__":
    sys.exit(main())
