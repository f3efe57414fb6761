"""The configuration of a training run: one TOML file, validated as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field

from lsr.errors import UsageError
from lsr.settings import check_choice, check_range
from lsr.train.components import TABLES
from lsr.train.config_file import STRICT
from lsr.train.model_config import ModelConfig
from lsr.train.regularizer_registry import REGULARIZERS
from lsr.trusted_code import without_consent

# What a model may compute in while it is trained.
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class SourceConfig:
    """Where training pairs come from."""

    # A file of pairs (JSONL: query, positive), or a BEIR folder with train qrels.
    path: str
    # Pairs that are taken, drawn by the seed of the run; 0: all.
    limit: int = 0
    # Licence of the data, for the model card.
    licence: str = "not stated"
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        check_range("limit", self.limit, 0)


@dataclass(frozen=True)
class BatchConfig:
    """What a step sees."""

    # Queries of a step, each with its positive; 1 or more.
    queries: int = 32
    # Mined negatives of each query; 0 or more.
    negatives: int = 0
    # "random", or "topics": queries whose mined documents are each other's positives come together,
    # so that a batch is its own hard negatives. Hofstätter et al. 2021 ("Efficiently Teaching an
    # Effective Dense Retriever with Balanced Topic Aware Sampling", TAS-B) have that aim, but draw
    # from clusters of the queries.
    order: str = "random"
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        check_range("queries", self.queries, 1)
        check_range("negatives", self.negatives, 0)
        check_choice("order", self.order, ("random", "topics"))


@dataclass(frozen=True)
class TeacherConfig:
    """One of the models whose scores the student learns."""

    # "bm25", "dense:MODEL", "cross-encoder:MODEL", or a sparse encoder's name.
    name: str
    # Of its scores in the sum of all teachers; 0 or more.
    weight: float = 1.0
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", without_consent(self.name))
        check_range("weight", self.weight, 0)


@dataclass(frozen=True)
class LossConfig:
    """A ranking loss (``lsr.train.losses``)."""

    # "kl", "margin-mse" or "info-nce".
    name: str
    # In the sum of all losses; 0 or more.
    weight: float = 1.0
    # Divides scores: those of student and teacher in kl, the student's in info-nce; margin-mse has
    # none. Above 0.
    temperature: float = 1.0
    # What a query is ranked over: its own "list" (positive and negatives), or every document of the
    # "batch".
    candidates: str = "batch"
    # What kl and margin-mse learn: the teachers' scores "scaled" to one range (``teacher_scale``),
    # which several teachers need, or "raw", as one teacher gives them; "auto": raw in margin-mse of
    # one teacher, as in the papers, else scaled.
    teacher_scores: str = "auto"
    # Whose margins margin-mse learns: of "all" pairs of candidates, as naver/splade, or of the
    # "positive" and each other one, as Hofstätter et al. 2020.
    pairs: str = "all"
    # Whether info-nce over the batch ranks the queries for each positive too, and takes the mean of
    # both directions.
    symmetric: bool = False
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        check_choice("name", self.name, ("kl", "margin-mse", "info-nce"))
        check_range("weight", self.weight, 0)
        check_range("temperature", self.temperature, 1e-6)
        check_choice("candidates", self.candidates, ("list", "batch"))
        check_choice("teacher_scores", self.teacher_scores, ("auto", "raw", "scaled"))
        check_choice("pairs", self.pairs, ("all", "positive"))
        if self.pairs != "all" and self.name != "margin-mse":
            raise UsageError(f"pairs is for margin-mse, not for {self.name}; leave it out")
        if self.symmetric and (self.name, self.candidates) != ("info-nce", "batch"):
            raise UsageError(
                "symmetric is for info-nce over the batch; leave it out, or write "
                'candidates = "batch"'
            )
        if self.name == "info-nce" and self.teacher_scores != "auto":
            raise UsageError("info-nce has no teacher; leave out teacher_scores")
        if self.name == "margin-mse" and self.temperature != 1:
            raise UsageError("margin-mse has no temperature; leave it out")


@dataclass(frozen=True)
class SparsityConfig:
    """How one side is made sparse."""

    # One of lsr.train.regularizer_registry, or "none".
    regularizer: str = "none"
    # Factor of the regularizer, 0 or more.
    strength: float = 0.0
    # Mean non-zeros of a vector that are wanted, 1 or more, in place of ``strength``, which a
    # controller then finds; 0: no target.
    target_nnz: float = 0.0
    # Share of all steps, 0 to 1, over which the strength rises quadratically.
    warm_up: float = 0.33
    # The strength at which the controller begins, above 0; for ``target_nnz`` only.
    initial: float = 0.01
    # Non-zeros that a vector may have for free, 1 or more; for l0-flops, which needs it, only.
    threshold: int = 0
    # Penalise each place of the list (the positives, the first negatives, ...) on its own, as
    # OpenSearch's code does; not with df-flops.
    by_place: bool = False
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        check_range("strength", self.strength, 0)
        check_range("target_nnz", self.target_nnz, 0)
        check_range("warm_up", self.warm_up, 0, 1)
        check_range("threshold", self.threshold, 0)
        check_range("initial", self.initial, 1e-9, 10_000)
        check_choice("regularizer", self.regularizer, ("none", *REGULARIZERS))
        if self.regularizer == "none" and (self.strength or self.target_nnz):
            raise UsageError("strength and target_nnz need a regularizer, such as flops")
        if self.regularizer != "none" and bool(self.strength) == bool(self.target_nnz):
            raise UsageError("a regularizer needs one of strength and target_nnz, above 0")
        if self.target_nnz:
            check_range("target_nnz", self.target_nnz, 1)
        if self.regularizer == "l0-flops" and not self.threshold:
            raise UsageError(
                "l0-flops needs a threshold, as 150: non-zeros that a text has for free"
            )
        if self.threshold and self.regularizer != "l0-flops":
            raise UsageError(f"threshold is for l0-flops, not for {self.regularizer}; leave it out")
        if self.by_place and self.regularizer == "df-flops":
            raise UsageError("df-flops counts all documents at once; leave out by_place")


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW (Loshchilov and Hutter 2019); the rate rises over ``warm_up``, then falls to 0."""

    # Updates of the weights; 1 or more.
    steps: int
    # Largest learning rate of the model; 0 or more.
    learning_rate: float = 2e-5
    # The same of a learned query table.
    table_rate: float = 1e-3
    # AdamW's; 0 or more.
    weight_decay: float = 0.01
    # Share of ``steps``, 0 to 1.
    warm_up: float = 0.06
    # A longer gradient is shortened to this norm; 0: it is not.
    max_norm: float = 1.0
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        check_range("steps", self.steps, 1)
        check_range("learning_rate", self.learning_rate, 0)
        check_range("table_rate", self.table_rate, 0)
        check_range("weight_decay", self.weight_decay, 0)
        check_range("warm_up", self.warm_up, 0, 1)
        check_range("max_norm", self.max_norm, 0)


