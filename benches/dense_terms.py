"""How dense terms join a sparse model's weights: by sum or in quadrature, and how much they weigh.

    python benches/dense_terms.py DATASET... [--encoder NAME] [--weights 15,30,60]
    python benches/dense_terms.py --quick

Each dataset as it is, and mixed: every second document, in an order that is drawn, stands in one
passage with those that follow it, until the passage has 100 words; that is then the right answer
for the queries of them all. ``docs/training.md`` has its table. DATASET is what ``lsr eval``
takes; without one it is the demo. All documents are ranked whole, and each is encoded once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from engine_bench.report import publish
from machine import describe_machine, describe_versions

from eval.datasets import load_dataset
from eval.judged_set import JudgedSet
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.packaged import DEFAULT_ENCODER
from lsr.encoders.term_pooling import in_quadrature, summed
from lsr.encoders.term_pruning import TermPruning
from lsr.errors import LsrError
from lsr.sparse import SparseBatch

JOINS = {"sum": summed, "quadrature": in_quadrature}
WORDS = 100
Join = Callable[[SparseBatch, SparseBatch], SparseBatch]
COLUMNS = {"dataset": "dataset", "documents": "documents", "join": "joined by", "weight": "weight"}
COLUMNS |= {name: name for name in ("nDCG@10", "Recall@100", "nnz")}


class Texts:
    """Documents of an encoder with dense terms, whose parts are encoded once.

    Stands in the place of the encoder's component of documents.
    """

    def __init__(self, encoder: Any, texts: Sequence[str]) -> None:
        document = encoder.inner.document
        self.join: Join = in_quadrature
        self.weight = 0.0
        self._rows = {text: row for row, text in enumerate(texts)}
        dense, self._prune = document._dense, document._prune
        document._dense, document._prune = None, TermPruning()
        self._plain = document.encode(list(self._rows))
        terms = dense(list(self._rows))
        self._dense = replace(terms, values=terms.values / dense._weight)
        self._document = document

    def __getattr__(self, name: str) -> Any:
        return getattr(self._document, name)

    def encode(self, texts: Sequence[str], statistics: object = None) -> SparseBatch:
        """One row a text."""
        rows = np.array([self._rows[text] for text in texts], dtype=np.int64)
        plain, dense = self._plain.reorder(rows), self._dense.reorder(rows)
        if self.weight:
            scaled = replace(dense, values=dense.values * np.float32(self.weight))
            plain = self.join(plain, scaled)
        pruned: SparseBatch = self._prune(plain)
        return pruned


def mixed(judged: JudgedSet) -> JudgedSet:
    """The same with every second document in a passage of several."""
    order = np.random.default_rng(0).permutation(list(judged.documents)).tolist()
    groups = [[name] for name in order[::2]]
    words = WORDS
    for name in order[1::2]:
        if words >= WORDS:
            groups.append([])
            words = 0
        groups[-1].append(name)
        words += len(judged.documents[name].split())
    place = {name: str(row) for row, group in enumerate(groups) for name in group}
    documents = {
        str(row): " ".join(judged.documents[name] for name in group)
        for row, group in enumerate(groups)
    }
    qrels: dict[str, dict[str, int]] = {}
    for query, grades in judged.qrels.items():
        found = qrels.setdefault(query, {})
        for name, grade in grades.items():
            if name in place:
                found[place[name]] = max(grade, found.get(place[name], 0))
    return JudgedSet(judged.name, documents, judged.queries, qrels)


def measure(judged: JudgedSet, encoder: str, weights: Sequence[float]) -> list[dict[str, Any]]:
    """A row for each join and weight, and one without dense terms."""
    loaded: Any = load_encoder(encoder)
    texts = Texts(loaded, list(dict.fromkeys(judged.documents.values())))
    loaded.inner.document = texts
    rows = []
    for join, weight in [("", 0.0), *((join, weight) for join in JOINS for weight in weights)]:
        texts.join, texts.weight = JOINS.get(join, summed), weight
        score = judged.score(loaded)
        numbers = {name: round(100 * value, 2) for name, value in score.measures.items()}
        rows.append({"join": join, "weight": weight, **numbers, "nnz": round(score.nnz)})
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; 2 for a dataset or encoder that is not there."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("datasets", nargs="*", default=["demo"], help="as lsr eval takes them")
    parser.add_argument("--encoder", default=DEFAULT_ENCODER, help="one with dense terms and words")
    parser.add_argument("--weights", default="15,22.5,30,40,60", help="of dense terms")
    parser.add_argument("--quick", action="store_true", help="50 queries of the demo")
    parser.add_argument("--json", metavar="FILE", help="write the rows; - for standard output")
    options = parser.parse_args(arguments)
    weights = [float(each) for each in options.weights.split(",")]
    rows = []
    try:
        for name in ["demo"] if options.quick else options.datasets:
            judged = JudgedSet.from_dataset(load_dataset(name))
            judged = judged.head(50) if options.quick else judged
            for how, one in {"as they are": judged, "mixed": mixed(judged)}.items():
                found = measure(one, options.encoder, weights)
                rows += [{"dataset": judged.name, "documents": how, **row} for row in found]
    except LsrError as error:
        print(error, file=sys.stderr)
        return 2
    rows += means(rows)
    report = {"machine": describe_machine(), "versions": describe_versions([]), "rows": rows}
    publish(report, COLUMNS, options.json)
    return 0


def means(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The mean over the datasets, of each join and weight."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        key = tuple(row[name] for name in ("documents", "join", "weight"))
        groups.setdefault(key, []).append(row)
    return [
        dict(zip(("documents", "join", "weight"), key, strict=True))
        | {"dataset": "mean"}
        | {
            name: round(float(np.mean([row[name] for row in group])), 2)
            for name in ("nDCG@10", "Recall@100", "nnz")
        }
        for key, group in groups.items()
    ]


if __name__ == "__main__":
    sys.exit(main())
