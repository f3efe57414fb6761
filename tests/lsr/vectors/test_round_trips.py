"""Whatever is written is read back: every bit of every weight, every id, every token."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.corpus.documents import Document
from lsr.errors import InputError, NotFoundError, UsageError
from lsr.vectors.formats import FORMATS, format_of, open_vectors, vector_writer
from lsr.vectors.quantisation import check_scale, quantise
from lsr.vectors.working_files import WorkingFiles
from lsr.vocabulary import Vocabulary
from tests.lsr.vectors.files import (
    MAKER,
    TOKENS,
    VOCABULARY,
    FreshFolder,
    batch_of,
    floats,
    ids,
    integers,
    read,
    rows_of,
    spelled,
    write,
)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("kind", ["jsonl", "seismic"])
@given(rows=rows_of(floats), parts=st.integers(1, 3))
@settings(max_examples=30)
def test_json_lines(kind, zipped, rows, parts):
    with FreshFolder() as folder:
        path, notes = write(folder, kind, rows, parts=parts, zipped=zipped)
        good, bad = read(path)
    assert (ids(good), bad, notes) == (spelled(rows), [], [])
    assert [document.text for document, _ in good] == [document.contents for document, _ in rows]


@given(rows=rows_of(floats), parts=st.integers(1, 3))
@settings(max_examples=30)
def test_csr(rows, parts):
    with FreshFolder() as folder:
        path, notes = write(folder, "csr", rows, parts=parts)
        good, bad = read(path)
        source = open_vectors(str(path))
        assert source.tokens() == TOKENS
        assert source.vocabulary_digest == VOCABULARY.digest
        assert source.encoder == MAKER.name
    assert (ids(good), bad, notes) == (spelled(rows), [], [])


@given(rows=rows_of(integers), parts=st.integers(1, 3))
@settings(max_examples=30)
def test_ciff_of_integers_is_exact(rows, parts):
    with FreshFolder() as folder:
        path, notes = write(folder, "ciff", rows, parts=parts)
        good, bad = read(path)
    assert (ids(good), bad, notes) == (spelled(rows), [], [])


@given(rows=rows_of(st.floats(2**-10, 1000, width=32)), scale=st.sampled_from([1, 7.5, 100, 4096]))
@settings(max_examples=30)
def test_ciff_of_floats_is_rounded_to_its_scale_once(rows, scale):
    with FreshFolder() as folder:
        path, _ = write(folder, "ciff", rows, scale=scale)
        good, bad = read(path)
        again, _ = write(folder, "ciff", from_read(good), name="again", scale=scale)
        assert read(again)[0] == good
    expected = spelled(rows, lambda weight: np.rint(float(np.float32(weight)) * scale) / scale)
    kept = [(name, {t: w for t, w in weights.items() if w > 0}) for name, weights in expected]
    assert (ids(good), bad) == (kept, [])


@given(rows=rows_of(integers), order=st.permutations(FORMATS))
@settings(max_examples=40)
def test_from_any_format_to_any_other(rows, order):
    with FreshFolder() as folder:
        current = rows
        for number, kind in enumerate(order):
            path, _ = write(folder, kind, current, name=str(number))
            current = from_read(read(path)[0])
    assert spelled(current) == spelled(rows)


def from_read(good):
    return [
        (document, {TOKENS.index(token): weight for token, weight in weights.items()})
        for document, weights in good
    ]


@pytest.mark.parametrize("kind", FORMATS)
def test_no_documents_and_empty_documents(tmp_path, kind):
    path, _ = write(tmp_path, kind, [], name="none")
    assert read(path) == ([], [])
    path, _ = write(tmp_path, kind, [(Document("a", ""), {}), (Document("b", ""), {})])
    assert read(path) == ([(Document("a", ""), {}), (Document("b", ""), {})], [])


@pytest.mark.parametrize("kind", FORMATS)
def test_a_vocabulary_of_the_files_own_tokens(tmp_path, kind):
    rows = [(Document("a", ""), {1: 2.0, 5: 3.0}), (Document("b", ""), {9: 1.0})]
    path, _ = write(tmp_path, kind, rows)
    source = open_vectors(str(path))
    tokens = source.tokens()
    assert tokens == open_vectors(str(path)).tokens()
    assert {TOKENS[1], TOKENS[5], TOKENS[9]} <= set(tokens)
    good, bad = read(path, Vocabulary.from_tokens(tokens))
    assert (ids(good), bad) == (spelled(rows), [])


@pytest.mark.parametrize("kind", FORMATS)
def test_unknown_tokens_leave_the_document_out_and_say_so(tmp_path, kind):
    rows = [(Document("a", ""), {1: 2.0}), (Document("b", ""), {1: 1.0, 3: 1.0, 4: 2.0})]
    path, _ = write(tmp_path, kind, rows)
    good, bad = read(path, Vocabulary.from_tokens(["apple", "plum"]))
    assert ids(good) == [("a", {"apple": 2.0})]
    assert [line for line, _ in bad] == [2]
    assert "2 of 3 tokens are not in the vocabulary of 2 terms" in bad[0][1]


@pytest.mark.parametrize("kind", FORMATS)
def test_quantised_weights_are_rounded_products(tmp_path, kind):
    rows = [(Document("a", ""), {0: 0.123, 1: 0.004, 2: 2.5})]
    path, notes = write(tmp_path, kind, rows, scale=100)
    undo = 100 if kind == "ciff" else 1
    expected = {TOKENS[0]: np.float32(12 / undo), TOKENS[2]: np.float32(250 / undo)}
    assert ids(read(path)[0]) == [("a", expected)]
    if kind == "ciff":
        assert "multiplied by 100 and rounded; 1 weights became 0" in notes[0]


def test_the_scale_of_ciff_is_chosen_by_the_weights(tmp_path):
    _, notes = write(tmp_path, "ciff", [(Document("a", ""), {0: 3.0, 1: 4.0})], name="whole")
    assert notes == []
    _, notes = write(tmp_path, "ciff", [(Document("a", ""), {0: 3.5, 1: 4.0})], name="parts")
    assert "multiplied by 100" in notes[0]


def test_weights_too_large_to_quantise_are_refused():
    with pytest.raises(InputError, match="quantise by a smaller number"):
        quantise(batch_of([(Document("a", ""), {0: 70000.0})]), 1000)
    for scale in (0, -1, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="can't be quantised"):
            check_scale(scale)


def test_names_of_files_tell_the_format(tmp_path):
    names = {"a.jsonl": "jsonl", "a.json.gz": "jsonl", "a.safetensors": "csr", "a.ciff.gz": "ciff"}
    assert {name: format_of(Path(name)) for name in names} == names
    for name in ("a.txt", "a", "a.safetensors.gz", "ciff"):
        with pytest.raises(InputError, match="no known kind"):
            format_of(Path(name))
    with pytest.raises(NotFoundError, match="no file or folder"):
        open_vectors(str(tmp_path / "none.jsonl"))
    with pytest.raises(NotFoundError, match="no file or folder"):
        open_vectors("")
    with pytest.raises(UsageError, match="allowed are jsonl, seismic, csr, ciff"):
        vector_writer("arrow", WorkingFiles(tmp_path / "w"), VOCABULARY, MAKER)
