"""Trainings in folders of their own, which are gone on with and never done twice."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.judged_set import training_judge
from index.mining import retrieve
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.encoder import SparseEncoder
from lsr.train.config import LossConfig, OptimizerConfig, SourceConfig, TrainingConfig
from lsr.train.config_file import to_toml
from lsr.train.model_config import ModelConfig
from lsr.train.negatives import RANKINGS, kept_ranking
from lsr.train.pairs import PairSource, TrainingCorpus
from lsr.train.run import Tools, Watching, run_training
from lsr.train.teachers import load_teacher
from lsr.train.trainer import LOG, STUDENT, Surroundings, Trainer
from lsr.train.training_log import Entry, read_log

REPORT = "report.json"
EVERY = 250
# Of the sample of pairs, which is the same in all trainings whatever their seed.
SAMPLE = 1


@dataclass(frozen=True)
class Workshop:
    """The folder of all trainings, and that of what they share: vectors, rankings and tables.

    Trainings with the same sources have the same pairs, whatever their seed, so that the teachers
    need to read them once.
    """

    folder: Path
    cache: Path

    def train(self, row: str, config: TrainingConfig) -> Path:
        """The folder of the finished training, which has the encoder in ``student``."""
        output = self.folder / _folder_name(row, config)
        if (output / REPORT).is_file():
            say(f"{row}: done before")
            return output
        say(f"{row}: {config.optimizer.steps} steps in {output}")
        corpus = _corpus_of(config)
        watching = Watching(_tell(row), lambda what, done, total: None, say)
        tools = Tools(self._retrieve(corpus), training_judge)
        report = run_training(self._with_table(config), output, self.cache, tools, watching, corpus)
        text = json.dumps(report.to_json() | {"config": asdict(config)}, indent=1)
        partial = output / f"{REPORT}.partial"
        partial.write_text(text, encoding="utf-8")
        partial.replace(output / REPORT)
        return output

    def untrained(self, config: TrainingConfig) -> Path:
        """The base of a training as an encoder, whose queries are the IDF of the pairs."""
        config = _untrained(config)
        student = self.folder / _folder_name("untrained", config) / STUDENT
        if not student.is_dir():
            student.parent.mkdir(parents=True, exist_ok=True)
            around = Surroundings()
            Trainer(config, _corpus_of(config), student.parent, around).export(student)
        return student

    def prepare(self, config: TrainingConfig, what: str) -> None:
        """Compute one of ``needs`` of a training, unless it is there."""
        kind, _, name = what.partition(" ")
        corpus = _corpus_of(config)
        say(f"preparing {what}")
        if kind == "teacher":
            load_teacher(name, corpus, self.cache)
        elif kind == "ranking":
            depth, _, name = name.partition(" ")
            texts = corpus.documents, corpus.queries
            self._retrieve(corpus)(load_encoder(name), *texts, int(depth))
        else:
            self.untrained(config)

    def _retrieve(self, corpus: TrainingCorpus) -> Callable[..., NDArray[np.int64]]:
        """Ranks the documents of a corpus, once for all trainings."""

        def ranked(
            encoder: SparseEncoder, documents: Sequence[str], queries: Sequence[str], depth: int
        ) -> NDArray[np.int64]:
            return kept_ranking(retrieve, encoder, corpus, depth, self.cache / RANKINGS)

        return ranked

    def _with_table(self, config: TrainingConfig) -> TrainingConfig:
        """The same with the IDF of its pairs from the file where it is kept, bit for bit."""
        if not _needs_table(config):
            return config
        return replace(config, model=replace(config.model, idf=str(self.untrained(config))))


def needs(config: TrainingConfig) -> list[str]:
    """What of a training is worth computing before, as others may need the same."""
    found = [f"teacher {teacher.name}" for teacher in config.asked_teachers]
    if config.batches.negatives or config.batches.order == "topics":
        found.append(f"ranking {config.mining.depth} {config.mining.retriever}")
    return [*found, "table"] if _needs_table(config) else found


def _needs_table(config: TrainingConfig) -> bool:
    informed = config.documents.regularizer == "idf-flops" or config.model.queries == "idf"
    return informed and config.model.idf == "training"


def _untrained(config: TrainingConfig) -> TrainingConfig:
    """What alone decides the encoder of no step."""
    asked = config.model
    model = ModelConfig(asked.base, max_length=asked.max_length, export_length=asked.export_length)
    loss, evaluation = LossConfig("info-nce"), config.evaluation
    return TrainingConfig(model, OptimizerConfig(1), config.sources, (loss,), evaluation=evaluation)


def _corpus_of(config: TrainingConfig) -> TrainingCorpus:
    return _corpus(config.sources, config.evaluation.held_out)


@lru_cache(maxsize=1)
def _corpus(sources: tuple[SourceConfig, ...], held_out: float) -> TrainingCorpus:
    files = [PairSource(one.path, one.limit or None) for one in sources]
    return TrainingCorpus.build(files, SAMPLE, held_out, say)


def last_steps(output: Path, share: float = 0.1) -> dict[str, float]:
    """Mean non-zeros of a document, and the regulariser's strength, over a training's last steps.

    ``share`` of all steps are the last.
    """
    entries = read_log(output / LOG)
    last = entries[-max(1, round(share * len(entries))) :]
    return {
        "nnz": mean(entry.nnz["document"] for entry in last),
        "strength": mean(entry.strength.get("document", 0.0) for entry in last),
    }


def seconds(output: Path) -> float:
    """How long the training took, or its last part where it was interrupted."""
    report: dict[str, Any] = json.loads((output / REPORT).read_text(encoding="utf-8"))
    return float(report["seconds"])


def say(sentence: str) -> None:
    """To standard error."""
    print(sentence, file=sys.stderr, flush=True)


def _folder_name(row: str, config: TrainingConfig) -> str:
    words = "".join(letter if letter.isalnum() else " " for letter in row.lower()).split()
    digest = hashlib.blake2b(to_toml(config).encode(), digest_size=5).hexdigest()
    return f"{'-'.join(words)}-{config.optimizer.steps}-{digest}"


def _tell(row: str) -> Callable[[Entry, int], None]:
    def tell(entry: Entry, steps: int) -> None:
        if entry.step % EVERY == 0 or entry.step == steps:
            nnz = entry.nnz["document"]
            say(f"{row}: step {entry.step} of {steps}, loss {entry.loss:.3f}, nnz {nnz:.0f}")

    return tell
