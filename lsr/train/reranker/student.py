"""A cross-encoder in training: scores of pairs with their gradients, its state and its export."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lsr.backbones.batch_threads import map_batches
from lsr.backbones.checkpoint import CONFIG, TOKENIZER_SETTINGS, Checkpoint
from lsr.backbones.exported_folder import appearing
from lsr.backbones.json_files import read_json_object
from lsr.backbones.model_weights import CLASSIFIER, load_model, longest_input
from lsr.backbones.torch_runtime import seed_torch
from lsr.rerankers.cross_encoder import pair_tokenizer, spread
from lsr.rerankers.pair_model import TYPES, DeclaredCrossEncoder, PairModel
from lsr.train.model_folder import write_json, write_transformer
from lsr.train.reranker.config import CrossEncoderTrainingConfig

# The first release of sentence-transformers that looks for the activation here.
DECLARED = {"activation_fn": "torch.nn.modules.linear.Identity", "version": "4.0.0"}
# What the folder of a cross-encoder that was trained here is known by.
SETTINGS = "cross-encoder.json"


@dataclass(frozen=True)
class PairScores:
    """``values`` float (n,) is a leaf; ``backward`` carries its gradient on to the parameters."""

    values: torch.Tensor
    backward: Callable[[], None]


class CrossEncoderStudent:
    """A transformer with a head of one output, all of it trained, without dropout.

    ``start`` is the digest of the weights that it begins with.

    Raises:
        InputError: the base can't be used.
        NotFoundError: there is no such base.
    """

    def __init__(self, config: CrossEncoderTrainingConfig) -> None:
        checkpoint = Checkpoint.resolve(config.model.base)
        self._vocabulary = checkpoint.vocabulary
        self._config = config
        self.start = checkpoint.digest
        with torch.random.fork_rng():
            seed_torch(config.seed)
            module = load_model(checkpoint, CLASSIFIER, new_head=True)
        declared = DeclaredCrossEncoder(config.model.max_length, "", "Identity")
        self._model = PairModel(checkpoint, declared, module)
        length = longest_input(module, config.model.max_length)
        self._tokenizer = pair_tokenizer(checkpoint, length)
        self.parameters: dict[str, torch.nn.Parameter] = dict(module.named_parameters())

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._model.device

    def scores(self, pairs: Sequence[tuple[str, str]]) -> PairScores:
        """The logit of each query and document.

        On a CPU each micro-batch is computed by one thread, and gradients are added in their
        order, so that results don't depend on how threads share an operation.
        """
        encodings = self._tokenizer.encode_batch(list(pairs))
        batches = list(spread(encodings, self._config.batches.chunk_tokens))
        parts = map_batches(lambda batch: self._model.logits(batch)[:, 0], batches)
        rows = [torch.from_numpy(batch.rows).to(self.device) for batch in batches]
        values = torch.zeros(len(pairs), device=self.device)
        for places, part in zip(rows, parts, strict=True):
            values[places] = part.detach()
        values.requires_grad_()
        parameters = list(self.parameters.values())

        def backward() -> None:
            assert values.grad is not None
            gradient = values.grad

            def gradients(place: int) -> tuple[torch.Tensor | None, ...]:
                found: tuple[torch.Tensor | None, ...] = torch.autograd.grad(
                    parts[place], parameters, gradient[rows[place]], allow_unused=True
                )
                return found

            for found in map_batches(gradients, range(len(parts))):
                for parameter, part in zip(parameters, found, strict=True):
                    if part is not None:
                        parameter.grad = part if parameter.grad is None else parameter.grad + part

        return PairScores(values, backward)

    def export(self, folder: Path, facts: Mapping[str, Any]) -> Path:
        """Write a folder that transformers and sentence-transformers' CrossEncoder load.

        Its score is the logit as it is. The folder appears whole, in place of an earlier export.

        Raises:
            UsageError: the folder holds something other than an earlier export.
            InputError: the tokenizer has no special token.
        """
        model = self._model.module
        length = longest_input(model, self._config.model.export_length)
        with appearing(folder, SETTINGS) as new:
            write_transformer(new, model, self._vocabulary, length)
            config = read_json_object(new / CONFIG)
            write_json(new / CONFIG, config | {"sentence_transformers": DECLARED})
            if self._model.takes_types:
                tokenizer = read_json_object(new / TOKENIZER_SETTINGS)
                names = [*tokenizer["model_input_names"], TYPES]
                write_json(new / TOKENIZER_SETTINGS, tokenizer | {"model_input_names": names})
            write_json(new / SETTINGS, json.loads(json.dumps(dict(facts))))
        return folder
