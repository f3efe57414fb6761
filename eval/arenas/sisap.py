"""SISAP's sparse task (2026, task 3): its HDF5 files of compressed sparse rows, and its answers.

    train          group: indptr, indices, data; attribute shape (documents, terms)
    otest/queries  the same of the queries
    otest/knns     documents of the true answers, counted from 1; otest/dists their inner products

A ``config.json`` beside the file may name other places (``data``, ``queries``, ``gt_I``), the file
itself (``filename``) and ``k``. Answers are ``knns`` int32 and ``dists`` float32 of shape
(queries, k), documents counted from 1, with the attributes ``algo``, ``task``, ``buildtime``,
``querytime`` (seconds) and ``params``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.arenas.embeddings import EmbeddedTexts, Timed, csr_vectors
from lsr.errors import InputError, MissingDependencyError, NotFoundError, UsageError
from lsr.sparse import SparseBatch

DEFAULTS = {"data": "train", "queries": "otest/queries", "gt_I": "otest/knns"}
DEPTH = 30
LARGEST_CONFIG = 1 << 20


@dataclass(frozen=True)
class SisapTask:
    """Documents and queries by their numbers from 1, and how many answers are asked for.

    ``truth`` int64 (queries, some k), documents counted from 1; None where the file has none.
    """

    name: str
    documents: EmbeddedTexts
    queries: EmbeddedTexts
    k: int
    truth: NDArray[np.int64] | None

    def recall(self, knns: NDArray[np.int32]) -> float | None:
        """Mean share of the true answers among as many of ours; None where no truth is known."""
        if self.truth is None or not len(self.truth):
            return None
        k = min(self.k, self.truth.shape[1], knns.shape[1])
        found = [
            len(np.intersect1d(ours[:k], true[:k])) / k
            for ours, true in zip(knns, self.truth, strict=True)
        ]
        return float(np.mean(found))


def read_sisap(path: Path) -> SisapTask:
    """The task of an HDF5 file, or of a folder with ``config.json``.

    Raises:
        MissingDependencyError: h5py is not installed.
        NotFoundError: there is no such file.
        InputError: it is no HDF5 file of such a task.
    """
    h5py = _h5py()
    config = _config(path)
    file = path / config["filename"] if path.is_dir() else path
    if not file.is_file():
        raise NotFoundError(f"there is no file {str(file)!r}; give an HDF5 file of SISAP's task")
    try:
        opened = h5py.File(file, "r")
    except OSError as error:
        raise InputError(f"{str(file)!r} is no HDF5 file: {error}") from error
    with opened as h5:
        size = _terms(h5, config, file)
        documents = _rows(h5, config["data"], size, file)
        queries = _rows(h5, config["queries"], size, file)
        truth = _truth(h5, config["gt_I"], len(queries), file)
    k = config.get("k", DEPTH)
    if not isinstance(k, int) or k < 1:
        raise InputError(f"config.json of {str(path)!r} has k {k!r}; allowed is 1 or more")
    return SisapTask(file.stem, _numbered(documents), _numbered(queries), k, truth)


def write_sisap(path: Path, found: Timed, k: int, about: Mapping[str, str]) -> NDArray[np.int32]:
    """Write the answers, and return ``knns``.

    A query with fewer than k documents above 0 gets others behind them, at the inner product 0,
    by their number: the task wants k of each.

    Args:
        path: of the HDF5 file.
        found: rankings.
        k: answers of a query.
        about: attributes of text, such as ``algo`` and ``params``.

    Raises:
        MissingDependencyError: h5py is not installed.
    """
    h5py = _h5py()
    documents, scores = found.best.documents[:, :k], found.best.scores[:, :k]
    width = documents.shape[1]
    knns = np.zeros((len(documents), k), np.int32)
    dists = np.zeros((len(documents), k), np.float32)
    knns[:, :width], dists[:, :width] = documents + 1, scores
    for row in np.flatnonzero((knns == 0).any(axis=1)).tolist():
        there = knns[row][knns[row] > 0]
        others = np.setdiff1d(np.arange(1, k + 1), there)
        knns[row, len(there) :] = others[: k - len(there)]
    with h5py.File(path, "w") as h5:
        h5["knns"], h5["dists"] = knns, dists
        h5.attrs["task"] = "task3"
        h5.attrs["buildtime"] = found.index_seconds
        h5.attrs["querytime"] = found.search_seconds
        for name, value in about.items():
            h5.attrs[name] = value
    return knns


def _config(path: Path) -> dict[str, Any]:
    file = (path if path.is_dir() else path.parent) / "config.json"
    if not file.is_file():
        if path.is_dir():
            raise NotFoundError(f"{str(path)!r} has no config.json; give the HDF5 file itself")
        return dict(DEFAULTS)
    try:
        with file.open("rb") as stream:
            config = json.loads(stream.read(LARGEST_CONFIG))
        texts = {name: config.get(name, DEFAULTS.get(name)) for name in (*DEFAULTS, "filename")}
    except (ValueError, AttributeError) as error:
        raise InputError(f"{str(file)!r} is no JSON object: {error}") from error
    if path.is_file() and texts["filename"] != path.name:
        return dict(DEFAULTS)
    for name, value in texts.items():
        if not isinstance(value, str) or (name == "filename" and Path(value).name != value):
            raise InputError(f"{str(file)!r} has {name} {value!r}; give the name as a string")
    return {**texts, "k": config.get("k", DEPTH)}


def _terms(h5: Any, config: Mapping[str, Any], file: Path) -> int:
    """How many terms there are: as the larger of both shapes says."""
    sizes = []
    for place in (config["data"], config["queries"]):
        shape = np.asarray(_member(h5, place, file).attrs.get("shape", ()))
        if shape.shape != (2,) or shape.dtype.kind not in "iu":
            raise InputError(f"{place} in {str(file)!r} has no attribute shape of two numbers")
        sizes.append(int(shape[1]))
    return max(sizes)


def _rows(h5: Any, place: str, size: int, file: Path) -> SparseBatch:
    group = _member(h5, place, file)
    indptr, indices, data = (
        np.asarray(_member(group, name, file)) for name in ("indptr", "indices", "data")
    )
    return csr_vectors(indptr, indices, data, size, f"{place} in {str(file)!r}")


def _member(group: Any, name: str, file: Path) -> Any:
    try:
        return group[name]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{str(file)!r} has no {name!r} in {group.name}; the file of a sparse task has indptr, "
            "indices and data of its documents and queries"
        ) from error


def _truth(h5: Any, place: str, queries: int, file: Path) -> NDArray[np.int64] | None:
    if place not in h5:
        return None
    truth = np.asarray(h5[place])
    if truth.ndim != 2 or truth.dtype.kind not in "iu" or len(truth) != queries:
        raise InputError(
            f"{place} in {str(file)!r} is {truth.dtype} of shape {truth.shape}; the true answers "
            f"are integers of shape ({queries}, k)"
        )
    # Where a document is the 0th, they are counted from 0.
    return truth.astype(np.int64) + bool((truth == 0).any())


def _numbered(vectors: SparseBatch) -> EmbeddedTexts:
    return EmbeddedTexts([str(number) for number in range(1, len(vectors) + 1)], vectors)


def check_depth(task: SisapTask, k: int | None) -> int:
    """How many answers a query gets; raises UsageError where there are not so many documents."""
    k = task.k if k is None else k
    if not 1 <= k <= len(task.documents.ids):
        raise UsageError(f"k is {k}; allowed is 1 to {len(task.documents.ids)}, all documents")
    return k


def _h5py() -> Any:
    if find_spec("h5py") is None:
        raise MissingDependencyError("SISAP's format", "h5py", "sisap")
    import h5py

    return h5py
