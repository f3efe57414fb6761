"""SPAR's lexical model Lambda in training: its towers, a step, its state and its export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.declared import Side, side_checkpoint
from lsr.backbones.pooled import PooledTransformer
from lsr.backbones.torch_runtime import seed_torch
from lsr.errors import LsrError
from lsr.train.dense_export import export_dense
from lsr.train.losses import info_nce, match
from lsr.train.negatives import Texts
from lsr.train.optimization import adamw, rate_share, update
from lsr.train.spar.config import SparConfig
from lsr.train.spar.draws import Batch
from lsr.train.training_state import load_state, save_state, step_seed

# Settings that change no weight, and names of what is told apart by its digest.
FREE = {"checkpoint_every", "model", "teacher"}


class LexicalModel:
    """Lambda: one transformer for queries and documents, or one each.

    ``start`` is the digest of the weights that it begins with.

    Raises:
        InputError: the start can't be used.
        NotFoundError: there is no such start.
    """

    def __init__(self, config: SparConfig) -> None:
        self._config = config
        found = Checkpoint.resolve(config.model)
        sides: tuple[Side, ...] = ("document", "query")
        bodies = [side_checkpoint(found, side) or found for side in sides]
        if config.towers == "shared":
            towers = [self._tower(bodies[0])] * 2
        else:
            towers = [self._tower(body) for body in bodies]
        self.start = "+".join(dict.fromkeys(tower.checkpoint.digest for tower in towers))
        self._towers = dict(zip(sides, towers, strict=True))
        for tower in towers:
            # How it takes batches is found out while it has no dropout.
            _ = tower.batching
        # What the start lacks, such as a pooler that is not used, is filled with random numbers.
        with torch.random.fork_rng():
            seed_torch(config.seed)
            self._parameters = {
                f"{side}/{name}": parameter
                for side, tower in self._towers.items()
                if side == "document" or config.towers == "two"
                for name, parameter in tower.model.named_parameters()
            }
        self._optimizer = adamw(
            self._parameters.values(), config.learning_rate, config.weight_decay
        )

    def _tower(self, body: Checkpoint) -> PooledTransformer:
        return PooledTransformer(
            body, self._config.max_length, self._config.pooling, normalise=False
        )

    def embed(self, side: Side, texts: Sequence[str]) -> torch.Tensor:
        """float32 (n, dimension) with its gradient; a blank text has zeros and none."""
        tower = self._towers[side]
        rows, parts = [], []
        for batch in tower.batches(texts):
            rows.append(batch.rows)
            parts.append(tower.embed(batch))
        vectors = torch.zeros(len(texts), tower.dimension, device=tower.model.device)
        if not parts:
            return vectors
        places = torch.from_numpy(np.concatenate(rows)).to(vectors.device)
        return vectors.index_copy(0, places, torch.cat(parts))

    def loss(self, batch: Batch, texts: Texts) -> tuple[torch.Tensor, torch.Tensor]:
        """-log softmax of the drawn right documents' scores, averaged; and the accuracy."""
        queries = self.embed("query", [texts.queries[row] for row in batch.queries])
        documents = self.embed("document", [texts.documents[row] for row in batch.documents])
        positives = torch.from_numpy(batch.positives).to(queries.device)
        allowed = torch.from_numpy(batch.allowed).to(queries.device)
        scores = match(queries, documents)
        loss = info_nce(scores, positives, self._config.temperature, allowed)
        best = scores.masked_fill(~allowed, -torch.inf).argmax(dim=1)
        return loss, (best == positives).float().mean()

    def step(self, number: int, batch: Batch, texts: Texts) -> dict[str, float]:
        """Take a step, counted from 0, and say how it went.

        Raises:
            LsrError: the loss is not finite.
        """
        config = self._config
        for tower in self._towers.values():
            tower.model.train()
        with torch.random.fork_rng():
            seed_torch(step_seed(config.seed, number))
            loss, accuracy = self.loss(batch, texts)
            if not loss.isfinite():
                raise LsrError(
                    f"the loss of step {number + 1} is {loss.item()}; lower learning_rate, now "
                    f"{config.learning_rate}, or raise temperature, now {config.temperature}"
                )
            loss.backward()  # type: ignore[no-untyped-call]
        share = rate_share(number, config.steps, config.warm_up)
        update(self._optimizer, share, config.max_norm)
        return {
            "step": number + 1,
            "loss": loss.item(),
            "accuracy": accuracy.item(),
            "learning_rate": config.learning_rate * share,
        }

    def save_state(self, path: Path, step: int, facts: Mapping[str, Any]) -> None:
        """Write what ``resume`` needs, after so many steps."""
        save_state(path, self._parameters, self._optimizer, step, _binding(facts))

    def resume(self, path: Path, facts: Mapping[str, Any]) -> int:
        """Go back to a saved state, where there is one; returns the steps taken so far.

        Raises:
            InputError: the file is damaged.
            UsageError: it was saved with other facts.
        """
        if not path.is_file():
            return 0
        return load_state(path, self._parameters, self._optimizer, _binding(facts)).step

    def export(self, folder: Path, notes: Mapping[str, Any]) -> None:
        """Write the model; see ``export_dense``."""
        for tower in self._towers.values():
            tower.model.eval()
        export_dense(folder, self._towers["document"], self._towers["query"], notes)


def _binding(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in FREE}
