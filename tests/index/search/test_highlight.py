from hypothesis import given, settings
from hypothesis import strategies as st

from index.search.highlight import highlight
from lsr.encoders.bm25 import Bm25Config, Bm25Encoder
from tests.strategies import texts

ENCODER = Bm25Encoder(Bm25Config(analyzer="wordpiece"))


def weights_of(text, encoder=ENCODER):
    return {each.token: 1.0 for each in encoder.occurrences(text)}


def marked(text, query, **options):
    mark = highlight("text", text, weights_of(query), ENCODER, **options)
    return [mark.snippet[start:end] for start, end in mark.spans]


def test_whole_words_are_marked_whatever_their_case():
    assert marked("Copy the FILE, then copied files.", "copy file") == ["Copy", "FILE"]


def test_a_word_is_marked_if_half_of_it_matches():
    assert marked("call shutil.rmtree now", "rmtree") == ["rmtree"]
    assert marked("use copy2 instead", "copy") == ["copy2"]
    assert marked("a DXA scan", "d") == []


def test_the_window_holds_the_densest_match():
    text = "nothing here " * 100 + "the directory tree is removed " + "nothing here " * 100
    mark = highlight("text", text, weights_of("directory tree removed"), ENCODER)
    assert "directory tree is removed" in mark.snippet
    assert len(mark.snippet) <= 240


def test_a_short_text_is_shown_whole():
    assert highlight("text", "short text", {}, ENCODER).snippet == "short text"


@settings(max_examples=80)
@given(texts, texts, st.integers(10, 300))
def test_spans_are_ascending_disjoint_and_inside(text, query, length):
    mark = highlight("text", text, weights_of(query), ENCODER, length)
    assert mark.snippet in text
    last = 0
    for start, end in mark.spans:
        assert last <= start < end <= len(mark.snippet)
        last = end
