"""The language of a corpus, told by the scripts and the stop words of some of its texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from lsr.analysis.segmentation import words
from lsr.analysis.stemming import LANGUAGES
from lsr.analysis.stop_words import known_stop_words
from lsr.encoding.coverage import script_of

# Texts that are looked at, and characters of each.
CHECKED = 100
CHARACTERS = 4_000
# A text has a language where so many of its words are stop words of it. Running text has 0.2 to
# 0.35, Finnish less.
LEAST_SHARE = 0.12
# And so many different ones.
LEAST_STOP_WORDS = 3
# Of a text's letters so many may be none of its language's, as in names.
MOST_FOREIGN = 0.01
# A corpus has a language where it is that of so many of its texts.
MOST_TEXTS = 2 / 3
# What stands for a text of no language that is known.
NONE = ""
# Names, commands and units are in Latin letters in any language: of those so many count for one.
LATIN_LETTERS = 3
UNSPACED = ("Han", "Hiragana", "Katakana", "Hangul", "Thai", "Lao", "Khmer", "Myanmar")
_OF_SCRIPT = dict.fromkeys(UNSPACED, "cjk") | {
    "Greek": "greek",
    "Armenian": "armenian",
    "Tamil": "tamil",
}
# The letters of each language that has stop words, besides a to z. They tell it from neighbours of
# which nothing is known here: Czech, Polish, Turkish, Ukrainian, Serbian, Persian, Urdu.
_LETTERS = {
    "arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهويءآأؤإئىة",
    "danish": "æøåéèêóòâô",
    "dutch": "éëïöüèáóêí",
    "english": "éèïöæœ",
    "finnish": "äöåšž",
    "french": "àâæçéèêëîïôœùûüÿ",
    "german": "äöüß",
    "hungarian": "áéíóöőúüű",
    "indonesian": "é",
    "italian": "àèéìíîòóùú",
    "norwegian": "æøåéèêóòâô",
    "portuguese": "áâãàçéêíóôõúü",
    "romanian": "ăâîșțşţ",
    "russian": "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "spanish": "áéíñóúü",
    "swedish": "åäöéà",
}


@dataclass(frozen=True, slots=True)
class Language:
    """The analyser that goes with a corpus, and why: ``texts`` of ``checked`` are of its language.

    It is ``auto`` where no language has enough of the texts; ``texts`` is 0 then.
    """

    analyzer: str
    texts: int
    checked: int

    @property
    def sentence(self) -> str:
        """What was chosen, in one line."""
        if not self.texts:
            return (
                f"no one language in {self.checked} texts that were looked at: words are stemmed "
                "by their script (analyzer auto); give --language to choose"
            )
        return (
            f"{self.texts} of {self.checked} texts that were looked at are {self.analyzer}: "
            f"analyzer {self.analyzer}"
        )


def language_of_corpus(texts: Sequence[str]) -> Language:
    """The analyser for texts like these."""
    found = Counter(map(language_of, texts[:CHECKED]))
    checked = found.total()
    name, most = max(found.items(), key=lambda pair: pair[1], default=(NONE, 0))
    if name == NONE or most < MOST_TEXTS * checked:
        return Language("auto", 0, checked)
    return Language(name, most, checked)


def language_of(text: str) -> str:
    """The analyser that goes with a text, of a language or ``cjk``; "" where none is sure."""
    letters = Counter(filter(str.isalpha, text[:CHARACTERS].lower()))
    scripts: Counter[str] = Counter()
    for letter, count in letters.items():
        scripts[script_of(letter)] += count
    scripts["Latin"] //= LATIN_LETTERS
    script = scripts.most_common(1)[0][0]
    if script in _OF_SCRIPT:
        return _OF_SCRIPT[script]
    own = Counter({letter: n for letter, n in letters.items() if script_of(letter) == script})
    found = [word.lower() for word in words(text[:CHARACTERS]) if script_of(word[0]) == script]
    best, most = NONE, LEAST_SHARE * len(found)
    for name, known in known_stop_words().items():
        stopped = [word for word in found if word in known]
        fits = name in LANGUAGES and _foreign(own, name) <= MOST_FOREIGN * own.total()
        if fits and len(stopped) > most and len(set(stopped)) >= LEAST_STOP_WORDS:
            best, most = name, len(stopped)
    return best


def _foreign(letters: Counter[str], language: str) -> int:
    """How many of some letters are none of a language's; 0 where its letters are not known."""
    if language not in _LETTERS:
        return 0
    return sum(
        count
        for letter, count in letters.items()
        if not letter.isascii() and letter not in _LETTERS[language]
    )
