"""What all trainings of the recipe share: hyper-parameters, data, teachers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LEARNING_RATE = 5e-4
TARGET_NNZ = 120.0
TEACHER_SCALE = 20.0
BATCH = 32
MAX_LENGTH, EXPORT_LENGTH, TEACHER_LENGTH = 128, 256, 192
HELD_OUT = 0.005
# Pairs of each file.
LIMITS = {
    "arxiv-title-abstract": 28_000,
    "reddit-questions": 12_000,
    "medquad": 8_000,
    "medical-web-qa": 4_000,
}
STUDENT, DENSE = "splade-tiny", "all-MiniLM-L6-v2"
COLLECTIONS = ("scifact", "cranfield", "med", "npl-vaswani", "nq-oracle")


@dataclass(frozen=True)
class Budget:
    """What all rows share: where assets are, and how long each is trained.

    ``pairs`` of each file at most, where it is not 0; ``batch`` queries a step; ``sources`` are
    names of ``LIMITS``.
    """

    assets: Path
    steps: int
    batch: int = BATCH
    pairs: int = 0
    sources: tuple[str, ...] = tuple(LIMITS)

    @property
    def student(self) -> str:
        """The checkpoint that all trainings begin with."""
        return str(self.assets / "models" / STUDENT)

    @property
    def dense(self) -> str:
        """The checkpoint of the dense teacher."""
        return str(self.assets / "models" / DENSE)

    def base(self) -> dict[str, Any]:
        """The tables of TOML that every row begins with; seeds are given by ``seeded``."""
        return {
            "model": {
                "base": self.student,
                "new_head": True,
                "queries": "idf",
                "max_length": MAX_LENGTH,
                "export_length": EXPORT_LENGTH,
            },
            "sources": [
                {
                    "path": str(self.assets / "train" / f"{name}.jsonl.xz"),
                    "limit": min(LIMITS[name], self.pairs or LIMITS[name]),
                }
                for name in self.sources
            ],
            "batches": {"queries": self.batch},
            "losses": [{"name": "kl"}],
            "teachers": self.ensemble("dense", "sparse"),
            "teacher_scale": TEACHER_SCALE,
            "documents": {"regularizer": "flops", "target_nnz": TARGET_NNZ},
            "optimizer": {"steps": self.steps, "learning_rate": LEARNING_RATE},
            "evaluation": {"every": 0, "held_out": HELD_OUT},
            # What a GPU does by itself, so that rows from one and from a processor are alike.
            "memory": {"precision": "bfloat16"},
        }

    def teachers(self) -> dict[str, str]:
        """Encoder names of the teachers."""
        return {
            "dense": f"dense:{self.dense},max_length={TEACHER_LENGTH},dtype=bfloat16",
            "sparse": f"splade:{self.student},max_length={TEACHER_LENGTH}",
            "bm25": "bm25",
        }

    def ensemble(self, *names: str) -> list[dict[str, Any]]:
        """Tables of these teachers."""
        return [{"name": self.teachers()[name]} for name in names]


def seeded(tables: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The tables with a seed, which decides the order of batches, draws and a new head."""
    return merged(tables, {"seed": seed})


def merged(tables: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The tables with the changes over them; tables within are merged too, lists replaced."""
    result = dict(tables)
    for key, value in changes.items():
        old = result.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[key] = merged(old, value) if both else value
    return result
