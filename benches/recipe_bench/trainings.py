"""Trainings in folders of their own, which are gone on with and never done twice."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from index.mining import retrieve
from lsr.train.config import TrainingConfig
from lsr.train.config_file import to_toml
from lsr.train.run import Tools, Watching, run_training, training_corpus
from lsr.train.trainer import LOG, STUDENT, Surroundings, Trainer
from lsr.train.training_log import Entry, read_log
from service.train_commands import judge

REPORT = "report.json"
EVERY = 50


@dataclass(frozen=True)
class Workshop:
    """The folder of all trainings, and that of the teachers' vectors, which they share."""

    folder: Path
    cache: Path

    def train(self, row: str, config: TrainingConfig) -> Path:
        """The folder of the finished training, which has the encoder in ``student``."""
        output = self.folder / _folder_name(row, config)
        if (output / REPORT).is_file():
            say(f"{row}: done before")
            return output
        say(f"{row}: {config.optimizer.steps} steps in {output}")
        watching = Watching(_tell(row), lambda what, done, total: None, say)
        report = run_training(config, output, self.cache, Tools(retrieve, judge), watching)
        text = json.dumps(report.to_json() | {"config": asdict(config)}, indent=1)
        partial = output / f"{REPORT}.partial"
        partial.write_text(text, encoding="utf-8")
        partial.replace(output / REPORT)
        return output

    def untrained(self, config: TrainingConfig) -> Path:
        """The folder of the student before its first step."""
        output = self.folder / _folder_name("untrained", config)
        student = output / STUDENT
        if not student.is_dir():
            output.mkdir(parents=True, exist_ok=True)
            corpus = training_corpus(config, say)
            Trainer(config, corpus, output, Surroundings()).export(student)
        return student


def last_nnz(output: Path, share: float = 0.1) -> float:
    """Mean non-zeros of a document over the last ``share`` of a training's steps."""
    entries = read_log(output / LOG)
    return mean(entry.nnz["document"] for entry in entries[-max(1, round(share * len(entries))) :])


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
