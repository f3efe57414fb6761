"""The recipe: hyper-parameters, data, and what each row of the table adds to the row before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsr.train.config import TrainingConfig
from lsr.train.config_file import parse_config

LEARNING_RATE = 1e-4
TARGET_NNZ = 120.0
# The share of the target below which the l0 mask leaves a document alone.
THRESHOLD = 100 / 120
TEACHER_SCALE = 20.0
LITERAL, BASE_SHARE = 1.0, 0.5
BATCH = 32
MAX_LENGTH, EXPORT_LENGTH, TEACHER_LENGTH = 128, 256, 192
HELD_OUT = 0.005
# Later rows have non-zeros that no regulariser moves: literal terms, and the base's share.
TARGETED = "+ topic batches"
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
    """What all rows share: where assets are, how long each is trained, and from which seed.

    ``pairs`` of each file at most, where it is not 0; ``batch`` queries a step; ``sources`` are
    names of ``LIMITS``.
    """

    assets: Path
    steps: int
    seed: int = 1
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
        """The tables of TOML that every row begins with."""
        return {
            "model": {
                "base": self.student,
                "queries": "binary",
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
            "teachers": [{"name": self.teachers()["dense"]}],
            "teacher_scale": TEACHER_SCALE,
            "optimizer": {"steps": self.steps, "learning_rate": LEARNING_RATE},
            "evaluation": {"every": 0, "held_out": HELD_OUT},
            "seed": self.seed,
            "checkpoint_every": 100,
        }

    def teachers(self) -> dict[str, str]:
        """Encoder names of the teachers."""
        return {
            "dense": f"dense:{self.dense},max_length={TEACHER_LENGTH},dtype=bfloat16",
            "sparse": f"splade:{self.student},max_length={TEACHER_LENGTH}",
            "bm25": "bm25",
        }

    def ingredients(self, target: float = TARGET_NNZ) -> dict[str, dict[str, Any]]:
        """Row to the tables that it changes, in the order in which they are added."""
        every = [{"name": name} for name in self.teachers().values()]
        return {
            "KL from one teacher": {},
            "+ ensemble": {"teachers": every},
            "+ FLOPS to order": {"documents": {"regularizer": "flops", "target_nnz": target}},
            "+ IDF queries": {"model": {"queries": "idf"}},
            "+ l0 mask": {
                "documents": {
                    "regularizer": "l0-flops",
                    "threshold": round(THRESHOLD * target),
                }
            },
            "+ l0 activation": {"model": {"logs": 2}},
            # No negatives are mined: the rankings only put queries of one topic into a batch.
            TARGETED: {"batches": {"order": "topics"}},
            "+ literal terms": {"model": {"literal": LITERAL}},
            "+ half of the base": {"model": {"base_share": BASE_SHARE}},
        }

    def configs(self, target: float = TARGET_NNZ) -> dict[str, TrainingConfig]:
        """The training of each row."""
        tables, found = self.base(), {}
        for row, changes in self.ingredients(target).items():
            tables = merged(tables, changes)
            found[row] = parse_config(tables, TrainingConfig)
        return found

    def untrained(self) -> TrainingConfig:
        """What gives, before its first step, the student with IDF queries of these pairs."""
        changes = {"model": {"queries": "idf"}, "losses": [{"name": "info-nce"}], "teachers": []}
        return parse_config(merged(self.base(), changes), TrainingConfig)


def merged(tables: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The tables with the changes over them; tables within are merged too, lists replaced."""
    result = dict(tables)
    for key, value in changes.items():
        old = result.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[key] = merged(old, value) if both else value
    return result
