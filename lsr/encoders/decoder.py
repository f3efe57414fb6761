"""Sparse encoders on decoder-only language models: Echo-Mistral-SPLADE, LACONIC, SPLADE-Code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from lsr.backbones.batching import Batcher, TokenBatch
from lsr.backbones.checkpoint import TOKENIZER_FILES, TOKENIZER_SETTINGS, Checkpoint
from lsr.backbones.declared import Side, declared_logs
from lsr.backbones.lora import SETTINGS, WEIGHTS, Adapter
from lsr.encoders.encoder import SparseEncoder, canonical_name, fingerprint
from lsr.encoders.term_pruning import TermPruning
from lsr.encoding.query_batches import encoded_together
from lsr.errors import InputError, UsageError
from lsr.settings import check_length, check_logs
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics
from lsr.vocabulary import Vocabulary

if TYPE_CHECKING:
    from lsr.backbones.causal import CausalLanguageModel

# Tokens a batch; the weights of a large model leave little of a GPU's memory.
TOKEN_BUDGET = {"cpu": 1024, "cuda": 16_384}
ALLOWED = {
    "echo": ("yes", "no"),
    "bidirectional": ("auto", "yes", "no"),
    "bos": ("auto", "yes", "no"),
    "eos": ("auto", "yes", "no"),
    "dtype": ("auto", "float32", "bfloat16", "float16"),
}


@dataclass(frozen=True, slots=True)
class DecoderReading:
    """How a decoder-only language model reads a text."""

    # "yes" reads each text twice and pools the second reading; "no".
    echo: str = "no"
    # Attention to both sides: "yes", "no"; "auto": what the model's config.json says with
    # ``is_causal``.
    bidirectional: str = "auto"
    # Put the model's tokens for beginning and end around each text ("yes"), or leave them out
    # ("no"); "auto": what the tokenizer does.
    bos: str = "auto"
    eos: str = "auto"
    # Before each query and document that is not blank; without commas.
    query_prefix: str = ""
    document_prefix: str = ""
    # A folder or hub id, for a model that has no tokenizer of its own; empty: the model's.
    tokenizer: str = ""
    # What the model computes in: "float32", "bfloat16", "float16"; "auto": bfloat16 on a GPU, else
    # float32.
    dtype: str = "auto"

    def __post_init__(self) -> None:
        for field, allowed in ALLOWED.items():
            if (given := getattr(self, field)) not in allowed:
                raise UsageError(f"{field} is {given!r}; allowed are {', '.join(allowed)}")
        if "," in self.query_prefix + self.document_prefix:
            raise UsageError(
                f"the prefixes are {self.query_prefix!r} and {self.document_prefix!r}; "
                "a prefix can't hold a comma"
            )


@dataclass(frozen=True, slots=True)
class DecoderConfig(DecoderReading):
    """How a decoder-only language model makes term weights of a text."""

    # Tokens of a text that count: prefix, BOS and EOS too, and one reading where the text is
    # echoed; 3 or more.
    max_length: int = 256
    # Logarithms of the activation, 1 to 4; 0: what the checkpoint says, else 1.
    logs: int = 0
    # Taken from each logit; 0 or more.
    shift: float = 0.0
    # The largest weights of a text that are kept; 0: all.
    top_k: int = 0
    # An adapter, a folder or a hub id; empty: none.
    lora: str = ""

    def __post_init__(self) -> None:
        # slots=True makes the class anew, which super() without arguments doesn't know.
        DecoderReading.__post_init__(self)
        check_length(self.max_length)
        check_logs(self.logs)
        if not 0 <= self.shift < float("inf"):
            raise UsageError(f"shift is {self.shift}; allowed are finite numbers from 0")
        TermPruning(top_k=self.top_k)


class DecoderEncoder(SparseEncoder):
    """Documents and queries through one decoder-only language model.

    w_j = log1p(relu(max over positions i of z_ij - shift)), with two logarithms where asked for,
    z being the logits of the language model's own head: Echo-Mistral-SPLADE (Doshi et al. 2024,
    arXiv 2408.11119) where the text is echoed, LACONIC (Xu et al. 2026, arXiv 2601.01684) where
    the attention is bidirectional. A blank text gets no terms.
    """

    def __init__(self, checkpoint: Checkpoint, config: DecoderConfig | None = None) -> None:
        config = config or DecoderConfig()
        self._checkpoint = checkpoint
        self._adapter = Adapter.resolve(config.lora) if config.lora else None
        tokenizer = _tokenizer(checkpoint, config)
        # A relative folder becomes absolute.
        self.config = config = replace(
            config,
            lora=self._adapter.name if self._adapter else "",
            tokenizer=tokenizer.name if config.tokenizer else "",
        )
        self.vocabulary = tokenizer.vocabulary
        self._frame = _frame(tokenizer, config)
        causal = (checkpoint.json("config.json") or {}).get("is_causal", True)
        self._bidirectional = {"yes": True, "no": False, "auto": not causal}[config.bidirectional]
        self._logs = config.logs or declared_logs(checkpoint, "document")
        self.name = canonical_name("decoder", checkpoint, config)
        self.fingerprint = fingerprint(
            "decoder",
            vocabulary=self.vocabulary.digest,
            checkpoint=checkpoint.digest,
            adapter=self._adapter and self._adapter.digest,
            config=asdict(config)
            | {"lora": None, "tokenizer": None, "logs": self._logs}
            | {"bidirectional": self._bidirectional, "bos": self._frame[0], "eos": self._frame[1]},
        )

    @classmethod
    def load(cls, model: str, config: DecoderConfig | None = None) -> DecoderEncoder:
        """The encoder on a model, or on an adapter and the model that it names.

        Raises:
            NotFoundError: no such model, adapter or tokenizer.
            UsageError: ``model`` is an adapter, and ``config`` names another one.
        """
        config = config or DecoderConfig()
        found = Checkpoint.resolve(model, holding=["config.json", SETTINGS])
        if found.path("config.json") and not found.path(WEIGHTS):
            return cls(found, config)
        if config.lora:
            raise UsageError(
                f"{model!r} and {config.lora!r} are both adapters; write decoder:MODEL,lora=ADAPTER"
            )
        base = Checkpoint.resolve(Adapter.resolve(model).base)
        return cls(base, replace(config, lora=found.name))

    @property
    def tokens_encoded(self) -> int:
        """Tokens that went through the model so far, each reading counted once."""
        return sum(batcher.tokens for batcher in vars(self).get("_batchers", {}).values())

    def cuts(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Which documents have more tokens than are encoded, bool (n,)."""
        prefixed = [self.config.document_prefix + text for text in texts]
        return self.vocabulary.longer(prefixed, self.config.max_length)

    def encode_documents(self, texts: Sequence[str]) -> SparseBatch:
        """Term weights of each text after the prefix of documents."""
        return self._encode("document", texts)

    def encode_queries(
        self, texts: Sequence[str], statistics: CollectionStatistics | None = None
    ) -> SparseBatch:
        """Term weights of each text after the prefix of queries; the statistics are not used."""
        return encoded_together(
            self.fingerprint,
            texts,
            lambda some: self._encode("query", some),
            lambda rows: SparseBatch.from_rows(rows, self.vocabulary.size),
        )

    def _encode(self, side: Side, texts: Sequence[str]) -> SparseBatch:
        model, batcher = self.model, self._batchers[side]
        import torch

        def weigh(batch: TokenBatch) -> SparseBatch:
            with torch.inference_mode():
                states, offsets = model.states(batch)
                pooled = model.projection.largest(states, offsets, self.config.shift)
            pooled.values[:] -= self.config.shift
            for _ in range(self._logs):
                np.log1p(pooled.values, out=pooled.values)
            return TermPruning(top_k=self.config.top_k)(pooled)

        weights = batcher.encode(texts, weigh)
        return replace(weights, vocabulary_size=self.vocabulary.size)

    @cached_property
    def model(self) -> CausalLanguageModel:
        """The model, with the adapter in its weights; loaded at first use."""
        from lsr.backbones.torch_runtime import transformers

        transformers()
        from lsr.backbones.causal import CausalLanguageModel

        return CausalLanguageModel(
            self._checkpoint,
            self.vocabulary.size,
            self._adapter,
            bidirectional=self._bidirectional,
            echo=self.config.echo == "yes",
            dtype=self.config.dtype,
        )

    def batcher(self, side: Side, max_length: int, token_budget: int) -> Batcher:
        """What cuts texts of a side into batches of tokens for the model, behind their prefix.

        ``max_length`` as in the settings; ``token_budget`` tokens are in a batch, both readings
        counted.
        """
        prefixes = {"document": self.config.document_prefix, "query": self.config.query_prefix}
        return Batcher(
            self._known_vocabulary,
            self.model.longest(max_length),
            token_budget // 2 if self.config.echo == "yes" else token_budget,
            prefixes[side],
        )

    @cached_property
    def _known_vocabulary(self) -> Vocabulary:
        return _known(self.vocabulary, self.model.rows, self._frame, self._checkpoint.name)

    @cached_property
    def _batchers(self) -> dict[Side, Batcher]:
        budget = TOKEN_BUDGET[self.model.device.type]
        sides: tuple[Side, ...] = ("document", "query")
        return {side: self.batcher(side, self.config.max_length, budget) for side in sides}


