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
from lsr.backbones.model_weights import load_model, longest_input, read_tensors
from lsr.backbones.torch_runtime import seed_torch
from lsr.errors import InputError
from lsr.train.config import TrainingConfig
from lsr.train.decoder_student import DecoderStudent, DecoderStudentConfig, LoraConfig
from lsr.train.depth import with_layers
from lsr.train.export import TERM_HEAD, Exported, TrainedModel, export_encoder
from lsr.train.precision import attend_plainly
from lsr.vocabulary import Vocabulary

# Texts of up to so many tokens are faster without fused attention, where a processor halves.
SHORT = 256


class Tower(Protocol):
    """A language model, cut before its vocabulary projection, as one side's texts go through it.

    ``random`` is true where its states depend on random numbers, as with dropout.
    """

    vocabulary: Vocabulary
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

    def term_numbers(self, batch: TokenBatch) -> torch.Tensor:
        """float (tokens,): what the term head makes of each position; of an "mlp" only."""
        ...

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """What is trained, by name."""
        ...


class Student(Protocol):
    """The model of both sides."""

    vocabulary: Vocabulary
    device: torch.device

    def tower(self, side: Side) -> Tower:
        """What a side's texts go through."""
        ...

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """What is trained, by name, of both sides."""
        ...

    def export(self, folder: Path, settings: Exported, table: NDArray[np.float32] | None) -> None:
        """Write an encoder; ``table`` float32 (V,) is of the side that has no model."""
        ...

    def encoder_name(self, folder: str, settings: Exported) -> str:
        """The name by which ``load_encoder`` loads what was exported with these settings."""
        ...


