"""The configuration of a training run: one TOML file, validated as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field

from lsr.errors import UsageError
from lsr.settings import check_choice, check_length, check_range
from lsr.train.config_file import STRICT
from lsr.train.decoder_student import DecoderStudentConfig, LoraConfig
from lsr.train.regularizer_registry import REGULARIZERS


@dataclass(frozen=True)
class ModelConfig:
    """What is trained.

    ``base`` is the checkpoint that training begins with: a folder or a hub id. ``queries`` says
    how queries are encoded: ``model`` (bi-encoder, by the same model), ``idf`` (inference-free: a
    fixed table), ``learned`` (the table is trained too), ``binary`` (weight 1). ``idf`` is where
    the table begins: ``training`` estimates it from the training documents, else a checkpoint
    with a table. ``logs`` is 1, or 2 for the l0 activation. ``max_length`` and ``query_length``
    are tokens of a text in training, ``export_length`` those that the exported encoder reads;
    ``literal`` is the weight of documents' literal terms (``lsr.encoders.literal_terms``; 0: none).
    ``top_k`` keeps the k largest weights of a document (0: all), in training and in
    the exported model. ``dropout`` is the probability of all dropout layers. ``base_share`` of
    the weights of ``base`` go into the exported ones, the rest being trained: their average does
    better away from the training data (Wortsman et al. 2022). ``base_name``
    and ``base_licence`` are for the model card, where ``base`` is a folder. With ``lora`` or
    ``decoder`` the base is a decoder-only language model, of which an adapter is trained; what is
    not given of the two keeps its defaults.
    """

    base: str
    base_name: str = ""
    base_licence: str = "not stated"
    queries: str = "idf"
    idf: str = "training"
    logs: int = 1
    literal: float = 0.0
    max_length: int = 128
    query_length: int = 64
    export_length: int = 256
    top_k: int = 0
    dropout: float = 0.0
    base_share: float = 0.0
    lora: LoraConfig | None = None
    decoder: DecoderStudentConfig | None = None
    __pydantic_config__ = STRICT

    @property
    def is_decoder(self) -> bool:
        """Whether the base is a decoder-only language model."""
        return self.lora is not None or self.decoder is not None

    def __post_init__(self) -> None:
        check_choice("queries", self.queries, ("model", "idf", "learned", "binary"))
        if self.logs not in (1, 2):
            raise UsageError(f"logs is {self.logs}; allowed are 1 and 2")
        for option in ("max_length", "query_length", "export_length"):
            check_length(getattr(self, option), option)
        check_range("literal", self.literal, 0)
        if self.literal and self.queries == "model":
            raise UsageError("literal terms need queries without a model; leave literal out")
        check_range("top_k", self.top_k, 0)
        check_range("dropout", self.dropout, 0, 0.9)
        check_range("base_share", self.base_share, 0, 0.99)
        if self.is_decoder and self.queries != "model":
            raise UsageError(
                f"queries is {self.queries!r}, but a decoder encodes them itself; write "
                'queries = "model", or leave out [model.lora] and [model.decoder]'
            )
        if self.is_decoder and self.dropout:
            raise UsageError("the dropout of a decoder is its adapter's; give it in [model.lora]")
        if self.is_decoder and self.base_share:
            raise UsageError("an adapter has no base_share; leave it out")


@dataclass(frozen=True)
class SourceConfig:
    """A file of training pairs (JSONL: query, positive), or a BEIR folder with train qrels.

    ``limit`` pairs are taken (0: all), drawn by ``seed`` of the run. ``licence`` goes into the
    model card.
    """

    path: str
    limit: int = 0
    licence: str = "not stated"
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        check_range("limit", self.limit, 0)


@dataclass(frozen=True)
class BatchConfig:
    """What a step sees.

    ``queries`` of them, each with its positive and ``negatives`` mined ones. ``order`` is
    ``random``, or ``topics``: queries whose mined documents are each other's positives come
    together, so that a batch is its own hard negatives (Hofstätter et al. 2021, "Efficiently
    Teaching an Effective Dense Retriever with Balanced Topic Aware Sampling").
    """

    queries: int = 32
    negatives: int = 0
    order: str = "random"
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        check_range("queries", self.queries, 1)
        check_range("negatives", self.negatives, 0)
        check_choice("order", self.order, ("random", "topics"))


@dataclass(frozen=True)
class TeacherConfig:
    """A teacher: ``bm25``, ``dense:MODEL``, ``cross-encoder:MODEL``, or a sparse encoder's name."""

    name: str
    weight: float = 1.0
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        check_range("weight", self.weight, 0)


@dataclass(frozen=True)
class LossConfig:
    """A loss: ``kl``, ``margin-mse`` or ``info-nce``, and its weight in the sum.

    ``candidates`` are a query's own ``list`` (positive and negatives), or every document of the
    ``batch``. ``temperature`` divides scores: those of student and teacher in ``kl``, the
    student's in ``info-nce``; ``margin-mse`` has none.
    """

    name: str
    weight: float = 1.0
    temperature: float = 1.0
    candidates: str = "batch"
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        check_choice("name", self.name, ("kl", "margin-mse", "info-nce"))
        check_range("weight", self.weight, 0)
        check_range("temperature", self.temperature, 1e-6)
        check_choice("candidates", self.candidates, ("list", "batch"))
        if self.name == "margin-mse" and self.temperature != 1:
            raise UsageError("margin-mse has no temperature; leave it out")


@dataclass(frozen=True)
class SparsityConfig:
    """How one side is made sparse.

    ``regularizer`` is one of ``lsr.train.regularizer_registry``, or ``none``; ``strength``
    its factor, reached quadratically over the share ``warm_up`` of all steps. ``target_nnz`` takes
    the place of ``strength``: a controller then finds it, beginning at ``initial``. ``threshold``
    is that of ``l0-flops``. ``by_place`` penalises each place of the list (the positives, the first
    negatives, ...) on its own, as OpenSearch's code does.
    """

    regularizer: str = "none"
    strength: float = 0.0
    target_nnz: float = 0.0
    warm_up: float = 0.33
    initial: float = 0.01
    threshold: int = 0
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
        if self.threshold and self.regularizer != "l0-flops":
            raise UsageError(f"threshold is for l0-flops, not for {self.regularizer}; leave it out")
        if self.by_place and self.regularizer == "df-flops":
            raise UsageError("df-flops counts all documents at once; leave out by_place")


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW (Loshchilov and Hutter 2019); the rate rises over ``warm_up``, then falls to 0.

    ``warm_up`` is a share of ``steps``. ``table_rate`` is that of a learned query table.
    ``max_norm`` clips the gradient (0: not).
    """

    steps: int
    learning_rate: float = 2e-5
    table_rate: float = 1e-3
    weight_decay: float = 0.01
    warm_up: float = 0.06
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
    """Where negatives and topic batches come from.

    ``retriever`` is the encoder that ranks the training documents. ``pool`` of the ranks ``first``
    to ``depth`` are drawn for each query; with ``margin`` above 0, only of those that the teachers
    score at most that share of the positive, as others may well be answers too. ``rounds`` is how
    often this is done, evenly over the training: every round but the first asks the student.
    """

    retriever: str = "bm25"
    depth: int = 100
    first: int = 1
    pool: int = 30
    margin: float = 0.0
    rounds: int = 1
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        check_range("depth", self.depth, 1, 10_000)
        check_range("first", self.first, 1, self.depth)
        check_range("pool", self.pool, 1)
        check_range("margin", self.margin, 0)
        check_range("rounds", self.rounds, 1, 100)


@dataclass(frozen=True)
class EvaluationConfig:
    """Scoring during training: every ``every`` steps (0: never) and at the end.

    ``dataset`` is a BEIR folder or ir_datasets id and ``split`` its qrels; without one, the judged
    set are the pairs of the share ``held_out`` of the queries, which are never trained on.
    """

    every: int = 500
    dataset: str = ""
    split: str = "test"
    held_out: float = 0.005
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        check_range("every", self.every, 0)
        check_range("held_out", self.held_out, 0, 0.5)


@dataclass(frozen=True)
class MemoryConfig:
    """How a batch is computed.

    ``gradient_cache`` repeats forward passes instead of keeping them, so that a batch of any size
    needs the memory of ``chunk_tokens`` a thread. 0 tokens make one chunk a thread.
    """

    gradient_cache: bool = False
    chunk_tokens: int = 0
    __pydantic_config__ = STRICT

    def __post_init__(self) -> None:
        check_range("chunk_tokens", self.chunk_tokens, 0)
        if self.gradient_cache and not self.chunk_tokens:
            raise UsageError("gradient_cache needs chunk_tokens; 4096 is a good start")


@dataclass(frozen=True)
class TrainingConfig:
    """A whole run; each table of the TOML file is a field.

    ``output`` is the folder of the model, its checkpoints and its log; ``seed`` decides samples
    and order; ``checkpoint_every`` is in steps; teachers' normalised scores are multiplied by
    ``teacher_scale``; ``anti_zero`` is the strength of that penalty; ``licence`` is the model's,
    for its card.
    """

    model: ModelConfig
    optimizer: OptimizerConfig
    sources: tuple[SourceConfig, ...]
    losses: tuple[LossConfig, ...]
    teachers: tuple[TeacherConfig, ...] = ()
    teacher_scale: float = 30.0
    documents: SparsityConfig = field(default_factory=SparsityConfig)
    queries: SparsityConfig = field(default_factory=SparsityConfig)
    anti_zero: float = 0.0
    licence: str = "not stated"
    batches: BatchConfig = field(default_factory=BatchConfig)
    mining: MiningConfig = field(default_factory=MiningConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    output: str = "model"
    seed: int = 1
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
        if taught and not any(teacher.weight for teacher in self.teachers):
            raise UsageError(f"{taught[0]} needs a table [[teachers]] of weight above 0")
        listed = any(loss.candidates == "list" for loss in self.losses)
        if listed and not self.batches.negatives:
            raise UsageError("a loss over the list needs [batches] negatives = 1 or more")
        if self.batches.negatives > self.mining.pool:
            raise UsageError(
                f"[batches] negatives is {self.batches.negatives}, and [mining] pool only "
                f"{self.mining.pool}; draw a larger pool or take fewer negatives"
            )
        if self.model.queries != "model" and self.queries.regularizer != "none":
            raise UsageError(
                f"queries = {self.model.queries!r} has no query model whose weights [queries] "
                "could make sparse; use queries = 'model', or leave out [queries]"
            )
        if self.anti_zero and self.model.queries != "model":
            raise UsageError("anti_zero needs queries = 'model'")
        check_range("teacher_scale", self.teacher_scale, 1e-6)
        check_range("anti_zero", self.anti_zero, 0)
        check_range("seed", self.seed, 0, 2**32 - 1)
        check_range("checkpoint_every", self.checkpoint_every, 1)
