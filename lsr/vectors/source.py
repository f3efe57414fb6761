"""What every reader of vectors gives: documents, each with its term weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from lsr.corpus.documents import check_unicode
from lsr.corpus.items import Item
from lsr.errors import InputError
from lsr.sparse import SparseVector
from lsr.vocabulary import Vocabulary

LARGEST_VOCABULARY = 1 << 24
LONGEST_TOKEN = 1024


@dataclass(frozen=True, slots=True)
class VectorItem(Item):
    """An item of a file of vectors: document and vector, or the reason why there is none.

    ``line`` counts lines of text files, rows of CSR files and document records of CIFF from 1.
    """

    vector: SparseVector | None = None


class VectorSource(Protocol):
    """A file of vectors, read from its beginning by each call.

    ``vocabulary_digest`` is that of the vocabulary that its vectors are over, or None where the
    file doesn't say; ``encoder`` the name of the encoder that made them, or "".
    ``zero_weights`` counts, once ``items`` has been read, the weights of 0 that CIFF had.
    """

    vocabulary_digest: str | None
    encoder: str
    zero_weights: int = 0

    @property
    def rereadable(self) -> bool:
        """Whether it can be read again, so that its tokens are known before its vectors."""
        return True

    @property
    def fraction(self) -> float | None:
        """Share of the file read so far, 0 to 1, or None where its size is not known."""
        ...

    def tokens(self) -> list[str]:
        """The distinct tokens of the file, in an order that is always the same.

        Raises:
            InputError: there are more than ``LARGEST_VOCABULARY``.
        """
        ...

    def items(self, vocabulary: Vocabulary) -> Iterator[VectorItem]:
        """Documents with vectors over that vocabulary, in the order of the file."""
        ...


def vector_of(weights: Mapping[str, object], vocabulary: Vocabulary) -> SparseVector:
    """Term weights of one document; zero weights are dropped.

    Raises:
        InputError: a token is not in the vocabulary, or a weight is no number, negative, infinite
            or too large for 32 bits.
    """
    terms = {token: vocabulary.number(token, -1) for token in weights}
    unknown = [token for token, term in terms.items() if term < 0]
    if unknown:
        raise InputError(
            f"{len(unknown)} of {len(weights)} tokens are not in the vocabulary of "
            f"{vocabulary.size} terms, the first being {unknown[0]!r}; give the encoder that made "
            "the vectors, or none"
        )
    values = list(weights.values())
    for token, value in weights.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"the weight of the token {token!r} is no number; give a number")
    return SparseVector.from_user([terms[token] for token in weights], values, vocabulary.size)  # type: ignore[arg-type]


def check_token(token: str) -> str:
    """The token itself; raises InputError where it is too long or holds half of a surrogate."""
    if len(token) > LONGEST_TOKEN:
        raise InputError(f"the token {token[:20]!r}... is longer than {LONGEST_TOKEN} characters")
    return check_unicode(token, "token")
