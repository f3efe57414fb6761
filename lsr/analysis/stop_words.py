"""Words that say too little to be searched."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

# Lucene's English stop words, which Anserini leaves out by default.
STOP_WORDS = frozenset(
    "a an and are as at be but by for if in into is it no not of on or such that the their then "  # noqa: SIM905
    "there these they this to was will with".split()
)


def stop_words(language: str) -> frozenset[str]:
    """Those of a language, in lower case; none where no list of it is known."""
    if language in ("english", "auto"):
        return STOP_WORDS
    return frozenset(_lists().get(language, "").split())


@cache
def known_stop_words() -> dict[str, frozenset[str]]:
    """Those of each language of which there is a list."""
    return {"english": STOP_WORDS} | {name: stop_words(name) for name in _lists()}


@cache
def _lists() -> dict[str, str]:
    path = resources.files("lsr") / "data/stop-words.json"
    lists: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return lists
