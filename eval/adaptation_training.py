"""The training of an adaptation: what it is made of, and how it keeps what the encoder has."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eval.adaptation_pairs import DrawnPairs
from eval.adapted_encoder import COUNTED, INFERENCE_FREE, Adaptable, mean_non_zeros
from eval.judged_set import training_judge
from index.collection.collection import Collection
from index.mining import retrieve
from lsr.encoders.catalogue import load_encoder
from lsr.errors import UsageError
from lsr.settings import check_range
from lsr.trusted_code import NO_CODE, TrustedCode
from lsr.whole_file import write_whole

if TYPE_CHECKING:
    from lsr.train.config import TrainingConfig
    from lsr.train.pairs import TrainingCorpus
    from lsr.train.run import TrainingReport, Watching

# Steps and pairs for a minute of training on two cores, teachers included.
STEPS_A_MINUTE, PAIRS_A_MINUTE = 80, 600
# Documents of a pair that count as wrong, drawn from the first that the collection finds.
NEGATIVES_OF_PAIR, DEPTH = 2, 30
FEWEST_HELD_OUT = 30
# Tokens of a text in training.
MAX_LENGTH = 128
PAIRS, ENCODER, ANSWERS = "pairs.jsonl.xz", "encoder", "answers.jsonl"
FACTS, MEASURED = "adaptation.json", "before.json"


@dataclass(frozen=True, slots=True)
class AdaptationConfig:
    """How long is trained, and on what."""

    # About how long it takes on two cores.
    minutes: float = 20.0
    # Share of the queries that are kept aside to compare with.
    held_out: float = 0.1
    # Decides what is drawn.
    seed: int = 1
    # The highest of the training.
    learning_rate: float = 4e-4
    # Share of the weights as they were in the adapted ones, the rest being trained.
    base_share: float = 0.0
    # Documents of which a chat endpoint is asked for queries; 0: none.
    chat: int = 0

    def __post_init__(self) -> None:
        check_range("learning_rate", self.learning_rate, 1e-12)
        check_range("base_share", self.base_share, 0, 0.99)
        check_range("minutes", self.minutes, 0.01, 24 * 60)
        check_range("held_out", self.held_out, 0.01, 0.5)
        check_range("seed", self.seed, 0, 2**32 - 1)
        check_range("chat", self.chat, 0, 1_000_000)

    @property
    def steps(self) -> int:
        """Updates of the weights."""
        return max(1, round(STEPS_A_MINUTE * self.minutes))

    @property
    def pairs(self) -> int:
        """Pairs that are drawn at most."""
        return max(200, round(PAIRS_A_MINUTE * self.minutes))


@dataclass(frozen=True)
class Before:
    """Mean terms of the encoder before: of a document of the collection, and of one in training."""

    nnz: float
    training_nnz: float


def begin(work: Path, collection: Collection, config: AdaptationConfig) -> None:
    """Note in the folder of the work what it is of, or go on in it.

    Raises:
        UsageError: the folder holds the work of another adaptation.
    """
    work.mkdir(parents=True, exist_ok=True)
    fields = [field.fingerprint for field in collection.fields]
    facts = asdict(config) | {"collection": collection.store.identity, "fields": fields}
    file = work / FACTS
    if not file.exists():
        write_whole(file, json.dumps(facts))
    elif json.loads(file.read_text(encoding="utf-8")) != facts:
        raise UsageError(
            f"{work} holds an adaptation of another collection, or with other settings; delete it, "
            "or give another folder"
        )


def draw_pairs(
    collection: Collection, work: Path, config: AdaptationConfig, watching: Watching
) -> TrainingCorpus:
    """The pairs, which are drawn and written unless they are there, and read once.

    Raises:
        UsageError: there are too few to compare with.
    """
    from lsr.chat import ChatEndpoint
    from lsr.chat_answers import KeptAnswers
    from lsr.train.pairs import PairSource, TrainingCorpus

    file = work / PAIRS
    if not file.exists():
        answers = None
        if config.chat:
            answers = KeptAnswers(work / ANSWERS, ChatEndpoint.from_environment())
        drawn = DrawnPairs(config.pairs, config.chat, NEGATIVES_OF_PAIR, DEPTH, config.seed)
        drawn.write(collection, file, answers, watching.on_progress)
        if answers is not None and answers.failed:
            watching.on_rejected(
                f"the chat endpoint gave no queries for {answers.failed:,} documents"
            )
    corpus = TrainingCorpus.build([PairSource(str(file))], config.seed, config.held_out)
    if len(corpus.held_out.queries) < FEWEST_HELD_OUT:
        raise UsageError(
            f"the documents give {len(corpus.held_out.queries)} queries to compare with, and "
            f"{FEWEST_HELD_OUT} are needed; index more documents, or raise --held-out"
        )
    return corpus


def measure_before(
    work: Path, collection: Collection, adaptable: Adaptable, corpus: TrainingCorpus, seed: int
) -> Before:
    """What the encoder gives now, which a run that was interrupted has measured already."""

    file = work / MEASURED
    if not file.exists():
        nnz = mean_non_zeros(adaptable.closed, collection, seed)
        encoder = load_encoder(adaptable.trained_part(MAX_LENGTH))
        texts = [corpus.documents[row] for row in corpus.positives[:COUNTED]]
        inside = float(np.diff(encoder.encode_documents(texts).indptr).mean())
        write_whole(file, json.dumps({"nnz": nnz, "training_nnz": inside}))
    return Before(**json.loads(file.read_text(encoding="utf-8")))


def training_config(
    adaptable: Adaptable, work: Path, config: AdaptationConfig, nnz: float
) -> TrainingConfig:
    """How the encoder is trained: from its own weights, on the pairs, with as many terms.

    ``nnz`` is what a document has in training before.
    """
    from lsr.backbones.declared import declared_literal, declared_logs, declared_top_k
    from lsr.backbones.transformer_settings import declared_length
    from lsr.train.config import (
        BatchConfig,
        EvaluationConfig,
        LossConfig,
        MiningConfig,
        OptimizerConfig,
        SourceConfig,
        SparsityConfig,
        TeacherConfig,
        TrainingConfig,
    )
    from lsr.train.model_config import ModelConfig

    checkpoint, free = adaptable.checkpoint, adaptable.family == INFERENCE_FREE
    model = ModelConfig(
        adaptable.base,
        base_name=adaptable.name.partition(",")[0],
        queries="idf" if free else "model",
        idf=adaptable.base if free else "training",
        logs=declared_logs(checkpoint, "document"),
        query_logs=0 if free else declared_logs(checkpoint, "query"),
        literal=declared_literal(checkpoint).weight if free else 0.0,
        max_length=MAX_LENGTH,
        export_length=declared_length(checkpoint, "document"),
        top_k=declared_top_k(checkpoint),
        base_share=config.base_share,
    )
    other = "bm25" if adaptable.dense is None else f"dense:{adaptable.dense}"
    teachers = [TeacherConfig(other), TeacherConfig(adaptable.closed)]
    # There is no need to press at first: the encoder has the wanted number of terms.
    sparse = SparsityConfig("flops", target_nnz=max(1.0, nnz), warm_up=0.1, initial=1e-5)
    return TrainingConfig(
        model,
        OptimizerConfig(config.steps, config.learning_rate, warm_up=0.05),
        (SourceConfig(str(work / PAIRS), licence="that of the collection"),),
        (LossConfig("margin-mse", teacher_scores="scaled"),),
        tuple(teachers),
        teacher_range=adaptable.plain,
        documents=sparse,
        queries=SparsityConfig() if free else SparsityConfig("flops", strength=1e-3),
        batches=BatchConfig(16, NEGATIVES_OF_PAIR, order="topics"),
        mining=MiningConfig(depth=50, pool=50),
        evaluation=EvaluationConfig(every=0, held_out=config.held_out),
        output=str(work / ENCODER),
        seed=config.seed,
        checkpoint_every=100,
    )


def train_encoder(
    settings: TrainingConfig,
    corpus: TrainingCorpus,
    work: Path,
    watching: Watching,
    trusted: TrustedCode = NO_CODE,
) -> Path:
    """The folder of the trained encoder; a training that was interrupted goes on."""
    from lsr.train.run import Tools, run_training

    tools = Tools(partial(retrieve, on_progress=watching.on_progress), training_judge, trusted)
    folder = work / ENCODER
    report: TrainingReport = run_training(
        settings, folder, folder / "teachers", tools, watching, corpus
    )
    return report.student
