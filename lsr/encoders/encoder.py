"""What an encoder is: the protocol, its fingerprint and its name."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lsr.backbones.checkpoint import Checkpoint, is_folder
from lsr.corpus.files import user_path
from lsr.errors import UsageError
from lsr.settings import changed, spell
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics
from lsr.vocabulary import Vocabulary

# Characters; of longer names no beginning is looked for.
LONGEST_PATH = 4096
# What tokenizers put around a piece to say where in a word it stands.
POSITION = re.compile("^(##|\u2581|\u0120|\u010a)+|</w>$")


class Occurrence(NamedTuple):
    """A term as it is spelled, the characters ``text[start:end]`` it came from, and which word."""

    token: str
    start: int
    end: int
    word: int


class SparseEncoder(Protocol):
    """Turns documents and queries into sparse term weights over one vocabulary.

    ``name`` loads the same encoder again; ``fingerprint`` changes with anything that changes a
    vector (family, weights, vocabulary, settings) and not with where the checkpoint lies.
    ``stores_counts`` is true where document vectors are raw term counts that become weights only
    with the statistics of the collection (BM25). ``needs_statistics`` is true where
    ``encode_queries`` needs the statistics of the collection's term counts, ``uses_statistics``
    where it takes them into account if they are there, and ``uses_frequencies`` where these are of
    its closed vocabulary though it stores weights of it. ``open`` is true where its vocabulary has
    an open part: words, which its batches bring along, beside the terms of ``vocabulary``; and
    ``counts_words`` where those are stored as term counts, whatever else is stored. A word is
    spelled with ``mark`` before it, and made by the analyser of the name ``words_by``.
    ``inference_free`` is true where ``encode_queries`` runs no model.
    """

    name: str
    vocabulary: Vocabulary
    fingerprint: str
    stores_counts: bool = False
    needs_statistics: bool = False
    uses_statistics: bool = False
    open: bool = False
    counts_words: bool = False
    mark: str = ""
    words_by: str = ""
    inference_free: bool = False

    @property
    def uses_frequencies(self) -> bool:
        """Whether something must count for queries in how many texts each closed term occurs."""
        return self.uses_statistics and not self.stores_counts

    @property
    def tokens_encoded(self) -> int:
        """Tokens that were encoded so far, for progress; 0 where none are counted."""
        return 0

    def cuts(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Which documents are longer than what of them is encoded, bool (n,)."""
        return np.zeros(len(texts), dtype=np.bool_)

    def encode_documents(self, texts: Sequence[str]) -> SparseBatch:
        """One row a text, as it is stored."""
        ...

    def encode_queries(
        self, texts: Sequence[str], statistics: CollectionStatistics | None = None
    ) -> SparseBatch:
        """One row a text, ready to be scored against ``impacts``."""
        ...

    def impacts(self, stored: SparseBatch, statistics: CollectionStatistics | None) -> SparseBatch:
        """The weights that are scored, from the weights that are stored: the same, but for BM25."""
        return stored

    def statistics(self, stored: SparseBatch) -> CollectionStatistics:
        """Statistics of stored counts, if only of words; raises UsageError where none are."""
        raise UsageError(f"the encoder {self.name} stores weights, which have no statistics")

    def content(self, stored: SparseBatch) -> SparseBatch:
        """Stored counts without those of stop words and punctuation, where the encoder has some."""
        return stored

    def unknown_words(self, text: str, statistics: CollectionStatistics) -> list[str]:
        """The words of a query, as it spells them, that no document has; of an open vocabulary."""
        return []

    def spelled_part(self, token: str) -> str:
        """What stands, in lower case, in every ASCII word that has the term; "" if nothing does."""
        return POSITION.sub("", token).lower()

    def occurrences(self, text: str) -> list[Occurrence]:
        """Where in a text its terms come from; those of one word follow each other."""
        token = self.vocabulary.token
        return [
            Occurrence(token(piece.term), piece.start, piece.end, piece.word)
            for piece in self.vocabulary.pieces(text)
        ]


def fingerprint(family: str, **parts: Any) -> str:
    """``family-`` and 16 hexadecimal digits over everything that changes a vector."""
    canonical = json.dumps([family, parts], sort_keys=True)
    return f"{family}-{hashlib.sha256(canonical.encode()).hexdigest()[:16]}"


def canonical_name(family: str, checkpoint: Checkpoint | None, options: object) -> str:
    """The name that loads the same encoder again: family, model, and each non-default option."""
    head = family if checkpoint is None else f"{family}:{checkpoint.name}"
    settings = [f"{key}={spell(value)}" for key, value in changed(options).items()]
    return ",".join([head, *settings])


def split_name(name: str) -> list[str]:
    """Family and model of a name, and its options, which stand behind commas.

    A folder's path may hold commas too: the longest beginning that is a folder is the model.
    """
    parts = name.split(",")
    for end in range(len(parts) if len(name) <= LONGEST_PATH else 0, 1, -1):
        head = ",".join(parts[:end])
        _, colon, model = head.partition(":")
        if _are_folders(head) or (colon and _are_folders(model)):
            return [head, *_options(parts[end:])]
    return [parts[0], *_options(parts[1:])]


def _are_folders(model: str) -> bool:
    """Whether it is a folder, or two of them with the plus of a concatenation between them."""
    parts = model.split("+")
    return _is_named(model) or (len(parts) > 1 and all(map(_is_named, parts)))


def _is_named(folder: str) -> bool:
    return bool(folder) and is_folder(user_path(folder))


def _options(parts: Sequence[str]) -> list[str]:
    """The options, put together again where the value is a folder."""
    options: list[str] = []
    for part in parts:
        joined = f"{options[-1]},{part}" if options and "=" not in part else ""
        if _is_named(joined.partition("=")[2]):
            options[-1] = joined
        else:
            options.append(part)
    return options


def short_name(encoder: str, parts: int = 1) -> str:
    """An encoder's name with so many parts of the path to its folder, for display."""
    head, *options = split_name(encoder)
    family, colon, model = head.rpartition(":")
    # A concatenated dense encoder has two models.
    models = model.split("+")
    names = [
        "/".join(Path(each).parts[-parts:]) if Path(each).is_absolute() else each for each in models
    ]
    return ",".join([family + colon + "+".join(names), *options])
