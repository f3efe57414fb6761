"""How a training of SPAR's Lambda is set up."""

from __future__ import annotations

from dataclasses import dataclass

from lsr.errors import UsageError
from lsr.settings import check_choice, check_length, check_range
from lsr.train.config_file import STRICT
from lsr.trusted_code import without_consent

TOWERS = ("shared", "two")


@dataclass(frozen=True, slots=True)
class SparConfig:
    """How Lambda is trained; towers and pooling are the published ones (Chen et al. 2022)."""

    # The transformer to start from, a hub id or folder.
    model: str
    # The sparse encoder that is imitated, by its name.
    teacher: str = "bm25"
    # "shared" encodes queries and documents with one transformer, "two" with one each, both from
    # the same start.
    towers: str = "two"
    # "mean" of all tokens, or "cls".
    pooling: str = "cls"
    # Tokens of a text that count, special ones included, of queries and documents alike; 3 or more.
    max_length: int = 256
    # How many of the teacher's best documents of a query are looked at. The first ``positives`` of
    # them are right, 1 or more, and the last ``negatives`` wrong, 0 or more.
    depth: int = 50
    positives: int = 10
    negatives: int = 5
    # Wrong documents that are drawn each time that a query is seen, beside one right one; at most
    # ``negatives``.
    negatives_per_query: int = 1
    # Queries of a step, 2 or more. The documents of the others are wrong too, unless the teacher
    # has them among the right ones.
    batch_size: int = 32
    # Scores are inner products over it; above 0.
    temperature: float = 1.0
    # Steps of AdamW; 1 or more.
    steps: int = 10_000
    # To which the learning rate rises linearly, to fall linearly to 0; above 0.
    learning_rate: float = 3e-5
    # Share of the steps over which it rises, 0 to 1.
    warm_up: float = 0.05
    # AdamW's; 0 or more.
    weight_decay: float = 0.0
    # A longer gradient is shortened to this norm; 0: it is not.
    max_norm: float = 2.0
    # Decides samples, order, draws and dropout.
    seed: int = 0
    # Steps from one writing of the training state to the next; 1 or more.
    checkpoint_every: int = 500
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        object.__setattr__(self, "teacher", without_consent(self.teacher))
        if not self.model:
            raise UsageError("model is empty; give the transformer to start from")
        check_choice("towers", self.towers, TOWERS)
        check_choice("pooling", self.pooling, ("mean", "cls"))
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
