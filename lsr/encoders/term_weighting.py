"""Term weights from a small head on hidden states: terms weighed, none added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lsr.backbones.batching import Batcher, TokenBatch
from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.torch_runtime import transformers
from lsr.encoders.component import Component, SharedModels
from lsr.encoders.masked_lm import TOKEN_BUDGET
from lsr.encoders.term_pooling import POOLS, pool_terms
from lsr.encoders.term_pruning import (
    LEFT_OUT,
    SPECIAL,
    TermPruning,
    continuing_terms,
    left_out_terms,
    special_terms,
)
from lsr.errors import UsageError
from lsr.settings import changed, check_choice, check_length
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics

if TYPE_CHECKING:
    from lsr.backbones.backbone import LastHiddenStates, TermHead

# What published checkpoints call the head.
HEADS = (
    "coil_encoder.tok_proj",  # uniCOIL (castorini/pyserini, encode/_unicoil.py)
    "tok_proj",  # uniCOIL and TILDEv2 (ielab/TILDE, modelingv2.py)
    "impact_score_encoder.0",  # DeepImpact (DI4IR, basnetsoyuj/improving-learned-index)
    "classifier",  # DeepCT (macavaney/deepct, a BertForTokenClassification of one label)
    "linear",  # the unified LSR framework (thongnt99/learned-sparse-retrieval, models/mlp.py)
)


@dataclass(frozen=True, slots=True)
class TermWeightingConfig:
    """How the number of each position becomes a term's weight."""

    # Tokens of a text that count, special ones included; 3 or more.
    max_length: int = 256
    # "relu" or "softplus".
    activation: str = "relu"
    # Logarithms that follow: 0 or 1.
    logs: int = 0
    # One weight of a term's several: "max", "sum" or "first".
    pool: str = "max"
    # Special tokens: "keep", "drop" or "drop-first", as ``special_terms`` does.
    special: str = "drop"
    # Terms that get no weight: "none", "punctuation" or "tilde", as ``left_out_terms`` says.
    leave_out: str = "none"
    # "first" weighs only the first piece of each word, "all" every piece.
    pieces: str = "all"
    # Those of ``TermPruning``; 0 switches each off.
    threshold: float = 0.0
    top_k: int = 0
    prune: float = 0.0

    def __post_init__(self) -> None:
        check_length(self.max_length)
        check_choice("activation", self.activation, ("relu", "softplus"))
        check_choice("pool", self.pool, POOLS)
        check_choice("special", self.special, SPECIAL)
        check_choice("leave_out", self.leave_out, LEFT_OUT)
        check_choice("pieces", self.pieces, ("all", "first"))
        if self.logs not in (0, 1):
            raise UsageError(f"logs is {self.logs}; allowed are 0 and 1")
        TermPruning(self.threshold, self.top_k, self.prune)


class TermWeighting(Component):
    """w_j = pool over the positions i of term j of activation(head(h_i)).

    DeepCT (Dai and Callan 2020), DeepImpact (Mallia et al. 2021), uniCOIL (Lin and Ma 2021),
    TILDEv2 (Zhuang and Zuccon 2021) and the query side of EPIC (MacAvaney et al. 2020). Terms that
    the text does not hold get no weight: expansion, where a model was trained with it, is part of
    the text.
    """

    needs_statistics = False

    def __init__(
        self, checkpoint: Checkpoint, config: TermWeightingConfig, models: SharedModels
    ) -> None:
        self.config = config
        self.vocabulary = checkpoint.vocabulary
        self.identity = {
            "kind": "mlp",
            "checkpoint": checkpoint.digest,
            "config": changed(self.config),
        }

        def load() -> tuple[LastHiddenStates, TermHead]:
            transformers()
            from lsr.backbones.backbone import LastHiddenStates, TermHead

            model = LastHiddenStates(checkpoint)
            return model, TermHead(checkpoint, HEADS, model.device)

        self._model = models.get((checkpoint.folder, "term head"), load)
        self._prune = TermPruning(self.config.threshold, self.config.top_k, self.config.prune)
        self._left_out = special_terms(self.vocabulary, self.config.special)
        self._left_out |= left_out_terms(self.vocabulary, self.config.leave_out)
        if self.config.pieces == "first":
            self._left_out |= continuing_terms(self.vocabulary)

    @property
    def tokens_encoded(self) -> int:
        """Tokens that went through the model so far."""
        return self._batcher.tokens if "_batcher" in vars(self) else 0

    def cuts(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Which texts have more tokens than are encoded, bool (n,)."""
        return self.vocabulary.longer(texts, self.config.max_length)

    def encode(
        self, texts: Sequence[str], statistics: CollectionStatistics | None = None
    ) -> SparseBatch:
        """Weights of the terms of each text; the statistics are not used."""
        return self._prune(self._batcher.encode(texts, self._weigh))

    def _weigh(self, batch: TokenBatch) -> SparseBatch:
        ids = batch.ids[batch.mask.astype(bool)]
        rows = np.repeat(np.arange(len(batch.ids)), np.diff(batch.offsets))
        kept = ~self._left_out[ids]
        shape = len(batch.ids), self.vocabulary.size
        weights = self._weights(batch)[kept]
        return pool_terms(rows[kept], ids[kept], weights, shape, self.config.pool)

    def _weights(self, batch: TokenBatch) -> NDArray[np.float32]:
        """float32 (tokens,): the weight of each position."""
        import torch

        model, head = self._model.value
        with torch.inference_mode():
            weights = head(model.states(batch)[0]).flatten()
            softplus = self.config.activation == "softplus"
            weights = torch.nn.functional.softplus(weights) if softplus else weights.relu()
            if self.config.logs:
                weights = weights.log1p()
            found: NDArray[np.float32] = weights.float().cpu().numpy()
        return found

    @cached_property
    def _batcher(self) -> Batcher:
        model = self._model.value[0]
        length = model.longest(self.config.max_length)
        return Batcher(self.vocabulary, length, TOKEN_BUDGET[model.device.type])
