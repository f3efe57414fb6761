"""A row of the recipe, trained to numbers of non-zeros that are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lsr.encoders.catalogue import load_encoder
from lsr.train.run import training_corpus
from lsr.train.trainer import STUDENT
from recipe_bench.ingredients import MAX_LENGTH, TARGET_NNZ, TARGETED, Budget
from recipe_bench.trainings import Workshop, last_nnz, say


@dataclass(frozen=True)
class Reached:
    """Mean non-zeros of a document where ``target`` was asked for in a training of ``steps``.

    ``last_steps``: over the last tenth of the steps; ``held_out``: of documents that were kept
    aside, at the length of the training; ``exported``: of the same at the exported length.
    """

    steps: int
    target: float
    last_steps: float
    held_out: float
    exported: float

    def row(self) -> dict[str, float]:
        """Of the table; the deviation is that of the last steps, in per cent."""
        return {
            "steps": self.steps,
            "target": self.target,
            "last_steps": round(self.last_steps, 1),
            "held_out": round(self.held_out, 1),
            "exported": round(self.exported, 1),
            "deviation": round(100 * (self.last_steps / self.target - 1), 1),
        }


def reach(workshop: Workshop, budget: Budget, target: float) -> Reached:
    """Train to a target, unless that was done before, and count."""
    config = budget.configs(target)[TARGETED]
    named = TARGETED if target == TARGET_NNZ else f"{TARGETED}, target {target:g}"
    output = workshop.train(named, config)
    documents = list(training_corpus(config, say).held_out.documents.values())
    student = str(output / STUDENT)
    return Reached(
        budget.steps,
        target,
        last_nnz(output),
        _mean_nnz(f"{student},max_length={MAX_LENGTH}", documents),
        _mean_nnz(student, documents),
    )


def _mean_nnz(name: str, documents: Sequence[str]) -> float:
    return load_encoder(name).encode_documents(documents).nnz / max(1, len(documents))
