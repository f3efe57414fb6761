"""A whole training of a cross-encoder: pairs, teachers, steps, and the model that comes out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.encoders.catalogue import load_encoder
from lsr.errors import LsrError
from lsr.train.batches import BatchOrder, TrainingBatch
from lsr.train.config import BatchConfig, MiningConfig
from lsr.train.config_file import tables, to_toml
from lsr.train.losses import (
    WeightedLosses,
    binary_cross_entropy,
    info_nce,
    kl_divergence,
    margin_mse,
)
from lsr.train.negatives import RANKINGS, Retrieve, mine
from lsr.train.optimization import adamw, rate_share, update
from lsr.train.pairs import PairSource, TrainingCorpus
from lsr.train.reranker.config import CrossEncoderTrainingConfig, PairLossConfig
from lsr.train.reranker.student import CrossEncoderStudent
from lsr.train.run import CONFIG, PLOT, Watching
from lsr.train.teachers import Ensemble, load_ensemble
from lsr.train.trainer import LOG, STATE
from lsr.train.training_log import Entry, TrainingLog, draw, plot, read_log
from lsr.train.training_state import load_state, save_state
from lsr.trusted_code import NO_CODE, TrustedCode

MODEL = "model"


@dataclass(frozen=True)
class CrossEncoderReport:
    """What came out of a training of a cross-encoder."""

    # Folder of the model, which --rerank takes.
    model: Path
    # The picture of the log.
    plot: Path
    # Steps of this run; a training that went on has made others before.
    steps: int
    # Time of this run.
    seconds: float
    # What its last step measured.
    last: Entry

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return asdict(self) | {"model": str(self.model), "plot": str(self.plot)}


def run_cross_encoder(
    config: CrossEncoderTrainingConfig,
    output: Path,
    cache: Path,
    retrieve: Retrieve,
    watching: Watching,
    trusted: TrustedCode = NO_CODE,
) -> CrossEncoderReport:
    """Train as configured, or go on, and write model, configuration, log and plot.

    A training that was killed and goes on gives the same weights, bit for bit, as one that was
    not, on the same machine with the same number of threads.

    Args:
        config: of the training.
        output: folder of everything that is written, made if need be.
        cache: folder of the teachers' vectors and scores, which trainings may share.
        retrieve: ranks documents for mining.
        watching: who is told what.
        trusted: the models whose Python code may run.

    Raises:
        InputError: the base can't be used, or the state in the folder is damaged.
        UsageError: that state is of another training.
        LsrError: the loss is no longer a number.
    """
    started = time.perf_counter()
    # What the end needs is missed at the beginning.
    toml = to_toml(config)
    draw([])
    sources = [PairSource(one.path, one.limit or None) for one in config.sources]
    corpus = TrainingCorpus.build(sources, config.seed, 0.0, watching.on_rejected)
    output.mkdir(parents=True, exist_ok=True)
    teacher = load_ensemble(config, corpus, cache, watching.on_progress, trusted)
    student = CrossEncoderStudent(config)
    training = _Training(config, corpus, teacher, student, output)
    if training.step < config.optimizer.steps:
        training.order = _order(config, corpus, teacher, retrieve, output, trusted)
    begun = training.step
    (output / CONFIG).write_text(toml, encoding="utf-8")
    with TrainingLog(output / LOG, begun or None) as log:
        for entry in training.steps():
            log.write(entry)
            watching.on_step(entry, config.optimizer.steps)
    model = student.export(output / MODEL, training.facts)
    plot(output / LOG, output / PLOT)
    seconds = time.perf_counter() - started
    last = read_log(output / LOG)[-1]
    return CrossEncoderReport(model, output / PLOT, training.step - begun, seconds, last)


def _order(
    config: CrossEncoderTrainingConfig,
    corpus: TrainingCorpus,
    teacher: Ensemble | None,
    retrieve: Retrieve,
    output: Path,
    trusted: TrustedCode,
) -> BatchOrder:
    """The queries and candidates of every step."""
    mining = MiningConfig(**asdict(config.candidates))
    encoder = load_encoder(mining.retriever, trusted)
    mined = mine(retrieve, encoder, corpus, mining, teacher, config.seed, output / RANKINGS)
    batches = BatchConfig(config.batches.queries, config.batches.negatives)
    return BatchOrder(corpus, batches, config.seed, mined)


class _Training:
    """The steps; goes on from the state in the output folder, if there is one."""

    def __init__(
        self,
        config: CrossEncoderTrainingConfig,
        corpus: TrainingCorpus,
        teacher: Ensemble | None,
        student: CrossEncoderStudent,
        output: Path,
    ) -> None:
        self._config, self._corpus, self._teacher = config, corpus, teacher
        self._student, self._state = student, output / STATE
        self._sum = WeightedLosses({loss.name: loss.weight for loss in config.losses})
        rates = config.optimizer
        parameters = student.parameters
        self._optimizer = adamw(parameters.values(), rates.learning_rate, rates.weight_decay)
        # What decides the weights.
        deciding = tables(replace(config, output="", checkpoint_every=1))
        deciding["model"].pop("base")
        for loss in deciding["losses"]:
            # As states were written before there was a choice.
            if loss["pairs"] == "all":
                del loss["pairs"]
        self.facts = json.loads(json.dumps(deciding | {"pairs": corpus.digest}))
        self.facts |= {"start": student.start}
        self.order: BatchOrder | None = None
        self.step = 0
        if self._state.is_file():
            self.step = load_state(self._state, parameters, self._optimizer, self.facts).step

    def steps(self) -> Iterator[Entry]:
        """Take those that are left, and say how each went."""
        config = self._config
        steps = config.optimizer.steps
        while self.step < steps:
            assert self.order is not None
            entry = self._take(self.order(self.step))
            if self.step % config.checkpoint_every == 0 or self.step == steps:
                parameters = self._student.parameters
                save_state(self._state, parameters, self._optimizer, self.step, self.facts)
            yield entry

    def _take(self, batch: TrainingBatch) -> Entry:
        started, rates = time.perf_counter(), self._config.optimizer
        there = batch.listed >= 0
        lines, columns = np.nonzero(there)
        documents = batch.documents[batch.listed[there]]
        pairs = [
            (self._corpus.queries[query], self._corpus.documents[document])
            for query, document in zip(batch.queries[lines], documents, strict=True)
        ]
        scored = self._student.scores(pairs)
        scores = scored.values.new_zeros(there.shape)
        scores = scores.index_put((_tensor(lines, scores), _tensor(columns, scores)), scored.values)
        allowed = there & np.take_along_axis(batch.allowed, np.maximum(batch.listed, 0), axis=1)
        loss, parts = self._sum(
            {
                loss.name: self._loss(loss, scores, _tensor(allowed, scores), batch)
                for loss in self._config.losses
            }
        )
        value = float(loss.detach())
        if not np.isfinite(value):
            raise LsrError(
                f"the loss of step {self.step + 1} is {value}; lower learning_rate, now "
                f"{rates.learning_rate}"
            )
        loss.backward()  # type: ignore[no-untyped-call]
        scored.backward()
        share = rate_share(self.step, rates.steps, rates.warm_up)
        update(self._optimizer, share, rates.max_norm)
        self.step += 1
        best = scores.detach().masked_fill(~_tensor(allowed, scores), -torch.inf).argmax(dim=1)
        return Entry(
            self.step,
            value,
            parts,
            lr=rates.learning_rate * share,
            docs_per_s=len(pairs) / (time.perf_counter() - started),
            # Share of the queries whose positive scores highest.
            measures={"accuracy": float((best == 0).float().mean())},
        )

    def _loss(
        self,
        loss: PairLossConfig,
        scores: torch.Tensor,
        allowed: torch.Tensor,
        batch: TrainingBatch,
    ) -> torch.Tensor:
        positives = torch.zeros(len(scores), dtype=torch.int64, device=scores.device)
        if loss.name == "bce":
            return binary_cross_entropy(scores, positives, allowed)
        if loss.name == "info-nce":
            return info_nce(scores, positives, loss.temperature, allowed)
        assert self._teacher is not None
        alone = self._teacher.alone if loss.name == "margin-mse" else None
        rows = np.where(batch.listed >= 0, batch.documents[np.maximum(batch.listed, 0)], -1)
        taught = _tensor((alone or self._teacher).scores(batch.queries, rows), scores)
        if loss.name == "kl":
            return kl_divergence(scores, taught, loss.temperature, allowed)
        return margin_mse(scores, taught, allowed, positives if loss.pairs == "positive" else None)


def _tensor(array: NDArray[Any], like: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(array).to(like.device)
