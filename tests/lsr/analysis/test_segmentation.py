"""Words as UAX #29 has them: against Lucene's tokenizer, and bigrams against a loop."""

import re
from importlib.util import find_spec

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lsr.analysis.segmentation import LONGEST_WORD, segments, words
from tests.lsr.analysis.lucene import lucene_terms
from tests.strategies import texts

needs_lucene = pytest.mark.skipif(
    find_spec("pyserini") is None, reason="needs pip install '.[lucene]'"
)
SPACED = "ab AZ 09 .,:;'_-/\" \t\n äßéñ Σλ дЖ ש ب त\u0301\u00a0\u2019\u00b7\u0903"
spaced = st.text(SPACED, max_size=40)
# What follows such a quote is joined by Lucene's grammar where UAX #29 parts it.
HEBREW_BEFORE_A_QUOTE = re.compile("ש[\u0301\u0903]*['\"]")


@needs_lucene
@given(spaced)
def test_words_are_those_of_lucenes_tokenizer(text):
    assume(not HEBREW_BEFORE_A_QUOTE.search(text))
    assert [word.lower().replace("ς", "σ") for word in words(text)] == lucene_terms(
        "standard", text
    )


@needs_lucene
@pytest.mark.parametrize("text", ["ש'", "ש'ב ש\u0301'ב", 'צה"ל ש"1 "ש" ש\u0301"ב', "ג'ורג' ש''ב"])
def test_hebrew_words_keep_their_quotes(text):
    assert words(text) == lucene_terms("standard", text)


@needs_lucene
@given(st.text("東京都カタナーひらがな中文 xq1.", max_size=30))
def test_han_and_kana_make_the_bigrams_of_lucene(text):
    assert [word.lower() for word in words(text)] == lucene_terms("cjk", text)


@given(texts)
def test_places_are_those_of_the_text(text):
    found = list(segments(text))
    assert [segment.text for segment in found] == words(text)
    for word, start, end in found:
        assert word == text[start:end].replace("\ufe0f", "")
        assert len(word) > 0
        assert end - start <= LONGEST_WORD or not text.isascii()
    assert [segment.start for segment in found] == sorted(segment.start for segment in found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("สุนัขวิ่ง", ["สุนั", "นัข", "ขวิ่", "วิ่ง"]),
        ("ខ្មែរ", ["ខ្មែ", "មែរ"]),
        ("한국어", ["한국", "국어"]),
        ("東", ["東"]),
        ("ab東京cd", ["ab", "東京", "cd"]),
        ("ድመቶች ፀሐይ", ["ድመቶች", "ፀሐይ"]),
        ("🇩🇪 👍🏽 ❤️", ["🇩🇪", "👍🏽", "❤"]),
        ("__ ... -", []),
    ],
)
def test_scripts_without_spaces_and_emoji(text, expected):
    assert words(text) == expected


def test_a_very_long_word_is_cut_as_lucene_cuts_it():
    assert [len(word) for word in words("x" * 600)] == [255, 255, 90]
    assert words("x" * 600) == [segment.text for segment in segments("x" * 600)]
