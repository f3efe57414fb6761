"""This project's encoder: the one place where the bench knows how it is loaded and called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from encode_bench.encoders import TextEncoder
from index.indexing import CHUNK
from lsr.backbones.checkpoint import Checkpoint
from lsr.encoders.catalogue import load_encoder
from lsr.sparse import SparseBatch


class OurEncoder(TextEncoder):
    """Encodes 256 texts a call, as ``lsr index`` does."""

    def __init__(self, checkpoint: Checkpoint, max_length: int, **options: str) -> None:
        settings = {"max_length": str(max_length)} | options
        name = ",".join([checkpoint.name, *(f"{key}={value}" for key, value in settings.items())])
        self._encoder = load_encoder(name)

    def encode(self, texts: Sequence[str], are_queries: bool, **settings: Any) -> list[SparseBatch]:
        call = self._encoder.encode_queries if are_queries else self._encoder.encode_documents
        return [call(texts[start : start + CHUNK]) for start in range(0, len(texts), CHUNK)]

    def batch(self, found: list[SparseBatch]) -> SparseBatch:
        return SparseBatch.concatenate(found, self._encoder.vocabulary.size)
