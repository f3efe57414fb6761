"""A transformer that turns a text into one vector, and what its folder says of how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsr.backbones.batch_threads import map_batches
from lsr.backbones.batching import Batcher, TokenBatch
from lsr.backbones.batching_rule import Batching, find_batching, run_batch
from lsr.backbones.bert import BertBody
from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.declared import MODEL_SETTINGS, Side, check_similarity, declared_prompt
from lsr.backbones.pipeline import pipeline
from lsr.backbones.pooling import POOLINGS, declared_pooling, pool
from lsr.backbones.torch_runtime import has_gpu, inference_mode
from lsr.backbones.transformer_settings import (
    check_transformer,
    declared_length,
    positions,
    whole_number,
)
from lsr.backbones.vector_layers import KINDS, Normalize, Truncate, VectorLayer, vector_layers
from lsr.errors import InputError
from lsr.settings import check_choice, check_length

if TYPE_CHECKING:
    import torch

TOKEN_BUDGET = {"cpu": 2048, "cuda": 65_536}
DTYPES = ("float32", "bfloat16", "int8")
# To which a vector is scaled as if it were of that length, if it is shorter; as torch does.
SHORTEST = np.float32(1e-12)
# Kinds of models of which the encoder alone reads the text.
TEXT_ENCODERS = ("t5", "mt5", "umt5")


@dataclass(frozen=True, slots=True)
class DenseConfig:
    """How a dense encoder's transformer is run."""

    # Tokens of a text that count, 3 or more; 0: what the checkpoint says.
    max_length: int = 0
    # What the transformer computes in: "float32"; "bfloat16", which takes half the time where
    # the processor has instructions for it, and moves vectors by about 1e-2 of their length; or
    # "int8", of BERTs on a processor: products of whole numbers of 8 bits, which take two fifths of
    # the time with AVX512-VNNI, and move vectors by about 3e-2 to 7e-2.
    dtype: str = "float32"
    # One way to pool the states of tokens, and whether vectors are scaled to length 1, "yes" or
    # "no"; "": what the checkpoint says.
    pooling: str = ""
    normalise: str = ""

    def __post_init__(self) -> None:
        if self.max_length:
            check_length(self.max_length)
        check_choice("dtype", self.dtype, DTYPES)
        if self.pooling:
            check_choice("pooling", self.pooling, POOLINGS)
        if self.normalise:
            check_choice("normalise", self.normalise, ("yes", "no"))


