"""Words that may stand for a word: of a file, or near it among the embeddings of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsr.analysis.stop_words import STOP_WORDS
from lsr.backbones.checkpoint import Checkpoint
from lsr.corpus.files import open_counted
from lsr.corpus.items import Item, lines
from lsr.errors import InputError, NotFoundError

Synonyms = Callable[[str], Sequence[str]]
"""A word in lower case to the words that may stand for it, the nearest first; empty for none."""
# Of a word, and how like it they must be, as a cosine.
MOST, LEAST_LIKE = 5, 0.55
SHORTEST = 3
EMBEDDINGS = "word_embeddings.weight"


class NearestWords:
    """The words whose input embeddings in a model are nearest to a word's own.

    No dictionary: words that stand in like places are near, which opposites (large, small) and
    forms of one word (wing, wings) do too. Words that are no single term of the model, stop words
    and words of one or two letters have none.

    Args:
        checkpoint: of a BERT model.

    Raises:
        InputError: it has no table of embeddings with a row for each term.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        vocabulary = checkpoint.vocabulary
        table = _embeddings(checkpoint)
        if len(table) < vocabulary.size:
            raise InputError(
                f"{checkpoint.name} has {len(table)} embeddings for {vocabulary.size} terms; give "
                "a file of synonyms"
            )
        tokens = vocabulary.tokens
        rows = [row for row, token in enumerate(tokens) if _is_word(token)]
        vectors = table[rows] - table[rows].mean(axis=0)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        self._words = [tokens[row] for row in rows]
        self._rows = {word: row for row, word in enumerate(self._words)}
        self._vectors = vectors
        self._found: dict[str, tuple[str, ...]] = {}

    def __call__(self, word: str) -> Sequence[str]:
        """See ``Synonyms``."""
        if word not in self._found:
            self._found[word] = self._nearest(word)
        return self._found[word]

    def _nearest(self, word: str) -> tuple[str, ...]:
        row = self._rows.get(word)
        if row is None:
            return ()
        likeness = self._vectors @ self._vectors[row]
        likeness[row] = -1.0
        best = np.argsort(-likeness, kind="stable")[:MOST]
        return tuple(self._words[near] for near in best if likeness[near] >= LEAST_LIKE)


def read_synonyms(path: Path) -> Synonyms:
    """The synonyms of a file in the format of Solr and Elasticsearch.

    A line is a group of words with commas between, each of which may stand for each other; or
    ``words => words``, where those on the right may stand for those on the left. What begins with
    # is a comment. Letter case does not count.

    Raises:
        NotFoundError: there is no such file.
        InputError: a line is of no such form, or there is no group in it.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no file of synonyms {str(path)!r}; give one")
    found: dict[str, dict[str, None]] = {}
    with open_counted(path, lambda read: None) as stream:
        for number, line in lines(stream, str(path)):
            if isinstance(line, Item):
                raise InputError(f"{line.place}: {line.reason}")
            text = line.partition("#")[0].strip().lower()
            if not text:
                continue
            left, arrow, right = text.partition("=>")
            words = _split(left)
            others = _split(right) if arrow else words
            if not others or not words or (not arrow and len(words) < 2) or "=>" in right:
                raise InputError(
                    f"{path}:{number}: no synonyms; give words with commas between, as in "
                    "'car, automobile', or 'words => words'"
                )
            for word in words:
                found.setdefault(word, {}).update(dict.fromkeys(others))
    if not found:
        raise InputError(f"{path} has no synonyms; give lines such as 'car, automobile'")
    return lambda word: tuple(other for other in found.get(word, ()) if other != word)


def _split(text: str) -> list[str]:
    return [word for word in (" ".join(part.split()) for part in text.split(",")) if word]


def _is_word(token: str) -> bool:
    return token.isalpha() and len(token) >= SHORTEST and token not in STOP_WORDS


def _embeddings(checkpoint: Checkpoint) -> NDArray[np.float32]:
    """float32 (rows, width): the embeddings of words, without torch."""
    from safetensors import safe_open

    for path in checkpoint.weights:
        with safe_open(path, framework="numpy") as tensors:
            for name in tensors.keys():  # noqa: SIM118
                if name.endswith(EMBEDDINGS):
                    table: NDArray[np.float32] = tensors.get_tensor(name).astype(np.float32)
                    return table
    raise InputError(
        f"{checkpoint.name} has no {EMBEDDINGS}, in which near words are looked for; give a file "
        "of synonyms"
    )
