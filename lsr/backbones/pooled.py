"""A transformer that turns a text into one vector, and what its folder says of how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.backbones.batch_threads import map_batches
from lsr.backbones.batching import Batcher, TokenBatch
from lsr.backbones.checkpoint import Checkpoint, read_json
from lsr.backbones.declared import Side
from lsr.errors import InputError
from lsr.settings import check_choice, check_length

if TYPE_CHECKING:
    import torch

TOKEN_BUDGET = {"cpu": 2048, "cuda": 65_536}
DEFAULT_LENGTH = 256
POOLINGS = ("mean", "cls")


class Module(NamedTuple):
    """A module of a sentence-transformers folder: the name of its class, and its folder."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class DenseConfig:
    """How a dense encoder's transformer is run."""

    # Tokens of a text that count, 3 or more; 0: what the checkpoint says.
    max_length: int = 0
    # What the transformer computes in: "float32", or "bfloat16", which takes half the time where
    # the processor has instructions for it, and moves vectors by about 1e-2 of their length.
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.max_length:
            check_length(self.max_length)
        check_choice("dtype", self.dtype, ("float32", "bfloat16"))


@dataclass(frozen=True, eq=False)
class PooledTransformer:
    """The last hidden states of a transformer, pooled to one vector a text."""

    checkpoint: Checkpoint
    # Tokens of a text that count.
    max_length: int
    # "mean", over all tokens of the text, or "cls", its first token.
    pooling: str = "mean"
    # Scale each vector to length 1.
    normalise: bool = True
    # That of ``DenseConfig``.
    dtype: str = "float32"

    @classmethod
    def of_side(
        cls, checkpoint: Checkpoint, side: Side, wanted: DenseConfig | None = None
    ) -> PooledTransformer:
        """What a checkpoint's sentence-transformers modules say of documents, or of queries.

        Without a ``modules.json`` it is mean pooling, normalised. With one, vectors are normalised
        where it has a Normalize module, or the model's similarity is said to be the cosine.

        Raises:
            InputError: a module is not supported, or a settings file is malformed.
        """
        modules = _modules(checkpoint, side)
        kinds = [module.kind for module in modules]
        if modules and kinds not in (
            ["Transformer", "Pooling"],
            ["Transformer", "Pooling", "Normalize"],
        ):
            raise InputError(
                f"the modules of {checkpoint.name!r} are {', '.join(kinds)}; a dense encoder is "
                "Transformer, Pooling and, if its vectors have length 1, Normalize"
            )
        body = checkpoint
        if modules:
            body = Checkpoint(checkpoint.name, checkpoint.root / modules[0].path, checkpoint.root)
        declared = checkpoint.json("config_sentence_transformers.json") or {}
        normalise = not modules or "Normalize" in kinds
        normalise |= declared.get("similarity_fn_name") == "cosine"
        settings = body.json("sentence_bert_config.json") or {}
        config = body.json("config.json") or {}
        asked = wanted or DenseConfig()
        length = asked.max_length or settings.get("max_seq_length") or DEFAULT_LENGTH
        return cls(
            body,
            min(length, config.get("max_position_embeddings") or length),
            _pooling(checkpoint, modules[1].path if modules else "1_Pooling"),
            normalise,
            asked.dtype,
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
        return int(width)

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
        return identity

    @property
    def tokens_encoded(self) -> int:
        """Tokens that were cut into batches so far."""
        return self.batches.tokens if "batches" in vars(self) else 0

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32 (n, dimension), one row a text; a blank text gets zeros."""
        # Loads the model, before there are threads.
        batches = self.batches
        import torch

        def embed(batch: TokenBatch) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
            with torch.inference_mode():
                return batch.rows, self.embed(batch).cpu().numpy()

        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for rows, part in map_batches(embed, batches(texts)):
            vectors[rows] = part
        return vectors

    def embed(self, batch: TokenBatch) -> torch.Tensor:
        """float32 (b, dimension) of a batch, on the model's device, with its gradient."""
        import torch

        ids, mask = batch.to(self.model.device)
        states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        if self.pooling == "cls":
            vectors: torch.Tensor = states[:, 0]
        else:
            real = mask.unsqueeze(-1).to(states.dtype)
            vectors = (states * real).sum(dim=1) / real.sum(dim=1)
        return torch.nn.functional.normalize(vectors, dim=1) if self.normalise else vectors

    @cached_property
    def model(self) -> Any:
        """The transformer without dropout, on the GPU where there is one."""
        from lsr.backbones.model_weights import load_model

        return load_model(self.checkpoint, "AutoModel", dtype=self.dtype)

    @cached_property
    def batches(self) -> Batcher:
        """What cuts texts into batches of tokens for the model."""
        from lsr.backbones.model_weights import longest_input

        length = longest_input(self.model, self.max_length)
        return Batcher(self.checkpoint.vocabulary, length, TOKEN_BUDGET[self.model.device.type])


def _modules(checkpoint: Checkpoint, side: Side) -> list[Module]:
    """The modules that a side's texts go through, none where the folder declares none."""
    path = checkpoint.root_path("modules.json")
    if path is None:
        return []
    entries = read_json(path)
    try:
        modules = [Module(_kind(entry["type"]), _inside(entry["path"])) for entry in entries]
        if not modules or modules[0].kind != "Router":
            return modules
        router = checkpoint.json(str(PurePosixPath(modules[0].path, "router_config.json"))) or {}
        routed = [
            Module(_kind(router["types"][name]), _inside(str(Path(modules[0].path, name))))
            for name in router["structure"][side]
        ]
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path} or the router_config.json beside it is no list of modules with type and path "
            f"({error!r}); restore the checkpoint's own file"
        ) from error
    return [*routed, *modules[1:]]


def _kind(name: str) -> str:
    return name.rpartition(".")[2]


def _inside(path: str) -> str:
    """The path of a module, which must not lead out of the checkpoint."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts:
        raise ValueError(f"the path {path!r} leads out of the checkpoint")
    return path


def _pooling(checkpoint: Checkpoint, folder: str) -> str:
    """The pooling that a Pooling module declares, mean where there is none.

    Raises:
        InputError: it is neither mean nor cls, or several are put side by side.
    """
    settings: Mapping[str, Any] = checkpoint.json(f"{folder}/config.json") or {
        "pooling_mode": "mean"
    }
    wanted = [
        key.removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token")
        for key, value in settings.items()
        if key.startswith("pooling_mode_") and value is True
    ]
    declared: list[Any] = wanted or [settings.get("pooling_mode")]
    if len(declared) != 1 or declared[0] not in POOLINGS:
        raise InputError(
            f"the checkpoint {checkpoint.name!r} pools by {', '.join(map(str, declared))}; "
            f"allowed is one of {' and '.join(POOLINGS)}: give such a dense encoder, "
            "for example all-MiniLM-L6-v2"
        )
    return str(declared[0])