class MaskedLanguageStudent(Student, Tower):
    """A masked language model that transformers loads, all of it trained.

    As a tower it is its masked language model; ``tower`` gives those of other kinds.

    Args:
        checkpoint: where training begins.
        dropout: probability for all of the model's dropout layers.
        base_share: share of the weights where training began in the exported ones.
        layers: how many the transformer gets; 0: what the checkpoint has.
        new_head: begin with a head of torch's random numbers, as ``renew_head`` makes it.
        document: how documents go through it, one of ``lsr.train.components.MODELS``, or a table.
        query: the same of queries.

    Raises:
        InputError: the checkpoint is no masked language model, nor, with a new head, the body of
            one.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        dropout: float = 0.0,
        base_share: float = 0.0,
        layers: int = 0,
        new_head: bool = False,
        document: str = "mlm",
        query: str = "mlm",
    ) -> None:
        self.vocabulary = checkpoint.vocabulary
        self.model = load_model(checkpoint, "AutoModelForMaskedLM", new_head=new_head)
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
        if new_head:
            renew_head(self.model)
        self._projection = projection
        self._kinds: dict[Side, str] = {"document": document, "query": query}
        self.head = _term_head(checkpoint, self.model) if "mlp" in (document, query) else None
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

    def tower(self, side: Side) -> Tower:
        """The model as its kind of a side takes it."""
        kind = self._kinds[side]
        return self if kind in ("mlm", "own-terms") else _SideTower(self, kind)

    def hidden(self, batch: TokenBatch) -> torch.Tensor:
        """float (tokens, hidden width): the last hidden states at the real tokens."""
        ids, mask = batch.to(self.device)
        hidden: torch.Tensor = self.model.base_model(
            input_ids=ids, attention_mask=mask
        ).last_hidden_state
        return hidden[mask.bool()]

    def term_numbers(self, batch: TokenBatch) -> torch.Tensor:
        """The term head on the last hidden states."""
        assert self.head is not None, "a student without an mlp has no term head"
        numbers: torch.Tensor = self.head(self.hidden(batch)).flatten()
        return numbers

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """All parameters."""
        found = dict(self.model.named_parameters())
        if self.head is not None:
            found |= {f"{TERM_HEAD}.{name}": p for name, p in self.head.named_parameters()}
        return found

    def export(self, folder: Path, settings: Exported, table: NDArray[np.float32] | None) -> None:
        """In the layouts of transformers and sentence-transformers.

        The weights are base_share theta_0 + (1 - base_share) theta (Wortsman et al. 2022, "Robust
        fine-tuning of zero-shot models").
        """
        with self.averaged():
            export_encoder(folder, self.model, self.vocabulary, settings, table, self.head)

    @contextmanager
    def averaged(self) -> Iterator[None]:
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


class _SideTower(Tower):
    """A student as a kind of component takes it: the first position, or hidden states."""

    def __init__(self, student: MaskedLanguageStudent, kind: str) -> None:
        self.vocabulary = student.vocabulary
        self.device = student.device
        self.random = student.random
        self._student = student
        self._kind = kind

    def batcher(self, side: Side, max_length: int, token_budget: int) -> Batcher:
        return self._student.batcher(side, max_length, token_budget)

    def states(self, batch: TokenBatch) -> tuple[torch.Tensor, NDArray[np.int64]]:
        if self._kind == "embeddings":
            return self._student.hidden(batch), batch.offsets
        states, offsets = self._student.states(batch)
        return states[torch.from_numpy(offsets[:-1]).to(states.device)], np.arange(len(offsets))

    def projection(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        if self._kind == "embeddings":
            return self._student.model.get_input_embeddings().weight, None
        return self._student.projection()

    def term_numbers(self, batch: TokenBatch) -> torch.Tensor:
        return self._student.term_numbers(batch)

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        return self._student.parameters()


class SeparateTowers(Student):
    """A masked language model for documents and another one for queries, both trained."""

    def __init__(self, document: MaskedLanguageStudent, query: MaskedLanguageStudent) -> None:
        self.vocabulary = document.vocabulary
        self.device = document.device
        self._towers: dict[Side, MaskedLanguageStudent] = {"document": document, "query": query}

    def tower(self, side: Side) -> Tower:
        """The side's own."""
        return self._towers[side].tower(side)

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """All of both, by side and name."""
        return {
            f"{side}.{name}": parameter
            for side, tower in self._towers.items()
            for name, parameter in tower.parameters().items()
        }

    def export(self, folder: Path, settings: Exported, table: NDArray[np.float32] | None) -> None:
        """As one folder, in which the query side's model has a folder of its own."""
        document, query = self._towers["document"], self._towers["query"]
        of_queries = TrainedModel(query.model, query.head)
        with document.averaged(), query.averaged():
            export_encoder(
                folder, document.model, self.vocabulary, settings, table, document.head, of_queries
            )

    def encoder_name(self, folder: str, settings: Exported) -> str:
        """The folder, which says everything itself."""
        return folder


def _term_head(checkpoint: Checkpoint, model: Any) -> torch.nn.Linear:
    """A layer from hidden states to one number: the checkpoint's, or a new one.

    A new one gives every position about 1, so that training begins with shared terms; with the
    usual bias of 0 half of the positions would begin, and stay, below the ReLU.
    """
    head = torch.nn.Linear(model.config.hidden_size, 1)
    torch.nn.init.normal_(head.weight, std=0.02)
    torch.nn.init.ones_(head.bias)
    tensors = read_tensors(checkpoint)
    if f"{TERM_HEAD}.weight" in tensors:
        with torch.no_grad():
            head.weight.copy_(tensors[f"{TERM_HEAD}.weight"])
            head.bias.copy_(tensors[f"{TERM_HEAD}.bias"])
    return head.to(model.device)


def renew_head(model: Any) -> None:
    """Give a masked language model a head that has learned nothing, in place.

    Matrices are drawn from a normal distribution as wide as ``initializer_range``, biases are 0,
    norms 1, as BERT begins. The projection begins as the input embeddings, which the body keeps.

    Raises:
        InputError: they are narrower or wider than the projection.
    """
    projection, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    if projection.weight.shape != embeddings.weight.shape:
        raise InputError(
            f"a new head begins with the input embeddings, of shape "
            f"{tuple(embeddings.weight.shape)}, and the projection has "
            f"{tuple(projection.weight.shape)}; leave out new_head"
        )
    with torch.no_grad():
        projection.weight.copy_(embeddings.weight)
    kept = {id(parameter) for parameter in (projection.weight, *model.base_model.parameters())}
    width = getattr(model.config, "initializer_range", 0.02)
    for name, parameter in model.named_parameters():
        if id(parameter) in kept:
            continue
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=width)
        else:
            torch.nn.init.constant_(parameter, 0.0 if name.endswith("bias") else 1.0)


def load_student(config: TrainingConfig) -> Student:
    """The model that training begins with."""
    model = config.model
    checkpoint = Checkpoint.resolve(model.base)
    if not model.is_decoder:

        def tower(document: str, query: str) -> MaskedLanguageStudent:
            # Two of them begin alike, their new heads too.
            seed_torch(config.seed)
            student = MaskedLanguageStudent(
                checkpoint, model.dropout, model.base_share, model.layers, model.new_head,
                document, query,
            )  # fmt: skip
            if config.memory.precision == "bfloat16" and model.max_length <= SHORT:
                attend_plainly(student.model)
            return student

        document, query = model.documents, model.query_kind
        if model.towers == "separate":
            return SeparateTowers(tower(document, document), tower(query, query))
        return tower(document, query)
    reading, lora = model.decoder or DecoderStudentConfig(), model.lora or LoraConfig()
    return DecoderStudent(checkpoint, reading, lora, config.seed)
