"""The packaged tokenizer against a checkpoint's own, and against a hand-written loop."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE

from lsr.errors import InputError
from lsr.vocabulary import Vocabulary
from tests.strategies import texts

modest = settings(max_examples=100)
words = st.lists(st.text("abcdeghilnorstu", min_size=1, max_size=20), max_size=10)


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary.bert_uncased()


@pytest.fixture(scope="module")
def original(assets):
    tokenizer = Tokenizer.from_file(str(assets / "models/splade-tiny/tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def greedy_pieces(vocabulary, word):
    """Longest match first from the left; none at all where the rest matches nothing."""
    pieces, start = [], 0
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = word[start:end] if start == 0 else "##" + word[start:end]
            if (term := vocabulary.tokenizer.token_to_id(piece)) is not None:
                break
        else:
            return []
        pieces.append(term)
        start = end
    return pieces


@modest
@given(words)
def test_tokens_are_the_longest_pieces_from_the_left(vocabulary, words):
    expected = [term for word in words for term in greedy_pieces(vocabulary, word)]
    assert vocabulary.tokenize([" ".join(words)]) == [expected]


@pytest.mark.assets
@modest
@given(texts)
def test_packaged_tokenizer_is_that_of_bert_checkpoints(vocabulary, original, text):
    mine, theirs = vocabulary.tokenizer.encode(text), original.encode(text)
    assert (mine.ids, mine.offsets) == (theirs.ids, theirs.offsets)


@pytest.mark.assets
def test_packaged_vocabulary_is_that_of_bert_checkpoints(vocabulary, original):
    theirs = Vocabulary.from_tokenizer(original)
    assert (vocabulary.size, vocabulary.special) == (theirs.size, theirs.special)
    assert vocabulary.digest == theirs.digest


@modest
@given(texts)
def test_pieces_point_at_the_characters_they_came_from(vocabulary, text):
    for piece in vocabulary.pieces(text):
        characters = text[piece.start : piece.end]
        spelling = vocabulary.token(piece.term).removeprefix("##")
        assert spelling in vocabulary.tokenizer.normalizer.normalize_str(characters)


@modest
@given(texts)
def test_pieces_are_the_tokens_in_reading_order(vocabulary, text):
    pieces = vocabulary.pieces(text)
    assert [[piece.term for piece in pieces]] == vocabulary.tokenize([text])
    assert pieces == sorted(pieces, key=lambda piece: (piece.word, piece.start))
    starts_word = [not vocabulary.token(piece.term).startswith("##") for piece in pieces]
    for before, piece, starts in zip(pieces, pieces[1:], starts_word[1:], strict=False):
        assert starts or piece.word == before.word


@modest
@given(st.lists(texts, max_size=4))
def test_special_tokens_never_come_out(vocabulary, texts):
    special = {vocabulary.term(t) for t in ("[CLS]", "[SEP]", "[MASK]", "[PAD]", "[UNK]")}
    assert vocabulary.special == special
    for terms in vocabulary.tokenize(texts):
        assert not special.intersection(terms)
        assert all(0 <= term < vocabulary.size for term in terms)


def test_long_texts_are_not_truncated(vocabulary):
    (terms,) = vocabulary.tokenize(["retrieval " * 20_000])
    assert terms == [vocabulary.term("retrieval")] * 20_000


def test_padding_and_truncation_of_a_tokenizer_file_are_switched_off(vocabulary):
    tokenizer = Tokenizer.from_str(vocabulary.tokenizer.to_str())
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=8)
    wrapped = Vocabulary.from_tokenizer(tokenizer)
    assert wrapped.tokenize(["a b c d e"]) == vocabulary.tokenize(["a b c d e"])


def test_term_and_token_are_inverse(vocabulary):
    assert all(vocabulary.term(vocabulary.token(t)) == t for t in range(0, vocabulary.size, 97))


def test_unknown_spelling_is_refused_by_name(vocabulary):
    with pytest.raises(InputError, match="'notaword' is not in the vocabulary of 30522 terms"):
        vocabulary.term("notaword")


def test_digest_changes_with_a_spelling(vocabulary):
    changed = Tokenizer.from_str(
        vocabulary.tokenizer.to_str().replace('"retrieval"', '"retrieva1"')
    )
    assert Vocabulary(changed).digest != vocabulary.digest


token = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@modest
@given(st.lists(token, unique=True, max_size=20))
def test_a_vocabulary_of_given_tokens(tokens):
    made = Vocabulary.from_tokens(tokens)
    assert (made.size, made.tokens, made.special) == (len(tokens), tokens, frozenset())
    assert [made.term(token) for token in tokens] == list(range(len(tokens)))
    assert [made.token(term) for term in range(len(tokens))] == tokens
    assert made.digest == Vocabulary.from_tokens(tokens).digest
    if len(tokens) > 1:
        assert made.digest != Vocabulary.from_tokens(tokens[::-1]).digest


def test_given_tokens_are_found_in_text_as_whole_words():
    made = Vocabulary.from_tokens(["apple", "pie", "é"])
    assert made.tokenize(["Apple-PIE applepie É", ""]) == [[0, 1, 2], []]
    cased = Vocabulary.from_tokens(["Apple", "apple"])
    assert cased.tokenize(["apple Apple APPLE"]) == [[1, 0]]
    with pytest.raises(InputError, match="'apple' is given twice"):
        Vocabulary.from_tokens(["apple", "pie", "apple"])


def test_ids_without_a_spelling_have_one_that_leads_back():
    gaps = Tokenizer(BPE({"apple": 0, "[2]": 1, "pie": 4}, []))
    made = Vocabulary(gaps)
    assert made.tokens == ["apple", "[2]", "[2]", "[3]", "pie"]
    assert [made.term(spelled) for spelled in ("apple", "[2]", "[3]", "pie")] == [0, 1, 3, 4]
