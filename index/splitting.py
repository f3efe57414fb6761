"""Which documents are split into passages: those that an encoder would not read to the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.collection.collection import Collection
from index.collection.passage_table import OFF
from lsr.corpus.documents import Document
from lsr.corpus.passages import WORDS, Passage, count_words, split_document
from lsr.encoding.document_encoders import DocumentEncoders


class Split(NamedTuple):
    """The ``passages`` of each document, none where it is not split; and how many documents are
    ``cut``: too long for an encoder, and not split.
    """

    passages: list[list[Passage]]
    cut: int


UNSPLIT = Split([], 0)


def split_documents(
    collection: Collection, documents: Sequence[Document], encoders: DocumentEncoders
) -> Split:
    """The passages of documents, as the collection says.

    Term counts alone have no end to what they read; there a document of more words than a passage
    is split.
    """
    texts = [document.contents for document in documents]
    long = unread = encoders.cuts(texts)
    if collection.passages == OFF:
        return Split([], int(unread.sum()))
    if not encoders.dense and all(each.stores_counts for each in encoders.sparse.values()):
        long = np.array([count_words(text) > WORDS for text in texts], dtype=np.bool_)
    # A third of these is unread, or more: their words are many tokens each, as in code.
    dense = encoders.cuts(
        [
            text[: 2 * len(text) // 3] * bool(is_long)
            for text, is_long in zip(texts, long, strict=True)
        ]
    )
    passages = [
        _passages(document, is_dense) if is_long else []
        for document, is_long, is_dense in zip(documents, long, dense, strict=True)
    ]
    return Split(passages, sum(not passages[place] for place in np.flatnonzero(unread)))


def _passages(document: Document, is_dense: bool) -> list[Passage]:
    """At least two, of fewer words than usual where one is not enough; else none."""
    for words in (WORDS, WORDS // 2, WORDS // 4) if is_dense else (WORDS,):
        passages = split_document(document, words)
        if len(passages) > 1:
            return passages
    return []


def owners(passages: Sequence[Sequence[Passage]], documents: int) -> NDArray[np.int64]:
    """For each row of vectors the place of its document, int64 (n_rows,)."""
    counts = [max(len(parts), 1) for parts in passages] or [1] * documents
    return np.repeat(np.arange(documents), counts)
