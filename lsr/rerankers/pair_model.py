"""The models of cross-encoders: from tokens of pairs to logits, as their folders declare.

A folder holds what transformers loads as ``AutoModelForSequenceClassification``; or, as the Ettin
family does, a transformer and behind it the modules of sentence-transformers: Pooling, any of
Dense, LayerNorm and Normalize, and a last Dense whose output is called ``scores``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lsr.backbones.batching import TokenBatch
from lsr.backbones.batching_rule import find_batching
from lsr.backbones.checkpoint import CONFIG, TOKENIZER_SETTINGS, Checkpoint
from lsr.backbones.declared import MODEL_SETTINGS
from lsr.backbones.pipeline import Module, pipeline
from lsr.backbones.pooling import declared_pooling, pool
from lsr.backbones.transformer_settings import check_transformer, declared_pair_length
from lsr.backbones.vector_layers import (
    KINDS,
    SCORES,
    VectorLayer,
    activation_name,
    vector_layers,
)
from lsr.errors import InputError

if TYPE_CHECKING:
    import torch

MODEL_TYPE = "CrossEncoder"
# What the tokenizer gives to the model, beside ids and mask.
TYPES = "token_type_ids"


@dataclass(frozen=True, eq=False)
class DeclaredCrossEncoder:
    """What a folder says of how its cross-encoder is run."""

    # Tokens of a pair that count, special ones included.
    max_length: int
    # Stands before each query.
    prompt: str
    # The class in torch.nn that is applied to logits; empty: Sigmoid for one, none for several.
    activation: str
    # Whether a file beside config.json says so, which the checkpoint's digest doesn't cover.
    activated_beside: bool = False
    # Pooling, and the layers behind it; no modes: the model has a head of its own.
    pooling: str = ""
    layers: tuple[VectorLayer, ...] = ()

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> DeclaredCrossEncoder:
        """What sentence-transformers' CrossEncoder makes of the same folder.

        Raises:
            InputError: it is a model of another kind, or a setting is malformed or not supported.
            NotFoundError: the weights of a layer are missing.
        """
        modules = pipeline(checkpoint.root, "document")
        declared = (checkpoint.json(MODEL_SETTINGS) or {}) if modules else {}
        _check_kind(checkpoint, modules, declared)
        pooled = len(modules) > 1
        if pooled:
            check_transformer(checkpoint, "feature-extraction", "last_hidden_state")
        else:
            check_transformer(checkpoint, "sequence-classification", "logits")
        return cls(
            declared_pair_length(checkpoint),
            _prompt(checkpoint, declared),
            _activation(checkpoint, declared),
            declared.get("activation_fn") is not None,
            declared_pooling(checkpoint, modules[1].path).modes if pooled else "",
            vector_layers(checkpoint, modules[2:], SCORES) if pooled else (),
        )

    @property
    def identity(self) -> dict[str, Any]:
        """JSON that changes with anything that changes a score, but for length and config.json."""
        identity: dict[str, Any] = {"prompt": self.prompt} if self.prompt else {}
        if self.activated_beside:
            identity["activation"] = self.activation
        if self.pooling:
            identity |= {"pooling": self.pooling, "layers": [each.identity for each in self.layers]}
        return identity


class PairModel:
    """A cross-encoder's weights; one or two logits a pair.

    ``module`` is the model of transformers where it isn't the checkpoint's own, as in training.

    Raises:
        InputError: the checkpoint has another number of outputs, or can't be run on pairs.
        NotFoundError: it has no safetensors weights.
    """

    def __init__(
        self, checkpoint: Checkpoint, declared: DeclaredCrossEncoder, module: Any = None
    ) -> None:
        from lsr.backbones.model_weights import CLASSIFIER, load_model

        self._checkpoint = checkpoint
        self._declared = declared
        if module is None:
            module = load_model(checkpoint, "AutoModel" if declared.pooling else CLASSIFIER)
        self.module: Any = module
        self.device: torch.device = self.module.device
        self._batching = find_batching(self._probe, checkpoint, self.device)
        if self.outputs not in (1, 2):
            raise InputError(
                f"the model {checkpoint.name!r} has {self.outputs} outputs; give a cross-encoder, "
                "which has one, or two of which the second is for a match"
            )

    @cached_property
    def outputs(self) -> int:
        """Logits a pair."""
        if self._declared.pooling:
            return self._declared.layers[-1].dimension or 0
        return int(self.module.config.num_labels)

    def logits(self, batch: TokenBatch) -> torch.Tensor:
        """float32 (b, outputs) of a batch, on the model's device."""
        import torch

        if self._batching == "padded":
            return self._run(batch)
        # A model that sees its neighbours or the padding takes each pair alone.
        return torch.cat([self._run(each) for each in _one_by_one(batch)])

    def _run(self, batch: TokenBatch) -> torch.Tensor:
        import torch

        ids, mask = batch.to(self.device)
        inputs = {"input_ids": ids, "attention_mask": mask}
        if self.takes_types:
            inputs[TYPES] = torch.from_numpy(batch.types).to(self.device)
        return self._head(self.module(**inputs), mask)

    def _head(self, output: Any, mask: torch.Tensor) -> torch.Tensor:
        declared = self._declared
        if not declared.pooling:
            logits: torch.Tensor = output.logits.float()
            return logits
        vectors = pool(output.last_hidden_state.float(), mask, declared.pooling)
        for layer in declared.layers:
            vectors = layer(vectors)
        return vectors

    def _probe(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The logits once for each token, as ``find_batching`` asks."""
        logits = self._head(self.module(input_ids=ids, attention_mask=mask), mask)
        return logits[:, None, :].expand(-1, ids.shape[1], -1)

    @cached_property
    def takes_types(self) -> bool:
        """Whether the two texts of a pair are told apart by types, as in BERT."""
        settings = self._checkpoint.json(TOKENIZER_SETTINGS) or {}
        names = settings.get("model_input_names")
        known = getattr(self.module.config, "type_vocab_size", 0) > 1
        return known and (TYPES in names if isinstance(names, list) else True)


def _one_by_one(batch: TokenBatch) -> list[TokenBatch]:
    lengths = batch.mask.sum(axis=1).tolist()
    return [
        replace(
            batch,
            rows=batch.rows[[line]],
            ids=batch.ids[[line], :length],
            mask=batch.mask[[line], :length],
            types=batch.types[[line], :length],
        )
        for line, length in enumerate(lengths)
    ]


def _check_kind(
    checkpoint: Checkpoint, modules: Sequence[Module], declared: dict[str, Any]
) -> None:
    """See that it is a cross-encoder that is not a language model asked for yes or no."""
    kinds = [module.kind for module in modules]
    pooled = kinds[1:2] == ["Pooling"] and kinds[-1] == "Dense" and {*kinds[2:]} <= {*KINDS}
    if kinds and (kinds[0] != "Transformer" or not (len(kinds) == 1 or pooled)):
        raise InputError(
            f"the modules of {checkpoint.name!r} are {', '.join(kinds)}; a cross-encoder is a "
            f"Transformer with a head of its own, or Transformer, Pooling, any of "
            f"{', '.join(KINDS)}, and a Dense of the scores"
        )
    if (sort := declared.get("model_type", MODEL_TYPE)) != MODEL_TYPE:
        raise InputError(
            f"{MODEL_SETTINGS} of {checkpoint.name!r} says that it is a {sort}; give a "
            f"{MODEL_TYPE}, or sparse:MODEL or dense:MODEL for a model that encodes texts alone"
        )
    named = (checkpoint.json(CONFIG) or {}).get("architectures")
    if isinstance(named, list) and named and str(named[0]).endswith("ForCausalLM"):
        raise InputError(
            f"{checkpoint.name!r} is a {named[0]}, which answers a prompt with words; give a "
            "cross-encoder with scores as outputs, such as a BertForSequenceClassification"
        )
    template = (checkpoint.json(TOKENIZER_SETTINGS) or {}).get("chat_template")
    if template or checkpoint.path("chat_template.jinja"):
        raise InputError(
            f"the tokenizer of {checkpoint.name!r} has a chat template, which is not supported; "
            "give a cross-encoder that reads a pair of texts as they are"
        )


def _prompt(checkpoint: Checkpoint, declared: dict[str, Any]) -> str:
    """The prompt that is the default one; sentence-transformers puts it before the first text."""
    name, prompts = declared.get("default_prompt_name"), declared.get("prompts") or {}
    prompt = prompts.get(name) if isinstance(prompts, dict) and isinstance(name, str) else ""
    if not isinstance(prompt, str):
        raise InputError(
            f"{MODEL_SETTINGS} of {checkpoint.name!r} has default_prompt_name={name!r}, and no "
            "text of that name among its prompts; restore the checkpoint's own file"
        )
    return prompt


def _activation(checkpoint: Checkpoint, declared: dict[str, Any]) -> str:
    """Where releases of sentence-transformers have kept it, the newest first."""
    config = checkpoint.json(CONFIG) or {}
    inside = config.get("sentence_transformers")
    for path in (
        declared.get("activation_fn"),
        inside.get("activation_fn") if isinstance(inside, dict) else None,
        config.get("sbert_ce_default_activation_function"),
    ):
        if path is not None:
            return activation_name(path, f"the cross-encoder {checkpoint.name!r}")
    return ""
