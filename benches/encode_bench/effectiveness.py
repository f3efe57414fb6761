"""nDCG@10 of an encoder's vectors on SciFact, both sides encoded, scored exhaustively."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from engine_bench.vectors import map_batch

from encode_bench.comparison import say
from encode_bench.encoders import ENCODERS
from encode_bench.subjects import Place, Subject
from encode_bench.texts import contents
from eval.datasets import Dataset
from eval.kept_indexes import cache_folder
from eval.measures import measure
from index.engines.searcher import select
from lsr.sparse import SparseBatch

MEASURE, DEPTH = "nDCG@10", 10
ARRAYS = ("indptr", "indices", "values")


@dataclass(frozen=True)
class Collection:
    """A dataset's documents, their ids, and its judged queries, with their judgements."""

    ids: Sequence[str]
    documents: Sequence[str]
    dataset: Dataset

    @classmethod
    def read(cls, dataset: Dataset) -> Collection:
        """All of a dataset."""
        ids, documents = zip(*contents(dataset), strict=True)
        return cls(ids, documents, dataset)

    @property
    def sides(self) -> dict[str, Sequence[str]]:
        """The texts of each side."""
        return {
            "documents": self.documents,
            "queries": [query.text for query in self.dataset.queries],
        }


def effectiveness(
    name: str, settings: Mapping[str, Any], collection: Collection, place: Place, folder: Path
) -> float:
    """nDCG@10. A peer's vectors are kept between runs: its code doesn't change, and it is slow."""
    kept = cache_file(name, collection, place) if ENCODERS[name].peer else None
    if kept is not None and kept.is_file():
        say(f"the vectors of {name} are read from {kept}")
        return ndcg(collection, load(kept))
    say(f"encoding {len(collection.documents):,} documents with {name}")
    vectors = encode(name, settings, collection, place, folder)
    if kept is not None:
        save(kept, vectors)
    return ndcg(collection, vectors)


def encode(
    name: str, settings: Mapping[str, Any], collection: Collection, place: Place, folder: Path
) -> dict[str, SparseBatch]:
    """The vectors of both sides."""
    child = place.child(name, folder / f"all-{name}.txt", Subject, name)
    vectors = {}
    try:
        for side, texts in collection.sides.items():
            child.ask("hold", texts, side == "queries")
            child.ask("turn", settings)
            target = folder / f"all-{name}-{side}"
            target.mkdir()
            _, terms = child.ask("finish", target)
            vectors[side] = map_batch(target, terms)
    finally:
        child.close()
    return vectors


def ndcg(collection: Collection, vectors: Mapping[str, SparseBatch]) -> float:
    """Of the ten documents of highest inner product, summed in float32; ties by place."""
    scores = vectors["queries"].to_scipy() @ vectors["documents"].to_scipy().T.tocsc()
    run = {}
    for row, query in enumerate(collection.dataset.queries):
        start, end = scores.indptr[row], scores.indptr[row + 1]
        found, values = scores.indices[start:end].astype(np.int64), scores.data[start:end]
        best = select(values, found, DEPTH)
        run[query.id] = [
            (collection.ids[document], float(score))
            for document, score in zip(found[best], values[best], strict=True)
        ]
    return measure(collection.dataset.qrels, run, [MEASURE])[MEASURE]


def cache_file(name: str, collection: Collection, place: Place) -> Path:
    """Where a peer's vectors are kept: a file for all that changes them."""
    entry, checkpoint = ENCODERS[name], place.checkpoint
    key = {
        "place": entry.place,
        "options": dict(entry.options),
        "versions": [version(package) for package in entry.packages],
        "checkpoint": checkpoint.digest,
        "vocabulary": checkpoint.vocabulary.digest,
        "max_length": place.max_length,
        "texts": {side: list(texts) for side, texts in collection.sides.items()},
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]
    return cache_folder() / "bench" / f"vectors-{digest}.safetensors"


def save(path: Path, vectors: Mapping[str, SparseBatch]) -> None:
    """Write the vectors of both sides to one file, whole or not at all."""
    tensors = {
        f"{side}.{array}": np.ascontiguousarray(getattr(batch, array))
        for side, batch in vectors.items()
        for array in ARRAYS
    }
    sizes = {side: str(batch.vocabulary_size) for side, batch in vectors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    safetensors.numpy.save_file(tensors, partial, sizes)
    partial.replace(path)


def load(path: Path) -> dict[str, SparseBatch]:
    """What ``save`` wrote."""
    with safetensors.safe_open(path, "numpy") as stored:
        return {
            side: SparseBatch(
                *(stored.get_tensor(f"{side}.{array}") for array in ARRAYS), int(size)
            )
            for side, size in stored.metadata().items()
        }
