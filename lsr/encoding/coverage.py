"""What share of the words of some texts a vocabulary has terms for."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from operator import itemgetter

from tokenizers import Encoding

from lsr.vocabulary import Vocabulary

CHECKED = 200
# Of each text.
CHARACTERS = 2_000
# Above these a vocabulary was not made for the texts: share of words that have a piece which stands
# for all that is unknown, and pieces of a word on average. BERT's vocabulary for English has 1.2 to
# 1.3 pieces for words of English and of source code, 1.7 for French and Italian, 2.2 for German,
# 2.9 for Finnish, 3.7 for Russian.
MOST_UNKNOWN = 0.1
MOST_PIECES = 1.5
# Of few words, and of a vocabulary so large that it is one for many languages.
MOST_PIECES_AT_ALL = 2.5
FEW_WORDS = 20
MANY_LANGUAGES = 100_000


@dataclass(frozen=True, slots=True)
class Coverage:
    """``unknown`` share of words without a term, 0 to 1; ``pieces`` of a word on average, among
    those of two letters or more without digits; 0.0 without any. ``most_pieces`` are usual.

    ``script`` is what most letters are of, in Unicode's names, as in ``Thai``; "" without letters.
    ``unknown_script`` is that of the words without a term.
    """

    unknown: float = 0.0
    pieces: float = 0.0
    script: str = ""
    unknown_script: str = ""
    most_pieces: float = MOST_PIECES

    @property
    def poor(self) -> bool:
        """Whether the vocabulary was not made for such texts."""
        return self.unknown > MOST_UNKNOWN or self.pieces > self.most_pieces


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
    unknown = [
        text[slice(*place)]
        for text, encoding in zip(texts, encodings, strict=True)
        for term, place in zip(encoding.ids, encoding.offsets, strict=True)
        if term == unknown_id
    ]
    pieces = _pieces(texts, encodings)
    sure = len(pieces) >= FEW_WORDS and vocabulary.size <= MANY_LANGUAGES
    return Coverage(
        min(1.0, len(unknown) / max(count, 1)),
        sum(pieces) / max(len(pieces), 1),
        _main_script(texts),
        _most_common(Counter(_main_script([word]) for word in unknown)),
        MOST_PIECES if sure else MOST_PIECES_AT_ALL,
    )


def _pieces(texts: Sequence[str], encodings: Sequence[Encoding]) -> list[int]:
    """How many pieces each word has that is made of letters."""
    found = []
    for text, encoding in zip(texts, encodings, strict=True):
        places = zip(encoding.word_ids, encoding.offsets, strict=True)
        for _, group in groupby(places, key=itemgetter(0)):
            spans = [span for _, span in group]
            word = text[spans[0][0] : spans[-1][1]].strip()
            if len(word) > 1 and word[0].isalpha() and not any(map(str.isdigit, word)):
                found.append(len(spans))
    return found


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
