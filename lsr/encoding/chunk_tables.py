"""Chunks as tables of one row, which is how they go through Ray Data."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from lsr.encoding.document_encoders import Encoded
from lsr.sparse import SparseBatch


def packed(encoded: Encoded, texts: bytes) -> bytes:
    """Vectors of one sparse field, and the digest of the texts, as a safetensors file."""
    from safetensors.numpy import save

    (batch,) = encoded.vectors.values()
    assert isinstance(batch, SparseBatch)
    arrays = {"indptr": batch.indptr, "indices": batch.indices, "values": batch.values}
    told = {
        "field": next(iter(encoded.vectors)),
        "size": str(batch.vocabulary_size),
        "words": json.dumps(batch.words),
        "tokens": str(encoded.tokens),
        "texts": texts_digest(texts),
    }
    return save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, told)


def unpacked(data: bytes) -> tuple[Encoded, str]:
    """The vectors that ``packed`` made bytes of, and the digest of the texts."""
    from safetensors.numpy import load

    length = int.from_bytes(data[:8], "little")
    told = json.loads(data[8 : 8 + length])["__metadata__"]
    arrays = load(data)
    batch = SparseBatch(
        arrays["indptr"],
        arrays["indices"],
        arrays["values"],
        int(told["size"]),
        tuple(json.loads(told["words"])),
    )
    return Encoded({told["field"]: batch}, int(told["tokens"])), told["texts"]


def chunk_table(number: int, data: bytes, error: str = "") -> Any:
    """A table of one row: the number of a chunk, its texts or vectors, or what went wrong."""
    import pyarrow

    columns = {"chunk": [number], "data": pyarrow.array([data], pyarrow.large_binary())}
    return pyarrow.table({**columns, "error": [error]})


def texts_digest(texts: bytes) -> str:
    """32 hexadecimal digits over the texts of a chunk."""
    return hashlib.blake2b(texts, digest_size=16).hexdigest()
