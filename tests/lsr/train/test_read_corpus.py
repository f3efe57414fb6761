"""Tokens and counts of a corpus are those of its texts, whether they come from a file or not."""

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from lsr.backbones.batching import Batcher
from lsr.encoders.term_counts import count_terms
from lsr.errors import CorruptionError
from lsr.train.read_corpus import corpus_counts, corpus_tokens
from lsr.vocabulary import Vocabulary

TEXTS = ["one two three four five", "", " \n", "two two", "six one"]


@pytest.fixture
def vocabulary():
    words = ["[UNK]", "one", "two", "three", "four", "five"]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return Vocabulary(tokenizer)


@pytest.mark.parametrize("kept", [False, True])
def test_they_are_the_texts_own(vocabulary, tmp_path, kept):
    batcher, cache = Batcher(vocabulary, 4, 100), tmp_path / "cache" if kept else None
    for _ in range(2):
        tokens = corpus_tokens(batcher, TEXTS, "d1", cache)
        counts = corpus_counts(vocabulary, TEXTS, "d1", cache)
        rows = np.array([4, 1, 0, 3, 0])
        places, found = tokens.of(rows)
        wanted_places, wanted = batcher.tokenize([TEXTS[row] for row in rows])
        assert places.tolist() == wanted_places.tolist()
        assert [list(each.ids) for each in found] == [list(each.ids) for each in wanted]
        expected = count_terms(vocabulary, TEXTS).to_scipy().toarray()
        np.testing.assert_array_equal(counts.to_scipy().toarray(), expected)
    assert kept == any(tmp_path.rglob("tokens-*"))


def test_another_length_is_another_file_and_damage_is_named(vocabulary, tmp_path):
    for length in (2, 4):
        tokens = corpus_tokens(Batcher(vocabulary, length, 100), TEXTS, "d1", tmp_path)
        assert len(tokens.of(np.array([0]))[1][0].ids) == length
    for path in tmp_path.glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CorruptionError, match="delete it"):
        corpus_tokens(Batcher(vocabulary, 2, 100), TEXTS, "d1", tmp_path)
    corpus_counts(vocabulary, TEXTS, "d2", tmp_path)
    with pytest.raises(CorruptionError, match="of other texts"):
        corpus_counts(vocabulary, TEXTS[:2], "d2", tmp_path)
