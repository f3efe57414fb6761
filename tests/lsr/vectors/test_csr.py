"""The CSR file: pinned byte for byte, read by safetensors too, and never trusted."""

import json

import numpy as np
import pytest

from lsr.corpus.documents import Document
from lsr.errors import CorruptionError, InputError, LsrError
from lsr.vectors.csr import DTYPES, CsrVectors
from lsr.vocabulary import Vocabulary
from tests.lsr.vectors.files import MAKER, TOKENS, VOCABULARY, ids, read, write

ROWS = [(Document("é", ""), {1: 0.5, 4: 3.0}), (Document("b", ""), {}), (Document("c", ""), {0: 1})]


@pytest.fixture
def path(tmp_path):
    return write(tmp_path, "csr", ROWS)[0]


def parts(path):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def rewrite(path, header, body):
    text = json.dumps(header).encode() if isinstance(header, dict) else header
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def test_the_file_is_pinned(path):
    header, body = parts(path)
    spelled = "".join(TOKENS).encode()
    names = {
        "indptr": ("I64", 4, np.int64([0, 2, 2, 3])),
        "id_offsets": ("I64", 4, np.int64([0, 2, 3, 4])),
        "token_offsets": ("I64", 12, np.cumsum([0, *(len(t.encode()) for t in TOKENS)])),
        "indices": ("I32", 3, np.int32([1, 4, 0])),
        "values": ("F32", 3, np.float32([0.5, 3, 1])),
        "ids": ("U8", 4, np.frombuffer("ébc".encode(), np.uint8)),
        "tokens": ("U8", len(spelled), np.frombuffer(spelled, np.uint8)),
    }
    expected = {
        "__metadata__": {
            "format": "lsr-csr",
            "version": "1",
            "vocabulary_size": "11",
            "vocabulary_digest": VOCABULARY.digest,
            "encoder": MAKER.name,
            "fingerprint": MAKER.fingerprint,
        }
    }
    end = 0
    for name, (dtype, length, array) in names.items():
        expected[name] = {
            "dtype": dtype,
            "shape": [length],
            "data_offsets": [end, end := end + array.nbytes],
        }
    assert header == expected
    assert list(header) == list(expected)
    assert body == b"".join(array.tobytes() for _, _, array in names.values())
    assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0


def test_safetensors_reads_it(path):
    safetensors = pytest.importorskip("safetensors.numpy")
    arrays = safetensors.load_file(path)
    assert {name: array.dtype for name, array in arrays.items()} == {
        name: np.dtype(kind) for name, (_, kind) in DTYPES.items()
    }
    assert arrays["values"].tolist() == [0.5, 3, 1]
    assert arrays["ids"].tobytes().decode() == "ébc"


def test_every_cut_is_refused(path):
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(LsrError):
            CsrVectors(path)
    path.write_bytes(data)
    assert len(read(path)[0]) == 3


def test_no_flipped_byte_does_harm(path):
    data = bytearray(path.read_bytes())
    for place in range(len(data)):
        for bit in (0, 7):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            path.write_bytes(flipped)
            try:
                good, bad = read(path)
            except LsrError:
                continue
            assert len(good) + len(bad) == 3
            for _, weights in good:
                assert all(np.isfinite(weight) and weight > 0 for weight in weights.values())


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), -1.0], ids=["nan", "infinite", "negative"]
)
def test_a_row_with_a_bad_weight_is_named_and_the_others_kept(path, value):
    header, body = parts(path)
    begin, _ = header["values"]["data_offsets"]
    rewrite(path, header, body[:begin] + np.float32(value).tobytes() + body[begin + 4 :])
    good, bad = read(path)
    assert ids(good) == [("b", {}), ("c", {"": 1.0})]
    assert bad[0][0] == 1
    assert "weights are finite and not negative" in bad[0][1]


@pytest.mark.parametrize("terms", [[4, 1], [1, 1], [-1, 4], [1, 11]])
def test_a_row_with_bad_terms_is_named_and_the_others_kept(path, terms):
    header, body = parts(path)
    begin, _ = header["indices"]["data_offsets"]
    rewrite(path, header, body[:begin] + np.int32(terms).tobytes() + body[begin + 8 :])
    good, bad = read(path)
    assert [document.id for document, _ in good] == ["b", "c"]
    assert bad == [(1, "its term ids are not ascending, or not below 11")]


