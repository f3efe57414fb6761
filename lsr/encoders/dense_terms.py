"""The terms that a text's dense vector is near, beside what a sparse model makes of the text."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.pooled import DenseConfig
from lsr.backbones.tensor_files import is_packed, read_arrays
from lsr.encoders.dense import TransformerEncoder
from lsr.encoders.term_pooling import pool_terms
from lsr.errors import InputError
from lsr.sparse import SparseBatch
from lsr.vocabulary import Vocabulary

# Inside an encoder's folder: the table, and the dense model.
FOLDER = "dense_terms"
TABLE, MODEL = "term_vectors.safetensors", "model"
# Of a float32 number for each text and term.
TEXTS_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class TermVectors:
    """A vector of each term, and what a text gets of the term on average.

    ``vectors`` float32 (V, dimension), ``means`` float32 (V,): the mean inner product of the term's
    vector and those of training documents. Terms that no text shall get have zeros in both.
    """

    vectors: NDArray[np.float32]
    means: NDArray[np.float32]

    def write(self, path: Path) -> None:
        """As a safetensors file, vectors as float16."""
        from safetensors.numpy import save_file

        arrays: dict[str, Any] = {"vectors": self.vectors.astype(np.float16), "means": self.means}
        save_file(arrays, path, metadata={"format": "pt"})

    @classmethod
    def read(cls, path: Path, shape: tuple[int, int]) -> TermVectors:
        """The table of a file.

        Args:
            path: of a file that ``write`` made.
            shape: number of terms, and dimension.

        Raises:
            InputError: it is missing or damaged, has another shape, or holds what is not finite.
        """
        try:
            arrays = read_arrays(path)
        except Exception as error:  # what safetensors raises has no common base with OSError
            raise InputError(f"{path} can't be read ({error}); export the encoder again") from error
        found = arrays.get("vectors"), arrays.get("means")
        shapes = [None if array is None else array.shape for array in found]
        if shapes != [shape, shape[:1]]:
            raise InputError(
                f"{path} holds vectors and means of the shapes {shapes[0]} and {shapes[1]}; "
                f"allowed are {shape} and {shape[:1]}, as the models beside it have it"
            )
        vectors, means = (np.asarray(array, dtype=np.float32) for array in found)
        if not (np.isfinite(vectors).all() and np.isfinite(means).all()):
            raise InputError(f"{path} holds what is not finite; export the encoder again")
        return cls(vectors, means)


class DenseTerms:
    """weight * relu(v_t . d - m_t), of the ``top`` terms t of a text of which it is largest.

    d is the text's vector by a dense model. The vectors v_t are such that the sum of those of a
    query's terms, each times its weight, points where the dense model puts the query
    (``lsr.train.dense_terms``). So a query scores documents about as that model would, through the
    inverted index and without a model of its own. The means m_t change no ranking where all
    terms stay; they let those stay that say more of this text than of others.

    With the weights w_t of a sparse model they are joined in quadrature, sqrt(w_t^2 + ...^2). Less
    than by a sum is a word counted twice that a text of few words has, and that both models see
    there, so that a long text which has more of a query's words can come before it.

    Args:
        vocabulary: the terms.
        folder: holds the table and the dense model.
        weight: above 0.
        top: terms of a text, 1 or more.

    Raises:
        InputError: the folder is missing, or its model is no dense encoder.
    """

    def __init__(self, vocabulary: Vocabulary, folder: Path, weight: float, top: int) -> None:
        if not (folder / TABLE).is_file() or not (folder / MODEL).is_dir():
            raise InputError(
                f"{folder.parent} has no dense terms ({FOLDER}/{TABLE} and {FOLDER}/{MODEL}); give "
                "an encoder that was exported with them, or leave the option out"
            )
        self.vocabulary = vocabulary
        checkpoint = Checkpoint.resolve(str(folder / MODEL))
        # What is packed to 8 bits is multiplied so.
        dtype = "int8" if is_packed(checkpoint.weights) else "float32"
        self.model = TransformerEncoder(checkpoint, DenseConfig(dtype=dtype))
        self._path = folder / TABLE
        self._weight = np.float32(weight)
        self._top = min(top, vocabulary.size)

    @cached_property
    def identity(self) -> dict[str, str]:
        """JSON that changes with table and model."""
        with self._path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return {"table": digest, "model": self.model.fingerprint}

    @cached_property
    def table(self) -> TermVectors:
        """The vectors of terms; raises InputError where they are damaged."""
        return TermVectors.read(self._path, (self.vocabulary.size, self.model.dimension))

    def __call__(self, texts: Sequence[str]) -> SparseBatch:
        """One row a text; a blank one has no terms."""
        table = self.table
        vectors = self.model.encode_documents(texts)
        rows, terms, weights = [], [], []
        for begin in range(0, len(texts), TEXTS_AT_ONCE):
            part = vectors[begin : begin + TEXTS_AT_ONCE]
            products = part @ table.vectors.T - table.means
            products[~part.any(axis=1)] = 0
            best = np.argpartition(products, -self._top, axis=1)[:, -self._top :]
            rows.append(np.repeat(np.arange(begin, begin + len(part)), best.shape[1]))
            terms.append(best.ravel())
            weights.append(np.take_along_axis(products, best, axis=1).ravel())
        if not rows:
            return SparseBatch.from_rows([], self.vocabulary.size)
        shape = len(texts), self.vocabulary.size
        values = np.concatenate(weights) * self._weight
        return pool_terms(np.concatenate(rows), np.concatenate(terms), values, shape, "first")
