"""Vectors of the texts of a training corpus, computed once and kept in files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from lsr.corpus.documents import Document
from lsr.corpus.items import Item
from lsr.encoders.dense import DenseEncoder
from lsr.encoders.encoder import SparseEncoder
from lsr.encoding.health import NOT_FINITE, finite_rows
from lsr.encoding.progress import Progress, Totals
from lsr.encoding.runs import encode_items
from lsr.errors import CorruptionError, InputError
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics
from lsr.vectors.csr import CsrVectors, CsrWriter, Maker
from lsr.vectors.output import VectorOutput

CHUNK = 512
OnProgress = Callable[[str, int, int], None]
"""Takes what is computed, how many of it are done, and how many there are."""


def no_progress(what: str, done: int, total: int) -> None:
    """Tell no one."""


def sparse_vectors(
    path: Path,
    encoder: SparseEncoder,
    texts: Sequence[str],
    queries: bool = False,
    statistics: CollectionStatistics | None = None,
    on_progress: OnProgress = no_progress,
    words: Sequence[str] = (),
) -> SparseBatch:
    """One row a text, as ``encoder`` stores documents or weighs queries.

    They are read from ``path``, a file of vectors as ``lsr encode --format csr`` writes it, where
    that is whole, and else computed; an interrupted run is gone on with. ``words`` are those of the
    documents, over which queries of an open vocabulary are.

    Raises:
        InputError: the encoder gives a vector that is not finite.
        CorruptionError: the file is damaged, or holds other vectors.
    """
    vocabulary = encoder.vocabulary.extended(words)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        maker = Maker(encoder.name, encoder.fingerprint)
        output = VectorOutput(
            path,
            {"encoder": encoder.fingerprint, "queries": queries, "texts": len(texts)},
            lambda files: CsrWriter(files, vocabulary, maker),
        )
        encode_items(
            encoder,
            (Item(encoder.name, row, Document(str(row), text)) for row, text in enumerate(texts)),
            output,
            queries,
            _EncodeProgress(_what(encoder.name, queries), len(texts), on_progress),
            CHUNK,
            statistics=statistics,
        )
        output.finish()
    vectors = CsrVectors(path)
    batch = vectors.batch()
    size = vocabulary.size
    if encoder.open and not queries:
        tokens = vectors.tokens()
        batch = replace(batch, words=tuple(tokens[size:]))
        same = tokens[:size] == vocabulary.tokens
    else:
        same = vectors.vocabulary_digest == vocabulary.digest
    if len(batch) != len(texts) or not same:
        raise CorruptionError(f"{path} holds other vectors than those asked for; delete it")
    return batch


class _EncodeProgress(Progress):
    def __init__(self, what: str, total: int, on_progress: OnProgress) -> None:
        self._what, self._total, self._on_progress = what, total, on_progress

    def chunk(self, totals: Totals) -> None:
        self._on_progress(self._what, totals.read, self._total)

    def rejected(self, sentence: str) -> None:
        _refuse(sentence)


def dense_vectors(
    path: Path,
    encoder: DenseEncoder,
    texts: Sequence[str],
    queries: bool = False,
    on_progress: OnProgress = no_progress,
) -> NDArray[np.float16]:
    """float16 (n, dimension), one row a text, mapped from the file ``path`` in NumPy's format.

    They are computed where the file is not whole yet; an interrupted run is gone on with.

    Raises:
        InputError: the encoder gives a vector that is not finite.
        CorruptionError: the file is damaged, or holds other vectors.
    """
    shape = len(texts), encoder.dimension
    if not path.exists():
        part = path.with_name(f"{path.name}.part")
        encode = encoder.encode_queries if queries else encoder.encode_documents
        for done in _append_dense(part, encoder, encode, texts):
            on_progress(_what(encoder.name, queries), done, len(texts))
        part.replace(path)
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise CorruptionError(f"{path} can't be read ({error}); delete it") from error
    if vectors.shape != shape or vectors.dtype != np.float16:
        raise CorruptionError(f"{path} holds other vectors than those asked for; delete it")
    return cast("NDArray[np.float16]", vectors)


def _append_dense(
    part: Path,
    encoder: DenseEncoder,
    encode: Callable[[Sequence[str]], NDArray[np.float32]],
    texts: Sequence[str],
) -> Iterator[int]:
    """Write the vectors that a file lacks behind those it has; yields how many it has."""
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("ab") as file:
        header = _npy_header(len(texts), encoder.dimension)
        width = 2 * encoder.dimension
        # After a power cut the last chunk may be there in length only, so it is done again.
        chunks = max((file.tell() - len(header)) // (width * CHUNK) - 1, 0)
        done = min(chunks * CHUNK, len(texts))
        file.truncate(len(header) + done * width if done else 0)
        if not done:
            file.write(header)
        while done < len(texts):
            yield done
            vectors = encode(texts[done : done + CHUNK])
            if not finite_rows(vectors).all():
                _refuse(f"{encoder.name}: {NOT_FINITE.format('texts')}")
            file.write(vectors.astype(np.float16).tobytes())
            file.flush()
            os.fsync(file.fileno())
            done += len(vectors)
        yield done


def _npy_header(rows: int, width: int) -> bytes:
    """The header of a float16 array of that shape, format version 1.0."""
    text = f"{{'descr': '<f2', 'fortran_order': False, 'shape': ({rows}, {width}), }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def _what(name: str, queries: bool) -> str:
    return f"{'queries' if queries else 'documents'} by {name}"


def _refuse(sentence: str) -> None:
    raise InputError(f"{sentence}; leave this model out of the training")
