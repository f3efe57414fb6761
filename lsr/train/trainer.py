"""The training loop: batches, losses, updates, checkpoints, evaluation."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.backbones.torch_runtime import seed_torch
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.encoder import SparseEncoder
from lsr.sparse import SparseBatch
from lsr.train.ahead import Ahead
from lsr.train.batches import TrainingBatch
from lsr.train.config import EvaluationConfig, TrainingConfig
from lsr.train.config_file import tables
from lsr.train.micro_batches import MicroBatchEncoder, in_quadrature
from lsr.train.mining_rounds import MiningRounds
from lsr.train.negatives import Retrieve
from lsr.train.objective import Penalty, RankingLoss, uses_idf, zero_penalty
from lsr.train.optimization import adamw, rate_share, update
from lsr.train.pairs import TrainingCorpus
from lsr.train.sides import Read, Sides, encode
from lsr.train.sparsity import CollapseWatch
from lsr.train.student import load_student
from lsr.train.teachers import Teacher
from lsr.train.training_log import Entry, TrainingLog
from lsr.train.training_state import load_state, save_state, step_seed
from lsr.trusted_code import NO_CODE, TrustedCode

Evaluate = Callable[[SparseEncoder], Mapping[str, float]]
OnStep = Callable[[Entry, int], None]
SHOWN = ("licence", "base_name", "base_licence")
# Mean terms of queries below which nearly all of them are empty.
EMPTY_QUERIES = 0.1
STATE, LOG, STUDENT = "state.safetensors", "log.jsonl", "student"
# Devices beside which the processor is free for the next step's texts and teachers.
AHEAD_OF = ("cuda",)


@dataclass(frozen=True)
class Surroundings:
    """What a training takes from outside of this package, and tells to it.

    A teacher, ``retrieve`` and ``evaluate`` may be None where the configuration has no use for it.
    """

    # Scores the training corpus, in one range for all queries.
    teacher: Teacher | None = None
    # Ranks its documents for mining.
    retrieve: Retrieve | None = None
    # Scores an encoder.
    evaluate: Evaluate | None = None
    # Takes what was measured at each step, and the number of all steps.
    on_step: OnStep = lambda entry, steps: None
    # The models whose Python code may run.
    trusted: TrustedCode = NO_CODE
    # The one teacher, whose scores are learned as they are.
    raw_teacher: Teacher | None = None
    # BM25 of words, which ``[model] words`` puts beside the student's scores.
    words: Teacher | None = None
    # Folder of what trainings on the same pairs share: vectors, tokens, rankings. None: none.
    cache: Path | None = None
    # Of each document of the corpus, where the base has some.
    dense_terms: SparseBatch | None = None


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a step needs besides the model.

    Scores float32 (B, N) are None where they aren't asked for: ``beside`` are those of words, times
    their weight.
    """

    batch: TrainingBatch
    documents: Read
    queries: Read
    scaled: NDArray[np.float32] | None
    raw: NDArray[np.float32] | None
    beside: NDArray[np.float32] | None
    # The dense terms of its documents, where there are some.
    dense: SparseBatch | None


