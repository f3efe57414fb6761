"""The documents and queries of the bench, and collections of other sizes made from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from lsr.errors import NotFoundError
from lsr.sparse import SparseBatch

VOCABULARY = 30_522
DOCUMENTS = "splade-280k.npz"
QUERIES = {"splade": "queries-splade.npz", "idf": "queries-idf.npz"}
SEED = 7
# Of a crossed document: how much of its two parents it keeps, and the noise on its weights.
KEPT, ADDED, NOISE = 0.7, 0.3, 0.1
CHUNK = 50_000


def load_documents(folder: Path) -> SparseBatch:
    """All document vectors, without the weights that are 0."""
    return _load(folder / DOCUMENTS)


def load_queries(folder: Path, name: str, count: int) -> SparseBatch:
    """The first queries of one of the two kinds."""
    return _load(folder / QUERIES[name]).head(count)


def resize(documents: SparseBatch, count: int) -> SparseBatch:
    """A random subset in the given order, the documents themselves, or more made from them."""
    if count == len(documents):
        return documents
    if count > len(documents):
        return _batch(scipy.sparse.vstack(list(_crossed(documents, count)), format="csr"))
    rows = np.random.default_rng(SEED).choice(len(documents), count, replace=False)
    return take(documents, np.sort(rows))


def take(batch: SparseBatch, rows: NDArray[np.int64]) -> SparseBatch:
    """These rows, in this order."""
    return _batch(batch.to_scipy()[rows])


def rows_between(batch: SparseBatch, begin: int, end: int) -> SparseBatch:
    """The rows from ``begin`` to ``end``, over the same arrays."""
    starts = batch.indptr[begin : end + 1]
    places = slice(int(starts[0]), int(starts[-1]))
    return SparseBatch(
        starts - starts[0], batch.indices[places], batch.values[places], batch.vocabulary_size
    )


def save_batch(folder: Path, batch: SparseBatch) -> None:
    """Write a batch where other processes can map it."""
    for name in ("indptr", "indices", "values"):
        np.save(folder / f"{name}.npy", getattr(batch, name))


def save_resized(folder: Path, documents: SparseBatch, count: int) -> None:
    """What ``save_batch`` writes of ``resize``, in memory that doesn't grow with ``count``."""
    if count <= len(documents):
        save_batch(folder, resize(documents, count))
        return
    lengths = [np.zeros(1, dtype=np.int64)]
    with (
        (folder / "indices.bin").open("wb") as indices,
        (folder / "values.bin").open("wb") as values,
    ):
        for part in _crossed(documents, count):
            batch = _batch(part)
            lengths.append(np.diff(batch.indptr))
            batch.indices.tofile(indices)
            batch.values.tofile(values)
    np.save(folder / "indptr.npy", np.cumsum(np.concatenate(lengths)))
    for name, dtype in (("indices", np.int32), ("values", np.float32)):
        _to_npy(folder / f"{name}.bin", folder / f"{name}.npy", dtype)


def map_batch(folder: Path, vocabulary_size: int) -> SparseBatch:
    """A batch that ``save_batch`` wrote."""
    indptr, indices, values = (
        np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("indptr", "indices", "values")
    )
    return SparseBatch(indptr, indices, values, vocabulary_size)


def _to_npy(path: Path, target: Path, dtype: type[Any]) -> None:
    """Give an array's bare bytes the header of its kind of file; the file of the bytes goes."""
    array = np.memmap(path, dtype=dtype, mode="r")
    copy = np.lib.format.open_memmap(target, mode="w+", dtype=dtype, shape=array.shape)
    for start in range(0, len(array), CHUNK * 100):
        copy[start : start + CHUNK * 100] = array[start : start + CHUNK * 100]
    copy.flush()
    path.unlink()


def _crossed(documents: SparseBatch, count: int) -> Iterator[scipy.sparse.csr_array]:
    """The documents, then crosses of two of them, part by part.

    A cross keeps each posting of one document with probability 0.7 and each of another with 0.3,
    of a term in both the larger weight; each weight is multiplied by exp(normal(0, 0.1)) and
    rounded to float16. Both parents are drawn uniformly; an empty cross is drawn again.
    """
    random = np.random.default_rng(SEED)
    matrix = documents.to_scipy()
    yield matrix
    missing = count - len(documents)
    while missing:
        pairs = random.integers(0, len(documents), (min(missing, CHUNK), 2))
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        kept = _thinned(matrix[pairs[:, 0]], KEPT, random)
        crossed = kept.maximum(_thinned(matrix[pairs[:, 1]], ADDED, random)).tocsr()
        noise = np.exp(random.normal(0, NOISE, crossed.nnz))
        crossed.data = (crossed.data * noise).astype(np.float16).astype(np.float32)
        crossed.eliminate_zeros()
        crossed = crossed[np.diff(crossed.indptr) > 0]
        yield crossed
        missing -= crossed.shape[0]


def _thinned(
    rows: scipy.sparse.csr_array, share: float, random: np.random.Generator
) -> scipy.sparse.csr_array:
    rows.data[random.random(rows.nnz) >= share] = 0
    rows.eliminate_zeros()
    return rows


def _load(path: Path) -> SparseBatch:
    if not path.is_file():
        raise NotFoundError(
            f"there is no file {path}; give the folder that holds {DOCUMENTS} and the queries "
            "with --data"
        )
    with np.load(path) as stored:
        shape = (len(stored["indptr"]) - 1, VOCABULARY)
        matrix = scipy.sparse.csr_array(
            (
                stored["data"].astype(np.float32),
                stored["indices"].astype(np.int32),
                stored["indptr"],
            ),
            shape=shape,
        )
    matrix.eliminate_zeros()
    return _batch(matrix)


def _batch(matrix: scipy.sparse.csr_array) -> SparseBatch:
    matrix.sort_indices()
    return SparseBatch(
        matrix.indptr.astype(np.int64),
        matrix.indices.astype(np.int32),
        matrix.data.astype(np.float32),
        matrix.shape[1],
    )
