"""Inverted index of a segment: building, exact and approximate search."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST_DOCUMENT_COUNT: int

def build(
    offsets: NDArray[np.int64],
    terms: NDArray[np.int32],
    weights: NDArray[np.uint16],
    vocabulary_size: int,
    reorder: bool,
    threads: int,
) -> dict[str, NDArray[Any]]:
    """The arrays of an index over documents in compressed sparse rows.

    ``weights`` are the bits of float16. Raises ValueError where they are not well formed.
    """

def checksum(bytes: NDArray[np.uint8]) -> int:  # noqa: A002
    """Checksum of a section of a segment file; see index/core/checksum.hpp."""

def checksum_by_table(bytes: NDArray[np.uint8]) -> int:  # noqa: A002
    """The same without the machine's CRC instruction."""

def all_finite(values: NDArray[np.float32]) -> bool:
    """Whether no value is infinite or NaN."""

def pack_rows(
    starts: NDArray[np.int64], terms: NDArray[np.int32], weights: NDArray[np.uint16]
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]:
    """Rows of sparse vectors in few bytes; see index/core/packed_rows.hpp.

    ``weights`` are the bits of float16. The bytes of all rows' terms, where each row's start, int64
    (rows + 1,), and the same of the weights. Raises ValueError where terms are negative, or not
    strictly ascending within a row.
    """

def unpack_rows(
    terms: NDArray[np.uint8],
    term_starts: NDArray[np.int64],
    weights: NDArray[np.uint8],
    weight_starts: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.uint16]]:
    """The reverse; raises ValueError where a row is malformed."""

def kernels() -> list[str]:
    """Names of the inner loops that this machine can run."""

def unpack(
    terms: NDArray[np.uint8],
    lengths: NDArray[np.uint8],
    documents: NDArray[np.uint8],
    weights: NDArray[np.uint8],
    masks: NDArray[np.uint16],
    order: NDArray[np.uint32],
    vocabulary_size: int,
    room: Callable[[int], NDArray[np.uint8]],
) -> BlockIndex:
    """The index of which these are the parts, by ``BlockIndex.pack_lists``, and the ``order``.

    They may be anyone's: raises ValueError where they are malformed, or a term is not below
    ``vocabulary_size``, and so does whatever needs a list that turns out to be malformed. ``room``
    gives the index so many bytes, zeros all, that it may write to.
    """

def end() -> None:
    """Tell work in the background to let go, for the process ends."""

def search(
    indexes: Sequence[BlockIndex],
    masks: Sequence[NDArray[np.uint16] | None],
    numbers: Sequence[NDArray[np.int64] | None],
    indptr: NDArray[np.int64],
    terms: NDArray[np.int32],
    weights: NDArray[np.float32],
    k: int,
    floor: NDArray[np.float32] | None = None,
    factor: float = 1.0,
    budget_us: int = 0,
    threads: int = 1,
    kernels: str = "",
    choice: int = 0,
) -> tuple[
    NDArray[np.int64],
    NDArray[np.float32],
    NDArray[np.float32],
    NDArray[np.int64],
]:
    """Rankings of the documents of several indexes that score at least ``floor``, by query.

    Of each index, what its ``mask`` made of the documents that may be returned (None: all), and the
    numbers of its documents by ordinal, ascending from index to index (None: those that follow the
    documents before). ``choice`` 0 takes the faster strategy, 1 and 2 that of the list below
    wherever it can give the answer.

    Numbers int64 and scores float32, both (queries, min(k, documents)), -1 and 0 where a ranking is
    shorter; then for each query what no unseen document's score exceeds, and its strategies (0
    nothing, 1 exhaustive, 2 block pruning, 3 these two of different indexes), int64.
    """

class BlockIndex:
    """An index over arrays that stay alive with this object.

    Raises ValueError where one is missing or they don't fit each other.
    """

    def __init__(self, arrays: dict[str, NDArray[Any]]) -> None: ...
    def complete(self, threads: int, in_background: bool) -> None:
        """Unpack all lists that are still packed, in the background until ``end`` is called.

        What was packed is let go of. Raises ValueError where a list is malformed.
        """

    @property
    def is_complete(self) -> bool:
        """Whether all lists are unpacked."""

    @property
    def is_malformed(self) -> bool:
        """Whether a list has been found malformed, so that no search will do."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Its arrays by name, over its own memory; what lists fill in is there once they are."""

    def pack_lists(self) -> dict[str, NDArray[Any]]:
        """Its posting lists in few bytes, in parts; see index/core/packed_lists.hpp."""

    def mask(self, allowed: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """What ``search`` takes as a mask, of a byte for each ordinal."""

    def weights_of(
        self, ordinals: NDArray[np.int64], terms: NDArray[np.int32]
    ) -> NDArray[np.uint16]:
        """The bits of the float16 weight of each term in each document, 0 where it lacks the term.

        (ordinals, terms). Raises ValueError where there is no such document.
        """

class RunTable:
    """What an encoder finds in runs of text; see index/core/marking.hpp."""

    def __init__(self) -> None: ...
    def learn(self, run: str, words: Sequence[tuple[int, int, Sequence[tuple[str, int]]]]) -> None:
        """Remember the words of a run: start, end, and the terms and lengths of their pieces.

        They are ordered by start, the longer first. Raises ValueError where one ends before it
        begins.
        """

    @property
    def nbytes(self) -> int:
        """About how many bytes it takes."""

class TextScanner:
    """Scans the texts of one answer for runs that may hold a term; see index/core/marking.hpp."""

    def __init__(self, table: RunTable, spellings: Sequence[str], budget: int) -> None: ...
    def scan(self, text: str, reach: int) -> ScannedText:
        """The runs of its first ``reach`` characters, fewer where the budget ends before."""

    def take_unknown(self) -> list[str]:
        """The runs met since the last call that the table doesn't know, each once."""

class ScannedText:
    """What was found in one text; it keeps its scanner alive."""

    def mark(
        self, table: RunTable, weights: dict[str, float], window: int
    ) -> tuple[int, list[tuple[int, int]], int]:
        """Mark words by the weights of terms, from 0 to 1.

        Where the word begins from which on most weight of distinct terms is within ``window``
        characters; [start, end) of each word; how many characters were looked at. ``table`` is that
        of the scanner. Raises ValueError for other weights.
        """
