"""Batches hold each text once, padded with a mask, within the token budget."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from lsr.backbones.batching import Batcher
from lsr.vocabulary import Vocabulary
from tests.strategies import texts


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary.bert_uncased()


@pytest.fixture(scope="module")
def tokenizer(vocabulary):
    """A tokenizer to set lengths of and to compare with."""
    return Tokenizer.from_str(vocabulary.tokenizer.to_str())


@settings(max_examples=25)
@given(st.lists(texts, max_size=12), st.integers(3, 40), st.integers(1, 100))
def test_batches_hold_each_text_that_is_not_blank(vocabulary, tokenizer, texts, max_length, budget):
    tokenizer.enable_truncation(max_length)
    expected = {row: tokenizer.encode(t).ids for row, t in enumerate(texts) if t.strip()}
    found, widths = {}, []
    for batch in Batcher(vocabulary, max_length, budget)(texts):
        assert batch.ids.shape == batch.mask.shape
        assert batch.ids.size <= budget or len(batch.rows) == 1
        widths.append(batch.ids.shape[1])
        for row, ids, mask in zip(batch.rows, batch.ids, batch.mask, strict=True):
            assert row not in found
            assert mask.tolist() == sorted(mask, reverse=True)
            found[row] = ids[mask == 1].tolist()
    assert found == expected
    assert widths == sorted(widths, reverse=True)


def test_a_text_without_tokens_is_in_no_batch(vocabulary):
    tokenizer = Tokenizer.from_str(vocabulary.tokenizer.to_str())
    tokenizer.post_processor = TemplateProcessing(single="$A", special_tokens=[])
    batches = Batcher(Vocabulary(tokenizer), 10, 100)(["\0", "wing", "", "\u200b"])
    assert [batch.rows.tolist() for batch in batches] == [[1]]


def test_the_vocabulary_keeps_its_own_length(vocabulary):
    list(Batcher(vocabulary, 3, 10)(["one two three four"]))
    assert len(vocabulary.tokenize(["one two three four"])[0]) == 4


@settings(max_examples=40)
@given(st.lists(texts, max_size=12), st.integers(3, 40), st.integers(1, 6))
def test_parts_hold_each_text_once_and_are_of_like_size(
    vocabulary, tokenizer, texts, max_length, parts
):
    tokenizer.enable_truncation(max_length)
    expected = {row: tokenizer.encode(t).ids for row, t in enumerate(texts) if t.strip()}
    batcher = Batcher(vocabulary, max_length, 1)
    batches = batcher.split(*batcher.tokenize(texts), parts)
    assert len(batches) <= parts
    found = [
        (row, ids[mask == 1].tolist())
        for batch in batches
        for row, ids, mask in zip(batch.rows, batch.ids, batch.mask, strict=True)
    ]
    assert len(found) == len(expected)
    assert dict(found) == expected
    if expected:
        total, longest = sum(map(len, expected.values())), max(map(len, expected.values()))
        assert len(batches) == 1 or all(len(batch.rows) for batch in batches)
        for batch in batches:
            assert batch.mask.sum() <= total / parts + longest
