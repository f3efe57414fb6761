"""LoRA adapters: low-rank weight updates that stand beside the model they were trained on."""

from __future__ import annotations

import hashlib
import importlib
import json
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lsr.backbones.checkpoint import Checkpoint
from lsr.errors import InputError, MissingDependencyError, NotFoundError

SETTINGS = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
# Members of the settings that say where an adapter came from, not what it computes.
NOT_COMPUTATION = {"base_model_name_or_path", "revision", "inference_mode", "peft_version"}


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter in peft's layout: ``adapter_config.json``, ``adapter_model.safetensors``.

    A layer's weight becomes W + scale B A (Hu et al. 2022), the scale being alpha / r, or
    alpha / sqrt(r) where the settings ask for it.
    """

    name: str
    folder: Path
    settings: dict[str, Any]

    @classmethod
    def resolve(cls, name: str) -> Adapter:
        """Find a folder, or fetch a hub id: ``owner/model`` or ``owner/model/folder``.

        Raises:
            InputError: it is an adapter of another kind than LoRA.
            NotFoundError: ``name`` is neither, or has no safetensors weights.
        """
        found = Checkpoint.resolve(name, holding=[SETTINGS])
        settings = found.json(SETTINGS)
        kind = settings.get("peft_type")
        if kind != "LORA":
            raise InputError(
                f"the adapter {name!r} is of the kind {kind!r}; allowed is LORA: merge another "
                "kind into its model with peft, and give the merged model"
            )
        if found.path(WEIGHTS) is None:
            raise NotFoundError(
                f"the adapter {name!r} has no {WEIGHTS}, and pickled weights are not loaded; "
                "save it with peft's save_pretrained"
            )
        return cls(found.name, found.folder, settings)

    @property
    def base(self) -> str:
        """The model that it was trained on: a folder or a hub id.

        Raises:
            InputError: its settings name none.
        """
        base = self.settings.get("base_model_name_or_path")
        if not base or not isinstance(base, str):
            raise InputError(
                f"the adapter {self.name!r} names no base model; "
                f"write decoder:MODEL,lora={self.name}"
            )
        return base

    @cached_property
    def digest(self) -> str:
        """SHA-256 over weights and settings, wherever the folder lies."""
        settings = {
            key: sorted(value) if isinstance(value, list) else value
            for key, value in self.settings.items()
            if key not in NOT_COMPUTATION
        }
        total = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        with (self.folder / WEIGHTS).open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
        return total.hexdigest()

    def merge_into(self, model: Any) -> Any:
        """The model with the adapter added to its weights, which change in place.

        Raises:
            InputError: the adapter is of another architecture.
            MissingDependencyError: peft is not installed.
        """
        peft = load_peft()
        from safetensors.torch import load_file

        try:
            weights = load_file(self.folder / WEIGHTS)
            settings = peft.LoraConfig.from_pretrained(self.folder)
            if not getattr(settings, "ensure_weight_tying", False):
                untie(model, weights)
            with warnings.catch_warnings():
                # peft warns of tied weights, which are untied above.
                warnings.simplefilter("ignore")
                adapted = peft.PeftModel(model, settings)
                loaded = peft.set_peft_model_state_dict(adapted, weights)
                merged = adapted.merge_and_unload()
        except Exception as error:  # what peft and safetensors raise has no common base
            raise self._does_not_fit(str(error).strip().split("\n")[0]) from error
        if unknown := sorted(loaded.unexpected_keys):
            raise self._does_not_fit(f"the model has no {unknown[0]}")
        if missing := sorted(key for key in loaded.missing_keys if "lora_" in key):
            raise self._does_not_fit(f"the adapter has no {missing[0]}")
        return merged.eval()

    def _does_not_fit(self, reason: str) -> InputError:
        return InputError(
            f"the adapter {self.name!r} does not fit the model ({reason}); "
            "give the model that it was trained on"
        )


def load_peft() -> Any:
    """The peft package.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return importlib.import_module("peft")
    except ImportError as error:
        raise MissingDependencyError("a LoRA adapter", "peft", "lora") from error


def untie(model: Any, weights: Iterable[str]) -> None:
    """Give the output projection a copy of its own where an adapter changes one of the two.

    ``weights`` are the names of what the adapter has.
    """
    projection, embeddings = model.get_output_embeddings(), model.get_input_embeddings()
    changed = any("lm_head" in name or "embed_tokens" in name for name in weights)
    if changed and projection.weight is embeddings.weight:
        import torch

        projection.weight = torch.nn.Parameter(projection.weight.detach().clone())
        model.config.tie_word_embeddings = False
