"""The model that is trained: from texts to dense rows of term weights, with gradients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.backbones.batching import Batcher, TokenBatch
from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.declared import Side
from lsr.backbones.model_weights import load_model, longest_input
from lsr.errors import InputError
from lsr.train.config import TrainingConfig
from lsr.train.decoder_student import DecoderStudent, DecoderStudentConfig, LoraConfig
from lsr.train.depth import with_layers
from lsr.train.export import Exported, export_encoder
from lsr.vocabulary import Vocabulary


class Student(Protocol):
    """A language model, cut before its vocabulary projection.

    ``random`` is true where its states depend on random numbers, as with dropout.
    """

    vocabulary: Vocabulary
    model: Any
    device: torch.device
    random: bool

    def batcher(self, side: Side, max_length: int, token_budget: int) -> Batcher:
        """What cuts texts of a side into batches.

        ``max_length`` tokens of a text count, or as many as the model can take; ``token_budget``
        padded tokens go through the model at a time.
        """
        ...

    def states(self, batch: TokenBatch) -> tuple[torch.Tensor, NDArray[np.int64]]:
        """What enters the projection, float (tokens, width), and int64 (texts + 1,) offsets."""
        ...

    def projection(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weight (at least V, width), and bias or None."""
        ...

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """What is trained, by name."""
        ...

    def export(self, folder: Path, settings: Exported, table: NDArray[np.float32] | None) -> None:
        """Write an encoder; ``table`` float32 (V,) is for queries."""
        ...

    def encoder_name(self, folder: str, settings: Exported) -> str:
        """The name by which ``load_encoder`` loads what was exported with these settings."""
        ...


class MaskedLanguageStudent(Student):
    """A masked language model that transformers loads, all of it trained.

    Args:
        checkpoint: where training begins.
        dropout: probability for all of the model's dropout layers.
        base_share: share of the weights where training began in the exported ones.
        layers: how many the transformer gets; 0: what the checkpoint has.

    Raises:
        InputError: the checkpoint is no masked language model.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        dropout: float = 0.0,
        base_share: float = 0.0,
        layers: int = 0,
    ) -> None:
        self.vocabulary = checkpoint.vocabulary
        self.model = load_model(checkpoint, "AutoModelForMaskedLM")
        if layers:
            with_layers(self.model, layers)
        self.random = dropout > 0
        self.model.train(self.random)
        for module in self.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = dropout
        self.device = self.model.device
        projection = self.model.get_output_embeddings()
        terms = self.vocabulary.size
        if projection is None or projection.weight.shape[0] < terms:
            raise InputError(
                f"the checkpoint {checkpoint.name!r} has no vocabulary projection over its "
                f"{terms} terms; give a masked language model as base"
            )
        self._projection = projection
        self._base_share = base_share
        self._base: dict[str, torch.Tensor] = {}
        if base_share:
            self._base = {name: p.detach().clone() for name, p in self.parameters().items()}
        # The model then returns what enters its projection.
        projection.forward = lambda states: states

    def batcher(self, side: Side, max_length: int, token_budget: int) -> Batcher:
        """The same for both sides."""
        return Batcher(self.vocabulary, longest_input(self.model, max_length), token_budget)

    def states(self, batch: TokenBatch) -> tuple[torch.Tensor, NDArray[np.int64]]:
        """States at the real tokens."""
        ids, mask = batch.to(self.device)
        states = self.model(input_ids=ids, attention_mask=mask).logits
        return states[mask.bool()], batch.offsets

    def projection(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The masked language model's own."""
        return self._projection.weight, self._projection.bias

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """All parameters."""
        return dict(self.model.named_parameters())

    def export(self, folder: Path, settings: Exported, table: NDArray[np.float32] | None) -> None:
        """In the layouts of transformers and sentence-transformers.

        The weights are base_share theta_0 + (1 - base_share) theta (Wortsman et al. 2022, "Robust
        fine-tuning of zero-shot models").
        """
        with self._averaged():
            export_encoder(folder, self.model, self.vocabulary, settings, table)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The average in the place of the weights, for a while."""
        trained = {name: self.parameters()[name].detach().clone() for name in self._base}
        with torch.no_grad():
            for name, base in self._base.items():
                self.parameters()[name].lerp_(base, self._base_share)
        try:
            yield
        finally:
            with torch.no_grad():
                for name, weight in trained.items():
                    self.parameters()[name].copy_(weight)

    def encoder_name(self, folder: str, settings: Exported) -> str:
        """The folder, which says everything itself."""
        return folder


def load_student(config: TrainingConfig) -> Student:
    """The model that training begins with."""
    model = config.model
    checkpoint = Checkpoint.resolve(model.base)
    if not model.is_decoder:
        return MaskedLanguageStudent(checkpoint, model.dropout, model.base_share, model.layers)
    reading, lora = model.decoder or DecoderStudentConfig(), model.lora or LoraConfig()
    return DecoderStudent(checkpoint, reading, lora, config.seed)
