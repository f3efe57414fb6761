"""Passages hold all of a text, in order, and end where pages, sections and sentences do."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.corpus.documents import Document, Section
from lsr.corpus.passages import LONGEST_RUN, WORDS, Passage, count_words, split_document

PARTS = st.sampled_from(
    [
        "word",
        "Sentence.",
        "\n\n",
        "\n",
        " ",
        "x" * 2500,
        "漢字。",
        "कख।",
        "é!",
        "\u200b",
        "😀",
        "a-b",
        "\x00",
    ]
)
TEXTS = st.lists(PARTS, max_size=400).map(" ".join)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    text = draw(TEXTS)
    starts = sorted(draw(st.lists(st.integers(0, len(text) + 5), max_size=6)))
    pages = sorted(draw(st.lists(st.integers(1, 4), min_size=len(starts), max_size=len(starts))))
    headed = draw(
        st.lists(st.sampled_from(["", "Heading"]), min_size=len(starts), max_size=len(starts))
    )
    sections = [Section(*each) for each in zip(starts, headed, pages, strict=True)]
    return Document("d", text, "Title", sections=sections)


@settings(max_examples=150, deadline=None)
@given(documents(), st.integers(1, 40))
def test_passages_hold_every_character_but_white_space(document: Document, words: int) -> None:
    passages = split_document(document, words)
    end = 0
    for place, passage in enumerate(passages):
        # The last of a part reaches back, and the first goes on to the end of the second.
        assert document.text[end : passage.start].strip() == ""
        assert passage.start < passage.end
        assert place < 2 or (passage.start, passage.end) > (passages[place - 1].start, end)
        end = passage.end
        part = document.text[passage.start : passage.end]
        assert part == part.strip()
        # What has no white space is cut every so many characters.
        longest = max(words, -(-LONGEST_RUN // 12))
        assert count_words(part) <= (2 * longest if place == 0 else longest)
    assert document.text[end:].strip() == ""


@settings(max_examples=100, deadline=None)
@given(documents())
def test_no_passage_crosses_a_page(document: Document) -> None:
    for passage in split_document(document, 20):
        inside = [each for each in document.sections if passage.start < each.start < passage.end]
        assert {each.page for each in inside} <= {passage.page}


def test_sentences_stay_whole_and_the_last_passage_is_as_long_as_the_others() -> None:
    sentences = [f"Sentence {n} says a few words more than the one before it." for n in range(60)]
    document = Document("d", " ".join(sentences))
    passages = split_document(document)
    assert passages[0].end == passages[1].end
    texts = [document.text[each.start : each.end] for each in passages]
    assert all(text.startswith("Sentence") and text.endswith(".") for text in texts)
    sizes = [count_words(text) for text in texts]
    assert max(sizes[1:]) <= WORDS < sizes[0] <= 2 * WORDS
    assert min(sizes) > 0.9 * WORDS
    assert {each for each in sentences if any(each in text for text in texts)} == {*sentences}


def test_a_passage_has_the_heading_and_page_that_it_stands_under() -> None:
    body = "Words of a section that is long. " * 40
    text = f"# One\n\n{body}\n\n# Two\n\n{body}"
    sections = [Section(0, "One", 1), Section(text.index("# Two"), "Two", 2)]
    document = Document("d", text, "Book", sections=sections)
    passages = split_document(document)
    assert [(each.heading, each.page) for each in passages] == [
        ("One", 1), ("One", 1), ("Two", 2), ("Two", 2)
    ]  # fmt: skip
    assert passages[1].contents(document).startswith("Book One Words of a section")
    assert passages[2].contents(document).startswith("Book # Two")


def test_small_sections_stand_together() -> None:
    text = "\n".join(f"def f{n}(): return {n}" for n in range(30))
    starts = [n for n in range(len(text)) if text.startswith("def ", n)]
    document = Document("d", text, sections=[Section(n, f"f{i}") for i, n in enumerate(starts)])
    passages = split_document(document, 60)
    assert 2 <= len(passages) <= 4
    assert all(document.text[each.start :].startswith("def ") for each in passages)


def test_a_short_text_is_one_passage_and_a_blank_one_none() -> None:
    assert split_document(Document("d", " One sentence. ")) == [Passage(1, 14)]
    assert split_document(Document("d", " \n ")) == []
