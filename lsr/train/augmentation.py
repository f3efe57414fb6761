"""More pairs of long texts by paraphrase of their sections, as in ConFit.

ConFit (Yu et al. 2024, arXiv:2401.16349) matches résumés and job posts in both directions, of
which few are known to fit: it paraphrases sections of either text by EDA and by ChatGPT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise, product

from lsr.chat_answers import KeptAnswers
from lsr.errors import UsageError
from lsr.settings import check_choice, check_range
from lsr.train.pairs import Pair
from lsr.train.query_generation import heading_places

SIDES = ("both", "query", "positive")
MOST_COPIES = 10
PAIRS_AT_A_TIME = 64
# Characters of a section that a chat endpoint is asked to paraphrase; a longer one stays.
LONGEST_SECTION = 8000
# An answer is no paraphrase that has more characters than these, for each of the section's.
LONGEST_ANSWER = 3
Paraphrase = Callable[[Sequence[str], int], list[str]]
"""Sections and the number of a copy, from 1 on, to each section in other words, or as it was."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Which texts of a pair are paraphrased, and which sections of them."""

    # Paraphrases of each text, 1 to 10.
    copies: int = 1
    # "both", "query" or "positive".
    sides: str = "both"
    # Headings of the sections that are paraphrased, letter case left aside; empty: all sections.
    sections: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_range("copies", self.copies, 1, MOST_COPIES)
        check_choice("sides", self.sides, SIDES)
        if any(not name.strip() for name in self.sections):
            raise UsageError(
                "the name of a section is blank; give headings, as in Skills,Education"
            )


@dataclass(frozen=True, slots=True)
class AugmentedPair:
    """A pair, and whether one of its texts or both are paraphrases."""

    pair: Pair
    is_paraphrase: bool


@dataclass(frozen=True, slots=True)
class Part:
    """A heading with its marks and line ends, and what stands under it; one of them may be ''."""

    heading: str
    body: str
    name: str


def augment(
    pairs: Iterable[Pair], settings: Augmentation, paraphrase: Paraphrase
) -> Iterator[AugmentedPair]:
    """Each pair, and after it the pairs of its texts and their paraphrases.

    Every wording of the query stands with every wording of the positive, for a paraphrase answers
    what the text does: so a training knows that none of them is a negative of another. A text has
    the same paraphrases in all pairs; those that change nothing are left out, and no pair comes
    twice. Negatives stay as they are.

    Args:
        pairs: the pairs.
        settings: see there.
        paraphrase: what puts sections into other words.
    """
    seen: set[tuple[str, str]] = set()
    remaining = iter(pairs)
    while part := list(islice(remaining, PAIRS_AT_A_TIME)):
        texts = dict.fromkeys(
            text for pair in part for text in _chosen(pair, settings.sides) if text.strip()
        )
        worded = _paraphrased(list(texts), settings, paraphrase)
        for pair in part:
            queries, positives = (
                (text, *(worded[text] if side in _sides(settings.sides) and text.strip() else ()))
                for side, text in (("query", pair.query), ("positive", pair.positive))
            )
            for query, positive in product(queries, positives):
                if (query, positive) not in seen:
                    seen.add((query, positive))
                    is_new = (query, positive) != (pair.query, pair.positive)
                    yield AugmentedPair(Pair(query, positive, pair.negatives), is_new)


def chat_paraphrase(answers: KeptAnswers, copies: int) -> Paraphrase:
    """A chat endpoint puts sections into other words.

    A section stays as it was where the endpoint fails or answers something much longer, and where
    it is too long to ask.
    """

    def paraphrase(sections: Sequence[str], copy: int) -> list[str]:
        asked = [place for place, text in enumerate(sections) if len(text) <= LONGEST_SECTION]
        found = answers([_prompt(sections[place], copy, copies) for place in asked])
        worded = list(sections)
        for place, answer in zip(asked, found, strict=True):
            if answer is not None and len(answer) <= LONGEST_ANSWER * len(sections[place]) + 100:
                worded[place] = answer
        return worded

    return paraphrase


def parts_of(text: str) -> list[Part]:
    """A text in its sections: what stands under each heading, or, without one, each paragraph.

    Headings are those of ``heading_places``, and lines that end with a colon. Joined, headings and
    bodies are the text.
    """
    lines = text.splitlines(keepends=True)
    starts = _starts(lines)
    edges = [0, *(start for start, _, _ in starts if start), len(lines)]
    named = {start: (begin, name) for start, begin, name in starts}
    parts = []
    for start, end in pairwise(edges):
        begin, name = named.get(start, (start, ""))
        parts.append(Part("".join(lines[start:begin]), "".join(lines[begin:end]), name))
    return parts


def _starts(lines: list[str]) -> list[tuple[int, int, str]]:
    """First line of each section, first line of its body, and its name."""
    bare = [line.strip() for line in lines]
    found = {start: (start, begin, name) for start, begin, name in heading_places(bare)}
    for number, line in enumerate(bare):
        if line.endswith(":") and len(line.split()) <= 6 and number not in found:
            found[number] = number, number + 1, line.rstrip(":")
    if found:
        return [found[start] for start in sorted(found)]
    blank = [not line for line in bare]
    begins = [n for n in range(1, len(bare)) if blank[n - 1] and not blank[n]]
    return [(n, n, "") for n in begins]


def _sides(sides: str) -> tuple[str, ...]:
    return ("query", "positive") if sides == "both" else (sides,)


def _chosen(pair: Pair, sides: str) -> list[str]:
    return [getattr(pair, side) for side in _sides(sides)]


def _paraphrased(
    texts: Sequence[str], settings: Augmentation, paraphrase: Paraphrase
) -> dict[str, list[str]]:
    """The distinct paraphrases of each text."""
    wanted = {_name(name) for name in settings.sections}
    divided = [parts_of(text) for text in texts]
    chosen = [
        [bool(part.body.strip()) and (not wanted or _name(part.name) in wanted) for part in parts]
        for parts in divided
    ]
    bodies = dict.fromkeys(
        part.body.strip()
        for parts, asked in zip(divided, chosen, strict=True)
        for part, is_asked in zip(parts, asked, strict=True)
        if is_asked
    )
    found: dict[str, dict[str, None]] = {text: {} for text in texts}
    for copy in range(1, settings.copies + 1):
        worded = dict(zip(bodies, paraphrase(list(bodies), copy), strict=True))
        for text, parts, asked in zip(texts, divided, chosen, strict=True):
            whole = "".join(
                part.heading + (_worded(part.body, worded) if is_asked else part.body)
                for part, is_asked in zip(parts, asked, strict=True)
            )
            if whole != text:
                found[text][whole] = None
    return {text: list(wholes) for text, wholes in found.items()}


def _worded(body: str, worded: dict[str, str]) -> str:
    """A section in other words, between the white space that was around it."""
    bare = body.strip()
    before, _, after = body.partition(bare)
    return before + worded[bare] + after


def _name(heading: str) -> str:
    return " ".join(heading.strip(" #:").casefold().split())


def _prompt(section: str, copy: int, copies: int) -> str:
    which = "" if copies == 1 else f" (Wording {copy} of {copies}, each unlike the others.)"
    return (
        "Put this section of a longer text into other words. Keep all facts, names, numbers and "
        f"skills, its layout and about its length.{which} Answer with the new wording alone.\n\n"
        f"{section}"
    )
