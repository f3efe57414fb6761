import random
import zlib
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from index.collection.packed_text import LARGEST_RATIO, pack_text, unpack_text

ENGLISH = "The proposed framework consists of three main stages: encoder, layer and decoder. "


@given(st.one_of(st.binary(max_size=3000), st.text(max_size=3000).map(str.encode)))
@example(b"")
@example(b"a" * 100_000)
@example(b"ab" * 60)
@example(ENGLISH.encode() * 40)
@example(random.Random(1).randbytes(4000))
def test_every_text_comes_back(text):
    stored = pack_text(text)
    assert unpack_text(stored) == text
    assert len(stored) <= len(text) + 1
    assert len(text) <= LARGEST_RATIO * len(stored)


def test_prose_takes_fewer_bytes():
    words = ["one", "way", "to", "learn", "sparse", "vectors", "is", "masked", "modelling"]
    text = " ".join(random.Random(2).choices(words, k=250)).encode()
    assert len(pack_text(text)) < len(text) / 2


def deflated(text):
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return b"\1" + packer.compress(text) + packer.flush()


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"\2text",
        b"\1",
        b"\1text",
        pack_text(ENGLISH.encode() * 2)[:-1],
        pack_text(ENGLISH.encode() * 2) + b"\0",
        deflated(b"\0" * 10_000_000),
    ],
)
def test_what_was_never_stored_is_refused(stored):
    with pytest.raises(ValueError, match="stored"):
        unpack_text(stored)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_text_or_refused(stored):
    for start in (b"", b"\0", b"\1"):
        with suppress(ValueError):
            assert len(unpack_text(start + stored)) <= LARGEST_RATIO * len(start + stored)
