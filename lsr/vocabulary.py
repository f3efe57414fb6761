"""A vocabulary and the tokenizer that maps text to it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer
from tokenizers.models import BPE, WordPiece
from tokenizers.normalizers import BertNormalizer, Lowercase
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from lsr.errors import InputError


class Piece(NamedTuple):
    """One token of a text: term id, and the characters ``text[start:end]`` it came from."""

    term: int
    start: int
    end: int
    word: int


@dataclass(frozen=True)
class Vocabulary:
    """Term ids, their spelling, and the tokenizer that finds them in text.

    Term ids run from 0 to ``size - 1``. Special tokens ([CLS], [UNK], ...) have ids but never
    come out of ``tokenize``.
    """

    tokenizer: Tokenizer

    @classmethod
    @cache
    def bert_uncased(cls) -> Vocabulary:
        """The 30,522 uncased English word pieces of BERT, which ship with this package.

        All get the same one, whose digest is computed once: leave its tokenizer as it is.
        """
        with resources.as_file(resources.files("lsr") / "data/bert-uncased-vocab.txt") as path:
            return cls.from_vocabulary_file(path)

    @classmethod
    def from_vocabulary_file(cls, path: Path) -> Vocabulary:
        """An uncased BERT tokenizer over a ``vocab.txt``, one word piece a line."""
        pieces = WordPiece.read_file(str(path))
        tokenizer = Tokenizer(WordPiece(pieces, unk_token="[UNK]", max_input_chars_per_word=100))
        tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
        tokenizer.normalizer = BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = BertPreTokenizer()
        tokenizer.post_processor = TemplateProcessing(
            single="[CLS] $A [SEP]",
            special_tokens=[("[CLS]", pieces["[CLS]"]), ("[SEP]", pieces["[SEP]"])],
        )
        return cls(tokenizer)

    @classmethod
    def from_tokenizer(cls, tokenizer: Tokenizer) -> Vocabulary:
        """Wrap a tokenizer; the padding and truncation its file asks for are switched off."""
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return cls(tokenizer)

    @classmethod
    @lru_cache(maxsize=4)
    def from_json(cls, text: str) -> Vocabulary:
        """The vocabulary of a tokenizer.json, given by its text.

        The last few are kept: fields of a collection, and the sides of an encoder, mostly have the
        same one, which takes tens of milliseconds to parse. Leave its tokenizer as it is.

        Raises:
            Exception: it is no tokenizer; tokenizers raises nothing more specific.
        """
        return cls.from_tokenizer(Tokenizer.from_str(text))

    @classmethod
    def from_tokens(cls, tokens: Sequence[str]) -> Vocabulary:
        """A vocabulary of exactly these tokens, term ids being their places.

        In text it finds words that are a token as a whole, whatever their case where no token
        has capital letters.

        Raises:
            InputError: a token is given twice.
        """
        ids = {token: term for term, token in enumerate(tokens)}
        if len(ids) < len(tokens):
            first = next(token for term, token in enumerate(tokens) if ids[token] != term)
            raise InputError(f"the token {first!r} is given twice; give each token once")
        tokenizer = Tokenizer(BPE(ids, [], ignore_merges=True))
        if all(token == token.lower() for token in tokens):
            tokenizer.normalizer = Lowercase()
        tokenizer.pre_tokenizer = BertPreTokenizer()
        return cls(tokenizer)

    @cached_property
    def ids(self) -> dict[str, int]:
        """The term id of each token that the tokenizer has."""
        return self.tokenizer.get_vocab(with_added_tokens=True)

    @cached_property
    def size(self) -> int:
        """Number of term ids."""
        return 1 + max(self.ids.values(), default=-1)

    @cached_property
    def special(self) -> frozenset[int]:
        """Ids of the tokens that stand for no text."""
        added = self.tokenizer.get_added_tokens_decoder()
        return frozenset(term for term, token in added.items() if token.special)

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits that change with any term's spelling or id."""
        terms = sorted(self.ids.items())
        canonical = "\n".join(f"{term}\t{token}" for token, term in terms)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    @cached_property
    def tokens(self) -> list[str]:
        """The spelling of each term id; ``[ID]`` where a tokenizer leaves an id without any."""
        spelled: list[str | None] = [None] * self.size
        for token, term in self.ids.items():
            spelled[term] = token
        return [f"[{term}]" if token is None else token for term, token in enumerate(spelled)]

    @cached_property
    def terms(self) -> dict[str, int]:
        """The id of each of ``tokens``."""
        unspelled = {token: term for term, token in enumerate(self.tokens)}
        return unspelled | self.ids

    def number(self, token: str, otherwise: int) -> int:
        """The id of a spelling, or another number where there is no such token."""
        return self.terms.get(token, otherwise)

    def extended(self, words: Sequence[str]) -> Vocabulary:
        """The vocabulary with words after its terms, which its tokenizer doesn't find in text."""
        return ExtendedVocabulary(self.tokenizer, tuple(words)) if words else self

    def cutting(self, max_length: int) -> Tokenizer:
        """The tokenizer, but cutting texts at so many tokens, special ones included.

        All get the same one for a length: leave it as it is.
        """
        if max_length not in self._cutting:
            tokenizer = Tokenizer.from_str(self.tokenizer.to_str())
            tokenizer.enable_truncation(max_length)
            self._cutting[max_length] = tokenizer
        return self._cutting[max_length]

    @cached_property
    def _cutting(self) -> dict[int, Tokenizer]:
        return {}

    def token(self, term: int) -> str:
        """The spelling of a term id."""
        return self.tokens[term]

    def term(self, token: str) -> int:
        """The id of a spelling.

        Raises:
            InputError: the vocabulary has no such token.
        """
        term = self.terms.get(token)
        if term is None:
            raise InputError(
                f"the token {token!r} is not in the vocabulary of {self.size} terms; "
                "give tokens as the encoder spells them, or query by text"
            )
        return term

    def tokenize(self, texts: Sequence[str], max_length: int = 0) -> list[list[int]]:
        """Term ids of each text in reading order, without special tokens.

        Of the first ``max_length`` tokens, or of all where that is 0.
        """
        tokenizer = self.cutting(max_length) if max_length else self.tokenizer
        encodings = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        special = self.special
        return [[term for term in encoding.ids if term not in special] for encoding in encodings]

    def pieces(self, text: str) -> list[Piece]:
        """The tokens of one text with the characters they came from."""
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        return [
            Piece(term, start, end, -1 if word is None else word)
            for term, (start, end), word in zip(
                encoding.ids, encoding.offsets, encoding.word_ids, strict=True
            )
            if term not in self.special
        ]


@dataclass(frozen=True)
class ExtendedVocabulary(Vocabulary):
    """A tokenizer's vocabulary, and words that have the ids after its own."""

    words: tuple[str, ...]

    @cached_property
    def ids(self) -> dict[str, int]:
        """The term id of each token of the tokenizer, and of each word."""
        closed = Vocabulary(self.tokenizer)
        return closed.ids | {word: closed.size + place for place, word in enumerate(self.words)}


@dataclass(frozen=True)
class GrowingVocabulary(Vocabulary):
    """A tokenizer's vocabulary that takes up, in ``words``, every other token it is asked for.

    Only those that begin with ``mark`` are taken up.
    """

    mark: str = ""
    words: dict[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of term ids by now."""
        return len(self._closed.tokens) + len(self.words)

    def number(self, token: str, otherwise: int) -> int:
        """The id of a spelling, which may be a new one."""
        known = self._closed.terms.get(token)
        if known is not None:
            return known
        if not token.startswith(self.mark):
            return otherwise
        return self.words.setdefault(token, self.size)

    @cached_property
    def _closed(self) -> Vocabulary:
        return Vocabulary(self.tokenizer)
