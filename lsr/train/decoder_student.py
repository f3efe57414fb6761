"""Decoder-only language models in training: low-rank adapters over weights that stay as they are.

As Echo-Mistral-SPLADE (Doshi et al. 2024, arXiv 2408.11119), LACONIC (Xu et al. 2026, arXiv
2601.01684) and CSPLADE (Xu et al. 2025) are trained. What is saved is a LoRA adapter, which
``lsr.encoders.decoder.DecoderEncoder`` loads.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsr.backbones.batching import Batcher, TokenBatch
from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.declared import Side
from lsr.backbones.exported_folder import appearing
from lsr.backbones.lora import SETTINGS, WEIGHTS, load_peft, untie
from lsr.backbones.torch_runtime import seed_torch
from lsr.encoders.decoder import DecoderConfig, DecoderEncoder, DecoderReading
from lsr.encoders.encoder import canonical_name
from lsr.errors import UsageError
from lsr.train.config_file import STRICT
from lsr.train.export import Exported

if TYPE_CHECKING:
    import torch

# Modules of Llama, Mistral and Qwen models that have weights to adapt.
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
ADAPTER = "default"


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """A low-rank adapter: W becomes W + alpha / rank B A (Hu et al. 2022).

    Rank, alpha and dropout are those of Echo-Mistral-SPLADE (Doshi et al. 2024, arXiv:2408.11119).
    """

    # Rows of A; 1 or more.
    rank: int = 16
    # Scales the update; 1 or more.
    alpha: int = 8
    # Share of A's inputs that is left out of a training step, 0 to below 1.
    dropout: float = 0.1
    # The modules that are adapted, by the end of their names.
    targets: list[str] = field(default_factory=lambda: list(LINEAR))
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        for name in ("rank", "alpha"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; allowed is 1 or more")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"dropout is {self.dropout}; allowed is 0 to below 1")
        if not self.targets:
            raise UsageError(f"targets is empty; give modules, such as {', '.join(LINEAR)}")


@dataclass(frozen=True, slots=True)
class DecoderStudentConfig(DecoderReading):
    """How a decoder-only student reads texts, in training as afterwards, and what is trained."""

    # As Echo-Mistral-SPLADE reads texts (Doshi et al. 2024).
    echo: str = "yes"
    # Train the vocabulary projection as a whole too, apart from the input embeddings where the
    # model ties the two; the adapter then holds a copy of it.
    train_projection: bool = False
    # Compute states twice instead of keeping them, for less memory.
    gradient_checkpointing: bool = False
    __pydantic_config__ = STRICT

    def reading(self) -> DecoderConfig:
        """The part that is an encoder's."""
        return DecoderConfig(
            **{each.name: getattr(self, each.name) for each in fields(DecoderReading)}
        )