@dataclass(frozen=True, eq=False)
class PooledTransformer:
    """The last hidden states of a transformer, pooled to one vector a text."""

    checkpoint: Checkpoint
    # Tokens of a text that count, the prompt and special tokens included.
    max_length: int
    # One or more of ``POOLINGS``, joined by a plus.
    pooling: str = "mean"
    # Scale each vector to length 1, at last.
    normalise: bool = True
    # That of ``DenseConfig``.
    dtype: str = "float32"
    # Stands before each text that is not blank.
    prompt: str = ""
    # Whether the tokens of the prompt are pooled.
    include_prompt: bool = True
    # Behind pooling, in their order.
    layers: tuple[VectorLayer, ...] = ()
    # Another side of the same folder, whose transformer is this one's too.
    sharing: PooledTransformer | None = None

    @classmethod
    def of_side(
        cls, checkpoint: Checkpoint, side: Side, wanted: DenseConfig | None = None
    ) -> PooledTransformer:
        """What a checkpoint's sentence-transformers modules say of documents, or of queries.

        Without a ``modules.json`` it is mean pooling, normalised. With one, vectors are normalised
        where it has a Normalize module, or the model's similarity is said to be the cosine.

        Raises:
            InputError: a module is not supported, or a settings file is malformed.
            NotFoundError: the weights of a layer are missing.
        """
        modules = pipeline(checkpoint.root, side)
        kinds = [module.kind for module in modules]
        if modules and (kinds[:2] != ["Transformer", "Pooling"] or not {*kinds[2:]} <= {*KINDS}):
            raise InputError(
                f"the modules of {checkpoint.name!r} are {', '.join(kinds)}; a dense encoder is "
                f"Transformer and Pooling, and behind them any of {', '.join(KINDS)}"
            )
        body = checkpoint
        if modules:
            body = Checkpoint(checkpoint.name, checkpoint.root / modules[0].path, checkpoint.root)
        check_similarity(checkpoint, ("dot", "cosine"), "a dense encoder")
        check_transformer(body, "feature-extraction", "last_hidden_state")
        declared = checkpoint.json(MODEL_SETTINGS) or {}
        layers = list(vector_layers(checkpoint, modules[2:]))
        if (cut := declared.get("truncate_dim")) is not None and modules:
            where = f"{MODEL_SETTINGS} of {checkpoint.name!r}"
            layers.append(Truncate(whole_number(cut, where, "truncate_dim", 1)))
        normalise = not modules or declared.get("similarity_fn_name") == "cosine"
        if layers and isinstance(layers[-1], Normalize):
            layers, normalise = layers[:-1], True
        asked = wanted or DenseConfig()
        length = asked.max_length or declared_length(body, side)
        pooling = declared_pooling(checkpoint, modules[1].path if modules else "1_Pooling")
        return cls(
            body,
            min(length, positions(body) or length),
            asked.pooling or pooling.modes,
            asked.normalise == "yes" if asked.normalise else normalise,
            asked.dtype,
            declared_prompt(checkpoint, side),
            pooling.include_prompt,
            tuple(layers),
        )

    @cached_property
    def dimension(self) -> int:
        """Length of the vectors.

        Raises:
            InputError: the checkpoint's config.json does not say it.
        """
        config = self.checkpoint.json("config.json") or {}
        width = config.get("hidden_size") or config.get("dim") or config.get("d_model")
        if not width:
            raise InputError(
                f"the config.json of {self.checkpoint.name!r} has no hidden_size; add it"
            )
        dimension = int(width) * len(self.pooling.split("+"))
        for layer in self.layers:
            kept = dimension if layer.dimension is None else layer.dimension
            dimension = min(dimension, kept) if isinstance(layer, Truncate) else kept
        return dimension

    @property
    def identity(self) -> dict[str, Any]:
        """JSON that changes with anything that changes a vector."""
        identity: dict[str, Any] = {
            "vocabulary": self.checkpoint.vocabulary.digest,
            "checkpoint": self.checkpoint.digest,
            "max_length": self.max_length,
        }
        if self.pooling != "mean":
            identity["pooling"] = self.pooling
        if not self.normalise:
            identity["normalise"] = False
        if self.dtype != "float32":
            identity["dtype"] = self.dtype
        if self.prompt:
            identity["prompt"] = self.prompt
            if not self.include_prompt:
                identity["include_prompt"] = False
        if self.layers:
            identity["layers"] = [layer.identity for layer in self.layers]
        return identity

    @property
    def tokens_encoded(self) -> int:
        """Tokens that were cut into batches so far."""
        return self.batches.tokens if "batches" in vars(self) else 0

    def cuts(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Which texts have more tokens than are encoded, bool (n,)."""
        prompted = [self.prompt + text for text in texts]
        return self.checkpoint.vocabulary.longer(prompted, self.max_length)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 (n, dimension), one row a text; a blank text gets zeros."""
        # Loads the model, before there are threads.
        batches = self.batches

        def embed(batch: TokenBatch) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
            if self._native:
                return batch.rows, self._pooled(*self._native.states(batch))
            with inference_mode():
                return batch.rows, self.embed(batch).cpu().numpy()

        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for rows, part in map_batches(embed, batches(texts)):
            vectors[rows] = part
        return vectors

    def embed(self, batch: TokenBatch) -> torch.Tensor:
        """float32 (b, dimension) of a batch, on the model's device, with its gradient."""
        ids, mask = batch.to(self.model.device)
        states = run_batch(self._run, ids, mask, self.batching).float()
        vectors = pool(states, mask, self.pooling, self._left_out)
        for layer in self.layers:
            vectors = layer(vectors)
        return Normalize()(vectors) if self.normalise else vectors

    def _pooled(
        self, states: NDArray[np.float32], offsets: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """float32 (b, dimension) of the states of each text, which follow each other."""
        if self.pooling == "cls":
            vectors = states[offsets[:-1]]
        else:
            vectors = np.add.reduceat(states, offsets[:-1], axis=0)
            vectors /= np.diff(offsets)[:, None].astype(np.float32)
        if self.normalise:
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), SHORTEST)
        return vectors

    @cached_property
    def _native(self) -> BertBody | None:
        """The transformer in the native core, where that has its kind and all that follows it."""
        simple = self.pooling in ("mean", "cls") and not self.layers and self.include_prompt
        whole = self.dtype == "int8"
        on_gpu = has_gpu() and not whole
        if not simple or self.dtype == "bfloat16" or self.checkpoint.code or on_gpu:
            return None
        return self.sharing._native if self.sharing else BertBody.of(self.checkpoint, whole=whole)

    def _run(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        return states

    @cached_property
    def model(self) -> Any:
        """The transformer without dropout, on the GPU where there is one."""
        if self.sharing:
            return self.sharing.model
        from lsr.backbones.model_weights import load_model

        kind = (self.checkpoint.json("config.json") or {}).get("model_type")
        auto_class = "AutoModelForTextEncoding" if kind in TEXT_ENCODERS else "AutoModel"
        return load_model(self.checkpoint, auto_class, dtype=self.dtype)

    @cached_property
    def batching(self) -> Batching:
        """How texts may stand in one batch.

        Raises:
            InputError: the model can't be run on text.
        """
        if self.sharing:
            return self.sharing.batching
        training = self.model.training
        try:
            return find_batching(self._run, self.checkpoint, self.model.eval().device)
        finally:
            self.model.train(training)

    @cached_property
    def _left_out(self) -> int:
        """Tokens at the beginning of a text that are not pooled."""
        if self.include_prompt or not self.prompt:
            return 0
        vocabulary = self.checkpoint.vocabulary
        ids = vocabulary.tokenizer.encode(self.prompt).ids
        return len(ids) - (bool(ids) and ids[-1] in vocabulary.special)

    @cached_property
    def batches(self) -> Batcher:
        """What cuts texts into batches of tokens for the model.

        Raises:
            InputError: the model can't be run, or not so.
        """
        if self._native:
            length, budget = self._native.longest(self.max_length), TOKEN_BUDGET["cpu"]
            return Batcher(self.checkpoint.vocabulary, length, budget, self.prompt)
        if self.dtype == "int8":
            raise InputError(
                f"{self.checkpoint.name!r} is asked for with dtype=int8, which is for BERTs that "
                "are pooled by the mean or the first state, with nothing behind; leave it out"
            )
        from lsr.backbones.model_weights import longest_input

        length = longest_input(self.model, self.max_length)
        budget = TOKEN_BUDGET[self.model.device.type]
        # How batches are run is found out here, before there are threads.
        _ = self.batching, self._left_out
        return Batcher(self.checkpoint.vocabulary, length, budget, self.prompt)
