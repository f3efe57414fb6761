"""Many texts through the student in micro-batches: one thread each, or one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.backbones.batch_threads import map_batches
from lsr.backbones.batching import TokenBatch, Tokenized
from lsr.backbones.declared import Side
from lsr.backbones.projection import VocabularyProjection
from lsr.backbones.torch_runtime import seed_torch
from lsr.encoders.literal_terms import LiteralTerms
from lsr.encoders.term_counts import count_terms
from lsr.encoders.term_pooling import owners
from lsr.encoders.term_pruning import special_terms
from lsr.sparse import SparseBatch
from lsr.train.components import MlpConfig
from lsr.train.max_pooling import PooledMaxima
from lsr.train.precision import autocast, is_halved
from lsr.train.regularizers import saturate, top_k
from lsr.train.student import Tower
from lsr.train.term_weights import activated, pool_positions

Gradients = list[torch.Tensor | None]
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Weighing:
    """How the student's logits become term weights."""

    # Logarithms of the activation: 1 or 2.
    logs: int = 1
    # Tokens of a text that count, special ones included.
    max_length: int = 256
    # Adds the text's own terms; None: does not.
    literal: LiteralTerms | None = None
    # The largest weights of a text that are kept; 0: all.
    top_k: int = 0
    # Leave out special tokens.
    drop_special: bool = False
    # Keep only terms that occur in the text.
    own_terms: bool = False
    # How numbers of positions become weights, in place of logits over the vocabulary; None: by
    # logits. ``pool`` is that of the side.
    mlp: MlpConfig | None = None
    pool: str = "max"


@dataclass(frozen=True, eq=False)
class ReadTexts:
    """Texts as the student takes them: what of a step needs no model."""

    count: int
    batches: Sequence[TokenBatch]
    # Their literal terms, where they have some.
    literal: SparseBatch | None
    # Their terms, where no others count.
    own: SparseBatch | None = None


@dataclass
class Encoded:
    """Term weights of texts, whose gradient is carried back on demand.

    ``weights`` float (texts, V) is a leaf: a loss is computed from it and its backward pass run,
    then ``backward`` adds to the ``grad`` of the student's parameters.
    """

    weights: torch.Tensor
    _carry_back: Callable[[torch.Tensor], None] = field(repr=False)

    @property
    def nnz(self) -> torch.Tensor:
        """Non-zero weights of each text, int64 (texts,)."""
        return (self.weights.detach() > 0).sum(dim=1)

    def backward(self) -> None:
        """Carry the gradient of ``weights`` back to the parameters."""
        if self.weights.is_leaf and self.weights.grad is not None:
            self._carry_back(self.weights.grad)