def _tokenizer(checkpoint: Checkpoint, config: DecoderConfig) -> Checkpoint:
    """Where the tokenizer is; LACONIC's checkpoints, for one, come without."""
    files = ["tokenizer.json", TOKENIZER_SETTINGS]
    if config.tokenizer:
        return Checkpoint.resolve(config.tokenizer, holding=files, fetched=TOKENIZER_FILES)
    if not any(map(checkpoint.path, files)):
        raise InputError(
            f"the checkpoint {checkpoint.name!r} has no tokenizer; name the model that it was "
            "trained from with tokenizer=MODEL"
        )
    return checkpoint


class Frame(NamedTuple):
    """Token ids that stand before and after the tokens of each text."""

    before: list[int]
    after: list[int]


def _frame(tokenizer: Checkpoint, config: DecoderConfig) -> Frame:
    """BOS and EOS as asked for, or as the tokenizer puts them.

    Raises:
        InputError: one is asked for that the tokenizer's settings don't name.
    """
    encode = tokenizer.vocabulary.tokenizer.encode
    bare, whole = encode("a", add_special_tokens=False).ids, encode("a").ids
    start = next((at for at in range(len(whole)) if whole[at : at + len(bare)] == bare), len(whole))
    sides = []
    for own, asked, kind in [
        (whole[:start], config.bos, "bos"),
        (whole[start + len(bare) :], config.eos, "eos"),
    ]:
        add = asked == "yes" and not own
        sides.append([] if asked == "no" else [_special_id(tokenizer, kind)] if add else own)
    return Frame(*sides)


