"""What a corpus holds: a digest over its documents, and why some items of it are none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lsr.corpus.chunks import distinct_chunks
from lsr.corpus.documents import documents_digest
from lsr.corpus.items import Item
from lsr.corpus.qrels import check_trec_id
from lsr.errors import InputError


@dataclass(frozen=True)
class Contents:
    """The documents of a corpus, of distinct ids.

    ``digest`` is that of a collection that holds them and no others. ``rejected`` has a sentence
    for each other item. ``unfit`` is why a TREC file can't hold one of the ids; empty where it can
    hold all.
    """

    digest: str
    documents: int
    rejected: tuple[str, ...]
    unfit: str


def read_contents(items: Iterable[Item]) -> Contents:
    """Read a corpus once, to its end."""
    rejected: list[str] = []
    digests: list[bytes] = []
    unfit = ""
    for chunk in distinct_chunks(items, rejected.append):
        for document in chunk.documents:
            digests.append(document.digest())
            if not unfit:
                try:
                    check_trec_id(document.id)
                except InputError as error:
                    unfit = str(error)
    return Contents(documents_digest(digests), len(digests), tuple(rejected), unfit)
