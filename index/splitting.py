"""Which documents are split into passages: those that an encoder would not read to the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.collection.passage_table import OFF
from index.collection.writable import Writable
from lsr.corpus.documents import Document
from lsr.corpus.passages import WORDS, Passage, count_words, split_document
from lsr.encoding.document_encoders import DocumentEncoders

# Times what a model reads, up to which a document whose words all count beside it stays whole.
WHOLE = 2.0


class Split(NamedTuple):
    """The ``passages`` of each document, none where it is not split; and how many documents are
    ``cut``: too long for an encoder, and not split.
    """

    passages: list[list[Passage]]
    cut: int


UNSPLIT = Split([], 0)


def split_documents(
    collection: Writable, documents: Sequence[Document], encoders: DocumentEncoders
) -> Split:
    """The passages of documents, as the collection says.

    Term counts alone have no end to what they read; there a document of more words than a passage
    is split. Where all words of a document count beside what a model reads of it, one that is not
    much longer than that stays whole: it is found by them.
    """
    texts = [document.contents for document in documents]
    long = unread = encoders.cuts(texts)
    if collection.passages == OFF:
        return Split([], int(unread.sum()))
    if not encoders.dense and all(each.stores_counts for each in encoders.sparse.values()):
        long = np.array([count_words(text) > WORDS for text in texts], dtype=np.bool_)
    elif not encoders.dense and all(
        each.counts_words or each.stores_counts for each in encoders.sparse.values()
    ):
        long = unread.copy()
        places = np.flatnonzero(unread)
        long[places] = encoders.cuts([_first(texts[place], 1 / WHOLE) for place in places])
    passages = [
        _passages(document, WORDS) if is_long else []
        for document, is_long in zip(documents, long, strict=True)
    ]
    short = [place for place in np.flatnonzero(long).tolist() if not passages[place]]
    # A third of some is unread, or more: their words are many tokens each, as in code.
    dense = encoders.cuts([_first(texts[place], 2 / 3) for place in short])
    for place in np.array(short, dtype=np.int64)[dense].tolist():
        passages[place] = _passages(documents[place], WORDS // 2, WORDS // 4)
    return Split(passages, sum(not passages[place] for place in np.flatnonzero(unread)))


def _first(text: str, share: float) -> str:
    return text[: int(share * len(text))]


def _passages(document: Document, *sizes: int) -> list[Passage]:
    """At least two, of the first of some numbers of words that gives as many; else none."""
    for words in sizes:
        passages = split_document(document, words)
        if len(passages) > 1:
            return passages
    return []


def owners(passages: Sequence[Sequence[Passage]], documents: int) -> NDArray[np.int64]:
    """For each row of vectors the place of its document, int64 (n_rows,)."""
    counts = [max(len(parts), 1) for parts in passages] or [1] * documents
    return np.repeat(np.arange(documents), counts)
