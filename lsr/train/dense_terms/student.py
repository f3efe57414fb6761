"""Some layers of a dense model, trained to make the vectors of the whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.backbones.batching import Batcher, TokenBatch, Tokens, pad
from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.pooled import DenseConfig, PooledTransformer
from lsr.errors import InputError, LsrError
from lsr.train.dense_export import export_dense
from lsr.train.dense_terms.config import StudentConfig
from lsr.train.depth import keep_layers
from lsr.train.optimization import adamw, rate_share, update
from lsr.train.precision import attend_plainly, autocast, is_halved
from lsr.train.training_state import load_state, save_state

# Batches are made of texts of like length among so many.
WINDOW = 64
OnStep = Callable[[int, int, float, float, float | None], None]
"""Takes the step, counted from 1, how many there are, its loss, its learning rate, and after the
last one the mean cosine of held-out documents."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """Documents, and float (n, dimension) what the dense model makes of them, of length 1."""

    texts: Sequence[str]
    vectors: NDArray[np.float16]
    # That of the texts.
    digest: str


class Student:
    """The layers of a dense model that ``config`` names, as they are and as they learn.

    Raises:
        InputError: the dense model has no such layers, or pools as no student can.
    """

    def __init__(self, dense: Checkpoint, config: StudentConfig, seed: int) -> None:
        tower = PooledTransformer.of_side(
            dense, "document", DenseConfig(max_length=config.max_length)
        )
        if tower.pooling not in ("mean", "cls") or tower.layers or tower.prompt:
            raise InputError(
                f"{dense.name!r} is pooled by {tower.pooling!r}, with {len(tower.layers)} layers "
                f"behind and the prompt {tower.prompt!r}; a student is of a model that is pooled "
                "by 'mean' or 'cls' and nothing else"
            )
        keep_layers(tower.model, config.layers)
        # How it takes batches is found out before it changes.
        _ = tower.batching
        if is_halved(tower.model.device, config.precision):
            attend_plainly(tower.model)
        embeddings = tower.model.get_input_embeddings()
        embeddings.weight.requires_grad_(config.words)
        self.tower = tower
        self._config, self._seed = config, seed
        self._facts = {"start": dense.digest, "seed": seed} | {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(config).items()
            if name != "checkpoint_every"
        }
        self._parameters = {
            name: parameter
            for name, parameter in tower.model.named_parameters()
            if parameter.requires_grad
        }
        self._optimizer = adamw(
            self._parameters.values(), config.learning_rate, config.weight_decay
        )

    def resume(self, state: Path, lesson: Lesson) -> int:
        """Go back to a saved state, where there is one; returns the steps taken so far.

        Raises:
            InputError: the file is damaged.
            UsageError: it is of other settings or documents.
        """
        if not state.is_file():
            return 0
        return load_state(
            state, self._parameters, self._optimizer, self._facts | {"texts": lesson.digest}
        ).step

    def learn(self, lesson: Lesson, begun: int, state: Path, on_step: OnStep) -> None:
        """Make 1 - cos(own vector, that of the dense model), averaged over documents, small.

        Documents that are blank, or whose vector is zero, are left out.

        Args:
            lesson: the documents.
            begun: steps that were taken before.
            state: what ``resume`` goes back to, written now and then and at the end.
            on_step: is told of each step.

        Raises:
            InputError: no document is left.
            LsrError: the loss is no longer a number.
        """
        config = self._config
        facts = self._facts | {"texts": lesson.digest}
        documents = _Documents(self.tower.batches, lesson, config, self._seed)
        for step in range(begun, config.steps):
            loss = 1 - self._cosines(*documents.batch(step)).mean()
            if not loss.isfinite():
                raise LsrError(
                    f"the loss of step {step + 1} is {loss.item()}; lower learning_rate, now "
                    f"{config.learning_rate}"
                )
            loss.backward()  # type: ignore[no-untyped-call]
            share = rate_share(step, config.steps, config.warm_up)
            update(self._optimizer, share, config.max_norm)
            last = step + 1 == config.steps
            reached = self._reached(documents) if last else None
            on_step(step + 1, config.steps, loss.item(), config.learning_rate * share, reached)
            if last or (step + 1) % config.checkpoint_every == 0:
                save_state(state, self._parameters, self._optimizer, step + 1, facts)

    def export(self, folder: Path, notes: Mapping[str, Any]) -> None:
        """Write the student as a model of its own; see ``export_dense``."""
        export_dense(folder, self.tower, self.tower, notes)

    def _cosines(self, batch: TokenBatch, targets: NDArray[np.float32]) -> torch.Tensor:
        device = self.tower.model.device
        with autocast(device, self._config.precision):
            vectors = self.tower.embed(batch)
        wanted = torch.from_numpy(targets).to(device)
        return torch.nn.functional.cosine_similarity(vectors.float(), wanted)

    @torch.no_grad()
    def _reached(self, documents: _Documents) -> float | None:
        parts = [self._cosines(*each) for each in documents.held_out()]
        return float(torch.cat(parts).mean()) if parts else None


class _Documents:
    """Batches of documents and their vectors; each depends on seed and step alone."""

    def __init__(self, batcher: Batcher, lesson: Lesson, config: StudentConfig, seed: int) -> None:
        self._size, self._seed = config.batch_size, seed
        rows, encodings = batcher.tokenize(lesson.texts)
        self._tokens = [Tokens(np.array(one.ids, dtype=np.int32)) for one in encodings]
        self._vectors = lesson.vectors[rows]
        usable = np.flatnonzero(self._vectors.any(axis=1))
        usable = np.random.default_rng([seed, 0]).permutation(usable)
        kept = round(len(usable) * config.held_out)
        self._aside, self._trained = usable[:kept], usable[kept:]
        if not len(self._trained):
            raise InputError("no document has a vector; give other sources")
        self._epoch: tuple[int, list[NDArray[np.int64]]] = -1, []

    def batch(self, step: int) -> tuple[TokenBatch, NDArray[np.float32]]:
        """The batch of a step, counted from 0, and float32 (b, dimension)."""
        each = -(-len(self._trained) // self._size)
        epoch, place = divmod(step, each)
        if self._epoch[0] != epoch:
            random = np.random.default_rng([self._seed, 1, epoch])
            order = random.permutation(self._trained)
            parts = [
                part
                for begin in range(0, len(order), WINDOW * self._size)
                for part in self._parts(order[begin : begin + WINDOW * self._size])
            ]
            self._epoch = epoch, [parts[at] for at in random.permutation(len(parts))]
        return self._padded(self._epoch[1][place])

    def held_out(self) -> list[tuple[TokenBatch, NDArray[np.float32]]]:
        """Batches of the documents that are not trained on."""
        return [self._padded(part) for part in self._parts(self._aside)]

    def _parts(self, chosen: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        lengths = np.array([len(self._tokens[one].ids) for one in chosen], dtype=np.int64)
        order = chosen[np.argsort(-lengths, kind="stable")]
        return [order[at : at + self._size] for at in range(0, len(order), self._size)]

    def _padded(self, places: NDArray[np.int64]) -> tuple[TokenBatch, NDArray[np.float32]]:
        return pad(self._tokens, places.tolist()), self._vectors[places].astype(np.float32)
