"""What stands between token ids and the vocabulary projection: a language model's states."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.batching import TokenBatch
from lsr.checkpoint import Checkpoint
from lsr.errors import InputError
from lsr.head import VocabularyProjection
from lsr.torch_runtime import load_model, longest_input


class Backbone(Protocol):
    """A loaded language model, cut in two before its vocabulary projection.

    ``device`` is where it computes; ``projection`` is the part behind the cut.
    """

    device: torch.device
    projection: VocabularyProjection

    def longest(self, wanted: int) -> int:
        """``wanted`` tokens, or as many as the model can take."""
        ...

    def states(self, batch: TokenBatch) -> tuple[torch.Tensor, NDArray[np.int64]]:
        """What enters the projection at each position that is pooled, without padding.

        Returns:
            float (tokens, width), the documents of the batch one after the other, and int64
            (documents + 1,), where each begins.
        """
        ...


class MaskedLanguageModel(Backbone):
    """A checkpoint that transformers loads as ``AutoModelForMaskedLM``; bfloat16 on a GPU.

    Raises:
        InputError: it can't be loaded as one, or its projection has too few rows.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._model: Any = load_model(checkpoint, "AutoModelForMaskedLM", "auto")
        self.device = self._model.device
        projection = self._model.get_output_embeddings()
        terms = checkpoint.vocabulary.size
        if projection is None or projection.weight.shape[0] < terms:
            raise InputError(
                f"the checkpoint {checkpoint.name!r} has no vocabulary projection over its "
                f"{terms} terms; SPLADE needs a masked language model"
            )
        self.projection = VocabularyProjection(projection.weight, projection.bias, terms)
        # The model then returns what enters its projection.
        projection.forward = lambda states: states

    def longest(self, wanted: int) -> int:
        """``wanted`` tokens, or as many as the model has positions for."""
        return longest_input(self._model, wanted)

    def states(self, batch: TokenBatch) -> tuple[torch.Tensor, NDArray[np.int64]]:
        """States at the real tokens."""
        ids = torch.from_numpy(batch.ids).to(self.device)
        mask = torch.from_numpy(batch.mask).to(self.device)
        states = self._model(input_ids=ids, attention_mask=mask).logits
        return states[mask.bool()], batch.offsets
