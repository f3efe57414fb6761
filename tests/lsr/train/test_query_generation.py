"""Generated queries are parts of their document, and do not depend on its neighbours."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lsr.corpus.documents import Document
from lsr.errors import UsageError
from lsr.train.query_generation import KINDS, QueryGeneration, generate
from tests.strategies import texts

ARTICLE = Document(
    "a",
    "Intro words here.\n\n# Wing design #\nThe wing is long.\nVery.\n\nBoundary layers\n\n"
    "They are thin.\n\nIt ends with a stop.\nno heading\n\nResults\n=======\nGood ones.\n## Empty",
    "Aircraft",
)
LONG = Document("l", " ".join(f"word{number}" for number in range(100)), "Long title")


def made(document, seed=0, **chosen):
    pairs = list(generate([document], QueryGeneration(**chosen), seed))
    assert all(pair.document == document.id for pair in pairs)
    return [(pair.query, pair.positive) for pair in pairs]


def test_a_title_is_answered_by_the_text():
    assert made(LONG, kinds=("title",)) == [("Long title", LONG.text)]
    assert made(Document("a", "text"), kinds=("title",)) == []
    assert made(Document("a", "", "title"), kinds=("title",)) == []
    assert made(Document("a", "Same  text", "same text"), kinds=("title",)) == []


def test_headings_are_answered_by_their_sections():
    assert made(ARTICLE, kinds=("heading",)) == [
        ("Wing design", "The wing is long.\nVery."),
        (
            "Boundary layers",
            "They are thin.\n\nIt ends with a stop.\nno heading",
        ),
        ("Results", "Good ones."),
    ]
    assert made(LONG, kinds=("heading",)) == []


def test_spans_are_cut_out_as_often_as_asked_for():
    chosen = {"kinds": ("span",), "per_document": 400, "shortest": 4, "longest": 16}
    pairs = made(LONG, **chosen)
    words = LONG.contents.split()
    cut, lengths = 0, set()
    for query, positive in pairs:
        span = query.split()
        lengths.add(len(span))
        start = words.index(span[0])
        assert words[start : start + len(span)] == span
        without = words[:start] + words[start + len(span) :]
        assert positive.split() in (without, words)
        cut += positive.split() == without
    assert lengths == set(range(4, 17))
    # 0.9 of 400, 0.015 standard deviation; equal spans are drawn once.
    assert 0.82 < cut / len(pairs) < 0.97
    for removal, expected in ((0.0, 0), (1.0, 1)):
        for query, positive in made(LONG, **chosen, removal=removal):
            assert (query not in positive) == expected


def test_crops_are_two_spans():
    pairs = made(LONG, kinds=("crop",), per_document=200)
    words = LONG.contents.split()
    lengths = []
    for pair in pairs:
        for text in pair:
            crop = text.split()
            start = words.index(crop[0])
            assert words[start : start + len(crop)] == crop
            lengths.append(len(crop))
    # 5 % to 50 % of 102 words.
    assert 5 <= min(lengths) < 12
    assert 45 < max(lengths) <= 51


def test_keywords_are_rare_words_of_the_document():
    text = "the the and of wing wing aerodynamics of the was with time flutter"
    found = made(Document("a", text), kinds=("keywords",), per_document=50)
    assert len(found) > 3
    for query, positive in found:
        assert positive == text
        assert 2 <= len(query.split()) <= 5
        assert set(query.split()) <= {"wing", "aerodynamics", "time", "flutter"}
        assert query.split() == [w for w in dict.fromkeys(text.split()) if w in query.split()]
    (only,) = made(Document("a", text), kinds=("keywords",), keywords=1, seed=3)
    # 2 * ln of wing's rank is more than the ln of any word's, so both come from the best two.
    assert only[0] in {"wing", "aerodynamics", "flutter"}


some = st.lists(st.tuples(texts, texts), min_size=1, max_size=5)


@settings(max_examples=80)
@example([("0", "_")], 0, 1)
@given(some, st.integers(0, 5), st.integers(1, 3))
def test_any_documents(given_, seed, count):
    documents = [Document(str(n), text, title) for n, (title, text) in enumerate(given_)]
    chosen = QueryGeneration(per_document=count)
    together = list(generate(documents, chosen, seed))
    alone = [pair for document in documents for pair in generate([document], chosen, seed)]
    assert together == alone
    for pair in together:
        assert pair.kind in KINDS
        assert any(map(str.isalnum, pair.query))
        assert any(map(str.isalnum, pair.positive))
        assert pair.query == pair.query.strip()
        document = documents[int(pair.document)]
        source = " ".join(document.contents.lower().split())
        assert set(pair.query.lower().split()) <= set(source.split()) or pair.kind in (
            "keywords", "heading", "title",
        )  # fmt: skip
    assert len({(p.query, p.positive, p.document) for p in together}) == len(together)


def test_the_seed_and_the_texts_choose():
    chosen = {"kinds": ("span", "crop", "keywords"), "per_document": 3}
    first = made(LONG, seed=1, **chosen)
    assert first == made(LONG, seed=1, **chosen)
    assert first != made(LONG, seed=2, **chosen)
    # Another id is the same document.
    assert first == made(Document("z", LONG.text, LONG.title), seed=1, **chosen)


@pytest.mark.parametrize(
    "chosen",
    [{"kinds": ()}, {"kinds": ("title", "guess")}, {"per_document": 0}, {"keywords": 0},
     {"shortest": 0}, {"shortest": 9, "longest": 8}, {"removal": 1.1}, {"removal": float("nan")},
     {"least": 0.0}, {"least": 0.6, "most": 0.5}, {"most": 1.5}],
)  # fmt: skip
def test_settings_that_make_no_sense(chosen):
    with pytest.raises(UsageError, match="allowed"):
        QueryGeneration(**chosen)