class Trainer:
    """Trains a student as configured; goes on from the state in the output folder, if any.

    A training that was killed and goes on gives the same weights, bit for bit, as one that was
    not, on the same machine with the same number of threads.

    Args:
        config: everything about the training.
        corpus: the pairs.
        output: folder for state, log and student.
        surroundings: see there.

    Raises:
        UsageError: the state in the folder is of another training.
        InputError: it is damaged.
    """

    def __init__(
        self,
        config: TrainingConfig,
        corpus: TrainingCorpus,
        output: Path,
        surroundings: Surroundings,
    ) -> None:
        self.config = config
        self.corpus = corpus
        self.output = output
        self.around = surroundings
        seed_torch(config.seed)
        self.student = load_student(config)
        self.sides = Sides(config, corpus, self.student, surroundings.cache)
        self.documents, self.queries = self.sides.document, self.sides.query
        self.exported = self.sides.exported
        steps, terms = config.optimizer.steps, self.student.vocabulary.size
        informed = uses_idf(config.documents) or uses_idf(config.queries)
        idf = self.sides.initial_table("idf") if informed else None
        self.penalties = {
            "document": Penalty(config.documents, steps, terms, idf),
            "query": Penalty(config.queries, steps, terms, idf),
        }
        self.ranking = RankingLoss(config)
        self.watch = CollapseWatch(terms, grace=max(1000, round(0.5 * steps)))
        # Some queries are rightly empty, and full ones no fault of a training without a penalty.
        self.query_watch = CollapseWatch(terms, fewest=EMPTY_QUERIES, fullest=1.0, side="query")
        self.optimizer = adamw(
            self.student.parameters().values(),
            config.optimizer.learning_rate,
            config.optimizer.weight_decay,
            self.sides.learned.values(),
            config.optimizer.table_rate,
        )
        self.step = 0
        self._written: int | None = None
        self._batches = MiningRounds(
            config, corpus, output, surroundings.retrieve, surroundings.teacher, self._kept,
            surroundings.trusted, surroundings.cache,
        )  # fmt: skip
        ahead = self.student.device.type in AHEAD_OF
        self._prepared = Ahead(
            self._prepare,
            lambda step: ahead and step < steps and self._batches.is_begun(step),
        )
        self._restore()

    def run(self) -> Path:
        """Train to the last step and return the folder of the student.

        Raises:
            CollapseError: the vectors became empty or full, or the loss is no number.
        """
        config = self.config
        resumed = self.step or None
        with TrainingLog(self.output / LOG, resumed) as log:
            while self.step < config.optimizer.steps:
                entry = self._train_step()
                entry = self._evaluated(entry)
                log.write(entry)
                self.around.on_step(entry, config.optimizer.steps)
                if self.step % config.checkpoint_every == 0 or self._finished:
                    self.save()
        return self._current()

    @property
    def _finished(self) -> bool:
        return self.step >= self.config.optimizer.steps

    def _train_step(self) -> Entry:
        started, optimizing = time.perf_counter(), self.config.optimizer
        prepared = self._prepared(self.step)
        batch = prepared.batch
        seed_torch(step_seed(self.config.seed, self.step))
        documents = encode(self.documents, prepared.documents)
        queries = encode(self.queries, prepared.queries)
        dense = prepared.dense
        scored = documents.weights if dense is None else in_quadrature(documents.weights, dense)
        loss, parts = self.ranking(
            queries.weights, scored, batch,
            prepared.scaled, prepared.raw, prepared.beside,
        )  # fmt: skip
        loss = loss + self._penalised(queries.weights, documents.weights, batch)
        value = float(loss.detach())
        nnz = {"document": float(documents.nnz.float().mean())}
        if isinstance(self.queries, MicroBatchEncoder):
            nnz["query"] = float(queries.nnz.float().mean())
        self.watch.observe(self.step + 1, value, nnz["document"])
        if "query" in nnz:
            self.query_watch.observe(self.step + 1, value, nnz["query"])
        strength = {
            side: penalty.strength
            for side, penalty in self.penalties.items()
            if penalty.config.regularizer != "none"
        }
        flops = float(active_share(queries.weights) @ active_share(documents.weights))
        loss.backward()  # type: ignore[no-untyped-call]
        documents.backward()
        queries.backward()
        share = rate_share(self.step, optimizing.steps, optimizing.warm_up)
        update(self.optimizer, share, optimizing.max_norm)
        for side, penalty in self.penalties.items():
            penalty.observe(nnz.get(side, 0.0))
        self.step += 1
        return Entry(
            step=self.step,
            loss=value,
            losses=parts,
            nnz=nnz,
            target_nnz={
                side: penalty.config.target_nnz
                for side, penalty in self.penalties.items()
                if penalty.config.target_nnz
            },
            flops={"document-query": flops},
            strength=strength,
            lr=optimizing.learning_rate * share,
            docs_per_s=len(batch.documents) / (time.perf_counter() - started),
        )

    def _prepare(self, step: int) -> Prepared:
        batch, around, ranking = self._batches(step)(step), self.around, self.ranking
        words, dense = _scores(around.words, batch), around.dense_terms
        return Prepared(
            batch,
            self.sides.read_documents(batch.documents),
            self.sides.read_queries(batch.queries),
            _scores(around.teacher if ranking.needs_scaled else None, batch),
            _scores(around.raw_teacher if ranking.needs_raw else None, batch),
            None if words is None else words * np.float32(self.config.model.words),
            None if dense is None else dense.reorder(batch.documents),
        )

    def _penalised(
        self, queries: torch.Tensor, documents: torch.Tensor, batch: TrainingBatch
    ) -> torch.Tensor:
        own = np.arange(len(batch.queries))[:, None]
        total = documents.new_zeros(())
        for side, weights, rows in (
            ("document", documents, batch.listed),
            ("query", queries, own),
        ):
            penalty = self.penalties[side]
            value = penalty(weights, rows)
            if value is not None:
                total = total + penalty.strength * value
        anti = zero_penalty(self.config.anti_zero, queries, documents)
        return total if anti is None else total + anti

    def _evaluated(self, entry: Entry) -> Entry:
        """The entry with the student's scores, where it is time for them."""
        every = self.config.evaluation.every
        due = every and (self.step % every == 0 or self._finished)
        if not due or self.around.evaluate is None:
            return entry
        encoder = load_encoder(self.encoder_name(self._current()))
        measures = dict(self.around.evaluate(encoder))
        return dataclasses.replace(entry, measures=measures)

    def export(self, folder: Path) -> Path:
        """Write the student as it is now to a folder, which is returned."""
        table = self.sides.table
        self.student.export(folder, self.exported, table.table() if table else None)
        return folder

    def _current(self) -> Path:
        """The training's own folder of the student, written there once a step."""
        folder = self.output / STUDENT
        if self._written != self.step:
            self.export(folder)
            self._written = self.step
        return folder

    def _kept(self, folder: Path, anew: bool) -> str:
        """The name of the student in a folder, written there if need be."""
        return self.encoder_name(folder if folder.is_dir() and not anew else self.export(folder))

    def encoder_name(self, folder: Path) -> str:
        """The name by which ``load_encoder`` loads what was exported to a folder."""
        name = self.student.encoder_name(str(folder), self.exported)
        words = self.config.model.words
        return f"{name},words=yes,words_weight={words:g}" if words else name

    def save(self) -> None:
        """Write everything that a resumed training needs, in one file."""
        others: dict[str, torch.Tensor] = {}
        for side, penalty in self.penalties.items():
            others |= {f"{side}.{name}": value for name, value in penalty.tensors().items()}
        values = {
            "watch": self.watch.state_dict(),
            "query_watch": self.query_watch.state_dict(),
            "penalties": {side: p.state_dict() for side, p in self.penalties.items()},
        }
        save_state(
            self.output / STATE,
            self._trained,
            self.optimizer,
            self.step,
            self._facts,
            values,
            others,
        )

    @property
    def _trained(self) -> dict[str, torch.nn.Parameter]:
        found = {
            f"model.{name}": parameter
            for name, parameter in self.student.parameters().items()
            if parameter.requires_grad
        }
        return found | self.sides.learned

    @property
    def _facts(self) -> dict[str, Any]:
        """What decides the weights: the pairs, and the configuration but for its reporting."""
        config = dataclasses.replace(
            self.config, output="", checkpoint_every=1, evaluation=EvaluationConfig()
        )
        facts: dict[str, Any] = {"pairs": self.corpus.digest}
        for table, value in _deciding(json.loads(json.dumps(tables(config)))).items():
            if isinstance(value, dict):
                facts |= {f"{table}.{name}": inner for name, inner in value.items()}
            else:
                facts[table] = value
        return facts

    def _restore(self) -> None:
        if not (self.output / STATE).is_file():
            return
        state = load_state(
            self.output / STATE, self._trained, self.optimizer, self._facts, _usual(self.config)
        )
        for side, penalty in self.penalties.items():
            penalty.load_state_dict(state.values["penalties"][side])
            penalty.load_tensors(
                {
                    name.removeprefix(f"{side}."): tensor
                    for name, tensor in state.others.items()
                    if name.startswith(f"{side}.")
                }
            )
        self.watch.load_state_dict(state.values["watch"])
        if "query_watch" in state.values:  # of older ones it isn't known
            self.query_watch.load_state_dict(state.values["query_watch"])
        self.step = state.step


def _scores(teacher: Teacher | None, batch: TrainingBatch) -> NDArray[np.float32] | None:
    """float32 (B, N): the teacher's scores of all documents of the batch; None without one."""
    shape = len(batch.queries), len(batch.documents)
    candidates = np.broadcast_to(batch.documents, shape)
    return None if teacher is None else teacher.scores(batch.queries, candidates)


def _usual(config: TrainingConfig) -> dict[str, Any]:
    """The defaults of all settings of single tables, named as ``_facts`` names them."""
    return {
        f"{table}.{setting.name}": setting.default
        for table, value in vars(config).items()
        if dataclasses.is_dataclass(value)
        for setting in dataclasses.fields(value)
        if setting.default is not dataclasses.MISSING
    }


def _deciding(value: Any) -> Any:
    """The settings without what only the model card shows."""
    if isinstance(value, dict):
        return {name: _deciding(inner) for name, inner in value.items() if name not in SHOWN}
    return [_deciding(inner) for inner in value] if isinstance(value, list) else value


def active_share(weights: torch.Tensor) -> torch.Tensor:
    """float (V,): the share of the texts (N, V) in which each term is active."""
    return (weights.detach() > 0).float().mean(dim=0)
