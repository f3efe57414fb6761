"""The SparseEncoder of sentence-transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sentence_transformers import SparseEncoder

from encode_bench.encoders import TextEncoder
from lsr.backbones.checkpoint import Checkpoint
from lsr.sparse import SparseBatch

# What the call returns: COO rows, or a dense matrix that one more call makes CSR.
SPARSE, DENSE = "sparse", "dense"


class SentenceTransformersEncoder(TextEncoder):
    """Encodes all texts in one call, which sorts them by length and batches them itself."""

    defaults = {"batch_size": 32, "chunk_size": None, "output": SPARSE}  # noqa: RUF012
    grid = {  # noqa: RUF012
        "batch_size": (4, 8, 16, 32, 64),
        "chunk_size": (16, 64, None),
        "output": (SPARSE, DENSE),
    }

    def __init__(self, checkpoint: Checkpoint, max_length: int, **options: str) -> None:
        folder = str(checkpoint.folder)
        self._encoder = SparseEncoder(folder, device="cpu", local_files_only=True, **options)
        longest = self._encoder.max_seq_length or max_length
        self._encoder.max_seq_length = min(max_length, longest)

    def encode(
        self,
        texts: Sequence[str],
        are_queries: bool,
        *,
        batch_size: int,
        chunk_size: int | None,
        output: str,
    ) -> torch.Tensor:
        call = self._encoder.encode_query if are_queries else self._encoder.encode_document
        self._encoder.splade_pooling_chunk_size = chunk_size
        found: torch.Tensor = call(
            list(texts),
            batch_size=batch_size,
            convert_to_sparse_tensor=output == SPARSE,
            show_progress_bar=False,
        )
        return found if output == SPARSE else found.to_sparse_csr()

    def batch(self, found: Any) -> SparseBatch:
        rows = found.coalesce().to_sparse_csr() if found.layout == torch.sparse_coo else found
        return SparseBatch(
            rows.crow_indices().numpy().astype(np.int64),
            rows.col_indices().numpy().astype(np.int32),
            rows.values().numpy().astype(np.float32),
            rows.shape[1],
        )
