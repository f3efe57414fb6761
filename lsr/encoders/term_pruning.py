"""Which of a text's terms are kept: by term, by weight, by number."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.term_counts import weak_terms
from lsr.encoders.term_pooling import owners
from lsr.errors import UsageError
from lsr.settings import check_choice
from lsr.sparse import SparseBatch
from lsr.vocabulary import Vocabulary

# NLTK's English stop words but for seven question words, as ielab/TILDE lists them.
TILDE_STOP_WORDS = frozenset(
    "i me my myself we our ours ourselves you your yours yourself yourselves he him his himself "  # noqa: SIM905
    "she her hers herself it its itself they them their theirs themselves whom this that these "
    "those am is are was were be been being have has had having do does did doing a an the and but "
    "if or because as until while of at by for with about against between into through during "
    "before after above below to from up down in out on off over under again further then once "
    "here there all any both each few more most other some such no nor not only own same so than "
    "too very s t can will just don should now d ll m o re ve y ain aren couldn didn doesn hadn "
    "hasn haven isn ma mightn mustn needn shan shouldn wasn weren won wouldn".split()
)
TILDE_LEFT_OUT = TILDE_STOP_WORDS | {"##s"}
PLAIN_TOKEN = re.compile(r"[A-Za-z0-9_-]*")
SPECIAL = ("keep", "drop", "drop-first")
LEFT_OUT = ("none", "punctuation", "tilde")


@dataclass(frozen=True, slots=True)
class TermPruning:
    """Terms that are kept: ``prune`` first, then ``threshold``, then ``top_k``; 0 is off."""

    # Drop what weighs no more than this; 0 or more.
    threshold: float = 0.0
    # Drop all but the k largest weights of a text; of equal weights the smaller term ids stay.
    top_k: int = 0
    # Drop what weighs less than this share, 0 to below 1, of the text's largest weight:
    # OpenSearch's ``prune_ratio``.
    prune: float = 0.0

    def __post_init__(self) -> None:
        if not (self.threshold >= 0 and np.isfinite(self.threshold)):
            raise UsageError(f"threshold is {self.threshold}; allowed is 0 or more")
        if self.top_k < 0:
            raise UsageError(f"top_k is {self.top_k}; allowed is 1 or more, and 0 for all terms")
        if not 0 <= self.prune < 1:
            raise UsageError(f"prune is {self.prune}; allowed is 0 to less than 1")

    def __call__(self, batch: SparseBatch) -> SparseBatch:
        """The batch with the terms that are kept."""
        if self.prune:
            rows = owners(batch)
            largest = np.zeros(len(batch), dtype=np.float32)
            np.maximum.at(largest, rows, batch.values)
            batch = batch.keep(batch.values >= np.float32(self.prune) * largest[rows])
        if self.threshold:
            batch = batch.keep(batch.values > np.float32(self.threshold))
        if self.top_k and len(batch) and np.diff(batch.indptr).max() > self.top_k:
            rows = owners(batch)
            order = np.lexsort((batch.indices, -batch.values, rows))
            rank = np.empty(batch.nnz, dtype=np.int64)
            rank[order] = np.arange(batch.nnz) - batch.indptr[rows]
            batch = batch.keep(rank < self.top_k)
        return batch


def special_terms(vocabulary: Vocabulary, special: str) -> NDArray[np.bool_]:
    """bool (V,): the special tokens that ``special`` leaves out.

    ``keep`` leaves out none, ``drop`` all of them, ``drop-first`` the one that begins every text
    ([CLS], ``<s>``), as Pyserini does for uniCOIL.
    """
    check_choice("special", special, SPECIAL)
    out = np.zeros(vocabulary.size, dtype=np.bool_)
    if special == "drop":
        out[list(vocabulary.special)] = True
    elif special == "drop-first":
        out[vocabulary.tokenizer.encode("").ids[:1]] = True
    return out


def left_out_terms(vocabulary: Vocabulary, kind: str) -> NDArray[np.bool_]:
    """bool (V,): terms that never get a weight.

    ``punctuation`` are tokens without letter or digit; ``tilde`` are those that ielab/TILDE
    (``tools.py``, ``get_stop_ids``) leaves out of documents: stop words, ``##s``, and what is
    spelled with other than ASCII letters, digits, ``_`` and ``-``.
    """
    check_choice("leave_out", kind, LEFT_OUT)
    if kind == "punctuation":
        return weak_terms(vocabulary, frozenset())
    out = np.zeros(vocabulary.size, dtype=np.bool_)
    if kind == "tilde":
        for token, term in vocabulary.ids.items():
            piece = token.startswith("#") and len(token) > 1
            odd = not piece and not PLAIN_TOKEN.fullmatch(token)
            out[term] = odd or token in TILDE_LEFT_OUT
    return out


def continuing_terms(vocabulary: Vocabulary) -> NDArray[np.bool_]:
    """bool (V,): the word pieces that continue a word.

    Raises:
        UsageError: the vocabulary does not mark them, as WordPiece does with ``##``.
    """
    out = np.zeros(vocabulary.size, dtype=np.bool_)
    for token, term in vocabulary.ids.items():
        out[term] = token.startswith("##") and len(token) > 2
    if not out.any():
        raise UsageError(
            "pieces=first needs a WordPiece vocabulary, which marks what continues a word with ##; "
            "use pieces=all"
        )
    return out


def folded_terms(vocabulary: Vocabulary) -> NDArray[np.int64]:
    """int64 (V,): the term that stands for each, spellings alike but for case and leading space.

    The smallest term id of the group stands for it (SPARSEUP's ``vocab_fold=case_space``).
    Special tokens stand for themselves.
    """
    tokens = vocabulary.ids
    stands = np.arange(vocabulary.size, dtype=np.int64)
    first: dict[str, int] = {}
    for token, term in sorted(tokens.items(), key=lambda item: item[1]):
        if term not in vocabulary.special:
            folded = token.lstrip("Ġ▁").casefold() or token
            stands[term] = first.setdefault(folded, term)
    return stands
