from hypothesis import given, settings
from hypothesis import strategies as st

from index.search.highlight import highlight
from lsr.vocabulary import Vocabulary
from tests.strategies import texts

VOCABULARY = Vocabulary.bert_uncased()


def weights_of(text):
    return dict.fromkeys(VOCABULARY.tokenize([text])[0], 1.0)


def marked(text, query, **options):
    mark = highlight("text", text, weights_of(query), VOCABULARY, **options)
    return [mark.snippet[start:end] for start, end in mark.spans]


def test_whole_words_are_marked_whatever_their_case():
    assert marked("Copy the FILE, then copied files.", "copy file") == ["Copy", "FILE"]


def test_a_word_is_marked_if_half_of_it_matches():
    assert marked("call shutil.rmtree now", "rmtree") == ["rmtree"]
    assert marked("use copy2 instead", "copy") == ["copy2"]
    assert marked("a DXA scan", "d") == []


def test_the_window_holds_the_densest_match():
    text = "nothing here " * 100 + "the directory tree is removed " + "nothing here " * 100
    mark = highlight("text", text, weights_of("directory tree removed"), VOCABULARY)
    assert "directory tree is removed" in mark.snippet
    assert len(mark.snippet) <= 240


def test_a_short_text_is_shown_whole():
    assert highlight("text", "short text", {}, VOCABULARY).snippet == "short text"


@settings(max_examples=80)
@given(texts, texts, st.integers(10, 300))
def test_spans_are_ascending_disjoint_and_inside(text, query, length):
    mark = highlight("text", text, weights_of(query), VOCABULARY, length)
    assert mark.snippet in text
    last = 0
    for start, end in mark.spans:
        assert last <= start < end <= len(mark.snippet)
        last = end
