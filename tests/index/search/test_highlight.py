import math
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Metaspace

from index.search.deadline import AbandonedError, Deadline
from index.search.highlight import LONGEST_SCANNED, Highlighter, TextToMark, _table_of, highlight
from lsr.encoders.bm25 import Bm25Encoder
from lsr.encoders.imported import ImportedEncoder
from lsr.encoders.open_vocabulary import OpenVocabularyConfig, OpenVocabularyEncoder
from lsr.vocabulary import Vocabulary
from tests.index.search.highlight_oracle import PlainHighlighter
from tests.strategies import texts

VOCABULARY = Vocabulary.bert_uncased()
ENCODER = ImportedEncoder(VOCABULARY)


def weights_of(text):
    return {each.token: 1.0 for each in ENCODER.occurrences(text)}


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


def plain_spans(text, weights, vocabulary):
    """The marked words of a text that is tokenized as a whole."""
    spans = []
    for _, group in groupby(vocabulary.pieces(text), key=lambda piece: piece.word):
        pieces = list(group)
        start, end = pieces[0].start, pieces[-1].end
        matched = [piece for piece in pieces if vocabulary.token(piece.term) in weights]
        if matched and 2 * sum(piece.end - piece.start for piece in matched) >= end - start:
            spans.append((start, end, {vocabulary.token(piece.term) for piece in matched}))
    return spans