@dataclass(frozen=True)
class MiningConfig:
    """Where negatives and topic batches come from: documents that are ranked high."""

    # The encoder that ranks the training documents in the first round, by its name.
    retriever: str = "bm25"
    # The last and the first rank that is drawn from, counted from 1; depth is at most 10,000.
    depth: int = 100
    first: int = 1
    # Documents that are drawn for each query, after those are left out that answer it; 1 or more.
    pool: int = 30
    # Leave out a document, too, that the teachers score above this share of the query's positive,
    # as it may well be an answer that nobody judged: TopK-PercPos of Moreira et al. 2024
    # (arXiv:2407.15831), where 0.95 is best. 0: none is left out so.
    margin: float = 0.0
    # How often documents are mined, evenly over the training, 1 to 100; every round but the first
    # asks the student as it is then.
    rounds: int = 1
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        object.__setattr__(self, "retriever", without_consent(self.retriever))
        check_range("depth", self.depth, 1, 10_000)
        check_range("first", self.first, 1, self.depth)
        check_range("pool", self.pool, 1)
        check_range("margin", self.margin, 0)
        check_range("rounds", self.rounds, 1, 100)


@dataclass(frozen=True)
class EvaluationConfig:
    """Scoring during training, and at its end."""

    # Steps from one scoring to the next; 0: never.
    every: int = 500
    # A BEIR folder or ir_datasets id. Empty: the judged set are the pairs of the queries that are
    # held out.
    dataset: str = ""
    # Of its qrels.
    split: str = "test"
    # Share of the queries, 0 to 0.5, that are never trained on, where there is no ``dataset``.
    held_out: float = 0.005
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        check_range("every", self.every, 0)
        check_range("held_out", self.held_out, 0, 0.5)


@dataclass(frozen=True)
class MemoryConfig:
    """How a batch is computed."""

    # Repeat forward passes instead of keeping them, so that a batch of any size needs the memory of
    # a micro-batch a thread (``lsr.train.micro_batches``); it needs ``chunk_tokens``.
    gradient_cache: bool = False
    # Tokens of a micro-batch, padding included; 0: one micro-batch a thread, one on a GPU.
    chunk_tokens: int = 0
    # What the model computes in: "float32", or "bfloat16" where torch's autocast takes it; weights,
    # losses and term weights are float32. "auto": bfloat16 on a GPU.
    precision: str = "auto"
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        check_range("chunk_tokens", self.chunk_tokens, 0)
        check_choice("precision", self.precision, PRECISIONS)
        if self.gradient_cache and not self.chunk_tokens:
            raise UsageError("gradient_cache needs chunk_tokens; 4096 is a good start")


