"""Decoder-only language models in training: low-rank adapters over weights that stay as they are.

As Echo-Mistral-SPLADE (Doshi et al. 2024, arXiv 2408.11119), LACONIC (Xu et al. 2026, arXiv
2601.01684) and CSPLADE (Xu et al. 2025) are trained. What is saved is a LoRA adapter, which
``lsr.decoder.DecoderEncoder`` loads.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsr.adapter import WEIGHTS, load_peft, untie
from lsr.batching import TokenBatch
from lsr.checkpoint import Checkpoint
from lsr.decoder import DecoderConfig, DecoderEncoder, prefixed
from lsr.encoder import canonical_name
from lsr.errors import UsageError

if TYPE_CHECKING:
    import torch

# Modules of Llama, Mistral and Qwen models that have weights to adapt.
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
ADAPTER = "default"


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """A low-rank adapter: W becomes W + alpha / rank B A (Hu et al. 2022, eq. 3).

    ``rank`` is the rows of A; ``alpha`` scales the update; ``dropout`` is the share of A's inputs
    that is left out of a training step; ``targets`` are the modules that are adapted, by the end
    of their names.
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05
    targets: list[str] = field(default_factory=lambda: list(LINEAR))

    def __post_init__(self) -> None:
        for name in ("rank", "alpha"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; allowed is 1 or more")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"dropout is {self.dropout}; allowed is 0 to below 1")
        if not self.targets:
            raise UsageError(f"targets is empty; give modules, such as {', '.join(LINEAR)}")


@dataclass(frozen=True, slots=True)
class DecoderStudentConfig:
    """A decoder-only student.

    ``model`` is the checkpoint that it begins with, a hub id or folder. ``encoder`` says how texts
    are read and weighed, in training as afterwards: echo, attention, prefixes, length. ``lora`` is
    the adapter. ``train_projection`` trains the vocabulary projection as a whole too, apart from
    the input embeddings where the model ties the two; the adapter then holds a copy of it.
    ``gradient_checkpointing`` computes states twice instead of keeping them, for less memory.
    ``seed`` makes the adapter's first weights.
    """

    model: str
    encoder: DecoderConfig = field(default_factory=DecoderConfig)
    lora: LoraConfig = field(default_factory=LoraConfig)
    train_projection: bool = False
    gradient_checkpointing: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.model:
            raise UsageError("model is empty; give the checkpoint to begin with")
        if self.encoder.lora:
            raise UsageError(
                f"lora={self.encoder.lora} is given, but an adapter is to be trained; merge that "
                "one into its model with peft first, and give the merged model"
            )


class DecoderStudent:
    """A decoder-only language model whose adapter is trained.

    Before the first step it computes what its checkpoint does. It begins in training mode, with
    the adapter's dropout; see ``train``. ``vocabulary`` has its terms.

    Raises:
        InputError: the checkpoint can't be used as a decoder.
        MissingDependencyError: peft, torch or transformers is not installed.
        NotFoundError: there is no such checkpoint or tokenizer.
        UsageError: the model has none of the target modules, or a target is the vocabulary
            projection or the embeddings.
    """

    def __init__(self, config: DecoderStudentConfig) -> None:
        peft = load_peft()
        checkpoint = Checkpoint.resolve(config.model)
        self._encoder = DecoderEncoder(checkpoint, config.encoder)
        self.vocabulary = self._encoder.vocabulary
        self._causal, self._batcher = self._encoder.loaded
        self._model: Any = self._causal.model
        head = self._module_name(self._model.get_output_embeddings())
        embeddings = self._module_name(self._model.get_input_embeddings())
        for target in config.lora.targets:
            if target in (head, embeddings):
                raise UsageError(
                    f"the target {target!r} is {config.model}'s vocabulary projection or its input "
                    "embeddings; use train_projection to train the projection, and leave it out"
                )
        if config.train_projection:
            untie(self._model, [head])
        settings = peft.LoraConfig(
            r=config.lora.rank,
            lora_alpha=config.lora.alpha,
            lora_dropout=config.lora.dropout,
            target_modules=list(config.lora.targets),
            modules_to_save=[head] if config.train_projection else None,
            base_model_name_or_path=checkpoint.name,
        )
        self._adapted = self._adapt(peft, settings, config.seed)
        if config.gradient_checkpointing:
            self._model.gradient_checkpointing_enable({"use_reentrant": False})
        self.train()

    def _module_name(self, module: Any) -> str:
        (name,) = (name for name, found in self._model.named_modules() if found is module)
        return str(name).rpartition(".")[2]

    def _adapt(self, peft: Any, settings: Any, seed: int) -> Any:
        import torch

        with torch.random.fork_rng(), warnings.catch_warnings():
            torch.manual_seed(seed)
            # peft warns of tied weights, which are untied where it matters.
            warnings.simplefilter("ignore")
            try:
                return peft.PeftModel(self._model, settings, adapter_name=ADAPTER)
            except ValueError as error:
                raise UsageError(
                    f"the targets {', '.join(settings.target_modules)} can't be adapted in "
                    f"{settings.base_model_name_or_path!r} ({str(error).split('. ')[0]}); "
                    f"most models have {', '.join(LINEAR)}"
                ) from error

    def train(self, mode: bool = True) -> None:
        """Switch dropout and gradient checkpointing on, or off."""
        self._model.train(mode)

    def parameters(self) -> list[torch.nn.Parameter]:
        """What is trained, float32: A and B of each target, and the projection where asked for."""
        return [parameter for parameter in self._adapted.parameters() if parameter.requires_grad]

    def batches(self, texts: Sequence[str], queries: bool = False) -> Iterator[TokenBatch]:
        """Batches of the texts behind the prefix of documents, or of queries, longest first.

        A blank text is in no batch.
        """
        config = self._encoder.config
        prefix = config.query_prefix if queries else config.document_prefix
        return self._batcher(prefixed(prefix, texts))

    def states(self, batch: TokenBatch) -> tuple[torch.Tensor, NDArray[np.int64]]:
        """As ``CausalLanguageModel.states``, with a gradient to ``parameters``."""
        return self._causal.states(batch)

    def projection(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weight (V, width) and bias (V,) of the vocabulary projection.

        They have a gradient where the projection is trained.
        """
        terms = self._causal.projection.terms
        head = self._model.get_output_embeddings()
        trained = getattr(head, "modules_to_save", None)
        if trained is None:
            return self._causal.projection.weight, self._causal.projection.bias
        head = trained[ADAPTER]
        return head.weight[:terms], None if head.bias is None else head.bias[:terms]

    def save(self, folder: Path) -> None:
        """Write the adapter in peft's layout; ``encoder_name`` loads it.

        It names the model that it was trained on by the hub id or the folder that was given.
        """
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        tensors = load_peft().get_peft_model_state_dict(
            self._adapted, adapter_name=ADAPTER, save_embedding_layers=False
        )
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            folder / WEIGHTS,
            metadata={"format": "pt"},
        )
        self._adapted.peft_config[ADAPTER].save_pretrained(folder)

    def encoder_name(self, folder: Path) -> str:
        """The name under which the adapter in a folder encodes as it was trained to."""
        saved = Checkpoint(str(folder.resolve()), folder)
        return canonical_name("decoder", saved, self._encoder.config)