def _special_id(tokenizer: Checkpoint, kind: str) -> int:
    settings = tokenizer.json(TOKENIZER_SETTINGS) or {}
    token = settings.get(f"{kind}_token")
    spelling = token.get("content") if isinstance(token, dict) else token
    found = isinstance(spelling, str) and tokenizer.vocabulary.tokenizer.token_to_id(spelling)
    if found is None or found is False:
        raise InputError(
            f"the {TOKENIZER_SETTINGS} of {tokenizer.name!r} names no {kind}_token of its "
            f"vocabulary; use {kind}=no"
        )
    return int(found)


def _known(vocabulary: Vocabulary, rows: int, frame: Frame, name: str) -> Vocabulary:
    """The vocabulary as the model reads it: framed, without added tokens that it has no row for.

    Raises:
        InputError: the model has no row for a token that can't be left out.
    """
    state = json.loads(vocabulary.tokenizer.to_str())
    state["post_processor"] = None
    state["added_tokens"] = [token for token in state["added_tokens"] if token["id"] < rows]
    tokenizer = Tokenizer.from_str(json.dumps(state))
    known = Vocabulary.from_tokenizer(tokenizer)
    if max([known.size - 1, *frame.before, *frame.after]) >= rows:
        raise InputError(
            f"the tokenizer has {vocabulary.size} tokens, and the model {name!r} knows {rows}; "
            "give the tokenizer that the model was trained with"
        )
    parts = {"BOS": frame.before, "EOS": frame.after}
    tokenizer.post_processor = TemplateProcessing(
        single=[*(["BOS"] if frame.before else []), "$A", *(["EOS"] if frame.after else [])],
        special_tokens=[
            {"id": part, "ids": ids, "tokens": [part] * len(ids)}
            for part, ids in parts.items()
            if ids
        ],
    )
    return known
