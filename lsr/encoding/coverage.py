"""What share of the words of some texts a vocabulary has terms for."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from lsr.vocabulary import Vocabulary

CHECKED = 200
# Of each text.
CHARACTERS = 2_000
# Above these a vocabulary was not made for the texts: share of words that have a piece which stands
# for all that is unknown, and pieces of a word on average. English has 1.3 of BERT's pieces.
MOST_UNKNOWN = 0.1
MOST_PIECES = 2.5


@dataclass(frozen=True, slots=True)
class Coverage:
    """``unknown`` share of words without a term, 0 to 1; ``pieces`` of a word on average.

    ``script`` is what most letters are of, in Unicode's names, as in ``Thai``; "" without letters.
    ``unknown_script`` is that of the words without a term.
    """

    unknown: float = 0.0
    pieces: float = 0.0
    script: str = ""
    unknown_script: str = ""

    @property
    def poor(self) -> bool:
        """Whether the vocabulary was not made for such texts."""
        return self.unknown > MOST_UNKNOWN or self.pieces > MOST_PIECES


def coverage(vocabulary: Vocabulary, texts: Sequence[str]) -> Coverage:
    """Of the beginnings of the first two hundred texts."""
    texts = [text[:CHARACTERS] for text in texts[:CHECKED]]
    tokenizer = vocabulary.tokenizer
    unknown_token = getattr(tokenizer.model, "unk_token", None)
    unknown_id = tokenizer.token_to_id(unknown_token) if unknown_token else None
    # No token has the id -1.
    unknown_id = -1 if unknown_id is None else unknown_id
    encodings = tokenizer.encode_batch(texts, add_special_tokens=False)
    count = sum(len(set(encoding.word_ids)) for encoding in encodings)
    pieces = sum(len(encoding.ids) for encoding in encodings)
    unknown = [
        text[slice(*place)]
        for text, encoding in zip(texts, encodings, strict=True)
        for term, place in zip(encoding.ids, encoding.offsets, strict=True)
        if term == unknown_id
    ]
    return Coverage(
        min(1.0, len(unknown) / max(count, 1)),
        pieces / max(count, 1),
        _main_script(texts),
        _most_common(Counter(_main_script([word]) for word in unknown)),
    )


def _main_script(texts: Sequence[str]) -> str:
    """What most letters are of; "" where there is none."""
    letters = Counter(chain.from_iterable(texts))
    scripts: Counter[str] = Counter()
    for letter, count in letters.items():
        if letter.isalpha():
            scripts[script_of(letter)] += count
    return _most_common(scripts)


def _most_common(scripts: Counter[str]) -> str:
    """The one of most letters or words, but for those of none."""
    scripts.pop("", None)
    return scripts.most_common(1)[0][0] if scripts else ""


def script_of(letter: str) -> str:
    """The script of a letter, by the beginning of its name; "" where it has none."""
    if letter.isascii():
        return "Latin"
    first = unicodedata.name(letter, "").split(" ")[0]
    return {"CJK": "Han"}.get(first, first.title())
