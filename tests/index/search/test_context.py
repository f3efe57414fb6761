"""The passages that are handed to a generator."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.search.context import context_of, tokens_of
from index.search.hits import Hit, HitPassage
from lsr.corpus.documents import Document
from lsr.errors import InputError

SENTENCES = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30).map(lambda text: f"{text}. "),
    max_size=8,
).map("".join)


def hit(number, text, passage=None, title="About owls"):
    return Hit(f"d{number}", 1.0, {}, Document(f"d{number}", text, title), passage=passage)


@given(st.lists(SENTENCES, max_size=6), st.integers(1, 200))
def test_a_context_is_never_longer_than_asked_and_cites_what_documents_hold(texts, tokens):
    hits = [hit(number, text) for number, text in enumerate(texts)]
    context = context_of(hits, tokens)
    assert tokens_of(context.text) <= tokens
    assert context.tokens <= tokens
    documents = {each.id: each.document.text for each in hits}
    for number, passage in enumerate(context.passages, start=1):
        assert passage.number == number
        assert passage.text == documents[passage.id][passage.start : passage.end]
    assert sum(passage.cut for passage in context.passages) <= 1
    ids = [passage.id for passage in context.passages]
    assert ids == sorted(ids)


def test_all_passages_come_where_there_is_room():
    texts = [f"Sentence {number} about the {number}th thing that is." for number in range(5)]
    context = context_of([hit(n, text) for n, text in enumerate(texts)], 10_000)
    assert [passage.text for passage in context.passages] == texts
    assert context.text.startswith(f"[1] About owls\n{texts[0]}\n\n[2] About owls\n")
    assert context.duplicates == 0


def test_a_text_comes_once():
    text = "Owls hunt mice at night in the old barns of the village near the river."
    context = context_of([hit(1, text), hit(2, text.upper()), hit(3, "Herrings swim.")], 1000)
    assert [passage.id for passage in context.passages] == ["d1", "d3"]
    assert context.duplicates == 1


def test_the_last_passage_ends_with_a_sentence():
    text = "One sentence is here. Another one follows it. " * 20
    context = context_of([hit(1, text)], 60)
    (passage,) = context.passages
    assert passage.cut
    assert passage.text.endswith("it.") or passage.text.endswith("here.")
    longer = text[: passage.end + 25]
    assert tokens_of(f"[1] About owls\n{longer}\n\n") > 60


def test_the_passage_that_was_found_is_taken_with_its_page():
    text = "First part. " * 10 + "The answer is 42."
    place = HitPassage(2, 2, 120, len(text), "Answers", 25)
    (passage,) = context_of([hit(1, text, place)], 100).passages
    assert (passage.text, passage.page, passage.heading) == ("The answer is 42.", 25, "Answers")


@pytest.mark.parametrize("tokens", [0, -1, 10**9])
def test_a_number_of_tokens_that_is_not_allowed_is_told(tokens):
    with pytest.raises(InputError, match="context_tokens"):
        context_of([], tokens)
