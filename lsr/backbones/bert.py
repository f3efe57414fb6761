"""BERT in the native core, without torch: its last states, and its masked language model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lsr._core import Bert
from lsr.backbones.batching import TokenBatch
from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.screening import ScreenedProjection
from lsr.backbones.tensor_files import read_arrays

Arrays = Mapping[str, NDArray[np.float32]]
# The parts of a layer, each with weight and bias, in the order of the native core.
LAYER = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
)
WORDS = "embeddings.word_embeddings.weight"
# Before the projection of a language model.
HEAD = ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm")
# What older checkpoints call the weight and the bias of a norm.
OLD_NAMES = {"gamma": "weight", "beta": "bias"}


class BertBody:
    """Devlin et al. 2019 with exact GELU and absolute positions, on one core a batch.

    Args:
        arrays: float32, by the names of transformers' ``BertModel`` or ``BertForMaskedLM``.
        config: the checkpoint's config.json.
        terms: how many tokens its tokenizer has.
        head: whether the part before a language model's projection is there.
        whole: whether the linear layers multiply whole numbers of 8 bits, each row of weights and
            each token's state with a scale of its own (``DenseConfig.dtype``).

    Raises:
        KeyError: an array is missing.
        ValueError: one has another shape than the others ask for, or holds what is no number, or
            some token has no embedding.
    """

    def __init__(
        self,
        arrays: Arrays,
        config: Mapping[str, Any],
        terms: int,
        head: bool = False,
        whole: bool = False,
    ) -> None:
        arrays = _as_body(arrays)
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise ValueError("a weight is no finite number")
        if len(arrays[WORDS]) < terms:
            raise ValueError("there are fewer embeddings than tokens")
        places = arrays["embeddings.position_embeddings.weight"]
        parts = ["embeddings.LayerNorm"]
        for layer in range(config.get("num_hidden_layers", 12)):
            parts += [f"encoder.layer.{layer}.{part}" for part in LAYER]
        parts += HEAD if head else ()
        self._longest = len(places)
        self._native = Bert(
            arrays[WORDS],
            places + arrays["embeddings.token_type_embeddings.weight"][0],
            [arrays[f"{part}.{kind}"] for part in parts for kind in ("weight", "bias")],
            config.get("num_attention_heads", 12),
            config.get("layer_norm_eps", 1e-12),
            whole=whole,
        )

    @classmethod
    def of(cls, checkpoint: Checkpoint, **options: bool) -> Self | None:
        """That of a checkpoint, or None where it is of another kind, incomplete or damaged.

        ``options`` are those of the class. transformers reads the other kinds, and says what is
        wrong with a checkpoint.
        """
        config = checkpoint.json("config.json") or {}
        if not _is_plain_bert(config):
            return None
        from safetensors import SafetensorError

        arrays: dict[str, NDArray[np.float32]] = {}
        try:
            for path in checkpoint.weights:
                for name, array in read_arrays(path).items():
                    stem, _, kind = name.rpartition(".")
                    # Quantised weights would need their scales.
                    if array.dtype.kind == "f":
                        single = np.ascontiguousarray(array, dtype=np.float32)
                        arrays[f"{stem}.{OLD_NAMES.get(kind, kind)}"] = single
            return cls(arrays, config, checkpoint.vocabulary.size, **options)
        except (KeyError, ValueError, TypeError, SafetensorError):
            return None

    def longest(self, wanted: int) -> int:
        """``wanted`` tokens, or as many as the model has positions for."""
        return min(wanted, self._longest)

    def states(self, batch: TokenBatch) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The last state of each token; with a head, what enters the projection.

        Returns:
            float32 (tokens, width), the documents of the batch one after the other, and int64
            (documents + 1,), where each begins.
        """
        offsets = batch.offsets
        return self._native.states(batch.ids[batch.mask.astype(bool)], offsets), offsets


class BertLanguageModel(BertBody):
    """A BERT with its vocabulary projection.

    Args:
        arrays: as for ``BertBody``, and those of the projection.
        config: the checkpoint's config.json.
        terms: how many tokens its tokenizer has, each of which is a term.

    Raises:
        KeyError: an array is missing.
        ValueError: as for ``BertBody``, or the projection has too few rows.
    """

    def __init__(self, arrays: Arrays, config: Mapping[str, Any], terms: int) -> None:
        super().__init__(arrays, config, terms, head=True)
        words = _as_body(arrays)[WORDS]
        weight, bias = _projection(arrays, words, config.get("tie_word_embeddings", True))
        if len(weight) < terms:
            raise ValueError("the projection has fewer rows than there are terms")
        self.projection = ScreenedProjection(weight[:terms], bias[:terms])


def _as_body(arrays: Arrays) -> Arrays:
    """The same, named as if no model were around the body."""
    return {name.removeprefix("bert."): array for name, array in arrays.items()}


def _is_plain_bert(config: Mapping[str, Any]) -> bool:
    return (
        config.get("model_type") == "bert"
        and config.get("hidden_act", "gelu") == "gelu"
        and config.get("position_embedding_type", "absolute") in ("absolute", None)
        and not config.get("is_decoder")
        and not config.get("quantization_config")
    )


def _projection(
    arrays: Arrays, words: NDArray[np.float32], tied: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight (terms, width) and bias (terms,) of the vocabulary projection.

    Raises:
        ValueError: it is tied, and stored a second time with other values.
    """
    decoder = "cls.predictions.decoder"
    if not tied:
        return arrays[f"{decoder}.weight"], arrays[f"{decoder}.bias"]
    bias = arrays["cls.predictions.bias"]
    for kind, tensor in (("weight", words), ("bias", bias)):
        if not np.array_equal(arrays.get(f"{decoder}.{kind}", tensor), tensor):
            raise ValueError(f"the {kind} of the projection is stored twice and differs")
    return words, bias
