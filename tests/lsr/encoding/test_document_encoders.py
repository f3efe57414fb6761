"""Streams of documents in one process and in several give the same vectors, bit for bit."""

import numpy as np
import pytest
import torch

from lsr.encoders.catalogue import load_encoder
from lsr.encoders.dense import DenseEncoder
from lsr.encoding.document_encoders import DocumentEncoders
from lsr.errors import EncoderMismatchError, InputError, UsageError
from lsr.threads import available_cores

CHUNKS = [
    (n, [f"apple {'banana ' * (n * 7 % 40)} number {k}" for k in range(n % 4)] + ["", "naïve 中文"])
    for n in range(7)
]
EMPTY = [("none", [])]


def same(one, other):
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    return all(
        np.array_equal(getattr(one, part), getattr(other, part))
        for part in ("indptr", "indices", "values")
    )


@pytest.fixture(scope="module")
def names(masked_lm, dense_model):
    return {
        "sparse": f"inference-free:{masked_lm},idf=collection",
        "bm25": f"bm25:{masked_lm}",
    }, str(dense_model)


def load(names):
    sparse, dense = names
    encoders = {field: load_encoder(name) for field, name in sparse.items()}
    return DocumentEncoders(encoders, {"dense": DenseEncoder.load(dense)})


@pytest.fixture
def threads_of_a_worker():
    """As many torch threads here as each of two processes has."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, available_cores() // 2))
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads_of_a_worker")
def test_several_processes_give_the_vectors_of_one(names):
    one = list(load(names).stream(EMPTY + CHUNKS + EMPTY))
    encoders = load(names)
    several = list(encoders.stream(EMPTY + CHUNKS + EMPTY, processes=2))
    assert [context for context, _ in several] == ["none", *range(7), "none"]
    for (context, expected), (_, found) in zip(one, several, strict=True):
        assert found.tokens == expected.tokens
        assert set(found.vectors) == set(expected.vectors)
        assert set(found.vectors) == (set() if context == "none" else {"sparse", "bm25", "dense"})
        for field, rows in expected.vectors.items():
            assert len(rows) == len(CHUNKS[context][1])
            assert same(rows, found.vectors[field])
    # Nothing was loaded here.
    assert [encoder.tokens_encoded for encoder in encoders.sparse.values()] == [0, 0]


def test_vectors_are_those_of_the_encoders(names):
    sparse, dense = names
    texts = CHUNKS[3][1]
    found = load(names).encode(texts)
    for field, name in sparse.items():
        assert same(found.vectors[field], load_encoder(name).encode_documents(texts))
    assert same(found.vectors["dense"], DenseEncoder.load(dense).encode_documents(texts))


@pytest.mark.parametrize("name", ["splade:{}", "inference-free:{}", "bm25:{}", "dense:{}"])
def test_tokens_are_counted(name, masked_lm, dense_model):
    texts = ["apple banana", "", " ", "cherry"]
    if name.startswith("dense"):
        encoder, expected = DenseEncoder.load(str(dense_model)), 3 + 4
    else:
        encoder = load_encoder(name.format(masked_lm))
        expected = 3 if name.startswith("bm25") else 3 + 4
    assert encoder.tokens_encoded == 0
    encoder.encode_documents(texts)
    assert encoder.tokens_encoded == expected
    encoder.encode_documents(texts)
    assert encoder.tokens_encoded == 2 * expected


def test_weights_that_changed_meanwhile_are_refused(names):
    encoders = DocumentEncoders({"bm25": load_encoder(names[0]["bm25"])})
    encoders.sparse["bm25"].fingerprint = "bm25-of-before"
    with pytest.raises(EncoderMismatchError, match="bm25-of-before when encoding began and is bm"):
        list(encoders.stream(CHUNKS, processes=2))


def test_what_an_encoder_refuses_is_told(tmp_path, masked_lm):
    for path in masked_lm.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    encoders = DocumentEncoders({"sparse": load_encoder(f"splade:{tmp_path}")})
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[:1000])
    with pytest.raises((InputError, EncoderMismatchError)):
        list(encoders.stream(CHUNKS, processes=2))


def test_a_wrong_number_of_processes_is_refused(names):
    with pytest.raises(UsageError, match="0 processes were asked for; allowed are 1 to 512"):
        list(load(names).stream(CHUNKS, processes=0))