class MicroBatchEncoder:
    """Encodes texts with the student, and carries gradients back, a micro-batch at a time.

    On a CPU each micro-batch is computed by one thread, so the results do not depend on how
    threads share an operation, and gradients are added in the order of the micro-batches. On a GPU
    they follow one another. With
    ``cached``, forward passes keep nothing and are repeated when the gradient is known: the
    gradient cache of Gao et al. 2021 ("Scaling Deep Contrastive Learning Batch Size under Memory
    Limited Setup"), whose micro-batches are called sub-batches, and chunks in its code. Memory is
    then that of one micro-batch a thread, however many texts share a loss.

    Args:
        student: the model.
        weighing: how logits become weights.
        tokens: padded tokens in a micro-batch; 0 for as many micro-batches as threads.
        cached: repeat the forward pass.
        side: whether the texts are documents or queries.
        precision: as in ``MemoryConfig``.
    """

    def __init__(
        self,
        student: Tower,
        weighing: Weighing,
        tokens: int = 0,
        cached: bool = False,
        side: Side = "document",
        precision: str = "auto",
    ) -> None:
        self.student = student
        self._halved = is_halved(student.device, precision)
        self._precision = precision
        self.weighing = weighing
        self.cached = cached
        self._one_a_thread = not tokens
        self.batcher = student.batcher(side, weighing.max_length, tokens)
        special = special_terms(student.vocabulary, "drop" if weighing.drop_special else "keep")
        self._special = special if special.any() else None
        self._parameters = [p for p in student.parameters().values() if p.requires_grad]

    def read(self, texts: Sequence[str]) -> ReadTexts:
        """What ``__call__`` takes in the place of texts, which may be read ahead of time."""
        literal = self.weighing.literal
        tokens = self.batcher.tokenize(texts)
        own = count_terms(self.student.vocabulary, texts) if self.weighing.own_terms else None
        return self.read_tokens(
            len(texts), *tokens, None if literal is None else literal(texts), own
        )

    def read_tokens(
        self,
        count: int,
        rows: NDArray[np.int64],
        tokens: Sequence[Tokenized],
        literal: SparseBatch | None,
        own: SparseBatch | None = None,
    ) -> ReadTexts:
        """The same of ``count`` texts whose tokens and terms were made before.

        ``rows`` and ``tokens`` are what ``Batcher.tokenize`` gives; ``literal`` and ``own`` as in
        ``ReadTexts``.
        """
        batches = (
            self._split(rows, tokens)
            if self._one_a_thread
            else list(self.batcher.batches(rows, tokens))
        )
        return ReadTexts(count, batches, literal, own)

    def __call__(self, texts: Sequence[str] | ReadTexts) -> Encoded:
        """Term weights of each text, in their order; a blank text has none."""
        student = self.student
        read = texts if isinstance(texts, ReadTexts) else self.read(texts)
        batches = read.batches
        weight, bias = student.projection()
        terms = min(student.vocabulary.size, len(weight))
        projection = VocabularyProjection(weight, bias, terms)
        seeds = torch.randint(2**31, (len(batches),)).tolist() if student.random else None

        def weigh(place: int) -> torch.Tensor:
            if seeds is None:
                return self._weigh(batches[place], projection)
            with torch.random.fork_rng():
                seed_torch(seeds[place])
                return self._weigh(batches[place], projection)

        def forward(place: int) -> torch.Tensor:
            with torch.set_grad_enabled(not self.cached):
                return weigh(place)

        parts = self._each(forward, range(len(batches)))
        weights = torch.zeros(read.count, student.vocabulary.size, device=student.device)
        for batch, part in zip(batches, parts, strict=True):
            weights[torch.from_numpy(batch.rows)] = part.detach()
        weights = self._finish(weights, read)

        def carry_back(gradient: torch.Tensor) -> None:
            gradient = gradient.masked_fill(weights.detach() <= 0, 0)

            def gradients(place: int) -> Gradients:
                rows = torch.from_numpy(batches[place].rows)
                part = weigh(place) if self.cached else parts[place]
                return self._gradients(part, gradient[rows])

            for found in self._each(gradients, range(len(batches))):
                self._add(found)

        return Encoded(weights.requires_grad_(), carry_back)

    def _finish(self, weights: torch.Tensor, read: ReadTexts) -> torch.Tensor:
        """The model's weights with the literal ones, and without those that are cut."""
        weighing = self.weighing
        if read.own is not None:
            kept = torch.zeros(weights.shape, dtype=torch.bool, device=weights.device)
            kept[_places(read.own, weights.device)] = True
            weights = weights.masked_fill(~kept, 0)
        own = read.literal
        if own is not None:
            values = torch.from_numpy(own.values).to(weights.device)
            weights.index_put_(_places(own, weights.device), values, accumulate=True)
        return top_k(weights, weighing.top_k) if weighing.top_k else weights

    def _split(self, rows: NDArray[np.int64], tokens: Sequence[Tokenized]) -> list[TokenBatch]:
        on_cpu = self.student.device.type == "cpu"
        return self.batcher.split(rows, tokens, torch.get_num_threads() if on_cpu else 1)

    def _each(self, work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Random numbers are drawn in order, so then no two micro-batches go at the same time."""
        return list(map(work, items)) if self.student.random else map_batches(work, items)

    def _weigh(self, batch: TokenBatch, projection: VocabularyProjection) -> torch.Tensor:
        """float (texts of the batch, V)."""
        if self.weighing.mlp is not None:
            return self._weigh_positions(batch, self.weighing.mlp)
        with self._autocast():
            states, offsets = self.student.states(batch)
        weight, bias = self.student.projection()
        if self._halved:
            states = states.float()
        search = torch.bfloat16 if self._halved else states.dtype
        keep = None if self._special is None else self._keep
        maxima = PooledMaxima(states, weight, bias, offsets, projection, keep, search)
        shape = len(batch.rows), self.student.vocabulary.size
        # A decoder's states may be shorter than float32.
        weights = states.new_zeros(shape, dtype=torch.float32)
        values = saturate(maxima.values.float(), self.weighing.logs)
        return weights.index_put((maxima.rows, maxima.terms), values)

    def _weigh_positions(self, batch: TokenBatch, mlp: MlpConfig) -> torch.Tensor:
        """As ``_weigh``, by the term head."""
        ids = batch.ids[batch.mask.astype(bool)].astype(np.int64)
        rows = np.repeat(np.arange(len(batch.rows)), np.diff(batch.offsets))
        with self._autocast():
            numbers = self.student.term_numbers(batch)
        weights = activated(numbers.float(), mlp)
        shape = len(batch.rows), self.student.vocabulary.size
        if self._special is not None:
            kept = np.flatnonzero(~self._special[ids])
            weights = weights[torch.from_numpy(kept).to(weights.device)]
            rows, ids = rows[kept], ids[kept]
        return pool_positions(weights, rows, ids, shape, self.weighing.pool)

    def _autocast(self) -> torch.autocast:
        return autocast(self.student.device, self._precision)

    def _keep(self, pooled: SparseBatch) -> NDArray[np.bool_]:
        assert self._special is not None
        return ~self._special[pooled.indices]

    def _gradients(self, part: torch.Tensor, gradient: torch.Tensor) -> Gradients:
        found = torch.autograd.grad(part, self._parameters, gradient, allow_unused=True)
        return list(found)

    def _add(self, gradients: Gradients) -> None:
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            if gradient is None:
                continue
            if parameter.grad is None:
                parameter.grad = gradient
            else:
                parameter.grad.add_(gradient)


def in_quadrature(weights: torch.Tensor, terms: SparseBatch) -> torch.Tensor:
    """Weights (texts, V), and those of a batch, which are positive and take no gradient.

    As ``lsr.encoders.term_pooling.in_quadrature`` joins them.
    """
    places = _places(terms, weights.device)
    values = torch.from_numpy(terms.values).to(weights.device)
    return weights.index_put(places, torch.hypot(weights[places], values))


def _places(batch: SparseBatch, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Row and term of each weight, int64 (nnz,)."""
    rows, terms = torch.from_numpy(owners(batch)), torch.from_numpy(batch.indices.astype(np.int64))
    return rows.to(device), terms.to(device)
