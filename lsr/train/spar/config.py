"""How a training of SPAR's Lambda is set up."""

from __future__ import annotations

from dataclasses import dataclass

from lsr.backbones.pooled import POOLINGS
from lsr.errors import UsageError
from lsr.settings import check_choice, check_length, check_range
from lsr.train.config_file import STRICT

TOWERS = ("shared", "two")


@dataclass(frozen=True, slots=True)
class SparConfig:
    """How Lambda is trained.

    ``model`` is the transformer to start from, a hub id or folder; ``teacher`` the sparse encoder
    that is imitated, by its name. ``towers=shared`` encodes queries and documents with one
    transformer, ``two`` with one each, both from the same start. ``pooling`` is ``mean`` or
    ``cls``; ``max_length`` is in tokens, special ones included, of queries and documents alike.

    Of the teacher's best ``depth`` documents of a query, the first ``positives`` are right and the
    last ``negatives`` wrong. Each time that a query is seen, one right one and
    ``negatives_per_query`` wrong ones are drawn; the documents of the other ``batch_size`` - 1
    queries are wrong too, unless the teacher has them among the right ones. Scores are inner
    products over ``temperature``.

    AdamW takes ``steps`` steps with ``weight_decay``; the learning rate rises linearly to
    ``learning_rate`` over the share ``warm_up`` of the steps and falls linearly to 0. A gradient
    longer than ``max_norm`` is shortened to it; 0 leaves it. ``seed`` decides order, draws and
    dropout. The training state is written every ``checkpoint_every`` steps.
    """

    model: str
    teacher: str = "bm25"
    towers: str = "shared"
    pooling: str = "mean"
    max_length: int = 256
    depth: int = 50
    positives: int = 10
    negatives: int = 5
    negatives_per_query: int = 1
    batch_size: int = 32
    temperature: float = 1.0
    steps: int = 10_000
    learning_rate: float = 3e-5
    warm_up: float = 0.05
    weight_decay: float = 0.0
    max_norm: float = 2.0
    seed: int = 0
    checkpoint_every: int = 500
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        if not self.model:
            raise UsageError("model is empty; give the transformer to start from")
        check_choice("towers", self.towers, TOWERS)
        check_choice("pooling", self.pooling, POOLINGS)
        check_length(self.max_length)
        least: dict[str, float] = {"positives": 1, "negatives": 0, "negatives_per_query": 0}
        least |= {"batch_size": 2, "steps": 1, "seed": 0, "checkpoint_every": 1}
        least |= {"weight_decay": 0, "max_norm": 0, "learning_rate": 1e-12, "temperature": 1e-6}
        for name, smallest in least.items():
            check_range(name, getattr(self, name), smallest)
        check_range("warm_up", self.warm_up, 0, 1)
        if self.positives + self.negatives > self.depth:
            raise UsageError(
                f"positives={self.positives} and negatives={self.negatives} together are more than "
                f"depth={self.depth}; raise depth"
            )
        if self.negatives_per_query > self.negatives:
            raise UsageError(
                f"negatives_per_query={self.negatives_per_query} is more than "
                f"negatives={self.negatives}, of which they are drawn; lower it"
            )
