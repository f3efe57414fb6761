"""The texts that are encoded: abstracts, queries and short passages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from eval.datasets import Dataset, load_dataset
from lsr.backbones.batching import Batcher
from lsr.backbones.checkpoint import Checkpoint
from lsr.errors import UsageError

SCIFACT, QUERIES = "scifact", "nq-oracle"
WORDS = 60
KINDS = ("abstracts", "passages", "queries")


@dataclass(frozen=True)
class Texts:
    """``tokens``: of all texts as they are encoded, cut and with special tokens."""

    kind: str
    texts: Sequence[str]
    tokens: int

    @property
    def are_queries(self) -> bool:
        """Whether they go through the query side of an encoder."""
        return self.kind == "queries"


def scifact(data: Path) -> Dataset:
    """SciFact with its test queries, from the folder of datasets."""
    return _dataset(data, SCIFACT)


def contents(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Id and text of each document, the text as ``lsr index`` encodes it."""
    for item in dataset.corpus():
        if item.document is not None:
            yield item.document.id, item.document.contents


def load_texts(data: Path, kind: str, count: int, checkpoint: Checkpoint, max_length: int) -> Texts:
    """The first texts of a kind.

    Abstracts are those of SciFact, with their titles; passages are 60 words of one of them each;
    queries are those of nq-oracle.

    Raises:
        UsageError: there is no such kind.
        NotFoundError: a dataset is not there.
    """
    texts = list(islice(_every(data, kind), count))
    batcher = Batcher(checkpoint.vocabulary, max_length, token_budget=max_length)
    for _ in batcher(texts):
        pass
    return Texts(kind, texts, batcher.tokens)


def cut(text: str, words: int = WORDS) -> Iterator[str]:
    """Consecutive passages of so many words; what is left over is shorter and left out."""
    every = text.split()
    for start in range(0, len(every) - words + 1, words):
        yield " ".join(every[start : start + words])


def _every(data: Path, kind: str) -> Iterator[str]:
    match kind:
        case "abstracts":
            yield from (text for _, text in contents(scifact(data)))
        case "passages":
            for _, text in contents(scifact(data)):
                yield from cut(text)
        case "queries":
            yield from (query.text for query in _dataset(data, QUERIES).queries)
        case _:
            raise UsageError(f"there are no texts {kind!r}; allowed are {', '.join(KINDS)}")


def _dataset(data: Path, name: str) -> Dataset:
    # Absolute, so that a missing folder is not taken for an ir_datasets id.
    return load_dataset(str(data.resolve() / name))
