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
    README.md                               the model card, which ``lsr.train.run`` puts there
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from lsr.backbones.declared import LITERAL
from lsr.backbones.exported_folder import appearing
from lsr.backbones.model_weights import longest_input
from lsr.backbones.torch_runtime import transformers
from lsr.errors import InputError, UsageError
from lsr.settings import MOST_LOGS, check_choice, check_length, check_range
from lsr.train.model_folder import (
    UNBOUNDED,
    padding_token,
    write_json,
    write_modules,
    write_tokenizer,
    write_transformer,
)
from lsr.vocabulary import Vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# The release of sentence-transformers that brought sparse encoders. It and later ones know these
# names of the modules.
RELEASE = "5.0.0"
TRANSFORMER = "sentence_transformers.sparse_encoder.models.MLMTransformer"
POOLING = "sentence_transformers.sparse_encoder.models.SpladePooling"
STATIC = "sentence_transformers.sparse_encoder.models.SparseStaticEmbedding"
ROUTER = "sentence_transformers.models.Router"
QUERY_FOLDER = "query_0_SparseStaticEmbedding"
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
    # Logarithms of the activation of queries that go through the model; 0: as of documents.
    query_logs: int = 0

    @property
    def is_known_elsewhere(self) -> bool:
        """Whether sentence-transformers has the activation of both sides."""
        return self.logs <= 2 and self.query_logs in (0, self.logs)

    def __post_init__(self) -> None:
        check_choice("queries", self.queries, ("model", "table"))
        check_range("logs", self.logs, 1, MOST_LOGS)
        check_range("query_logs", self.query_logs, 0, MOST_LOGS)
        check_length(self.max_length)
        if self.top_k < 0:
            raise UsageError(f"top_k is {self.top_k}; allowed is 1 or more, and 0 for all terms")


def export_encoder(
    folder: Path,
    model: PreTrainedModel,
    vocabulary: Vocabulary,
    settings: Exported,
    table: NDArray[np.float32] | None,
) -> None:
    """Write the folder; it appears whole or not at all, in place of an earlier export.

    Weights are stored as float32, in which all readers compute. Rows of the projection
    behind the vocabulary are left out. With a table, documents get no weight for special tokens,
    which no query has: their bias is so low that they never become active, where the projection
    has a bias. ``model`` stays as it is, and so does the state of torch's random numbers.

    Args:
        folder: where; its parent exists.
        model: the masked language model, on any device.
        vocabulary: the terms, and the tokenizer.
        settings: how it weighs texts.
        table: float32 (V,), the weight of each term of a query, or None where queries go through
            the model. Negative weights and those of special tokens become 0.

    Raises:
        UsageError: the folder holds something other than an earlier export, or table and settings
            don't go together.
        InputError: a weight is not finite, the table does not fit the vocabulary, or
            the model or the tokenizer lacks what the formats need.
    """
    if (table is not None) != (settings.queries == "table"):
        raise UsageError(
            f"queries={settings.queries} and {'a' if table is not None else 'no'} table were "
            "given; give a table with queries=table, and only then"
        )
    weights = None if table is None else _checked(table, vocabulary)
    copied = _inference_copy(model, vocabulary, drop_special=table is not None)
    length = longest_input(copied, settings.max_length)
    with appearing(folder, "modules.json") as new:
        write_transformer(new, copied, vocabulary, length)
        if weights is None:
            _write_pooling(new / "1_SpladePooling", settings)
            modules = {"": TRANSFORMER, "1_SpladePooling": POOLING}
        else:
            _write_pooling(new / "document_1_SpladePooling", settings)
            _write_table(new, vocabulary, weights, padding_token(copied, vocabulary))
            modules = {"": ROUTER}
        write_modules(new, modules)
        write_json(new / "config_sentence_transformers.json", _sentence_transformers(settings))


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


def _write_pooling(folder: Path, settings: Exported) -> None:
    folder.mkdir()
    activation = activation_name(settings.logs)
    if settings.query_logs not in (0, settings.logs):
        # A name that sentence-transformers doesn't know: it has one activation for both sides.
        activation += f"/{activation_name(settings.query_logs)}"
    write_json(
        folder / "config.json", {"pooling_strategy": "max", "activation_function": activation}
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
    # OpenSearch takes 1 for a token that is not listed. str() gives the shortest number that
    # float32 reads back as the same.
    listed = {
        token: float(str(weight)) for token, weight in zip(vocabulary.tokens, weights, strict=True)
    }
    write_json(folder / "idf.json", listed)
    document = {"": TRANSFORMER, "document_1_SpladePooling": POOLING}
    write_json(
        folder / "router_config.json",
        {
            "types": {QUERY_FOLDER: STATIC} | document,
            "structure": {"query": [QUERY_FOLDER], "document": list(document)},
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
    if settings.literal:
        config["lsr"] = {key: getattr(settings, key) for key in LITERAL}
    return config