def plain_start(words, weights, length):
    """Where the first of the best windows begins, each weighed by itself."""
    best, best_start = 0.0, 0
    for start, _, _ in words:
        inside = [terms for a, b, terms in words if a >= start and b <= start + length]
        weight = math.fsum(weights[term] for term in set().union(*inside))
        if weight > best:
            best, best_start = weight, start
    return max(0, best_start - length // 8)


WORDS = """cat Cats caf\u00e9 CAF\u00c9s copy2 shutil.rmtree na\u00efve \u732b\u72ac x
    unbelievably don't \uff21bc e\u0301t\u00e9 the trees \U0001f600 wal-mart"""
words = st.sampled_from(WORDS.split())
prose = st.lists(words | st.sampled_from(["\n", "  ", "\t", "\u00a0", "\u3000"]), max_size=60).map(
    " ".join
)


@settings(max_examples=150, deadline=None)
@given(prose, prose, st.integers(8, 120), st.data())
def test_marks_and_windows_are_those_of_the_whole_text_tokenized(text, query, length, data):
    terms = sorted(weights_of(query))
    drawn = data.draw(st.lists(st.sampled_from([0.25, 0.5, 0.75, 1.0]), min_size=len(terms),
                               max_size=len(terms)))  # fmt: skip
    weights = dict(zip(terms, drawn, strict=True))
    expected = plain_spans(text, weights, VOCABULARY)
    whole = highlight("text", text, weights, ENCODER, len(text) + 1)
    assert whole.spans == [(start, end) for start, end, _ in expected]
    if len(text) > length and expected:
        mark = highlight("text", text, weights, ENCODER, length)
        start = plain_start(expected, weights, length)
        assert text.find(mark.snippet, start) - start <= 41


ENCODERS = [
    ENCODER,
    Bm25Encoder(),
    OpenVocabularyEncoder(ImportedEncoder(VOCABULARY), OpenVocabularyConfig()),
]
shares = st.sampled_from([0.1, 0.25, 0.5, 1 / 3, 1.0])


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(ENCODERS),
    st.lists(prose | texts, min_size=1, max_size=4),
    prose | texts,
    st.integers(8, 120),
    st.data(),
)
def test_the_texts_of_an_answer_are_marked_as_one_by_one_without_memory(
    encoder, answer, query, length, data
):
    terms = sorted({each.token for each in encoder.occurrences(f"{query} cat trees")})
    requests = [
        TextToMark("text", text, data.draw(st.dictionaries(st.sampled_from(terms), shares)))
        for text in answer
    ]
    marked = {term for request in requests for term in request.weights}
    characters = sum(map(len, answer))
    scanned = data.draw(st.sampled_from([10**6, characters // 2, 3]))
    tokenized = data.draw(st.sampled_from([10**5, characters // 3, 5]))
    plain = PlainHighlighter(encoder, marked, scanned, tokenized)
    expected = [plain.highlight(*request, length) for request in requests]
    found = Highlighter(encoder, marked, None, scanned, tokenized).highlight_all(requests, length)
    assert found == expected


def test_what_is_remembered_is_forgotten_once_it_is_much(monkeypatch):
    encoder = ImportedEncoder(VOCABULARY)
    monkeypatch.setattr("index.search.highlight.REMEMBERED", 1000)
    for number in range(50):
        mark = highlight("text", f"cat{number} and dog{number}", weights_of("cat dog"), encoder)
        assert mark.spans == [(0, len(f"cat{number}")), (len(mark.snippet) - 3 - len(str(number)),
                              len(mark.snippet))]  # fmt: skip
        assert _table_of(encoder).nbytes <= 1000 + 4096


def byte_level():
    tokens = ["a", "c", "t", "s", "\u0120", "at", "cat", "\u0120cat"]
    merges = [("a", "t"), ("c", "at"), ("\u0120", "cat")]
    tokenizer = Tokenizer(BPE({token: term for term, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    return Vocabulary(tokenizer)


def metaspace():
    tokens = ["a", "c", "t", "s", "\u2581", "at", "cat", "\u2581cat"]
    merges = [("a", "t"), ("c", "at"), ("\u2581", "cat")]
    tokenizer = Tokenizer(BPE({token: term for term, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = Metaspace()
    return Vocabulary(tokenizer)


def suffixed():
    tokens = ["a", "c", "t", "t</w>", "s</w>", "at</w>", "cat</w>", "ca"]
    merges = [("a", "t</w>"), ("c", "at</w>")]
    vocabulary = {token: term for term, token in enumerate(tokens)}
    tokenizer = Tokenizer(BPE(vocabulary, merges, end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = Metaspace(replacement="_", prepend_scheme="never")
    return Vocabulary(tokenizer)


@pytest.mark.parametrize("make", [byte_level, metaspace, suffixed])
def test_other_tokenizers_find_their_words_too(make):
    vocabulary = make()
    text = "cat cats act cat tac  cat" + ("\ncat\n\n cats" if make is byte_level else "")
    for term in range(vocabulary.size):
        weights = {vocabulary.token(term): 1.0}
        expected = [(a, b) for a, b, _ in plain_spans(text, weights, vocabulary)]
        mark = highlight("text", text, weights, ImportedEncoder(vocabulary))
        assert mark.spans == expected


def test_very_many_terms_are_marked_as_few_are():
    many = map(VOCABULARY.token, range(2000, 2000 + 128))
    weights = dict.fromkeys(many, 1.0) | weights_of("cat")
    text = "the cat sat on the mat"
    expected = [(a, b) for a, b, _ in plain_spans(text, weights, VOCABULARY)]
    assert highlight("text", text, weights, ENCODER).spans == expected


def test_how_far_a_text_was_looked_at_is_said():
    assert highlight("text", "a cat", weights_of("cat"), ENCODER).looked_at is None
    long = "nothing " * LONGEST_SCANNED + "cat"
    assert highlight("text", long, weights_of("cat"), ENCODER).looked_at == LONGEST_SCANNED


def test_the_texts_of_an_answer_share_a_budget():
    weights, text = weights_of("cat"), "a cat and a dog"
    scanning = Highlighter(ENCODER, weights, scanned=len(text) + 5)
    marks = scanning.highlight_all([TextToMark("text", text, weights)] * 3)
    assert [mark.looked_at for mark in marks] == [None, 5, 0]
    assert [mark.spans for mark in marks] == [[(2, 5)], [(2, 5)], []]
    assert [mark.snippet for mark in marks] == [text] * 3

    tokenizing = Highlighter(ENCODER, weights, tokenized=10)
    texts = text, "cat1 cat2 dog", text
    marks = tokenizing.highlight_all([TextToMark("text", each, weights) for each in texts])
    assert [mark.looked_at for mark in marks] == [None, 4, None]
    assert [mark.spans for mark in marks] == [[(2, 5)], [(0, 4)], [(2, 5)]]


def test_nothing_is_looked_at_after_the_deadline_and_nobody_waiting_ends_it():
    weights, deadline = weights_of("cat"), Deadline.after(0)
    texts = [TextToMark("text", "a cat", weights)]
    (mark,) = Highlighter(ENCODER, weights, deadline).highlight_all(texts)
    assert (mark.snippet, mark.spans, mark.looked_at) == ("a cat", [], 0)
    abandoned = Deadline()
    abandoned.abandon()
    with pytest.raises(AbandonedError):
        Highlighter(ENCODER, weights, abandoned).highlight_all(texts)


@pytest.mark.parametrize(
    ("text", "query", "expected"),
    [
        (
            "Happy hunters hunt possibly",
            "happiness hunting possible",
            ["Happy", "hunt", "possibly"],
        ),
        ("the part AB-1234-X here", "ab-1234-x", ["AB-1234-X"]),
        (
            "\u0e2a\u0e38\u0e19\u0e31\u0e02\u0e27\u0e34\u0e48\u0e07 ok",
            "\u0e2a\u0e38\u0e19\u0e31\u0e02",
            ["\u0e2a\u0e38\u0e19\u0e31\u0e02"],
        ),
        ("use C++ now", "c++", ["C++"]),
    ],
)
def test_words_are_marked_whole(text, query, expected):
    encoder = Bm25Encoder()
    weights = {each.token: 1.0 for each in encoder.occurrences(query)}
    mark = highlight("text", text, weights, encoder)
    assert [mark.snippet[start:end] for start, end in mark.spans] == expected
