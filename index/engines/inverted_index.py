"""The inverted index of one sparse field of one segment, as the C++ core builds and searches it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index import _core
from index.engines.array_room import Room, out_of_memory, private
from index.engines.posting_list import PostingLists, half
from lsr.errors import CorruptionError
from lsr.sparse import SparseBatch
from lsr.threads import available_cores

LARGEST_DOCUMENT_COUNT: int = _core.LARGEST_DOCUMENT_COUNT
BLOCK_SIZE, ROW_UNIT = 16, 64
# What an index is packed into; index/core/packed_lists.hpp says what they hold.
PACKED: dict[str, type[Any]] = {
    "order": np.uint32,
    "terms": np.uint8,
    "lengths": np.uint8,
    "documents": np.uint8,
    "weights": np.uint8,
    "masks": np.uint16,
}


@dataclass(frozen=True, eq=False)
class InvertedIndex:
    """``core`` is the searchable form; an index that was packed unpacks lists as it needs them."""

    core: _core.BlockIndex
    vocabulary_size: int

    @classmethod
    def build(cls, batch: SparseBatch, reorder: bool = True) -> InvertedIndex:
        """Index a batch of document vectors; row numbers become document ordinals.

        A weight that float16 rounds to 0 has no posting. ``reorder`` puts documents that share
        terms into the same blocks, which takes most of the time of a build and makes searches of
        more than some ten thousand documents several times faster.

        Raises:
            ValueError: there are more than ``LARGEST_DOCUMENT_COUNT`` rows, or a weight is negative
                or not finite.
        """
        weights = half(batch.values).view(np.uint16)
        arrays = _core.build(
            batch.indptr,
            batch.indices,
            weights,
            batch.vocabulary_size,
            reorder,
            available_cores(),
        )
        return cls(_core.BlockIndex(arrays), batch.vocabulary_size)

    def pack(self) -> dict[str, NDArray[Any]]:
        """The index in few bytes: arrays of one dimension, as of ``PACKED``."""
        self.complete()
        return {"order": self.arrays["order"], **self.core.pack_lists()}

    @classmethod
    def unpack(
        cls, packed: Mapping[str, NDArray[Any]], vocabulary_size: int, room: Room = private
    ) -> InvertedIndex:
        """The index that was packed; the arrays may be anyone's, and stay as they are.

        Its lists are unpacked, and looked at, when they are first needed, or by ``complete``. What
        needs them raises CorruptionError where they are malformed.

        Args:
            packed: what ``pack`` gave.
            vocabulary_size: terms are below it.
            room: where the index is put.

        Raises:
            CorruptionError: the arrays are malformed, as far as they are looked at.
            LsrError: there is no room.
        """
        parts = {name: packed[name] for name in PACKED}
        try:
            core = _core.unpack(**parts, vocabulary_size=vocabulary_size, room=room)
        except ValueError as error:
            raise CorruptionError(str(error)) from error
        except MemoryError as error:
            raise out_of_memory() from error
        return cls(core, vocabulary_size)

    def complete(self, in_background: bool = False) -> None:
        """Unpack what is still packed; in the background, until the process ends.

        Raises:
            CorruptionError: a list is malformed.
        """
        try:
            self.core.complete(available_cores(), in_background)
        except ValueError as error:
            raise CorruptionError(str(error)) from error

    @cached_property
    def _views(self) -> dict[str, NDArray[Any]]:
        return self.core.arrays()

    @property
    def arrays(self) -> Mapping[str, NDArray[Any]]:
        """Arrays by name, each of one dimension; index/core/block_index.hpp says what they hold.

        Weights are float16, as their bits.

        Raises:
            CorruptionError: a list is malformed.
        """
        self.complete()
        return self._views

    @property
    def document_count(self) -> int:
        """Number of documents, empty ones included."""
        return len(self._views["order"])

    @property
    def posting_count(self) -> int:
        """Number of postings."""
        return len(self._views["weights"])

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self._views.values())

    def document_frequency(self) -> NDArray[np.int64]:
        """Length of each term's list, int64 (vocabulary_size,)."""
        frequency = np.zeros(self.vocabulary_size, dtype=np.int64)
        frequency[self._views["terms"]] = np.diff(self._views["weight_starts"])
        return frequency

    def weights_of(
        self, ordinals: NDArray[np.int64], terms: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """The weight of each term in each document, 0 where it lacks it; (ordinals, terms)."""
        try:
            found = self.core.weights_of(ordinals, terms)
        except ValueError as error:
            raise malformed(error, [self.core]) from error
        return found.view(np.float16).astype(np.float32)

    def posting_lists(self) -> PostingLists:
        """The same postings as one plain list a term, documents by ordinal."""
        columns = self.to_batch().to_scipy().tocsc()
        return PostingLists(
            columns.indptr.astype(np.int64),
            columns.indices.astype(np.uint32),
            columns.data.astype(np.float16),
            self.document_count,
        )

    def to_batch(self) -> SparseBatch:
        """The document vectors that the postings hold, by ordinal."""
        starts = self.arrays["weight_starts"]
        documents = np.empty(self.posting_count, dtype=np.int64)
        for place, row in enumerate(self.arrays["rows"]):
            found = self._narrow(place) if row < 0 else self._wide(int(row))
            documents[starts[place] : starts[place + 1]] = self.arrays["order"][found]
        terms = np.repeat(self.arrays["terms"], np.diff(starts))
        # Places are in the order of terms, and a stable sort by document keeps it within each.
        sorting = np.argsort(documents, kind="stable")
        indptr = np.zeros(self.document_count + 1, dtype=np.int64)
        np.cumsum(np.bincount(documents, minlength=self.document_count), out=indptr[1:])
        weights = self.arrays["weights"].view(np.float16)[sorting].astype(np.float32)
        return SparseBatch(indptr, terms[sorting], weights, self.vocabulary_size)

    def _narrow(self, place: int) -> NDArray[np.int64]:
        starts = self.arrays["narrow_starts"]
        postings = slice(starts[place], starts[place + 1])
        blocks = self.arrays["narrow_blocks"][postings].astype(np.int64)
        documents: NDArray[np.int64] = blocks * BLOCK_SIZE + self.arrays["narrow_lanes"][postings]
        return documents

    def _wide(self, row: int) -> NDArray[np.int64]:
        stride = -(-self.document_count // (BLOCK_SIZE * ROW_UNIT)) * ROW_UNIT
        blocks = np.flatnonzero(self.arrays["block_max"][row * stride : (row + 1) * stride])
        starts = self.arrays["mask_starts"]
        masks = self.arrays["masks"][starts[row] : starts[row + 1]]
        places, lanes = np.nonzero(masks[:, None] >> np.arange(BLOCK_SIZE, dtype=np.uint16) & 1)
        documents: NDArray[np.int64] = blocks[places] * BLOCK_SIZE + lanes
        return documents


def malformed(error: ValueError, cores: Iterable[_core.BlockIndex]) -> Exception:
    """What to raise for an error of some indexes: CorruptionError where a list is malformed."""
    return CorruptionError(str(error)) if any(core.is_malformed for core in cores) else error
