"""Trainings in folders of their own, which are gone on with and never done twice."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from statistics import mean
from typing import Any

from eval.judged_set import training_judge
from index.mining import retrieve
from lsr.backbones.checkpoint import Checkpoint
from lsr.encoders.catalogue import load_encoder
from lsr.train.config import LossConfig, OptimizerConfig, SourceConfig, TrainingConfig
from lsr.train.config_file import to_toml
from lsr.train.model_config import ModelConfig
from lsr.train.negatives import kept_ranking
from lsr.train.pairs import PairSource, TrainingCorpus
from lsr.train.read_corpus import corpus_counts
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
    """The folder of all trainings, and that of what they share: vectors, rankings and counts.

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
        tools = Tools(retrieve, training_judge)
        report = run_training(config, output, self.cache, tools, watching, corpus)
        text = json.dumps(report.to_json() | {"config": asdict(config)}, indent=1)
        partial = output / f"{REPORT}.partial"
        partial.write_text(text, encoding="utf-8")
        partial.replace(output / REPORT)
        return output

    def untrained(self, config: TrainingConfig) -> Path:
        """The base of a training as an encoder, whose queries are the IDF of the pairs."""
        model, asked = config.model, config.evaluation
        lengths = {"max_length": model.max_length, "export_length": model.export_length}
        plain = TrainingConfig(
            ModelConfig(model.base, **lengths), OptimizerConfig(1), config.sources,
            (LossConfig("info-nce"),), evaluation=asked,
        )  # fmt: skip
        student = self.folder / _folder_name("untrained", plain) / STUDENT
        if not student.is_dir():
            student.parent.mkdir(parents=True, exist_ok=True)
            around = Surroundings(cache=self.cache)
            Trainer(plain, _corpus_of(plain), student.parent, around).export(student)
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
            kept_ranking(retrieve, load_encoder(name), corpus, int(depth), self.cache)
        else:
            vocabulary = Checkpoint.resolve(config.model.base).vocabulary
            corpus_counts(vocabulary, corpus.documents, corpus.digest, self.cache)


def needs(config: TrainingConfig) -> list[str]:
    """What of a training is worth computing before, as others may need the same."""
    found = [f"teacher {teacher.name}" for teacher in config.asked_teachers]
    if config.batches.negatives or config.batches.order == "topics":
        found.append(f"ranking {config.mining.depth} {config.mining.retriever}")
    informed = config.documents.regularizer == "idf-flops" or config.model.queries == "idf"
    return [*found, "counts"] if informed or config.model.literal else found


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