class DecoderStudent:
    """A decoder-only language model whose adapter is trained.

    Before the first step it computes what its checkpoint does. It begins in training mode, with
    the adapter's dropout; see ``train``. ``vocabulary`` has its terms; ``random`` is true where
    there is dropout.

    Args:
        checkpoint: where training begins.
        config: how texts are read.
        lora: the adapter.
        seed: makes the adapter's first weights.

    Raises:
        InputError: the checkpoint can't be used as a decoder.
        MissingDependencyError: peft, torch or transformers is not installed.
        NotFoundError: there is no such tokenizer.
        UsageError: the model has none of the target modules, or a target is the vocabulary
            projection or the embeddings.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        config: DecoderStudentConfig,
        lora: LoraConfig,
        seed: int = 0,
    ) -> None:
        peft = load_peft()
        self._encoder = DecoderEncoder(checkpoint, config.reading())
        self.vocabulary = self._encoder.vocabulary
        self._causal = self._encoder.model
        self.model: Any = self._causal.model
        self.device = self._causal.device
        self.random = lora.dropout > 0
        head = self._module_name(self.model.get_output_embeddings())
        embeddings = self._module_name(self.model.get_input_embeddings())
        for target in lora.targets:
            if target in (head, embeddings):
                raise UsageError(
                    f"the target {target!r} is the vocabulary projection or the input embeddings "
                    f"of {checkpoint.name}; use train_projection to train the projection, and "
                    "leave it out"
                )
        if config.train_projection:
            untie(self.model, [head])
        settings = peft.LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=lora.dropout,
            target_modules=list(lora.targets),
            modules_to_save=[head] if config.train_projection else None,
            base_model_name_or_path=checkpoint.name,
        )
        self._adapted = self._adapt(peft, settings, seed)
        if config.gradient_checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        self.train()

    def _module_name(self, module: Any) -> str:
        (name,) = (name for name, found in self.model.named_modules() if found is module)
        return str(name).rpartition(".")[2]

    def _adapt(self, peft: Any, settings: Any, seed: int) -> Any:
        import torch

        with torch.random.fork_rng(), warnings.catch_warnings():
            seed_torch(seed)
            # peft warns of tied weights, which are untied where it matters.
            warnings.simplefilter("ignore")
            try:
                return peft.PeftModel(self.model, settings, adapter_name=ADAPTER)
            except ValueError as error:
                raise UsageError(
                    f"the targets {', '.join(settings.target_modules)} can't be adapted in "
                    f"{settings.base_model_name_or_path!r} ({str(error).split('. ')[0]}); "
                    f"most models have {', '.join(LINEAR)}"
                ) from error

    def train(self, mode: bool = True) -> None:
        """Switch dropout and gradient checkpointing on, or off."""
        self.model.train(mode)

    def parameters(self) -> dict[str, torch.nn.Parameter]:
        """What is trained, float32: A and B of each target, and the projection where asked for."""
        return {
            name: parameter
            for name, parameter in self._adapted.named_parameters()
            if parameter.requires_grad
        }

    def tower(self, side: Side) -> DecoderStudent:
        """The same for both sides."""
        return self

    def term_numbers(self, batch: TokenBatch) -> torch.Tensor:
        """There is no term head."""
        raise UsageError("a decoder has no term head; it weighs terms by its projection")

    def batcher(self, side: Side, max_length: int, token_budget: int) -> Batcher:
        """As ``DecoderEncoder.batcher``."""
        return self._encoder.batcher(side, max_length, token_budget)

    def states(self, batch: TokenBatch) -> tuple[torch.Tensor, NDArray[np.int64]]:
        """As ``CausalLanguageModel.states``, with a gradient to ``parameters``."""
        return self._causal.states(batch)

    def projection(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weight (V, width) and bias (V,) of the vocabulary projection.

        They have a gradient where the projection is trained.
        """
        terms = self._causal.projection.terms
        head = self.model.get_output_embeddings()
        trained = getattr(head, "modules_to_save", None)
        if trained is None:
            return self._causal.projection.weight, self._causal.projection.bias
        head = trained[ADAPTER]
        return head.weight[:terms], None if head.bias is None else head.bias[:terms]

    def export(self, folder: Path, settings: Exported, table: NDArray[np.float32] | None) -> None:
        """Write the adapter in peft's layout.

        It names the model that it was trained on by the hub id or the folder that was given.

        Raises:
            UsageError: the folder holds something other than an adapter, or a table was given.
        """
        from safetensors.torch import save_file

        if table is not None:
            raise UsageError("a table of query weights was given; a decoder encodes queries itself")
        tensors = load_peft().get_peft_model_state_dict(
            self._adapted, adapter_name=ADAPTER, save_embedding_layers=False
        )
        with appearing(folder, SETTINGS) as new:
            save_file(
                {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
                new / WEIGHTS,
                metadata={"format": "pt"},
            )
            self._adapted.peft_config[ADAPTER].save_pretrained(new)

    def encoder_name(self, folder: str, settings: Exported) -> str:
        """The name under which the adapter in a folder encodes as it was trained to."""
        config = replace(
            self._encoder.config,
            max_length=settings.max_length,
            logs=settings.logs,
            top_k=settings.top_k,
        )
        return canonical_name("decoder", Checkpoint(folder, Path(folder)), config)
