"""Dense encoders: one normalised vector a text, by mean pooling over a transformer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.batch_threads import map_batches
from lsr.batching import Batcher, TokenBatch
from lsr.checkpoint import Checkpoint
from lsr.encoder import fingerprint
from lsr.errors import InputError

TOKEN_BUDGET = {"cpu": 2048, "cuda": 65_536}
DEFAULT_LENGTH = 256


class DenseEncoder:
    """Mean of the last hidden states over a text's tokens, scaled to length 1.

    Inner product is then the cosine. The checkpoint's sentence-transformers settings, where it
    has them, give the length limit and must ask for mean pooling. A blank text gets zeros.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        pooling = checkpoint.json("1_Pooling/config.json") or {"pooling_mode_mean_tokens": True}
        if not pooling.get("pooling_mode_mean_tokens", pooling.get("pooling_mode") == "mean"):
            raise InputError(
                f"the checkpoint {checkpoint.name!r} does not pool by mean; "
                "give a dense encoder with mean pooling, such as all-MiniLM-L6-v2"
            )
        settings = checkpoint.json("sentence_bert_config.json") or {}
        config = checkpoint.json("config.json")
        longest = config.get("max_position_embeddings") or DEFAULT_LENGTH
        self.max_length = min(settings.get("max_seq_length") or DEFAULT_LENGTH, longest)
        width = config.get("hidden_size") or config.get("dim") or config.get("d_model")
        if not width:
            raise InputError(f"the config.json of {checkpoint.name!r} has no hidden_size; add it")
        self.dimension = int(width)
        self.name = checkpoint.name
        self.fingerprint = fingerprint(
            "dense",
            vocabulary=checkpoint.vocabulary.digest,
            checkpoint=checkpoint.digest,
            max_length=self.max_length,
        )

    @classmethod
    def load(cls, name: str) -> DenseEncoder:
        """The dense encoder of a hub id or folder; weights are read at first use."""
        return cls(Checkpoint.resolve(name))

    @property
    def tokens_encoded(self) -> int:
        """Tokens that went through the model so far."""
        return self._batcher.tokens if "_batcher" in vars(self) else 0

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 (n, dimension), one row a text, for documents and queries alike."""
        model = self._model
        import torch

        def embed(batch: TokenBatch) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
            with torch.inference_mode():
                ids = torch.from_numpy(batch.ids).to(model.device)
                mask = torch.from_numpy(batch.mask).to(model.device)
                states = model(input_ids=ids, attention_mask=mask).last_hidden_state
                real = mask.unsqueeze(-1).to(states.dtype)
                mean = (states * real).sum(dim=1) / real.sum(dim=1)
                return batch.rows, torch.nn.functional.normalize(mean, dim=1).cpu().numpy()

        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for rows, part in map_batches(embed, self._batcher(texts)):
            vectors[rows] = part
        return vectors

    @cached_property
    def _model(self) -> Any:
        from lsr.torch_runtime import load_model

        return load_model(self.checkpoint, "AutoModel")

    @cached_property
    def _batcher(self) -> Batcher:
        from lsr.torch_runtime import longest_input

        length = longest_input(self._model, self.max_length)
        return Batcher(self.checkpoint.vocabulary, length, TOKEN_BUDGET[self._model.device.type])
