"""A whole training: pairs, teachers, steps, and the folder that comes out."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from lsr.distribution import installed_versions
from lsr.encoders.open_vocabulary import beside_model
from lsr.train.config import TrainingConfig
from lsr.train.config_file import to_toml
from lsr.train.model_card import ModelCard, Result, Source
from lsr.train.negatives import Retrieve
from lsr.train.pairs import HeldOut, OnRejected, PairSource, TrainingCorpus
from lsr.train.teachers import load_ensemble, load_teacher
from lsr.train.trainer import (
    LOG,
    Evaluate,
    OnStep,
    Surroundings,
    Trainer,
)
from lsr.train.training_log import Entry, draw, plot, read_log
from lsr.train.vector_cache import OnProgress
from lsr.trusted_code import NO_CODE, TrustedCode

PLOT, CONFIG = "log.png", "training.toml"
Judge = Callable[[TrainingConfig, HeldOut], Evaluate]
PACKAGES = ("lsr", "torch", "transformers", "tokenizers", "numpy")


@dataclass(frozen=True)
class Tools:
    """What other packages do for a training.

    ``retrieve`` ranks documents; ``judge`` makes, from the configuration and the pairs that are
    kept aside, what scores an encoder. ``trusted`` are the models whose Python code may run, which
    no configuration says itself.
    """

    retrieve: Retrieve
    judge: Judge
    trusted: TrustedCode = NO_CODE


@dataclass(frozen=True)
class Watching:
    """Who is told what: each step, other long work, and pairs that can't be used."""

    on_step: OnStep
    on_progress: OnProgress
    on_rejected: OnRejected


@dataclass(frozen=True)
class TrainingReport:
    """What came out of a training."""

    # Folder of the encoder, and the name that loads it.
    student: Path
    encoder: str
    # The picture of the log.
    plot: Path
    # Steps of this run; a training that went on has made others before.
    steps: int
    # Time of this run.
    seconds: float
    # What its last step measured.
    last: Entry
    # A sentence where the target of non-zeros was missed; empty where not.
    missed: str

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return asdict(self) | {"student": str(self.student), "plot": str(self.plot)}


def training_corpus(config: TrainingConfig, on_rejected: OnRejected) -> TrainingCorpus:
    """The pairs of all sources, and those that are kept aside for evaluation."""
    sources = [PairSource(one.path, one.limit or None) for one in config.sources]
    share = 0.0 if config.evaluation.dataset else config.evaluation.held_out
    return TrainingCorpus.build(sources, config.seed, share, on_rejected)


def run_training(
    config: TrainingConfig,
    output: Path,
    cache: Path,
    tools: Tools,
    watching: Watching,
    corpus: TrainingCorpus | None = None,
) -> TrainingReport:
    """Train as configured, or go on, and write student, card, configuration, log and plot.

    Args:
        config: of the training.
        output: folder of everything that is written, made if need be.
        cache: folder of the teachers' vectors, which trainings may share.
        tools: see there.
        watching: see there.
        corpus: the pairs; None: those that the seed draws of the configuration's sources.
    """
    started = time.perf_counter()
    output.mkdir(parents=True, exist_ok=True)
    # What the end needs is missed at the beginning.
    toml = to_toml(config)
    draw([])
    if corpus is None:
        corpus = training_corpus(config, watching.on_rejected)
    if not config.batches.negatives:
        corpus.say_unused(watching.on_rejected, "[batches] negatives = 1 or more takes them")
    kept = config.model.kept_dense_terms()
    for side in doubtful_targets(config):
        watching.on_rejected(
            f"[{side}] df-flops leaves the terms of few documents nearly free, so a target_nnz "
            "takes away all others, and the encoder finds little; give a strength, as 0.1, instead"
        )
    needed = any(loss.name != "info-nce" for loss in config.losses) or config.mining.margin
    teacher = (
        load_ensemble(
            config, corpus, cache, watching.on_progress, tools.trusted, config.teacher_range
        )
        if needed
        else None
    )
    evaluate = _evaluate(config, corpus.held_out, tools, watching)
    alone = teacher.alone if teacher else None
    words = None
    if config.model.words:
        words = load_teacher(beside_model(), corpus, cache, watching.on_progress)
    around = Surroundings(
        teacher,
        tools.retrieve,
        evaluate,
        watching.on_step,
        tools.trusted,
        alone,
        words,
        cache,
        kept.of_documents(corpus, cache, watching.on_progress) if kept else None,
    )
    trainer = Trainer(config, corpus, output, around)
    (output / CONFIG).write_text(toml, encoding="utf-8")
    begun = trainer.step
    student = trainer.run()
    seconds = time.perf_counter() - started
    entries = read_log(output / LOG)
    plot(output / LOG, output / PLOT)
    model_card(trainer, entries, output.resolve().name).write(student)
    return TrainingReport(
        student,
        trainer.encoder_name(student),
        output / PLOT,
        config.optimizer.steps - begun,
        seconds,
        entries[-1],
        missed_target(entries),
    )


def doubtful_targets(config: TrainingConfig) -> list[str]:
    """The tables that steer df-flops to a number of non-zeros."""
    tables = {"documents": config.documents, "queries": config.queries}
    return [
        name for name, one in tables.items() if one.regularizer == "df-flops" and one.target_nnz
    ]


def missed_target(entries: Sequence[Entry]) -> str:
    """A sentence where the last tenth of the steps is more than 10 % off a target, else nothing."""
    last = entries[-max(1, len(entries) // 10) :]
    for side, target in last[-1].target_nnz.items():
        nnz = fmean(entry.nnz[side] for entry in last)
        if abs(nnz - target) > 0.1 * target:
            return (
                f"a {side} has {nnz:.0f} non-zeros at the end, not the {target:g} of target_nnz; "
                "train for more steps, or lower what holds it there: literal terms, "
                "threshold or top_k"
            )
    return ""


def _evaluate(
    config: TrainingConfig, held_out: HeldOut, tools: Tools, watching: Watching
) -> Evaluate | None:
    """What scores the student, or None where that is not wanted, or there is nothing to find."""
    wanted = config.evaluation
    if not wanted.every:
        return None
    if not wanted.dataset and not held_out.queries:
        watching.on_rejected(
            "no query is held out, so the student is not scored; give a larger [evaluation] "
            "held_out, or a dataset"
        )
        return None
    return tools.judge(config, held_out)


def model_card(trainer: Trainer, entries: Sequence[Entry], name: str) -> ModelCard:
    """The card of a finished training, of that name; its licence is for its owner to state."""
    config, last = trainer.config, entries[-1]
    dataset = Path(config.evaluation.dataset).name or "held-out pairs"
    return ModelCard(
        name=name,
        adapter=trainer.encoder_name(Path(name)) if config.model.is_decoder else "",
        settings=trainer.exported,
        licence=config.licence,
        base_model=config.model.base_name or config.model.base,
        base_licence=config.model.base_licence,
        sources=[
            Source(Path(one.path).name, pairs, one.licence)
            for one, pairs in zip(config.sources, trainer.corpus.sampled, strict=True)
        ],
        config=to_toml(config),
        command=f"lsr train {CONFIG}",
        results=[
            Result(dataset, measure, value)
            for measure, value in last.measures.items()
            if "@" in measure
        ],
        nnz=last.nnz,
        flops=last.flops.get("document-query"),
        seconds=None,
        hardware=platform.processor() or platform.machine(),
        versions=installed_versions(PACKAGES),
    )
