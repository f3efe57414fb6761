"""EDA: easy data augmentation (Wei and Zou 2019, arXiv:1901.11196), of sections of texts."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lsr.analysis.stop_words import STOP_WORDS
from lsr.settings import check_range
from lsr.train.pairs import text_hash
from lsr.train.synonyms import Synonyms

# A line of fewer words stays: a heading, a date, a name.
FEWEST_WORDS = 5
Operation = Callable[[list[str], int, random.Random, Synonyms], list[str]]
"""Words, how many of them are changed, lots, and synonyms to the changed words."""


@dataclass(frozen=True, slots=True)
class EasyAugmentation:
    """Changes each line of a section by one of the four operations of EDA, drawn for the line.

    What comes of a section depends on its text, the copy and the seed alone.
    """

    synonyms: Synonyms
    # Share of a line's words that an operation changes, 0.01 to 0.5, one word at least.
    alpha: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        check_range("alpha", self.alpha, 0.01, 0.5)
        check_range("seed", self.seed, 0)

    def __call__(self, sections: Sequence[str], copy: int) -> list[str]:
        """See ``Paraphrase``."""
        return [self._section(section, copy) for section in sections]

    def _section(self, section: str, copy: int) -> str:
        draw = random.Random(text_hash(str(self.seed), str(copy), section))  # noqa: S311
        return "\n".join(self._line(line, draw) for line in section.split("\n"))

    def _line(self, line: str, draw: random.Random) -> str:
        words = line.split()
        if len(words) < FEWEST_WORDS:
            return line
        count = max(1, round(self.alpha * len(words)))
        operation = draw.choice(OPERATIONS)
        indent = line[: len(line) - len(line.lstrip())]
        return indent + " ".join(operation(words, count, draw, self.synonyms))


def replace_words(
    words: list[str], count: int, draw: random.Random, synonyms: Synonyms
) -> list[str]:
    """Each of ``count`` words, no stop words, replaced by one of its synonyms."""
    places = [place for place, word in enumerate(words) if _synonyms_of(word, synonyms)]
    changed = list(words)
    for place in draw.sample(places, min(count, len(places))):
        found = draw.choice(_synonyms_of(words[place], synonyms))
        changed[place] = _in_place_of(words[place], found)
    return changed


def insert_words(
    words: list[str], count: int, draw: random.Random, synonyms: Synonyms
) -> list[str]:
    """Synonyms of ``count`` words, no stop words, put in at any places."""
    known = [found for word in words if (found := _synonyms_of(word, synonyms))]
    changed = list(words)
    for _ in range(count if known else 0):
        changed.insert(draw.randint(0, len(changed)), draw.choice(draw.choice(known)))
    return changed


def swap_words(words: list[str], count: int, draw: random.Random, synonyms: Synonyms) -> list[str]:
    """Two words exchanged, ``count`` times; ``words`` has two or more."""
    changed = list(words)
    for _ in range(count):
        one, other = draw.sample(range(len(changed)), 2)
        changed[one], changed[other] = changed[other], changed[one]
    return changed


def delete_words(
    words: list[str], count: int, draw: random.Random, synonyms: Synonyms
) -> list[str]:
    """Each word left out with the probability ``count`` / words; one stays."""
    kept = [word for word in words if draw.random() >= count / len(words)]
    return kept or [draw.choice(words)]


OPERATIONS: tuple[Operation, ...] = (replace_words, insert_words, swap_words, delete_words)


def _synonyms_of(word: str, synonyms: Synonyms) -> Sequence[str]:
    bare = _bare(word).lower()
    return synonyms(bare) if bare and bare not in STOP_WORDS else ()


def _bare(word: str) -> str:
    """A word without the marks around it."""
    start, end = 0, len(word)
    while start < end and not word[start].isalnum():
        start += 1
    while end > start and not word[end - 1].isalnum():
        end -= 1
    return word[start:end]


def _in_place_of(word: str, synonym: str) -> str:
    """A synonym with the marks around the word, and a capital where it had one."""
    bare = _bare(word)
    written = synonym[0].upper() + synonym[1:] if bare[0].isupper() else synonym
    before, _, after = word.partition(bare)
    return before + written + after
