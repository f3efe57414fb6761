"""The corpus that a command names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lsr.corpus.items import Item


def corpus_items(source: str) -> Iterable[Item]:
    """The documents of a corpus by the name that commands take."""
    from eval.datasets import DEMO, demo_corpus
    from lsr.corpus.readers.corpus import Corpus

    return demo_corpus() if source == DEMO else Corpus(source)


def fraction_read(items: Iterable[Item]) -> float | None:
    """How much of a corpus is read, from 0 to 1; None where that can't be known."""
    fraction: float | None = getattr(items, "fraction", None)
    return fraction
