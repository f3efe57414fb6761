"""TermPruning and choice of terms against plain loops."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from lsr.encoders.term_pruning import (
    TermPruning,
    continuing_terms,
    folded_terms,
    left_out_terms,
    special_terms,
)
from lsr.errors import UsageError
from lsr.sparse import SparseBatch, SparseVector
from lsr.vocabulary import Vocabulary
from tests.lsr.encoders.published import byte_level_bpe
from tests.strategies import VOCABULARY, sparse_vectors


@pytest.fixture(scope="module")
def bert():
    return Vocabulary.bert_uncased()


@pytest.fixture(scope="module")
def bpe():
    return Vocabulary(byte_level_bpe("<s>", "</s>"))


def batch_of(rows):
    return SparseBatch.from_rows(map(SparseVector.from_mapping, rows), VOCABULARY)


def plain(row, threshold, top_k, prune):
    """One text's terms, by the definition."""
    row = {term: np.float32(weight) for term, weight in row.items()}
    if row and prune:
        least = np.float32(prune) * max(row.values())
        row = {term: weight for term, weight in row.items() if weight >= least}
    row = {term: weight for term, weight in row.items() if not weight <= np.float32(threshold)}
    best = sorted(row, key=lambda term: (-row[term], term))
    return {term: row[term] for term in best[: top_k or None]}


@settings(max_examples=200)
@given(
    st.lists(sparse_vectors, max_size=6),
    st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    st.integers(0, 5),
    st.sampled_from([0.0, 0.1, 0.5, 0.99]),
)
def test_what_is_kept_is_what_the_definition_keeps(rows, threshold, top_k, prune):
    found = TermPruning(threshold, top_k, prune)(batch_of(rows))
    assert len(found) == len(rows)
    for row, vector in zip(rows, found, strict=True):
        kept = dict(zip(vector.indices.tolist(), vector.values, strict=True))
        assert kept == plain(row, threshold, top_k, prune)
        assert vector.indices.tolist() == sorted(kept)


def test_nothing_asked_for_changes_nothing():
    batch = batch_of([{1: 0.5}, {}, {0: 1.0, 3: 2.0}])
    assert TermPruning()(batch) is batch


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"threshold": -0.1}, "threshold is -0.1; allowed is 0 or more"),
        ({"threshold": float("nan")}, "threshold is nan"),
        ({"threshold": float("inf")}, "threshold is inf"),
        ({"top_k": -1}, "top_k is -1; allowed is 1 or more, and 0 for all terms"),
        ({"prune": 1.0}, "prune is 1.0; allowed is 0 to less than 1"),
        ({"prune": -0.1}, "prune is -0.1"),
        ({"prune": float("nan")}, "prune is nan"),
    ],
)
def test_settings_out_of_range_are_refused(settings, complaint):
    with pytest.raises(UsageError, match=re.escape(complaint)):
        TermPruning(**settings)


def chosen(vocabulary, mask):
    return {vocabulary.token(int(term)) for term in np.flatnonzero(mask)}


def test_special_tokens_are_left_out_as_asked(bert, bpe):
    every = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    assert chosen(bert, special_terms(bert, "keep")) == set()
    assert chosen(bert, special_terms(bert, "drop")) == every
    assert chosen(bert, special_terms(bert, "drop-first")) == {"[CLS]"}
    assert chosen(bpe, special_terms(bpe, "drop-first")) == {"<s>"}
    assert "</s>" in chosen(bpe, special_terms(bpe, "drop"))


def test_punctuation_and_tildes_words_are_left_out(bert):
    assert not left_out_terms(bert, "none").any()
    punctuation = chosen(bert, left_out_terms(bert, "punctuation"))
    assert {".", "-", "€"} <= punctuation
    assert not {"the", "##s", "中"} & punctuation
    tilde = chosen(bert, left_out_terms(bert, "tilde"))
    assert {".", "中", "the", "of", "##s", "[CLS]", "#"} <= tilde
    assert not {"wing", "##ing", "what", "how", "-", "1990"} & tilde


def test_pieces_that_continue_a_word_are_marked(bert, bpe):
    continuing = chosen(bert, continuing_terms(bert))
    assert all(re.fullmatch("##.+", token) for token in continuing)
    assert {"##s", "##ing"} <= continuing
    with pytest.raises(UsageError, match="needs a WordPiece vocabulary"):
        continuing_terms(bpe)


def test_spellings_that_differ_by_case_or_space_are_one_term(bpe):
    stands = folded_terms(bpe)
    term = bpe.tokenizer.token_to_id
    groups = {}
    for token, place in sorted(bpe.tokenizer.get_vocab().items(), key=lambda item: item[1]):
        key = token if place in bpe.special else token.replace("Ġ", "").casefold() or token
        groups.setdefault(key, []).append(place)
    for places in groups.values():
        assert {int(stands[place]) for place in places} == {places[0]}
    assert stands[term("Ġwing")] == stands[term("ĠWing")]
    assert stands[term("Ġ")] == term("Ġ")


def test_unknown_kinds_are_refused(bert):
    with pytest.raises(UsageError, match="special is 'no'; allowed are keep, drop and drop-first"):
        special_terms(bert, "no")
    with pytest.raises(UsageError, match="leave_out is 'x'; allowed are none, punctuation and til"):
        left_out_terms(bert, "x")


def test_the_packaged_tokenizer_is_not_changed(bert):
    before = bert.tokenizer.to_str()
    for kind in ("keep", "drop", "drop-first"):
        special_terms(bert, kind)
    assert Tokenizer.from_str(before).to_str() == bert.tokenizer.to_str()
