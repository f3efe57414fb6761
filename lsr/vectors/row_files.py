"""Rows of term weights in working files, as many as the disk holds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lsr.corpus.documents import Document
from lsr.sparse import SparseBatch
from lsr.vectors.working_files import WorkingFiles
from lsr.vocabulary import Vocabulary

ENDS, INDICES, VALUES, ID_ENDS, IDS = "ends", "indices", "values", "id_ends", "ids"
WORDS = "words"
ROWS_AT_A_TIME = 4096


class RowFiles:
    """A growing SparseBatch with an id for each row.

    Of its files ``ends`` and ``id_ends`` (int64) say where each row ends in ``indices`` (int32)
    and ``values`` (float32), and each id in ``ids`` (UTF-8); ``words`` has a line of JSON for each
    word of an open vocabulary.
    """

    def __init__(self, files: WorkingFiles) -> None:
        self.files = files

    def __len__(self) -> int:
        return self.files.size(ENDS) // 8

    @property
    def nnz(self) -> int:
        """Number of weights over all rows."""
        return self.files.size(INDICES) // 4

    def append(self, documents: Sequence[Document], batch: SparseBatch) -> None:
        """Add a row a document; words are numbered in the order in which they come."""
        if batch.words:
            batch = self._numbered(batch)
        ids = [document.id.encode() for document in documents]
        self.files.append(ENDS, self.nnz + batch.indptr[1:])
        self.files.append(
            ID_ENDS, self.files.size(IDS) + np.cumsum([len(each) for each in ids], dtype=np.int64)
        )
        self.files.append(IDS, b"".join(ids))
        self.files.append(INDICES, batch.indices)
        self.files.append(VALUES, batch.values)

    def numbers(self, words: Sequence[str]) -> NDArray[np.int32]:
        """The numbers of words that came with rows, int32 (n,)."""
        return np.array([self._numbers[word] for word in words], dtype=np.int32)

    def vocabulary(self, closed: Vocabulary) -> Vocabulary:
        """What the rows are over: a vocabulary, and the words that came with them."""
        return closed.extended(list(self._numbers))

    @cached_property
    def _numbers(self) -> dict[str, int]:
        data = self.files.read(WORDS, np.uint8, 0, self.files.size(WORDS)).tobytes()
        return {json.loads(line): number for number, line in enumerate(data.splitlines())}

    def _numbered(self, batch: SparseBatch) -> SparseBatch:
        known = len(self._numbers)
        numbers = [self._numbers.setdefault(word, len(self._numbers)) for word in batch.words]
        new = list(self._numbers)[known:]
        self.files.append(WORDS, "".join(f"{json.dumps(word)}\n" for word in new).encode())
        closed = batch.closed_size
        return batch.numbered([closed + number for number in numbers], closed + len(self._numbers))

    def batches(self, vocabulary_size: int) -> Iterator[SparseBatch]:
        """All rows in order, some at a time."""
        begin = 0
        for first in range(0, len(self), ROWS_AT_A_TIME):
            ends = self.files.read(ENDS, np.int64, first, ROWS_AT_A_TIME)
            count = int(ends[-1]) - begin
            yield SparseBatch(
                np.concatenate([np.zeros(1, np.int64), ends - begin]),
                self.files.read(INDICES, np.int32, begin, count),
                self.files.read(VALUES, np.float32, begin, count),
                vocabulary_size,
            )
            begin += count

    def ids(self) -> Iterator[str]:
        """The id of each row."""
        begin = 0
        for first in range(0, len(self), ROWS_AT_A_TIME):
            ends = self.files.read(ID_ENDS, np.int64, first, ROWS_AT_A_TIME)
            data = self.files.read(IDS, np.uint8, begin, int(ends[-1]) - begin).tobytes()
            for start, end in zip([begin, *ends[:-1].tolist()], ends.tolist(), strict=True):
                yield data[start - begin : end - begin].decode()
            begin = int(ends[-1])
