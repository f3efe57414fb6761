"""Term weights from a language model's vocabulary projection: terms weighed, and terms added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsr.backbones.batching import Batcher, TokenBatch
from lsr.backbones.bert import BertLanguageModel
from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.declared import (
    Side,
    check_modules,
    declared_dense_terms,
    declared_literal,
    declared_logs,
    declared_pool,
    declared_prompt,
    declared_top_k,
)
from lsr.backbones.torch_runtime import has_gpu, inference_mode, transformers
from lsr.backbones.transformer_settings import check_transformer, declared_length
from lsr.encoders.component import Component, Lazy, SharedModels
from lsr.encoders.dense_terms import FOLDER, DenseTerms
from lsr.encoders.literal_terms import LiteralTerms
from lsr.encoders.term_counts import count_terms
from lsr.encoders.term_pooling import in_quadrature, owners, pool_terms, summed
from lsr.encoders.term_pruning import SPECIAL, TermPruning, folded_terms, special_terms
from lsr.errors import UsageError
from lsr.settings import changed, check_choice, check_length, check_logs
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics
from lsr.vocabulary import Vocabulary

if TYPE_CHECKING:
    from lsr.backbones.backbone import Backbone

# Tokens a batch: on a CPU the states and a tile of logits should stay in the cache.
TOKEN_BUDGET = {"cpu": 1024, "cuda": 65_536}


@dataclass(frozen=True, slots=True)
class MaskedLmConfig:
    """How logits become term weights."""

    # Tokens of a text that count, prefix and special tokens included, 3 or more; 0: what the
    # checkpoint says, as sentence-transformers reads it, else 256.
    max_length: int = 0
    # Logarithms of the activation, 1 to 4; 0: what the checkpoint says, else 1.
    logs: int = 0
    # Over positions: "max", "sum", or "cls" for the first position alone; "auto": what the
    # checkpoint says, else "max".
    pool: str = "auto"
    # Subtracted from each logit; 0 or more.
    shift: float = 0.0
    # The largest logits that each position keeps; 0: all.
    position_top_k: int = 0
    # Weights up to here are dropped, as ``TermPruning`` does; 0: none.
    threshold: float = 0.0
    # The largest weights of a text that are kept, likewise; 0: all, -1: what the checkpoint says,
    # else all.
    top_k: int = -1
    # Weights below this share of the text's largest are dropped, likewise; 0: none.
    prune: float = 0.0
    # Special tokens: "keep", "drop" or "drop-first", as ``special_terms`` does.
    special: str = "keep"
    # The positions that are pooled: "all", "no-prefix", or "text" for neither special tokens nor
    # the prefix.
    positions: str = "all"
    # Keep only terms that occur in the text.
    own_terms: bool = False
    # "case-space" joins terms that differ by case or leading space, by the larger weight; "none".
    fold: str = "none"
    # Stands before each text; "auto": the prompt that the checkpoint declares for the side, else
    # nothing.
    prefix: str = "auto"
    # The projection: "mlm", the model's own, or "embeddings", the input embeddings.
    head: str = "mlm"
    # "epic" weighs positions and documents as EPIC does; "none".
    importance: str = "none"
    # Weight of the added ``LiteralTerms``, 0 for none; -1: what the checkpoint says, else none.
    literal: float = -1.0
    # Their ``length``, mean terms of a document; 0: what the checkpoint says, else 100.
    literal_length: float = 0.0
    # Weight of the ``DenseTerms``, which join the others in quadrature, before pruning; 0 for
    # none, -1: what the checkpoint says of documents, else none.
    dense_terms: float = -1.0
    # How many of them a text gets at most; 0: what the checkpoint says, else 100.
    dense_terms_top: int = 0

    def __post_init__(self) -> None:
        if self.max_length:
            check_length(self.max_length)
        check_logs(self.logs)
        if not (self.shift >= 0 and np.isfinite(self.shift)):
            raise UsageError(f"shift is {self.shift}; allowed is 0 or more")
        if self.position_top_k < 0:
            raise UsageError(f"position_top_k is {self.position_top_k}; allowed is 0 or more")
        check_choice("pool", self.pool, ("auto", "max", "sum", "cls"))
        check_choice("special", self.special, SPECIAL)
        check_choice("positions", self.positions, ("all", "no-prefix", "text"))
        check_choice("fold", self.fold, ("none", "case-space"))
        check_choice("head", self.head, ("mlm", "embeddings"))
        check_choice("importance", self.importance, ("none", "epic"))
        if self.literal != -1 and not (self.literal >= 0 and np.isfinite(self.literal)):
            raise UsageError(f"literal is {self.literal}; allowed is 0 or more")
        if not (self.literal_length >= 0 and np.isfinite(self.literal_length)):
            raise UsageError(f"literal_length is {self.literal_length}; allowed is 0 or more")
        if self.dense_terms != -1 and not (self.dense_terms >= 0 and np.isfinite(self.dense_terms)):
            raise UsageError(f"dense_terms is {self.dense_terms}; allowed is 0 or more")
        if self.dense_terms_top < 0:
            raise UsageError(f"dense_terms_top is {self.dense_terms_top}; allowed is 0 or more")
        if self.importance == "epic" and (self.head != "mlm" or self.position_top_k):
            raise UsageError("importance=epic goes with head=mlm, and without position_top_k")
        TermPruning(self.threshold, 0 if self.top_k == -1 else self.top_k, self.prune)


class PooledLogits(Component):
    """Logits pooled over positions, saturated by logarithms, pruned.

    Max pooling: w_j = log1p(relu(max over positions i of z_ij)), Formal et al. 2021b ("SPLADE
    v2") and Lassance et al. 2024; with two logarithms log1p(log1p(relu(max z))), Shen et
    al. 2025. Sum pooling: w_j = sum over i of log1p(relu(z_ij)), Formal et al. 2021a ("SPLADE").
    With ``importance=epic`` (MacAvaney et al. 2020) z_ij is first multiplied by position i's
    importance, and the weights at last by the document's quality.

    Args:
        vocabulary: the terms, and the tokenizer.
        model: gives states, whatever stands behind it.
        config: settings, with nothing left to the checkpoint.
        identity: what of the model changes vectors.
        dense: the dense terms that are added, or None.
    """

    needs_statistics = False

    def __init__(
        self,
        vocabulary: Vocabulary,
        model: Lazy[Backbone | BertLanguageModel],
        config: MaskedLmConfig,
        identity: Mapping[str, Any],
        dense: DenseTerms | None = None,
    ) -> None:
        self.vocabulary = vocabulary
        self.config = config
        self.identity = identity
        self._model = model
        self._prune = TermPruning(config.threshold, config.top_k, config.prune)
        self._literal = None
        if config.literal > 0:
            self._literal = LiteralTerms(vocabulary, config.literal, config.literal_length)
        self._dense = dense

    @property
    def tokens_encoded(self) -> int:
        """Tokens that went through the model so far."""
        own = self._batcher.tokens if "_batcher" in vars(self) else 0
        return own + (self._dense.model.tokens_encoded if self._dense else 0)

    def cuts(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Which texts have more tokens than are encoded, bool (n,), but for dense terms."""
        prefixed = [self.config.prefix + text for text in texts]
        return self.vocabulary.longer(prefixed, self.config.max_length)

    def encode(
        self, texts: Sequence[str], statistics: CollectionStatistics | None = None
    ) -> SparseBatch:
        """Term weights of each text, in the order of the texts; the statistics are not used."""
        weights = self._batcher.encode(
            [self.config.prefix + text if text.strip() else text for text in texts], self._weigh
        )
        if self.config.own_terms:
            keys = owners(weights) * weights.vocabulary_size + weights.indices
            own = count_terms(self.vocabulary, texts)
            own_keys = owners(own) * own.vocabulary_size + own.indices
            weights = weights.keep(np.isin(keys, own_keys, assume_unique=True))
        if self._literal:
            weights = summed(weights, self._literal(texts))
        if self._dense:
            weights = in_quadrature(weights, self._dense(texts))
        return self._prune(weights)

    def _weigh(self, batch: TokenBatch) -> SparseBatch:
        """One row for each text of the batch."""
        with inference_mode():
            pooled = self._pooled(batch)
        if self._dropped is not None:
            pooled = pooled.keep(~self._dropped[pooled.indices])
        if self._stands is not None:
            terms = self._stands[pooled.indices]
            shape = len(pooled), pooled.vocabulary_size
            pooled = pool_terms(owners(pooled), terms, pooled.values, shape)
        return pooled

    def _pooled(self, batch: TokenBatch) -> SparseBatch:
        backbone: Any = self._model.value
        quality = None
        if self.config.importance == "epic":
            states, offsets, quality = backbone.weighed_states(batch)
        else:
            states, offsets = backbone.states(batch)
        kept = self._pooled_positions(batch, offsets)
        if kept is not None:
            states = states[kept]
            before = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])
            offsets = before[offsets]
        filled = np.diff(offsets) > 0
        bounds = np.concatenate([offsets[:-1][filled], offsets[-1:]])
        pooled = self._saturated(backbone.projection, states, bounds)
        if quality is not None:
            pooled.values[:] *= quality[filled][owners(pooled)]
        return pooled.expand(filled)

    def _saturated(self, projection: Any, states: Any, offsets: NDArray[np.int64]) -> SparseBatch:
        """The pooled weights of documents that each have a position."""
        config = self.config
        if len(offsets) == 1:
            return SparseBatch.from_rows([], self.vocabulary.size)
        if config.position_top_k:
            logits, terms = projection.top_of_positions(states, config.position_top_k)
            rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
            rows = np.repeat(rows, logits.shape[1])
            weights = self._saturate(np.maximum(logits.ravel() - np.float32(config.shift), 0))
            shape = len(offsets) - 1, self.vocabulary.size
            how = "sum" if config.pool == "sum" else "max"
            return pool_terms(rows, terms.ravel(), weights, shape, how)
        pooled: SparseBatch
        if config.pool == "sum":
            pooled = projection.summed(states, offsets, self._saturate_logits)
            return pooled
        pooled = projection.largest(states, offsets, config.shift)
        if config.shift:
            pooled.values[:] -= np.float32(config.shift)
        self._saturate(pooled.values)
        return pooled

    def _saturate(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logarithms of what is not negative, in place."""
        for _ in range(self.config.logs):
            np.log1p(values, out=values)
        return values

    def _saturate_logits(self, logits: Any) -> Any:
        logits = (logits - self.config.shift).relu()
        for _ in range(self.config.logs):
            logits = logits.log1p()
        return logits

    def _pooled_positions(
        self, batch: TokenBatch, offsets: NDArray[np.int64]
    ) -> NDArray[np.bool_] | None:
        """bool (tokens,): the positions that are pooled, or None where all are."""
        config = self.config
        if config.pool != "cls" and config.positions == "all":
            return None
        ids = batch.ids[batch.mask.astype(bool)]
        if config.pool == "cls":
            kept = np.zeros(len(ids), dtype=np.bool_)
            kept[offsets[:-1]] = True
            return kept
        kept = np.ones(len(ids), dtype=np.bool_)
        leading, prefix = self._prefix_tokens
        for place in range(leading, leading + prefix):
            inside = offsets[:-1] + place
            kept[inside[inside < offsets[1:]]] = False
        if config.positions == "text":
            kept &= ~np.isin(ids, list(self.vocabulary.special))
        return kept

    @cached_property
    def _prefix_tokens(self) -> tuple[int, int]:
        """How many special tokens begin a text, and how many tokens the prefix has after them."""
        prefix = self.config.prefix
        plain = self.vocabulary.tokenizer.encode(prefix + "a", add_special_tokens=False)
        count = sum(start < len(prefix.rstrip()) for start, _ in plain.offsets)
        whole = self.vocabulary.tokenizer.encode(prefix + "a").ids
        leading = next(
            place
            for place in range(len(whole) - len(plain.ids) + 1)
            if whole[place : place + len(plain.ids)] == plain.ids
        )
        return leading, count

    @cached_property
    def _dropped(self) -> NDArray[np.bool_] | None:
        special = "drop" if self.config.own_terms else self.config.special
        dropped = special_terms(self.vocabulary, special)
        return dropped if dropped.any() else None

    @cached_property
    def _stands(self) -> NDArray[np.int64] | None:
        return folded_terms(self.vocabulary) if self.config.fold == "case-space" else None

    @cached_property
    def _batcher(self) -> Batcher:
        backbone = self._model.value
        length = backbone.longest(self.config.max_length)
        on_cpu = isinstance(backbone, BertLanguageModel) or backbone.device.type == "cpu"
        budget = TOKEN_BUDGET["cpu" if on_cpu else "cuda"]
        return Batcher(self.vocabulary, length, budget)


def pooled_logits(
    checkpoint: Checkpoint, config: MaskedLmConfig, side: Side, models: SharedModels
) -> PooledLogits:
    """The component of a checkpoint: in the native core where that has its kind, else in torch.

    Raises:
        InputError: the checkpoint declares what is not supported.
        UsageError: the checkpoint needs code of its own, which is not trusted.
    """
    checkpoint.check_code(may_run=True)
    check_modules(checkpoint, side)
    check_transformer(checkpoint, "fill-mask", "logits")
    literal, terms = declared_literal(checkpoint), declared_dense_terms(checkpoint)
    # The checkpoint's are of documents.
    weight = terms.weight if side == "document" else 0.0
    resolved = replace(
        config,
        max_length=config.max_length or declared_length(checkpoint, side),
        logs=config.logs or declared_logs(checkpoint, side),
        top_k=declared_top_k(checkpoint) if config.top_k == -1 else config.top_k,
        pool=declared_pool(checkpoint, side) if config.pool == "auto" else config.pool,
        prefix=declared_prompt(checkpoint, side) if config.prefix == "auto" else config.prefix,
        literal=literal.weight if config.literal == -1 else config.literal,
        literal_length=config.literal_length or literal.length,
        dense_terms=weight if config.dense_terms == -1 else config.dense_terms,
        dense_terms_top=config.dense_terms_top or terms.top,
    )
    settings = changed(resolved, "max_length", "logs")
    usual = {"pool": "max", "top_k": 0, "prefix": "", "literal": 0.0, "dense_terms": 0.0}
    for name, value in usual.items():
        if settings.get(name) == value:
            del settings[name]
    for name, detail in {"literal": "literal_length", "dense_terms": "dense_terms_top"}.items():
        if name not in settings:
            del settings[detail]
    settings |= {"max_length": resolved.max_length, "logs": resolved.logs}
    identity: dict[str, Any] = {"checkpoint": checkpoint.digest, "config": settings}
    if code := checkpoint.code_digest:
        identity["code"] = code
    dense = None
    if resolved.dense_terms:
        dense = DenseTerms(
            checkpoint.vocabulary,
            checkpoint.root / FOLDER,
            resolved.dense_terms,
            resolved.dense_terms_top,
        )
        identity["dense_terms"] = dense.identity | {"joined": "in quadrature"}

    # What the native core computes: the largest logits, in transformers' own architecture.
    native = (
        resolved.head == "mlm"
        and resolved.importance == "none"
        and resolved.pool != "sum"
        and not resolved.position_top_k
        and checkpoint.code is None
    )

    def load() -> Backbone | BertLanguageModel:
        if native and not has_gpu() and (bert := BertLanguageModel.of(checkpoint)):
            return bert
        transformers()
        from lsr.backbones import backbone

        if config.importance == "epic":
            return backbone.EpicLanguageModel(checkpoint)
        if config.head == "embeddings":
            return backbone.EmbeddingProjection(checkpoint)
        return backbone.MaskedLanguageModel(checkpoint)

    key = checkpoint.folder, config.head, config.importance, native
    model = models.get(key, load)
    return PooledLogits(checkpoint.vocabulary, model, resolved, identity, dense)
