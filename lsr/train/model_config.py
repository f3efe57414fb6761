"""How the model of a training is set up."""

from __future__ import annotations

from dataclasses import dataclass

from lsr.errors import UsageError
from lsr.settings import MOST_LOGS, check_choice, check_length, check_range
from lsr.train.components import MODELS, PROJECTIONS, TABLES, MlpConfig
from lsr.train.config_file import STRICT
from lsr.train.decoder_student import DecoderStudentConfig, LoraConfig
from lsr.train.kept_terms import KeptDenseTerms


@dataclass(frozen=True)
class ModelConfig:
    """What is trained.

    With ``lora`` or ``decoder`` the base is a decoder-only language model, of which an adapter is
    trained; what is not given of the two keeps its defaults.
    """

    # The checkpoint that training begins with: a folder or a hub id.
    base: str
    # Its name and licence in the model card; an empty name is ``base``, which may be a folder.
    base_name: str = ""
    base_licence: str = "not stated"
    # How documents are encoded, by a model ("mlm", "cls-mlm", "own-terms", "embeddings", "mlp") or
    # by a table, as queries are (``lsr.train.components``).
    documents: str = "mlm"
    # How queries are encoded: "model" (bi-encoder, as documents), one of their kinds, "idf"
    # (inference-free: a fixed table), "learned" (the table is trained too) or "binary" (weight 1).
    queries: str = "idf"
    # Whether a model of both sides is one ("shared"), or each side trains its own ("separate").
    towers: str = "shared"
    # Where the table begins: "training" estimates it from the training documents, else it is that
    # of a checkpoint, a folder or a hub id.
    idf: str = "training"
    # Logarithms of the activation, 1 to 4: 1 is SPLADE's, more are l0 activations.
    logs: int = 1
    # The same of queries, with queries = "model"; 0: as of documents.
    query_logs: int = 0
    # Weight of documents' literal terms (lsr.encoders.literal_terms), 0 or more; 0: none.
    literal: float = 0.0
    # Weight of the BM25 of words that stands beside the model's scores, in training and after, as
    # by ``,words=yes,words_weight=``; 0: none.
    words: float = 0.0
    # Layers of the transformer: of more than the base has, the further ones begin as the identity;
    # of fewer, the first ones stay. 0: as many as the base has.
    layers: int = 0
    # Tokens of a document that count in training, special ones included; 3 or more.
    max_length: int = 128
    # Tokens of a query that count in training, with queries = "model"; 3 or more.
    query_length: int = 64
    # Tokens of a text that the exported encoder reads; 3 or more.
    export_length: int = 256
    # The largest weights of a document that are kept, in training and in the exported model; with
    # queries = "model" those of a query too. 0: all.
    top_k: int = 0
    # Probability of all dropout layers, 0 to 0.9.
    dropout: float = 0.0
    # Share of the weights of ``base`` in the exported ones, 0 to 0.99, the rest being trained:
    # their average does better away from the training data (Wortsman et al. 2022).
    base_share: float = 0.0
    # Begin with a new head of random weights, and with the base's body: what training brings is
    # then not what the base has learned before.
    new_head: bool = False
    # How an "mlp" weighs.
    mlp: MlpConfig | None = None
    # The adapter of a decoder-only base.
    lora: LoraConfig | None = None
    # How a decoder-only base reads texts.
    decoder: DecoderStudentConfig | None = None
    __pydantic_config__ = STRICT

    @property
    def is_decoder(self) -> bool:
        """Whether the base is a decoder-only language model."""
        return self.lora is not None or self.decoder is not None

    @property
    def query_kind(self) -> str:
        """How queries are encoded, with that of documents for "model"."""
        return self.documents if self.queries == "model" else self.queries

    @property
    def encodes_queries(self) -> bool:
        """Whether queries go through a model."""
        return self.query_kind in MODELS

    @property
    def term_weighting(self) -> MlpConfig:
        """How an "mlp" weighs, by default where nothing is said."""
        return self.mlp or MlpConfig()

    def kept_dense_terms(self) -> KeptDenseTerms | None:
        """Those of the base, beside which the model is trained; None: it has none."""
        return KeptDenseTerms.of(self.base, "decoder" if self.is_decoder else self.documents)

    def __post_init__(self) -> None:
        check_choice("documents", self.documents, (*MODELS, *TABLES))
        check_choice("queries", self.queries, ("model", *MODELS, *TABLES))
        check_choice("towers", self.towers, ("shared", "separate"))
        self._check_sides()
        self._check_weighing()
        for option in ("max_length", "query_length", "export_length"):
            check_length(getattr(self, option), option)
        check_range("words", self.words, 0, 1000)
        check_range("layers", self.layers, 0, 1000)
        check_range("top_k", self.top_k, 0)
        check_range("dropout", self.dropout, 0, 0.9)
        check_range("base_share", self.base_share, 0, 0.99)
        if self.is_decoder:
            self._check_decoder()
        if self.new_head and self.base_share:
            raise UsageError(
                "base_share averages with the weights of the base, which a new head has none of; "
                "leave out one of base_share and new_head"
            )

    def _check_sides(self) -> None:
        """See that the components of the two sides go together."""
        sides = f"documents = {self.documents!r} and queries = {self.queries!r}"
        if self.documents in TABLES and self.queries == "model":
            raise UsageError(
                f"{sides} give queries the model that documents don't have; name theirs, as "
                'queries = "mlm"'
            )
        if self.documents in TABLES and self.query_kind in TABLES:
            raise UsageError(
                f"{sides} leave no model to train; one of them at least is one of "
                f"{', '.join(MODELS)}"
            )
        if self.towers == "separate" and not (self.documents in MODELS and self.encodes_queries):
            raise UsageError(f'{sides} have one model; leave out towers = "separate"')
        if self.mlp is not None and "mlp" not in (self.documents, self.query_kind):
            raise UsageError(f"[model.mlp] is for an mlp, and {sides} have none; leave it out")

    def _check_weighing(self) -> None:
        check_range("logs", self.logs, 1, MOST_LOGS)
        check_range("query_logs", self.query_logs, 0, MOST_LOGS)
        projected = [kind in PROJECTIONS for kind in (self.documents, self.query_kind)]
        if self.query_logs and not projected[1]:
            raise UsageError(
                f"query_logs is {self.query_logs}, but queries = {self.queries!r} has no "
                "activation of logarithms; leave it out"
            )
        if self.logs > 1 and not any(projected):
            raise UsageError(
                f"logs is {self.logs}, which an mlp and a table don't have; leave it out"
            )
        check_range("literal", self.literal, 0)
        if self.literal and self.encodes_queries:
            raise UsageError("literal terms need queries without a model; leave literal out")
        if self.literal and not projected[0]:
            raise UsageError(
                f"literal terms stand beside a vocabulary projection, which documents = "
                f"{self.documents!r} has not; leave literal out"
            )

    def _check_decoder(self) -> None:
        if self.queries != "model":
            raise UsageError(
                f"queries is {self.queries!r}, but a decoder encodes them itself; write "
                'queries = "model", or leave out [model.lora] and [model.decoder]'
            )
        if self.documents != "mlm" or self.towers != "shared":
            raise UsageError(
                "a decoder is one tower whose projection is pooled by maximum; leave out documents "
                "and towers"
            )
        if self.layers:
            raise UsageError("a decoder keeps its layers; leave out layers")
        if self.query_logs:
            raise UsageError("a decoder has one activation for both sides; leave out query_logs")
        if self.dropout:
            raise UsageError("the dropout of a decoder is its adapter's; give it in [model.lora]")
        if self.base_share:
            raise UsageError("an adapter has no base_share; leave it out")
        if self.new_head:
            raise UsageError("a decoder keeps its projection; leave out new_head")
