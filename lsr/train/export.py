"""A trained encoder as one folder that lsr, transformers and sentence-transformers load alike.

The root holds the masked language model and the tokenizer, in Hugging Face layout, and what
sentence-transformers reads to make a SparseEncoder of them:

    config.json, model.safetensors, tokenizer.json, tokenizer_config.json   transformers
    modules.json, config_sentence_transformers.json, sentence_bert_config.json
    1_SpladePooling/config.json             queries through the model
    router_config.json                      queries through a table, with the next three
    document_1_SpladePooling/config.json
    query_0_SparseStaticEmbedding/          the table, and the tokenizer once more
    idf.json                                the table by token, as OpenSearch reads it
    dense_terms/                            dense terms of the base (lsr.train.dense_terms)
    query_0_MLMTransformer/                 the query side's own model, with separate towers
    README.md                               the model card, which ``lsr.train.run`` puts there

Components that sentence-transformers does not have are declared under ``lsr`` in
config_sentence_transformers.json, as options of the family ``pair``, and the pooling's settings are
then such that sentence-transformers refuses the folder.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.backbones.declared import COMPONENTS, LITERAL, Side
from lsr.backbones.exported_folder import appearing
from lsr.backbones.model_weights import longest_input
from lsr.backbones.torch_runtime import transformers
from lsr.errors import InputError, UsageError
from lsr.settings import MOST_LOGS, check_choice, check_length, check_range
from lsr.train.components import MODELS, MlpConfig, keeps_special
from lsr.train.kept_terms import KeptDenseTerms
from lsr.train.model_folder import (
    UNBOUNDED,
    add_head,
    padding_token,
    write_json,
    write_modules,
    write_tokenizer,
    write_transformer,
)
from lsr.vocabulary import Vocabulary

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# The release of sentence-transformers that brought sparse encoders. It and later ones know these
# names of the modules.
RELEASE = "5.0.0"
TRANSFORMER = "sentence_transformers.sparse_encoder.models.MLMTransformer"
POOLING = "sentence_transformers.sparse_encoder.models.SpladePooling"
STATIC = "sentence_transformers.sparse_encoder.models.SparseStaticEmbedding"
ROUTER = "sentence_transformers.models.Router"
QUERY_FOLDER = "query_0_SparseStaticEmbedding"
DOCUMENT_POOLING = "document_1_SpladePooling"
QUERY_MODEL = "query_0_MLMTransformer"
QUERY_POOLING = "query_1_SpladePooling"
# The layer of an "mlp", one of ``lsr.encoders.term_weighting.HEADS``.
TERM_HEAD = "tok_proj"
# A pooling strategy that nobody has.
BY_COMPONENT = "by-component"
# No logit outweighs it, and float16 holds it, in which others may store it.
NEVER = -1e4


@dataclass(frozen=True, slots=True)
class Exported:
    """How the encoder weighs texts, by max-pooled logits."""

    # Queries go through the "model" as documents do, or through a "table" of term weights.
    queries: Literal["model", "table"] = "model"
    # Logarithms of the activation, 1 or more; sentence-transformers knows 1 and 2.
    logs: int = 1
    # Tokens of a text that count, special ones included; 3 or more.
    max_length: int = 256
    # The largest weights of a vector that stay, of documents and queries alike, for
    # sentence-transformers knows only one cap; 0: all.
    top_k: int = 0
    # Weight of the literal terms of documents (lsr.encoders.literal_terms), of which
    # sentence-transformers knows nothing; 0: none.
    literal: float = 0.0
    # Their ``length``: mean terms of a training document.
    literal_length: float = 0.0
    # Dense terms of documents, likewise; None: none.
    dense_terms: KeptDenseTerms | None = None
    # Logarithms of the activation of queries that go through the model; 0: as of documents.
    query_logs: int = 0
    # How documents are encoded: one of ``lsr.train.components.MODELS``, or by the "table".
    document: str = "mlm"
    # The same of queries that go through a model; empty: as documents.
    query: str = ""
    # Whether each side has a model of its own.
    towers: str = "shared"
    # How an "mlp" weighs.
    mlp: MlpConfig = field(default_factory=MlpConfig)

    @property
    def kinds(self) -> dict[Side, str]:
        """How each side is encoded, a table being "table"."""
        query = "table" if self.queries == "table" else self.query or self.document
        return {"document": self.document, "query": query}

    @property
    def has_table(self) -> bool:
        """Whether a side is encoded by a table."""
        return "table" in self.kinds.values()

    @property
    def is_plain(self) -> bool:
        """Whether the components are those that sentence-transformers has."""
        return self.document == "mlm" and self.kinds["query"] in ("mlm", "table")

    @property
    def is_known_elsewhere(self) -> bool:
        """Whether sentence-transformers has components and activation of both sides."""
        one = self.query_logs in (0, self.logs) or self.towers == "separate"
        return self.is_plain and max(self.logs, self.query_logs) <= 2 and one

    @property
    def keeps_special(self) -> bool:
        """Whether special tokens have weights."""
        return keeps_special(*self.kinds.values())

    def components(self) -> dict[str, str]:
        """The options of the family ``pair`` by which lsr encodes; none where it is plain."""
        if self.is_plain:
            return {}
        return {
            key: str(value) for side in self.kinds for key, value in self._component(side).items()
        }

    def _component(self, side: Side) -> dict[str, Any]:
        kind = self.kinds[side]
        if kind == "table":
            return {side: "table"}
        logs = self.query_logs if side == "query" and self.query_logs else self.logs
        settings: dict[str, Any] = {"max_length": self.max_length, "top_k": self.top_k}
        if kind == "mlp":
            mlp, base = self.mlp, "mlp"
            pool = mlp.pool if side == "document" else mlp.query_pool
            settings |= {"activation": mlp.activation, "logs": mlp.logs, "pool": pool}
        else:
            base = "cls-mlm" if kind == "cls-mlm" else "mlm"
            settings |= {"logs": logs, "pool": "cls" if kind == "cls-mlm" else "max"}
            settings |= {"special": "keep" if self.keeps_special else "drop"}
            settings |= {"own_terms": "yes"} if kind == "own-terms" else {}
            settings |= {"head": "embeddings"} if kind == "embeddings" else {}
            if side == "document" and self.literal:
                settings |= {"literal": self.literal, "literal_length": self.literal_length}
        return {side: base} | {f"{side}.{key}": value for key, value in settings.items()}

    def __post_init__(self) -> None:
        check_choice("queries", self.queries, ("model", "table"))
        check_choice("document", self.document, (*MODELS, "table"))
        check_choice("query", self.query, ("", *MODELS))
        if set(self.kinds.values()) == {"table"}:
            raise UsageError("both sides are a table; an encoder that is trained has a model")
        check_range("logs", self.logs, 1, MOST_LOGS)
        check_range("query_logs", self.query_logs, 0, MOST_LOGS)
        check_length(self.max_length)
        if self.top_k < 0:
            raise UsageError(f"top_k is {self.top_k}; allowed is 1 or more, and 0 for all terms")


class TrainedModel(NamedTuple):
    """A masked language model, on any device, and the linear layer of an "mlp" on it."""

    model: PreTrainedModel
    head: torch.nn.Linear | None = None


def export_encoder(
    folder: Path,
    model: PreTrainedModel,
    vocabulary: Vocabulary,
    settings: Exported,
    table: NDArray[np.float32] | None,
    head: torch.nn.Linear | None = None,
    query: TrainedModel | None = None,
) -> None:
    """Write the folder; it appears whole or not at all, in place of an earlier export.

    Weights are stored as float32, in which all readers compute. Rows of the projection
    behind the vocabulary are left out. With a table, documents get no weight for special tokens,
    which no query has: their bias is so low that they never become active, where the projection
    has a bias. The model stays as it is, and so does the state of torch's random numbers.

    Args:
        folder: where; its parent exists.
        model: the masked language model of both sides, or of documents, on any device.
        vocabulary: the terms, and the tokenizer.
        settings: how it weighs texts.
        table: float32 (V,), the weight of each term of a text of the side that has no model, or
            None where both have. Negative weights and those of special tokens become 0.
        head: its linear layer, with an "mlp".
        query: model and layer of queries, with separate towers.

    Raises:
        UsageError: the folder holds something other than an earlier export, or table and settings
            don't go together.
        InputError: a weight is not finite, the table does not fit the vocabulary, or
            the model or the tokenizer lacks what the formats need.
    """
    if (table is not None) != settings.has_table:
        raise UsageError(
            f"documents by {settings.document}, queries by {settings.kinds['query']} and "
            f"{'a' if table is not None else 'no'} table were given; give a table with "
            "queries=table, and only then"
        )
    weights = None if table is None else _checked(table, vocabulary)
    # By their bias where other readers take the folder; else lsr is told to leave them out.
    never = settings.is_plain and table is not None
    with appearing(folder, "modules.json") as new:
        copied = _write_model(new, TrainedModel(model, head), vocabulary, settings, never)
        modules = {"": TRANSFORMER, "1_SpladePooling": POOLING}
        if query is not None:
            (new / QUERY_MODEL).mkdir()
            _write_model(new / QUERY_MODEL, query, vocabulary, settings)
            logs = settings.query_logs or settings.logs
            _write_pooling(new / DOCUMENT_POOLING, settings, settings.logs)
            _write_pooling(new / QUERY_POOLING, settings, logs)
            _write_router(new, {QUERY_MODEL: TRANSFORMER, QUERY_POOLING: POOLING})
            modules = {"": ROUTER}
        elif weights is None:
            _write_pooling(new / "1_SpladePooling", settings, settings.logs, settings.query_logs)
        elif settings.is_plain:
            _write_pooling(new / DOCUMENT_POOLING, settings, settings.logs)
            _write_table(new, vocabulary, weights, padding_token(copied, vocabulary))
            modules = {"": ROUTER}
        else:
            _write_pooling(new / "1_SpladePooling", settings, settings.logs)
            _write_term_list(new, vocabulary, weights)
        write_modules(new, modules)
        if settings.dense_terms:
            settings.dense_terms.copy_to(new)
        write_json(new / "config_sentence_transformers.json", _sentence_transformers(settings))


def _write_model(
    folder: Path,
    trained: TrainedModel,
    vocabulary: Vocabulary,
    settings: Exported,
    drop_special: bool = False,
) -> Any:
    """Write model, term head and tokenizer; return the model as it was written."""
    copied = _inference_copy(trained.model, vocabulary, drop_special)
    length = longest_input(copied, settings.max_length)
    write_transformer(folder, copied, vocabulary, length)
    if trained.head is not None:
        add_head(folder / "model.safetensors", TERM_HEAD, trained.head)
    return copied


def _checked(table: NDArray[np.float32], vocabulary: Vocabulary) -> NDArray[np.float32]:
    """The table as every reader takes it: nothing negative, nothing for special tokens."""
    size = vocabulary.size
    if table.shape != (size,) or not np.isfinite(table).all():
        raise InputError(
            f"the table of query weights has the shape {table.shape}; allowed is one finite weight "
            f"for each of the {size} terms"
        )
    named = len(vocabulary.ids)
    if named != size:
        raise InputError(
            f"the tokenizer names {named} of its {size} term ids, and a table in "
            "sentence-transformers' format has no place for the others; export with queries=model"
        )
    weights = np.maximum(table, 0).astype(np.float32)
    weights[list(vocabulary.special)] = 0
    return weights


def _inference_copy(model: PreTrainedModel, vocabulary: Vocabulary, drop_special: bool) -> Any:
    """The model on the CPU, for saving only, with a row of the projection for each term."""
    transformers()
    import torch

    trained: Any = model
    projection = trained.get_output_embeddings()
    rows = 0 if projection is None else projection.weight.shape[0]
    if rows < vocabulary.size:
        raise InputError(
            f"the model projects onto {rows} terms, fewer than the {vocabulary.size} of its "
            "tokenizer; give the masked language model that goes with the tokenizer"
        )
    config = copy.deepcopy(trained.config)
    config.vocab_size = vocabulary.size
    with torch.device("meta"):  # takes no random numbers
        copied = type(trained)(config)
    wanted = copied.state_dict()
    state = {}
    for name, tensor in trained.state_dict().items():
        if tensor.is_floating_point():
            tensor = tensor.float()
            if not tensor.isfinite().all():
                raise InputError(
                    f"the weights {name} are not all finite; train with a lower learning rate"
                )
        # resize_token_embeddings forgets one of the two biases of models whose weights aren't tied.
        few = tensor if tensor.shape == wanted[name].shape else tensor[: vocabulary.size]
        state[name] = few.cpu().clone()
    copied.load_state_dict(state, assign=True)
    copied.tie_weights()
    bias = copied.get_output_embeddings().bias
    if drop_special and bias is not None:
        with torch.no_grad():
            bias[sorted(vocabulary.special)] = NEVER
    return copied


def _write_pooling(folder: Path, settings: Exported, logs: int, query_logs: int = 0) -> None:
    folder.mkdir()
    activation = activation_name(logs)
    if query_logs not in (0, logs):
        # A name that sentence-transformers doesn't know: it has one activation for both sides.
        activation += f"/{activation_name(query_logs)}"
    strategy = "max" if settings.is_plain else BY_COMPONENT
    write_json(
        folder / "config.json", {"pooling_strategy": strategy, "activation_function": activation}
    )


def activation_name(logs: int) -> str:
    """What sentence-transformers calls one and two logarithms, and so on."""
    return "log1p_" * (logs - 1) + "relu"


def _write_table(
    folder: Path, vocabulary: Vocabulary, weights: NDArray[np.float32], padding: str
) -> None:
    """The query side, in the formats of sentence-transformers and of OpenSearch."""
    from safetensors.numpy import save_file

    module = folder / QUERY_FOLDER
    module.mkdir()
    save_file({"weight": weights}, module / "model.safetensors", metadata={"format": "pt"})
    write_json(module / "config.json", {"frozen": True})
    write_tokenizer(module, vocabulary, UNBOUNDED, padding)
    _write_term_list(folder, vocabulary, weights)
    _write_router(folder, {QUERY_FOLDER: STATIC})


def _write_term_list(folder: Path, vocabulary: Vocabulary, weights: NDArray[np.float32]) -> None:
    """The table as idf.json."""
    # OpenSearch takes 1 for a token that is not listed. str() gives the shortest number that
    # float32 reads back as the same.
    listed = {
        token: float(str(weight)) for token, weight in zip(vocabulary.tokens, weights, strict=True)
    }
    write_json(folder / "idf.json", listed)


def _write_router(folder: Path, query: Mapping[str, str]) -> None:
    """The way of queries through their modules, and of documents through the root's model."""
    document = {"": TRANSFORMER, DOCUMENT_POOLING: POOLING}
    write_json(
        folder / "router_config.json",
        {
            "types": {**query, **document},
            "structure": {"query": list(query), "document": list(document)},
            "parameters": {"default_route": "document", "allow_empty_key": True},
        },
    )


def _sentence_transformers(settings: Exported) -> Mapping[str, Any]:
    import torch

    versions = {
        "sentence_transformers": RELEASE,
        "transformers": str(transformers().__version__),
        "pytorch": torch.__version__,
    }
    config: dict[str, Any] = {
        "model_type": "SparseEncoder",
        "__version__": versions,
        "prompts": {},
        "default_prompt_name": None,
        "similarity_fn_name": "dot",
    }
    if settings.top_k:
        config["max_active_dims"] = settings.top_k
    own: dict[str, Any] = {}
    if settings.literal:
        own |= {key: getattr(settings, key) for key in LITERAL}
    if kept := settings.dense_terms:
        own |= kept.declared.settings
    if components := settings.components():
        own[COMPONENTS] = components
    if own:
        config["lsr"] = own
    return config