@dataclass(frozen=True)
class TrainingConfig:
    """A whole run; each table of the TOML file is a field."""

    # What is trained.
    model: ModelConfig
    # For how many steps, and at which rates.
    optimizer: OptimizerConfig
    # Training pairs; at least one.
    sources: tuple[SourceConfig, ...]
    # What is learned; at least one of weight above 0. A loss and its candidates stand once.
    losses: tuple[LossConfig, ...]
    # Needed by kl, margin-mse and the margin of mining.
    teachers: tuple[TeacherConfig, ...] = ()
    # Multiplies teachers' normalised scores; above 0.
    teacher_scale: float = 30.0
    # An encoder, by its name: the range of its scores of a query's candidates takes the place of
    # ``teacher_scale``, so that teachers say how to rank and not how far apart; empty: none.
    teacher_range: str = ""
    # How documents are made sparse, and queries, with queries = "model".
    documents: SparsityConfig = field(default_factory=SparsityConfig)
    queries: SparsityConfig = field(default_factory=SparsityConfig)
    # Strength of the penalty on vectors that are all zero (lsr.train.regularizers.anti_zero), with
    # queries = "model"; 0: none.
    anti_zero: float = 0.0
    # Of the model, for its card.
    licence: str = "not stated"
    # What a step sees.
    batches: BatchConfig = field(default_factory=BatchConfig)
    # Where negatives and topic batches come from.
    mining: MiningConfig = field(default_factory=MiningConfig)
    # When the student is scored, and on what.
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    # How a batch is computed.
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    # Folder of the model, its checkpoints and its log.
    output: str = "model"
    # Decides samples, order and dropout; 0 to 2³² - 1.
    seed: int = 1
    # In steps; 1 or more.
    checkpoint_every: int = 500
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        if not self.sources:
            raise UsageError("a training needs at least one table [[sources]]")
        if not any(loss.weight for loss in self.losses):
            raise UsageError("a training needs at least one table [[losses]] of weight above 0")
        named = [(loss.name, loss.candidates) for loss in self.losses]
        if twice := [pair for pair in named if named.count(pair) > 1]:
            name, candidates = twice[0]
            raise UsageError(
                f"the loss {name} over the {candidates} is there twice; give it once, with the sum "
                "of the weights"
            )
        taught = [f"the loss {name}" for name, _ in named if name in ("kl", "margin-mse")]
        if self.mining.margin:
            taught.append("[mining] margin")
        if taught and not self.asked_teachers:
            raise UsageError(f"{taught[0]} needs a table [[teachers]] of weight above 0")
        raw = [loss.name for loss in self.losses if loss.teacher_scores == "raw"]
        if raw and len(self.asked_teachers) > 1:
            raise UsageError(
                f"the loss {raw[0]} can't learn the raw scores of {len(self.asked_teachers)} "
                "teachers, whose ranges differ; give one, or leave out teacher_scores"
            )
        listed = any(loss.candidates == "list" for loss in self.losses)
        if listed and not self.batches.negatives:
            raise UsageError("a loss over the list needs [batches] negatives = 1 or more")
        if self.batches.negatives > self.mining.pool:
            raise UsageError(
                f"[batches] negatives is {self.batches.negatives}, and [mining] pool only "
                f"{self.mining.pool}; draw a larger pool or take fewer negatives"
            )
        if not self.model.encodes_queries and self.queries.regularizer != "none":
            raise UsageError(
                f"queries = {self.model.queries!r} has no query model whose weights [queries] "
                "could make sparse; use queries = 'model', or leave out [queries]"
            )
        if self.model.documents in TABLES and self.documents.regularizer != "none":
            raise UsageError(
                f"documents = {self.model.documents!r} has no model whose weights [documents] "
                "could make sparse; leave out [documents]"
            )
        if self.anti_zero and not (
            self.model.encodes_queries and self.model.documents not in TABLES
        ):
            raise UsageError("anti_zero needs queries = 'model'")
        object.__setattr__(self, "teacher_range", without_consent(self.teacher_range))
        check_range("teacher_scale", self.teacher_scale, 1e-6)
        check_range("anti_zero", self.anti_zero, 0)
        check_range("seed", self.seed, 0, 2**32 - 1)
        check_range("checkpoint_every", self.checkpoint_every, 1)

    @property
    def asked_teachers(self) -> list[TeacherConfig]:
        """The teachers that have a weight."""
        return [teacher for teacher in self.teachers if teacher.weight]

    def learns_raw(self, loss: LossConfig) -> bool:
        """Whether a loss learns the scores of the one teacher as they are."""
        wanted = loss.teacher_scores
        alone = loss.name == "margin-mse" and len(self.asked_teachers) == 1
        return wanted == "raw" or (wanted == "auto" and alone)
