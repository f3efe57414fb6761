"""Decoder-only language models as backbones: causal or bidirectional, plain or echoed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.backbones.backbone import Backbone
from lsr.backbones.batching import TokenBatch
from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.lora import Adapter
from lsr.backbones.model_weights import load_model, longest_input
from lsr.backbones.projection import VocabularyProjection
from lsr.errors import InputError


class CausalLanguageModel(Backbone):
    """A checkpoint that transformers loads as ``AutoModelForCausalLM``.

    ``rows`` is the number of token ids that it knows; published models have fewer tokens than
    rows, or more. ``model`` is the transformers module, which returns what enters its vocabulary
    projection as its logits.

    Args:
        checkpoint: the model.
        terms: size of its vocabulary.
        adapter: added to its weights, or None.
        bidirectional: each token attends to all tokens of its text, not to the earlier ones only.
        echo: the model reads each text twice, and the states of the second reading are kept, at
            which a causal model has seen the whole text (Springer et al. 2024).
        dtype: as in ``load_model``.

    Raises:
        InputError: it can't be loaded as one, or can't attend as asked, or the adapter does not
            fit.
        MissingDependencyError: there is an adapter, and peft is not installed.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        terms: int,
        adapter: Adapter | None = None,
        *,
        bidirectional: bool = False,
        echo: bool = False,
        dtype: str = "auto",
    ) -> None:
        self.model: Any = load_model(checkpoint, "AutoModelForCausalLM", dtype=dtype)
        if adapter is not None:
            self.model = adapter.merge_into(self.model)
        if getattr(self.model.config, "final_logit_softcapping", None):
            raise InputError(
                f"the checkpoint {checkpoint.name!r} caps its logits after the projection, "
                "which is not supported; use a Llama, Mistral or Qwen model"
            )
        self.device = self.model.device
        self._echo = echo
        projection = self.model.get_output_embeddings()
        embeddings = self.model.get_input_embeddings()
        self.rows = min(projection.weight.shape[0], embeddings.weight.shape[0])
        self.projection = VocabularyProjection(
            projection.weight, projection.bias, min(terms, self.rows)
        )
        # The model then returns what enters its projection.
        projection.forward = lambda states: states
        self._attend(bidirectional, checkpoint.name)

    def longest(self, wanted: int) -> int:
        """``wanted`` tokens, or as many as the model has positions for.

        An echoed text takes twice its positions, and is no longer than the sliding window of the
        model: the second reading then still sees all of the text.
        """
        if not self._echo:
            return longest_input(self.model, wanted)
        longest = longest_input(self.model, 2 * wanted) // 2
        full = "full_attention" in (getattr(self.model.config, "layer_types", None) or [])
        window = getattr(self.model.config, "sliding_window", None)
        return longest if full or not window else min(longest, window)

    def states(self, batch: TokenBatch) -> tuple[torch.Tensor, NDArray[np.int64]]:
        """States at the real tokens; of an echoed text, at those of the second reading."""
        ids, mask, kept = batch.ids, batch.mask, batch.mask
        if self._echo:
            ids, mask, kept = _echoed(batch)
        states = self._read(ids, mask)
        return states[torch.from_numpy(kept).to(self.device).bool()], batch.offsets

    def _read(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> torch.Tensor:
        """States, float (b, length, width); the padding is on the right."""
        states: torch.Tensor = self.model(
            input_ids=torch.from_numpy(ids).to(self.device),
            attention_mask=torch.from_numpy(mask).to(self.device),
            use_cache=False,
        ).logits
        return states

    def _attend(self, bidirectional: bool, name: str) -> None:
        """Switch the causal mask off or on, and see that the model obeys."""
        # The configuration decides about masks, the modules about attention without one.
        self.model.config.is_causal = not bidirectional
        for module in self.model.modules():
            if hasattr(module, "is_causal"):
                module.is_causal = not bidirectional
        ids = np.array([[0, 1, 0], [0, 2, 0]], dtype=np.int64)
        with torch.inference_mode():
            for padding in (0, 1):
                mask = np.ones_like(ids)
                mask[:, 2:] -= padding
                first, second = self._read(ids, mask)[:, 0]
                if torch.equal(first, second) == bidirectional:
                    kind = "bidirectional" if bidirectional else "causal"
                    raise InputError(
                        f"the attention of the checkpoint {name!r} can't be made {kind} with this "
                        "version of transformers; upgrade transformers, or use "
                        f"bidirectional={'no' if bidirectional else 'yes'}"
                    )


def _echoed(
    batch: TokenBatch,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Ids and mask, int64 (b, 2 length), of texts that follow on themselves without a gap.

    The third array is 1 at the second copy of each text.
    """
    lengths = batch.mask.sum(axis=1, keepdims=True)
    places = np.arange(2 * batch.ids.shape[1])[None, :]
    mask = (places < 2 * lengths).astype(np.int64)
    ids = np.take_along_axis(batch.ids, places % lengths, axis=1) * mask
    return ids, mask, mask * (places >= lengths)
