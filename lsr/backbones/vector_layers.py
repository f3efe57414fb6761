"""What a sentence-transformers folder puts behind pooling: layers from vector to vector."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lsr.backbones.checkpoint import WEIGHTS, Checkpoint
from lsr.backbones.json_files import read_json_object
from lsr.backbones.pipeline import Module
from lsr.errors import InputError, NotFoundError

if TYPE_CHECKING:
    import torch

# Activations that need no numbers of their own, by the names of their classes in torch.nn.
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "SiLU", "Sigmoid", "LeakyReLU", "ELU", "Mish")
# What layers give to each other, and what the last layer of a cross-encoder gives.
VECTOR, SCORES = "sentence_embedding", "scores"


class VectorLayer(Protocol):
    """From float (b, width) to float (b, ``dimension``); None where the width stays.

    ``identity`` is JSON that changes with anything that changes a vector.
    """

    dimension: int | None
    identity: Any

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """The vectors behind the layer."""
        ...


def vector_layers(
    checkpoint: Checkpoint, modules: Sequence[Module], output: str = VECTOR
) -> tuple[VectorLayer, ...]:
    """The layers of these modules; Dropout is none where nothing is trained.

    ``output`` is what the last one must give.

    Raises:
        InputError: a module is not supported, or its settings are malformed.
        NotFoundError: its weights are missing.
    """
    kept = [module for module in modules if module.kind != "Dropout"]
    return tuple(
        LAYERS[module.kind](checkpoint.root / module.path, output if place == len(kept) else VECTOR)
        for place, module in enumerate(kept, start=1)
    )


class Normalize(VectorLayer):
    """To length 1."""

    dimension = None
    identity = "Normalize"

    def __init__(self, folder: Path | None = None, output: str = VECTOR) -> None:
        settings = {} if folder is None else _settings(folder)
        _check_names(folder, settings, output)

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """The same directions."""
        import torch

        return torch.nn.functional.normalize(vectors, dim=-1)


class Truncate(VectorLayer):
    """The first values of a vector alone: ``truncate_dim`` of a folder."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.identity = ["truncate", dimension]

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """The first values."""
        return vectors[..., : self.dimension]


@dataclass(eq=False)
class WeightedLayer(VectorLayer):
    """A layer with weights, read when they are first needed.

    ``build`` makes it of its tensors.
    """

    folder: Path
    settings: dict[str, Any]
    dimension: int | None
    build: Callable[[dict[str, Any]], Callable[[torch.Tensor], torch.Tensor]]

    @cached_property
    def identity(self) -> Any:
        """SHA-256 over settings and weights.

        Raises:
            NotFoundError: there are no safetensors weights.
        """
        total = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode())
        with self._weights.open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
        return total.hexdigest()

    def __call__(self, vectors: torch.Tensor) -> torch.Tensor:
        """The layer's output, float32."""
        return self._layer(vectors)

    @property
    def _weights(self) -> Path:
        path = self.folder / WEIGHTS
        if not path.is_file():
            raise NotFoundError(
                f"{self.folder} has no {WEIGHTS}, and pickled weights are not loaded; save the "
                "model with sentence-transformers again"
            )
        return path

    @cached_property
    def _layer(self) -> Callable[[torch.Tensor], torch.Tensor]:
        import torch
        from safetensors.torch import load_file

        device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            tensors = {name: t.float().to(device) for name, t in load_file(self._weights).items()}
            return self.build(tensors)
        except Exception as error:  # what safetensors raises has no common base
            raise InputError(f"{self._weights} lacks the weights of its layer ({error})") from error


def _linear(folder: Path, output: str = VECTOR) -> VectorLayer:
    """A linear layer and an activation, with the input added where the settings ask for it."""
    settings = _settings(folder)
    _check_names(folder, settings, output)
    path = settings.get("activation_function", "torch.nn.modules.activation.Tanh")
    activation = activation_name(path, f"the Dense of {folder}")
    wide, narrow = settings.get("in_features"), settings.get("out_features")
    if not _is_width(wide) or not _is_width(narrow):
        raise InputError(
            f"the Dense of {folder} goes from {wide!r} to {narrow!r} values; allowed are whole "
            "numbers from 1"
        )
    biased, residual = settings.get("bias", True), settings.get("use_residual", False)

    def build(tensors: dict[str, Any]) -> Callable[[torch.Tensor], torch.Tensor]:
        import torch

        linear = torch.nn.functional.linear
        weight, bias = tensors["linear.weight"], tensors["linear.bias"] if biased else None
        added = tensors["residual.weight"] if residual and wide != narrow else None
        if weight.shape != (narrow, wide):
            raise ValueError(f"linear.weight is {tuple(weight.shape)}")
        activate = getattr(torch.nn, activation)()

        def layer(vectors: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = activate(linear(vectors, weight, bias))
            if residual:
                made = made + (vectors if added is None else linear(vectors, added))
            return made

        return layer

    return WeightedLayer(folder, settings, narrow, build)


def activation_name(path: object, where: str) -> str:
    """The name in torch.nn of an activation that a folder names by its class's path.

    Raises:
        InputError: it is none of ``ACTIVATIONS``.
    """
    package, _, name = str(path).rpartition(".")
    if not package.startswith("torch.nn.modules.") or name not in ACTIVATIONS:
        raise InputError(
            f"{where} has the activation {path!r}; allowed are those of torch.nn: "
            f"{', '.join(ACTIVATIONS)}"
        )
    return name


def _layer_norm(folder: Path, output: str = VECTOR) -> VectorLayer:
    """Zero mean and variance 1, then a scale and a shift for each value."""
    if output != VECTOR:
        raise InputError(f"the LayerNorm of {folder} gives no {output}; give a Dense behind it")

    def build(tensors: dict[str, Any]) -> Callable[[torch.Tensor], torch.Tensor]:
        import torch

        weight, bias = tensors["norm.weight"], tensors["norm.bias"]
        return lambda vectors: torch.nn.functional.layer_norm(vectors, weight.shape, weight, bias)

    return WeightedLayer(folder, _settings(folder), None, build)


LAYERS: dict[str, Callable[[Path, str], VectorLayer]] = {
    "Normalize": Normalize,
    "Dense": _linear,
    "LayerNorm": _layer_norm,
}
# All that may stand behind Pooling.
KINDS = (*LAYERS, "Dropout")


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    return read_json_object(path) if path.is_file() else {}


def _check_names(folder: Path | None, settings: dict[str, Any], output: str) -> None:
    for key, wanted in (("module_input_name", VECTOR), ("module_output_name", output)):
        if (settings.get(key) or VECTOR) != wanted:
            raise InputError(
                f"the module {folder} has {key}={settings.get(key)!r}; allowed is {wanted}: one "
                "vector a text, not one a token, and of cross-encoders the scores at the end"
            )


def _is_width(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
