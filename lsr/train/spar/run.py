"""A whole training of SPAR's Lambda: pairs, steps, log, and the dense model that comes out."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lsr.errors import UsageError
from lsr.settings import check_choice
from lsr.train.config import SourceConfig
from lsr.train.config_file import STRICT, to_toml
from lsr.train.negatives import Retrieve
from lsr.train.pairs import PairSource, TrainingCorpus
from lsr.train.run import CONFIG, PLOT, Watching
from lsr.train.spar.config import SparConfig
from lsr.train.spar.training import train_lambda
from lsr.train.trainer import LOG
from lsr.train.training_log import Entry, TrainingLog, draw, plot, read_log
from lsr.trusted_code import NO_CODE, TrustedCode


@dataclass(frozen=True)
class SparTrainingConfig:
    """A training of Lambda; each table of the TOML file is a field."""

    # "spar", which tells it from the training of a sparse encoder.
    kind: str
    # Of queries and documents; which of them belong together is not used. At least one.
    sources: tuple[SourceConfig, ...]
    # Everything about the model; its seed also decides samples.
    spar: SparConfig
    # Folder of the model, its checkpoint and its log.
    output: str = "lambda"
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, ("spar",))
        if not self.sources:
            raise UsageError("a training needs at least one table [[sources]]")


@dataclass(frozen=True)
class SparReport:
    """What came out of a training of Lambda."""

    # Folder of Lambda.
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


def run_spar(
    config: SparTrainingConfig,
    output: Path,
    retrieve: Retrieve,
    watching: Watching,
    trusted: TrustedCode = NO_CODE,
) -> SparReport:
    """Train Lambda as configured, or go on, and write model, configuration, log and plot.

    Args:
        config: of the training.
        output: folder of everything that is written, made if need be.
        retrieve: finds the teacher's best documents.
        watching: who is told what.
        trusted: the models whose Python code may run.
    """
    started = time.perf_counter()
    # What the end needs is missed at the beginning.
    toml = to_toml(config)
    draw([])
    spar = config.spar
    sources = [PairSource(one.path, one.limit or None) for one in config.sources]
    corpus = TrainingCorpus.build(sources, spar.seed, 0.0, watching.on_rejected)
    corpus.say_unused(watching.on_rejected, "those of the teacher's ranking are")
    output.mkdir(parents=True, exist_ok=True)
    log: TrainingLog | None = None
    steps = 0

    def on_step(record: dict[str, float]) -> None:
        nonlocal log, steps
        step = int(record["step"])
        if log is None:
            log = TrainingLog(output / LOG, step - 1 or None)
        saved = step % spar.checkpoint_every == 0 or step == spar.steps
        entry = Entry(
            step,
            record["loss"],
            lr=record["learning_rate"],
            measures={"accuracy": record["accuracy"]} if saved else {},
        )
        log.write(entry)
        steps += 1
        watching.on_step(entry, spar.steps)

    try:
        model = train_lambda(spar, corpus, retrieve, output, on_step, trusted)
    finally:
        if log is not None:
            log.close()
    plot(output / LOG, output / PLOT)
    (output / CONFIG).write_text(toml, encoding="utf-8")
    seconds = time.perf_counter() - started
    return SparReport(model, output / PLOT, steps, seconds, read_log(output / LOG)[-1])
