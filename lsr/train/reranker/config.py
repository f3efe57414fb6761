"""The configuration of a training of a cross-encoder: one TOML file, validated as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field

from lsr.errors import UsageError
from lsr.settings import check_choice, check_length, check_range
from lsr.train.config import SourceConfig, TeacherConfig
from lsr.train.config_file import STRICT
from lsr.trusted_code import without_consent

LOSSES = ("bce", "info-nce", "margin-mse", "kl")
TAUGHT = ("margin-mse", "kl")


@dataclass(frozen=True)
class CrossEncoderModelConfig:
    """What is trained."""

    # The transformer that training begins with: a folder or a hub id.
    base: str
    # Tokens of a pair that count in training, special ones included; 5 or more.
    max_length: int = 192
    # Tokens of a pair that the exported model reads; 5 or more.
    export_length: int = 512
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        if not self.base:
            raise UsageError("base is empty; give the transformer to start from")
        for option in ("max_length", "export_length"):
            check_length(getattr(self, option), option)
            check_range(option, getattr(self, option), 5)


@dataclass(frozen=True)
class PairBatchConfig:
    """What a step sees: queries, each with its positive and some negatives, scored pair by pair."""

    # Queries of a step; 1 or more.
    queries: int = 16
    # Mined negatives of each query; 1 or more.
    negatives: int = 7
    # Tokens of a micro-batch, padding included.
    chunk_tokens: int = 4096
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        check_range("queries", self.queries, 1)
        check_range("negatives", self.negatives, 1)
        check_range("chunk_tokens", self.chunk_tokens, 1)


@dataclass(frozen=True)
class CandidateConfig:
    """Where negatives come from: documents that are ranked high."""

    # The encoder that ranks the training documents, by its name.
    retriever: str = "bm25"
    # The last and the first rank that is drawn from, counted from 1; depth is at most 10,000.
    depth: int = 100
    first: int = 1
    # Documents that are drawn for each query, after those are left out that answer it; 1 or more.
    pool: int = 30
    # As in the mining of a sparse encoder: leave out what teachers score above this share of the
    # positive; 0: nothing.
    margin: float = 0.0
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        object.__setattr__(self, "retriever", without_consent(self.retriever))
        check_range("depth", self.depth, 1, 10_000)
        check_range("first", self.first, 1, self.depth)
        check_range("pool", self.pool, 1)
        check_range("margin", self.margin, 0)


@dataclass(frozen=True)
class PairLossConfig:
    """A loss over the candidates of a query (``lsr.train.losses``)."""

    # "bce" judges each pair on its own, "info-nce" the positive against the others; "margin-mse"
    # and "kl" learn the teachers' scores.
    name: str
    # In the sum of all losses; 0 or more.
    weight: float = 1.0
    # Divides scores in info-nce and kl; above 0.
    temperature: float = 1.0
    # Whose margins margin-mse learns: of "all" pairs of candidates, as naver/splade, or of the
    # "positive" and each other one, as Hofstätter et al. 2020.
    pairs: str = "all"
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        check_choice("name", self.name, LOSSES)
        check_choice("pairs", self.pairs, ("all", "positive"))
        if self.pairs != "all" and self.name != "margin-mse":
            raise UsageError(f"pairs is for margin-mse, not for {self.name}; leave it out")
        check_range("weight", self.weight, 0)
        check_range("temperature", self.temperature, 1e-6)
        if self.name in ("bce", "margin-mse") and self.temperature != 1:
            raise UsageError(f"{self.name} has no temperature; leave it out")


@dataclass(frozen=True)
class PairOptimizerConfig:
    """AdamW (Loshchilov and Hutter 2019); the rate rises over ``warm_up``, then falls to 0."""

    # Updates of the weights; 1 or more.
    steps: int
    # Largest learning rate; 0 or more.
    learning_rate: float = 2e-5
    # AdamW's; 0 or more.
    weight_decay: float = 0.01
    # Share of ``steps``, 0 to 1.
    warm_up: float = 0.1
    # A longer gradient is shortened to this norm; 0: it is not.
    max_norm: float = 1.0
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        check_range("steps", self.steps, 1)
        check_range("learning_rate", self.learning_rate, 0)
        check_range("weight_decay", self.weight_decay, 0)
        check_range("warm_up", self.warm_up, 0, 1)
        check_range("max_norm", self.max_norm, 0)


@dataclass(frozen=True)
class CrossEncoderTrainingConfig:
    """A training of a cross-encoder; each table of the TOML file is a field."""

    # "cross-encoder", which tells it from the training of a sparse encoder.
    kind: str
    # What is trained.
    model: CrossEncoderModelConfig
    # For how many steps, and at which rate.
    optimizer: PairOptimizerConfig
    # Training pairs; at least one.
    sources: tuple[SourceConfig, ...]
    # What is learned; at least one of weight above 0, each once.
    losses: tuple[PairLossConfig, ...]
    # Needed by margin-mse, kl and the margin of candidates. One teacher's scores are learned by
    # margin-mse as they are; else they are brought to one range and averaged, times the scale.
    teachers: tuple[TeacherConfig, ...] = ()
    # Multiplies teachers' normalised scores; above 0.
    teacher_scale: float = 30.0
    # What a step sees.
    batches: PairBatchConfig = field(default_factory=PairBatchConfig)
    # Where negatives come from.
    candidates: CandidateConfig = field(default_factory=CandidateConfig)
    # Folder of the model, its checkpoint and its log.
    output: str = "cross-encoder"
    # Decides samples, order, draws and the head that training begins with; 0 to 2³² - 1.
    seed: int = 1
    # Steps from one writing of the training state to the next; 1 or more.
    checkpoint_every: int = 500
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, ("cross-encoder",))
        if not self.sources:
            raise UsageError("a training needs at least one table [[sources]]")
        names = [loss.name for loss in self.losses]
        if not any(loss.weight for loss in self.losses):
            raise UsageError("a training needs at least one table [[losses]] of weight above 0")
        if twice := [name for name in names if names.count(name) > 1]:
            raise UsageError(f"the loss {twice[0]} is there twice; give it once")
        taught = [f"the loss {name}" for name in names if name in TAUGHT]
        if self.candidates.margin:
            taught.append("[candidates] margin")
        if taught and not self.asked_teachers:
            raise UsageError(f"{taught[0]} needs a table [[teachers]] of weight above 0")
        if not taught and self.asked_teachers:
            raise UsageError(
                f"[[teachers]] is given, and neither a loss of {' or '.join(TAUGHT)} nor "
                "[candidates] margin needs one; leave it out, or add such a loss"
            )
        if self.batches.negatives > self.candidates.pool:
            raise UsageError(
                f"[batches] negatives is {self.batches.negatives}, and [candidates] pool only "
                f"{self.candidates.pool}; draw a larger pool or take fewer negatives"
            )
        check_range("teacher_scale", self.teacher_scale, 1e-6)
        check_range("seed", self.seed, 0, 2**32 - 1)
        check_range("checkpoint_every", self.checkpoint_every, 1)

    @property
    def asked_teachers(self) -> list[TeacherConfig]:
        """The teachers that have a weight."""
        return [teacher for teacher in self.teachers if teacher.weight]
