"""SPAR: a dense lexical model, Lambda, that learns to rank as a sparse encoder does.

Chen et al. 2022, "Salient Phrase Aware Dense Retrieval: Can a Dense Retriever Imitate a Sparse
One?" (arXiv 2110.06918), section 3.1, with the settings of facebookresearch/dpr-scale (``spar/``).
Concatenated with another dense encoder it gives SPAR: see ``lsr.dense.ConcatenatedEncoder``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsr.component import check_length
from lsr.encoder import load_encoder
from lsr.errors import InputError, UsageError
from lsr.pooling import check_choice
from lsr.tower import POOLINGS
from lsr.train.config import check_range
from lsr.train.config_file import STRICT
from lsr.train.mining import RANKINGS, Retrieve, Texts, kept_ranking

OnStep = Callable[[dict[str, float]], None]
TOWERS = ("shared", "two")
STATE, MODEL, SETTINGS = "state.safetensors", "model", "spar.json"


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


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Queries and the documents that are scored for all of them.

    ``queries`` int64 (B,) and ``documents`` int64 (U,), ascending, are rows of the texts.
    ``positives`` int64 (B,) are columns of the drawn right document; ``allowed`` bool (B, U) is
    false for a query's other right ones, which are neither right nor wrong.
    """

    queries: NDArray[np.int64]
    documents: NDArray[np.int64]
    positives: NDArray[np.int64]
    allowed: NDArray[np.bool_]


class Draws:
    """Batches from a teacher's rankings; each depends on seed and step alone.

    Args:
        ranking: int64 (queries, depth) rows of documents, best first, -1 at the end.
        config: what is right, wrong, and drawn.

    Raises:
        InputError: fewer than two queries have a document.
    """

    def __init__(self, ranking: NDArray[np.int64], config: SparConfig) -> None:
        self._config = config
        found = (ranking >= 0).sum(axis=1)
        self._queries = np.flatnonzero(found)
        if len(self._queries) < 2:
            raise InputError(
                f"the teacher {config.teacher} finds documents for {len(self._queries)} of "
                f"{len(ranking)} queries; give at least two queries that it finds documents for"
            )
        self._ranking = ranking[self._queries]
        self._found = found[self._queries]
        self._epoch = -1, np.empty(0, np.int64)

    def batch(self, step: int) -> Batch:
        """The batch of a step, counted from 0."""
        config = self._config
        chosen = self._order(step)
        random = np.random.default_rng([config.seed, 1, step])
        right = self._ranking[chosen, : config.positives]
        places = (random.random(len(chosen)) * (right >= 0).sum(axis=1)).astype(np.int64)
        positives = right[np.arange(len(chosen)), places]
        wrong = self._wrong(chosen, random)
        documents = np.unique(np.concatenate([positives, wrong[wrong >= 0]]))
        is_right = (documents[None, :, None] == right[:, None, :]).any(axis=2)
        columns = np.searchsorted(documents, positives)
        is_right[np.arange(len(chosen)), columns] = False
        return Batch(self._queries[chosen], documents, columns, ~is_right)

    def _order(self, step: int) -> NDArray[np.int64]:
        """Places of a step's queries: shuffled anew each time that all have been seen."""
        size, total = self._config.batch_size, len(self._queries)
        numbers = np.arange(step * size, (step + 1) * size)
        parts = []
        for epoch in np.unique(numbers // total):
            if self._epoch[0] != epoch:
                random = np.random.default_rng([self._config.seed, 0, epoch])
                self._epoch = epoch, random.permutation(total)
            parts.append(self._epoch[1][numbers[numbers // total == epoch] % total])
        return np.concatenate(parts)

    def _wrong(self, chosen: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
        """int64 (B, negatives_per_query): drawn without repeats from the last ones, or -1."""
        config = self._config
        last = self._found[chosen][:, None] - 1 - np.arange(config.negatives)[None, :]
        there = last >= config.positives
        keys = np.where(there, random.random(last.shape), 2.0)
        drawn = np.argsort(keys, axis=1, kind="stable")[:, : config.negatives_per_query]
        rows = np.take_along_axis(self._ranking[chosen], np.maximum(last, 0), axis=1)
        return np.take_along_axis(np.where(there, rows, -1), drawn, axis=1)


def train_lambda(
    config: SparConfig,
    texts: Texts,
    retrieve: Retrieve,
    folder: Path,
    on_step: OnStep = lambda record: None,
) -> Path:
    """Train Lambda, from where the folder's training state ends if it has one.

    On a CPU with the same number of threads, training that was cut off and resumed gives the same
    weights, bit for bit, as training in one go. The folder gets the teacher's ranking, which is
    made once, the training state, and at the end the model with ``spar.json``, its settings and
    the identities of teacher, texts and start.

    Args:
        config: the settings.
        texts: training queries, and the documents that the teacher ranks.
        retrieve: finds the teacher's best documents.
        folder: where everything is written; created where needed.
        on_step: takes ``step`` (from 1), ``loss``, ``accuracy`` (share of the queries whose drawn
            document scores highest) and ``learning_rate`` after each step.

    Returns:
        The folder of the model, in sentence-transformers' layout.

    Raises:
        InputError: the teacher finds too little, or the start can't be used.
        NotFoundError: there is no such start or teacher.
        UsageError: the training state is of other settings or texts.
        LsrError: the loss is no longer a number.
    """
    from lsr.torch_runtime import transformers

    transformers()
    from lsr.train.lexical_model import LexicalModel

    folder.mkdir(parents=True, exist_ok=True)
    teacher = load_encoder(config.teacher)
    model = LexicalModel(config)
    facts = asdict(config) | {
        "teacher_fingerprint": teacher.fingerprint,
        "texts": texts.digest,
        "start": model.start,
    }
    begun = model.resume(folder / STATE, facts)
    if begun < config.steps:
        draws = Draws(
            kept_ranking(retrieve, teacher, texts, config.depth, folder / RANKINGS), config
        )
        for step in range(begun, config.steps):
            record = model.step(step, draws.batch(step), texts)
            if (step + 1) % config.checkpoint_every == 0 or step + 1 == config.steps:
                model.save_state(folder / STATE, step + 1, facts)
            on_step(record)
    model.export(folder / MODEL, {SETTINGS: facts})
    return folder / MODEL
