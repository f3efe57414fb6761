"""SPLADE: term weights from any masked-language-model checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lsr.batching import Batcher, TokenBatch
from lsr.checkpoint import Checkpoint
from lsr.encoder import SparseEncoder, canonical_name, fingerprint
from lsr.errors import InputError, UsageError
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics

if TYPE_CHECKING:
    from lsr.backbone import Backbone

# Tokens a batch: on a CPU the states and a tile of logits should stay in the cache.
TOKEN_BUDGET = {"cpu": 1024, "cuda": 65_536}


@dataclass(frozen=True, slots=True)
class SpladeConfig:
    """``max_length`` tokens of a text, special tokens counted; ``logs`` 1 or 2 logarithms.

    ``logs=0`` takes the number from the checkpoint's sentence-transformers settings, else 1.
    """

    max_length: int = 256
    logs: int = 0

    def __post_init__(self) -> None:
        check_length_and_logs(self.max_length, self.logs)


def check_length_and_logs(max_length: int, logs: int) -> None:
    """Raise UsageError unless 3 <= max_length <= 1,000,000 and logs is 0, 1 or 2."""
    if not 3 <= max_length <= 1_000_000:
        raise UsageError(f"max_length is {max_length}; allowed is 3 to 1000000")
    if logs not in (0, 1, 2):
        raise UsageError(f"logs is {logs}; allowed are 1, 2, and 0 for what the checkpoint says")


class TermWeights:
    """Text to term weights through a masked-language-model head.

    w_j = log1p(relu(max over positions i of z_ij)), Formal et al. 2021b ("SPLADE v2"), eq. 1 and
    Lassance et al. 2024; with two logarithms log1p(log1p(relu(max z))), Shen et al. 2025. A blank
    text gets no terms.
    """

    def __init__(self, checkpoint: Checkpoint, max_length: int, logs: int) -> None:
        self.checkpoint = checkpoint
        self.max_length = max_length
        self.logs = logs or _declared_logs(checkpoint)

    def encode(self, texts: Sequence[str]) -> SparseBatch:
        """Term weights of each text, in the order of the texts."""
        backbone, batcher = self._loaded
        import torch

        def weigh(batch: TokenBatch) -> SparseBatch:
            with torch.inference_mode():
                pooled = backbone.projection.largest(*backbone.states(batch))
            for _ in range(self.logs):
                np.log1p(pooled.values, out=pooled.values)
            return pooled

        return batcher.encode(texts, weigh)

    @property
    def tokens_encoded(self) -> int:
        """Tokens that went through the model so far."""
        return self._loaded[1].tokens if "_loaded" in vars(self) else 0

    @cached_property
    def _loaded(self) -> tuple[Backbone, Batcher]:
        from lsr.torch_runtime import transformers

        transformers()
        from lsr.backbone import MaskedLanguageModel

        backbone = MaskedLanguageModel(self.checkpoint)
        length = backbone.longest(self.max_length)
        return backbone, Batcher(
            self.checkpoint.vocabulary, length, TOKEN_BUDGET[backbone.device.type]
        )


class SpladeEncoder(SparseEncoder):
    """Documents and queries through the same masked language model."""

    def __init__(self, checkpoint: Checkpoint, config: SpladeConfig | None = None) -> None:
        self.config = config or SpladeConfig()
        self.vocabulary = checkpoint.vocabulary
        self._weights = TermWeights(checkpoint, self.config.max_length, self.config.logs)
        self.name = canonical_name("splade", checkpoint, self.config)
        self.fingerprint = fingerprint(
            "splade",
            vocabulary=self.vocabulary.digest,
            checkpoint=checkpoint.digest,
            config=asdict(self.config) | {"logs": self._weights.logs},
        )

    @property
    def tokens_encoded(self) -> int:
        """Tokens that went through the model so far."""
        return self._weights.tokens_encoded

    def encode_documents(self, texts: Sequence[str]) -> SparseBatch:
        """SPLADE weights of each text."""
        return self._weights.encode(texts)

    def encode_queries(
        self, texts: Sequence[str], statistics: CollectionStatistics | None = None
    ) -> SparseBatch:
        """SPLADE weights of each text; the statistics are not used."""
        return self._weights.encode(texts)


def _declared_logs(checkpoint: Checkpoint) -> int:
    """Logarithms that a sentence-transformers SpladePooling module declares, else 1."""
    for path in sorted(checkpoint.folder.glob("*SpladePooling/config.json")):
        settings = checkpoint.json(str(path.relative_to(checkpoint.folder)))
        if settings.get("pooling_strategy", "max") != "max":
            raise InputError(
                f"the checkpoint {checkpoint.name!r} does not pool by maximum; "
                "give a SPLADE checkpoint with max pooling"
            )
        if settings.get("activation_function") == "log1p_relu":
            return 2
    return 1
