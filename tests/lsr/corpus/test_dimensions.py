"""What is found in a text: dates, names, key phrases, themes, and what a chat model says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.corpus.dimensions import (
    LONGEST_PHRASE,
    MOST_PHRASES,
    asked_of,
    extract,
    extractors_of,
    find_dates,
    find_names,
)
from lsr.corpus.documents import Document
from lsr.errors import UsageError


@pytest.mark.parametrize(
    ("text", "dates"),
    [
        ("On 2021-05-04 and in 1999, then 1999 again.", ["1999", "2021-05-04"]),
        ("From 3 May 2020 to June 2021", ["3 May 2020", "June 2021"]),
        ("Signed on July 4th, 1776.", ["July 4th, 1776"]),
        ("Room 12345 has 20 chairs and part 1234567.", []),
        ("", []),
    ],
)
def test_dates(text, dates):
    assert find_dates(text) == dates


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("The law of Isaac Newton, as Newton put it.", ["Isaac Newton", "Newton"]),
        ("We met. Then we left the Bank of England.", ["Bank of England"]),
        ("Owls hunt. An owl of Paris. Paris is large.", ["Paris"]),
        ("no names here", []),
    ],
)
def test_names(text, names):
    assert find_names(text) == names


@given(st.lists(st.text(max_size=200), max_size=4))
def test_any_text_gives_short_distinct_phrases(texts):
    documents = [Document(str(number), text) for number, text in enumerate(texts)]
    found = extract(documents, extractors_of(["dates", "names"]))
    assert len(found) == len(texts)
    for dimensions in found:
        assert list(dimensions) == ["dates", "names"]
        for phrases in dimensions.values():
            assert len(phrases) == len(set(phrases)) <= MOST_PHRASES
            assert all(0 < len(phrase) <= LONGEST_PHRASE for phrase in phrases)


def test_key_phrases_are_those_of_yake():
    yake = pytest.importorskip("yake")
    text = "Gene expression in breast cancer cells depends on gene expression of the tumour."
    (found,) = extract([Document("a", text)], extractors_of(["phrases"]))
    wanted = yake.KeywordExtractor(lan="en", n=3, top=MOST_PHRASES).extract_keywords(text)
    assert found["phrases"] == [phrase for phrase, _ in wanted]


def test_what_a_model_lists_is_taken_and_nothing_else():
    class Endpoint:
        def __init__(self, answer):
            self.answer = answer

        def complete(self, prompt):
            return self.answer

    for answer, wanted in [
        ('Here: ["owls", "night", 3]', ["owls", "night"]),
        ("no list", []),
        ("[" * 10_000, []),
        ("] [", []),
    ]:
        assert asked_of(Endpoint(answer))([Document("a", "x")]) == [wanted]


@pytest.mark.parametrize("name", ["colours", "themes", ""])
def test_what_is_no_dimension_is_refused(name):
    with pytest.raises(UsageError):
        extractors_of([name])


def test_what_was_extracted_is_no_part_of_the_digest():
    plain = Document("a", "text", metadata={"lang": "en"})
    with_phrases = Document(
        "a", "text", metadata={"lang": "en", "_dimensions": {"dates": ["1999"]}}
    )
    assert plain.digest() == with_phrases.digest()
    assert plain.digest() != Document("a", "text", metadata={"lang": "de"}).digest()
