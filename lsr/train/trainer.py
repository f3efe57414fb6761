"""The training loop: batches, losses, updates, checkpoints, evaluation."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.backbones.declared import Side
from lsr.backbones.torch_runtime import seed_torch
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.encoder import SparseEncoder
from lsr.encoders.literal_terms import LiteralTerms
from lsr.encoders.term_counts import term_statistics
from lsr.statistics import CollectionStatistics
from lsr.train.batches import TrainingBatch
from lsr.train.components import TABLES
from lsr.train.config import EvaluationConfig, TrainingConfig
from lsr.train.config_file import tables
from lsr.train.export import Exported
from lsr.train.micro_batches import Encoded, MicroBatchEncoder, Weighing
from lsr.train.mining_rounds import MiningRounds
from lsr.train.negatives import Retrieve
from lsr.train.objective import Penalty, RankingLoss, uses_idf, zero_penalty
from lsr.train.optimization import adamw, rate_share, update
from lsr.train.pairs import TrainingCorpus
from lsr.train.sparsity import CollapseWatch
from lsr.train.student import load_student
from lsr.train.teachers import Teacher
from lsr.train.term_table import TermTable, initial_table
from lsr.train.training_log import Entry, TrainingLog
from lsr.train.training_state import load_state, save_state, step_seed
from lsr.trusted_code import NO_CODE, TrustedCode

Evaluate = Callable[[SparseEncoder], Mapping[str, float]]
OnStep = Callable[[Entry, int], None]
SHOWN = ("licence", "base_name", "base_licence")
STATE, LOG, STUDENT = "state.safetensors", "log.jsonl", "student"


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
        self.literal = self._literal()
        self.exported = _exported(config, self.literal)
        self.documents = self._side("document")
        self.queries = self._side("query")
        steps, terms = config.optimizer.steps, self.student.vocabulary.size
        informed = uses_idf(config.documents) or uses_idf(config.queries)
        idf = self._initial_table("idf") if informed else None
        self.penalties = {
            "document": Penalty(config.documents, steps, terms, idf),
            "query": Penalty(config.queries, steps, terms, idf),
        }
        self.ranking = RankingLoss(config)
        self.watch = CollapseWatch(terms, grace=max(1000, round(0.5 * steps)))
        self.optimizer = adamw(
            self.student.parameters().values(),
            config.optimizer.learning_rate,
            config.optimizer.weight_decay,
            self._learned_table.values(),
            config.optimizer.table_rate,
        )
        self.step = 0
        self._written: int | None = None
        self._batches = MiningRounds(
            config, corpus, output, surroundings.retrieve, surroundings.teacher, self._kept,
            surroundings.trusted,
        )  # fmt: skip
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

    @cached_property
    def _statistics(self) -> CollectionStatistics:
        return term_statistics(self.student.vocabulary, self.corpus.documents)

    def _literal(self) -> LiteralTerms | None:
        weight = self.config.model.literal
        if not weight:
            return None
        length = max(1.0, self._statistics.average_length)
        return LiteralTerms(self.student.vocabulary, weight, length)

    def _side(self, side: Side) -> TermTable | MicroBatchEncoder:
        model, of_documents = self.config.model, side == "document"
        kind = model.documents if of_documents else model.query_kind
        if kind in TABLES:
            texts = self.corpus.documents if of_documents else self.corpus.queries
            table, learned = self._initial_table(kind), kind == "learned"
            student = self.student
            return TermTable(student.vocabulary, table, texts, learned, student.device)
        mlp = model.term_weighting
        weighing = Weighing(
            model.logs if of_documents else model.query_logs or model.logs,
            model.max_length if of_documents else model.query_length,
            self.literal if of_documents else None,
            model.top_k,
            drop_special=not self.exported.keeps_special,
            own_terms=kind == "own-terms",
            mlp=mlp if kind == "mlp" else None,
            pool=mlp.pool if of_documents else mlp.query_pool,
        )
        memory, tower = self.config.memory, self.student.tower(side)
        return MicroBatchEncoder(tower, weighing, memory.chunk_tokens, memory.gradient_cache, side)

    def _initial_table(self, kind: str) -> NDArray[np.float32]:
        vocabulary, idf = self.student.vocabulary, self.config.model.idf
        return initial_table(vocabulary, kind, idf, lambda: self._statistics)

    @property
    def _finished(self) -> bool:
        return self.step >= self.config.optimizer.steps

    def _train_step(self) -> Entry:
        started, optimizing = time.perf_counter(), self.config.optimizer
        batch = self._batches(self.step)(self.step)
        seed_torch(step_seed(self.config.seed, self.step))
        documents = _encoded(self.documents, self.corpus.documents, batch.documents)
        queries = _encoded(self.queries, self.corpus.queries, batch.queries)
        loss, parts = self.ranking(queries.weights, documents.weights, batch, *self._taught(batch))
        loss = loss + self._penalised(queries.weights, documents.weights, batch)
        value = float(loss.detach())
        nnz = {"document": float(documents.nnz.float().mean())}
        if isinstance(self.queries, MicroBatchEncoder):
            nnz["query"] = float(queries.nnz.float().mean())
        self.watch.observe(self.step + 1, value, nnz["document"])
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

    def _taught(self, batch: TrainingBatch) -> list[NDArray[np.float32] | None]:
        """The teachers' scores, scaled and raw; None where they aren't asked for."""
        shape = len(batch.queries), len(batch.documents)
        candidates = np.broadcast_to(batch.documents, shape)
        asked = (
            (self.around.teacher, self.ranking.needs_scaled),
            (self.around.raw_teacher, self.ranking.needs_raw),
        )
        return [
            teacher.scores(batch.queries, candidates) if needed and teacher else None
            for teacher, needed in asked
        ]

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
        table = self._table
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
        return self.student.encoder_name(str(folder), self.exported)

    def save(self) -> None:
        """Write everything that a resumed training needs, in one file."""
        others: dict[str, torch.Tensor] = {}
        for side, penalty in self.penalties.items():
            others |= {f"{side}.{name}": value for name, value in penalty.tensors().items()}
        values = {
            "watch": self.watch.state_dict(),
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
        return found | self._learned_table

    @property
    def _learned_table(self) -> dict[str, torch.nn.Parameter]:
        table = self._table
        return {"table": table.weights} if table and table.weights.requires_grad else {}

    @property
    def _table(self) -> TermTable | None:
        """That of the side that has no model."""
        sides = (self.documents, self.queries)
        return next((side for side in sides if isinstance(side, TermTable)), None)

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
        state = load_state(self.output / STATE, self._trained, self.optimizer, self._facts)
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
        self.step = state.step


def _deciding(value: Any) -> Any:
    """The settings without what only the model card shows."""
    if isinstance(value, dict):
        return {name: _deciding(inner) for name, inner in value.items() if name not in SHOWN}
    return [_deciding(inner) for inner in value] if isinstance(value, list) else value


def _exported(config: TrainingConfig, literal: LiteralTerms | None) -> Exported:
    """How the trained encoder weighs texts."""
    model = config.model
    return Exported(
        "model" if model.encodes_queries else "table",
        model.logs,
        model.export_length,
        model.top_k,
        model.literal,
        literal.length if literal else 0.0,
        model.query_logs,
        "table" if model.documents in TABLES else model.documents,
        model.query_kind if model.encodes_queries else "",
        model.towers,
        model.term_weighting,
    )


def _encoded(
    side: TermTable | MicroBatchEncoder, texts: Sequence[str], rows: NDArray[np.int64]
) -> Encoded:
    """The term weights of the texts at some rows."""
    if isinstance(side, TermTable):
        # The table has its gradient from the loss itself.
        return Encoded(side(rows), lambda gradient: None)
    return side([texts[row] for row in rows])


def active_share(weights: torch.Tensor) -> torch.Tensor:
    """float (V,): the share of the texts (N, V) in which each term is active."""
    return (weights.detach() > 0).float().mean(dim=0)