def test_an_id_that_is_no_text_is_named(path):
    header, body = parts(path)
    begin, _ = header["ids"]["data_offsets"]
    rewrite(path, header, body[:begin] + b"\xff" + body[begin + 1 :])
    assert read(path)[1] == [(1, "its id is not UTF-8 at byte 0")]


@pytest.mark.parametrize(
    ("change", "error", "reason"),
    [
        (lambda h: h["values"].update(dtype="F16"), CorruptionError, "'values' doesn't fit"),
        (lambda h: h["values"].update(shape=[2]), CorruptionError, "'values' doesn't fit"),
        (lambda h: h["values"].update(shape=[-1]), CorruptionError, "'values' doesn't fit"),
        (lambda h: h["values"].update(shape=[True]), CorruptionError, "'values' doesn't fit"),
        (lambda h: h["values"].update(shape=3), CorruptionError, "'values' doesn't fit"),
        (lambda h: h["values"].update(data_offsets=[0, 1 << 60]), CorruptionError, "doesn't fit"),
        (lambda h: h["ids"].update(data_offsets=[-4, 0]), CorruptionError, "'ids' doesn't fit"),
        (lambda h: h.update(ids=3), CorruptionError, "'ids' doesn't fit"),
        (lambda h: h.pop("ids"), InputError, "not of vectors"),
        (lambda h: h.update(more=h["ids"]), InputError, "not of vectors"),
        (lambda h: h.pop("__metadata__"), InputError, "not of vectors"),
        (lambda h: h["__metadata__"].update(format="pt"), InputError, "not of vectors"),
        (lambda h: h["__metadata__"].update(version="2"), InputError, "format version 2"),
        (lambda h: h["__metadata__"].update(vocabulary_size="7"), CorruptionError, "11 tokens"),
        (lambda h: h["__metadata__"].pop("vocabulary_digest"), CorruptionError, "lacks"),
        (lambda h: h["indptr"].update(h["id_offsets"]), CorruptionError, "'indptr' "),
        (
            lambda h: h.update(id_offsets={"dtype": "I64", "shape": [0], "data_offsets": [0, 0]}),
            CorruptionError,
            "'id_offsets' doesn't end at 4",
        ),
    ],
)  # fmt: skip
def test_headers_are_checked(path, change, error, reason):
    header, body = parts(path)
    change(header)
    rewrite(path, header, body)
    with pytest.raises(error, match=reason):
        CsrVectors(path)


@pytest.mark.parametrize("header", [b"[]", b"{", b"\xff", b"[" * 100_000])
def test_headers_that_are_no_object_are_refused(path, header):
    rewrite(path, header, b"")
    with pytest.raises(CorruptionError, match="its header is no"):
        CsrVectors(path)


def test_descending_offsets_and_repeated_tokens_are_refused(path):
    header, body = parts(path)
    begin, end = header["indptr"]["data_offsets"]
    rewrite(path, header, body[:begin] + np.int64([0, 3, 2, 3]).tobytes() + body[end:])
    with pytest.raises(CorruptionError, match="'indptr' is not ascending from 0"):
        CsrVectors(path)
    begin = header["tokens"]["data_offsets"][0]
    for token, reason in ((b"\xff", "not UTF-8"), (b"", "stands twice")):
        tokens = b"##x" * 2 if not token else token + body[begin + 1 :]
        changed = body[:begin] + tokens
        if not token:
            offsets = np.int64([0, 3, 6]).tobytes()
            header["token_offsets"]["shape"] = [3]
            header["token_offsets"]["data_offsets"] = [len(changed), len(changed) + len(offsets)]
            header["tokens"].update(shape=[6], data_offsets=[begin, begin + 6])
            header["__metadata__"]["vocabulary_size"] = "2"
            changed += offsets
        rewrite(path, header, changed)
        with pytest.raises(CorruptionError, match=reason):
            CsrVectors(path).tokens()


def test_rows_are_matched_by_token_whatever_the_numbers(path):
    other = Vocabulary.from_tokens(TOKENS[::-1])
    good, bad = read(path, other)
    assert ids(good) == ids(read(path)[0])
    assert bad == []
