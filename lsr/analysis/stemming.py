"""Stems of words by language: Snowball's stemmers, Porter's for English, as PyStemmer has them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import cache

from lsr.errors import UsageError

# Languages that Snowball has a stemmer of. Porter's first stemmer for English is the one of
# Lucene's EnglishAnalyzer, and of Anserini.
LANGUAGES = tuple(
    "arabic armenian basque catalan danish dutch english esperanto estonian finnish french german "  # noqa: SIM905
    "greek hindi hungarian indonesian irish italian lithuanian nepali norwegian portuguese "
    "romanian russian serbian spanish swedish tamil turkish yiddish".split()
)
# First and last letter of a script, and the language whose stemmer its words get where nobody
# says which language they are in.
_SCRIPTS = (
    ("\u0370", "\u03ff", "greek"),
    ("\u0400", "\u052f", "russian"),
    ("\u0530", "\u058f", "armenian"),
    ("\u0600", "\u06ff", "arabic"),
    ("\u0900", "\u097f", "hindi"),
    ("\u0b80", "\u0bff", "tamil"),
    ("\u1f00", "\u1fff", "greek"),
)
# What is elided before a vowel: l'eau, dell'arte, qu'il.
_ELISIONS = {
    "french": "l m t qu n s j d c jusqu quoiqu lorsqu puisqu",
    "italian": "c l all dall dell nell sull coll pell gl agl dagl degl negl sugl un m t s v d",
    "catalan": "d l m n s t",
}
_APOSTROPHES = "'\u2019"
# Porter's measure of a stem is above 0: a vowel comes before a consonant.
_MEASURED = re.compile("[aeiouy][^aeiouy]")


@cache
def stemmer(language: str) -> Callable[[str], str]:
    """What makes the term of a word in lower case; ``auto`` goes by its script, ``none`` is none.

    Raises:
        UsageError: there is no stemmer of that language.
    """
    if language == "none":
        return lambda word: word
    if language == "auto":
        return lambda word: stemmer(_language_of(word))(word)
    if language not in LANGUAGES:
        raise UsageError(f"{language!r} has no stemmer; allowed are {', '.join(LANGUAGES)}")
    # A stemmer may be in one call only.
    lock = threading.Lock()
    stem = _snowball(language)

    def stemmed(word: str) -> str:
        with lock:
            return stem(word)

    return stemmed


def lowered(word: str, language: str) -> str:
    """A word in lower case, without what is elided before it or the possessive ending."""
    if language in ("english", "auto"):
        if len(word) > 2 and word[-1] in "sS" and word[-2] in "'\u2019\uff07":
            word = word[:-2]
    elif language in _ELISIONS:
        for apostrophe in _APOSTROPHES:
            before, found, rest = word.partition(apostrophe)
            if found and rest and before.lower() in _ELISIONS[language].split():
                word = rest
    if language == "turkish":
        word = word.replace("I", "\u0131").replace("\u0130", "i")
    # A final sigma is a sigma.
    return word.lower().replace("\u03c2", "\u03c3")


def _language_of(word: str) -> str:
    letter = next(filter(str.isalpha, word), "a")
    if letter < "\u0370":
        return "english"
    return next((name for first, last, name in _SCRIPTS if first <= letter <= last), "none")


def _snowball(language: str) -> Callable[[str], str]:
    import Stemmer

    if language != "english":
        found: Callable[[str], str] = Stemmer.Stemmer(language).stemWord
        return found
    porter = Stemmer.Stemmer("porter")

    def stem(word: str) -> str:
        """Where Porter's own program, which is Lucene's, departs from his paper, so does this."""
        if len(word) < 3:
            return word
        found = str(porter.stemWord(word))
        if found.endswith("bli") and _MEASURED.search(found[:-3]):
            return str(porter.stemWord(f"{found[:-3]}ble"))
        if found.endswith("logi") and _MEASURED.search(found[:-4]):
            return found[:-1]
        return found

    return stem
