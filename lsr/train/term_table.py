"""A side without a model: a table of term weights, fixed or trained."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.term_table import read_term_table
from lsr.errors import UsageError
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics
from lsr.vocabulary import Vocabulary


class TermTable:
    """w_j = relu(table_j) if term j occurs in the text, else 0 (Geng et al. 2024).

    ``weights`` float32 (V,) is a parameter, and trained where ``learned``. Special tokens have no
    part. ``terms`` are those of all queries of the training, or of all its documents, as
    ``count_terms`` gives them.
    """

    def __init__(
        self,
        terms: SparseBatch,
        table: NDArray[np.float32],
        learned: bool,
        device: torch.device,
    ) -> None:
        weights = torch.from_numpy(table.copy()).to(device)
        self.weights = torch.nn.Parameter(weights, requires_grad=learned)
        self._terms = terms

    def __call__(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """float32 (B, V): the weights of the texts at these rows."""
        table = self.weights.relu()
        found = [self._terms[int(row)].indices for row in rows]
        device = table.device
        terms = torch.from_numpy(np.concatenate(found).astype(np.int64)).to(device)
        owners = np.repeat(np.arange(len(rows)), [len(part) for part in found])
        places = torch.from_numpy(owners).to(device), terms
        return table.new_zeros(len(rows), len(table)).index_put(places, table[terms])

    def table(self) -> NDArray[np.float32]:
        """float32 (V,), as it is exported."""
        weights: NDArray[np.float32] = self.weights.detach().relu().cpu().numpy()
        return weights


def initial_table(
    vocabulary: Vocabulary, kind: str, idf: str, count: Callable[[], CollectionStatistics]
) -> NDArray[np.float32]:
    """float32 (V,): where the table begins, 0 for special tokens.

    Args:
        vocabulary: the student's.
        kind: ``binary`` for 1 everywhere, else IDF.
        idf: ``training`` takes that of ``count``; else a checkpoint that has a table.
        count: makes the statistics of the training documents, where they are needed.

    Raises:
        UsageError: the checkpoint has no table over this vocabulary.
    """
    if kind == "binary":
        table = np.ones(vocabulary.size, dtype=np.float32)
    elif idf == "training":
        table = count().idf.copy()
    else:
        checkpoint = Checkpoint.resolve(idf)
        read = read_term_table(checkpoint)
        if read is None or checkpoint.vocabulary.tokens != vocabulary.tokens:
            raise UsageError(
                f"idf is {idf!r}, which holds no table over the {vocabulary.size} terms of the "
                "model; give a checkpoint with an idf.json, or 'training'"
            )
        table = read
    table[list(vocabulary.special)] = 0
    return table
