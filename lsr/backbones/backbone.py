"""What stands between token ids and the vocabulary projection: a language model's states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.backbones.batching import TokenBatch
from lsr.backbones.batching_rule import equal_but_rounding, find_batching, run_batch
from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.model_weights import load_model, load_wrapped_model, longest_input, read_tensors
from lsr.backbones.projection import VocabularyProjection, WholeLogits
from lsr.errors import InputError


class Backbone(Protocol):
    """A loaded language model, cut in two before its vocabulary projection.

    ``device`` is where it computes; ``projection`` is the part behind the cut.
    """

    device: torch.device
    projection: VocabularyProjection

    def longest(self, wanted: int) -> int:
        """``wanted`` tokens, or as many as the model can take."""
        ...

    def states(self, batch: TokenBatch) -> tuple[torch.Tensor, NDArray[np.int64]]:
        """What enters the projection at each position that is pooled, without padding.

        Returns:
            float (tokens, width), the documents of the batch one after the other, and int64
            (documents + 1,), where each begins.
        """
        ...


class MaskedLanguageModel(Backbone):
    """A checkpoint that transformers loads as ``AutoModelForMaskedLM``; bfloat16 on a GPU.

    Raises:
        InputError: it can't be loaded or run as one, or its projection has too few rows.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        model = load_model(checkpoint, "AutoModelForMaskedLM", own_code=True, dtype="auto")
        self._cut(model, checkpoint)

    def _cut(self, model: Any, checkpoint: Checkpoint) -> None:
        self._model = model
        self.device = self._model.device
        terms = checkpoint.vocabulary.size
        matrix = _last_matrix(model)
        if matrix is not None and matrix.weight.shape[0] < terms:
            raise _no_projection(checkpoint)
        self._batching = find_batching(self._run, checkpoint, self.device)
        self.projection = self._projection(matrix, checkpoint)

    def _projection(self, matrix: Any, checkpoint: Checkpoint) -> VocabularyProjection:
        """The model's last matrix, cut off; or its logits, where they are more than that."""
        terms = checkpoint.vocabulary.size
        ids = torch.arange(3, device=self.device)[None] % terms
        with torch.inference_mode():
            logits = self._run(ids, torch.ones_like(ids))[0]
            if logits.shape[-1] < terms:
                raise _no_projection(checkpoint)
            if matrix is not None:
                cut = VocabularyProjection(matrix.weight, getattr(matrix, "bias", None), terms)
                # The model then returns what enters its projection.
                matrix.forward = lambda states: states
                if self._makes(logits[:, :terms], cut, ids):
                    return cut
                del matrix.forward
        return WholeLogits(terms)

    def _makes(self, logits: torch.Tensor, cut: VocabularyProjection, ids: torch.Tensor) -> bool:
        """Whether the model without its last matrix, and the matrix behind it, make the logits."""
        try:
            states = self._run(ids, torch.ones_like(ids))[0]
            made = torch.nn.functional.linear(states, cut.weight, cut.bias)
        except Exception:  # a head that does more than multiply its input
            return False
        return equal_but_rounding(logits, made)

    def _run(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self._model(input_ids=ids, attention_mask=mask).logits
        return made

    def longest(self, wanted: int) -> int:
        """``wanted`` tokens, or as many as the model has positions for."""
        return longest_input(self._model, wanted)

    def states(self, batch: TokenBatch) -> tuple[torch.Tensor, NDArray[np.int64]]:
        """States at the real tokens."""
        ids, mask = batch.to(self.device)
        return run_batch(self._run, ids, mask, self._batching)[mask.bool()], batch.offsets


def _last_matrix(model: Any) -> Any:
    """The module that models name as their output embeddings, if it is a matrix over terms."""
    try:
        found = model.get_output_embeddings()
    except NotImplementedError:
        return None
    weight = getattr(found, "weight", None)
    return found if isinstance(weight, torch.Tensor) and weight.ndim == 2 else None


def _no_projection(checkpoint: Checkpoint) -> InputError:
    return InputError(
        f"the checkpoint {checkpoint.name!r} has no vocabulary projection over its "
        f"{checkpoint.vocabulary.size} terms; SPLADE needs a masked language model"
    )


class EpicLanguageModel(MaskedLanguageModel):
    """A masked language model with the two further heads of EPIC's document side.

    MacAvaney et al. 2020, "Expansion via Prediction of Importance with Contextualization";
    the layout is that of thongnt99/learned-sparse-retrieval (``lsr/models/mlm.py``): a
    BertForMaskedLM, under any prefix, beside ``term_importance.linear`` and
    ``doc_quality.linear``, each (1, width).

    Raises:
        InputError: the checkpoint lacks one of the three, or has another head than BERT's.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._cut(load_wrapped_model(checkpoint, "AutoModelForMaskedLM"), checkpoint)
        self._importance = TermHead(checkpoint, ("term_importance.linear",), self.device)
        self._quality = TermHead(checkpoint, ("doc_quality.linear",), self.device)
        whole = self.projection
        if isinstance(whole, WholeLogits):
            raise InputError(
                f"the head of {checkpoint.name!r} is more than one matrix, and EPIC's is not; give "
                "a BertForMaskedLM"
            )
        bias = whole.weight.new_zeros(whole.terms) if whole.bias is None else whole.bias
        # Weighing a logit weighs state and bias alike: the bias is one more column.
        weight = torch.cat([whole.weight, bias[:, None]], dim=1)
        self.projection = VocabularyProjection(weight, None, whole.terms)

    def weighed_states(
        self, batch: TokenBatch
    ) -> tuple[torch.Tensor, NDArray[np.int64], NDArray[np.float32]]:
        """States times their importance log1p(softplus(.)), and each document's quality.

        Returns:
            float (tokens, width + 1), int64 (documents + 1,), and float32 (documents,) in (0, 1).
        """
        ids, mask = batch.to(self.device)
        output = self._model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        hidden = output.hidden_states[-1]
        states = output.logits[mask.bool()]
        weights = torch.nn.functional.softplus(self._importance(hidden[mask.bool()])).log1p()
        ones = states.new_ones(len(states), 1)
        quality = self._quality(hidden[:, 0]).sigmoid().flatten().float().cpu().numpy()
        return torch.cat([states, ones], dim=1) * weights, batch.offsets, quality


class LastHiddenStates:
    """The last hidden states of any encoder, however its checkpoint names it."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._model: Any = load_wrapped_model(checkpoint, "AutoModel")
        self.device: torch.device = self._model.device
        self._batching = find_batching(self._run, checkpoint, self.device)

    def _run(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
        return states

    def longest(self, wanted: int) -> int:
        """``wanted`` tokens, or as many as the model has positions for."""
        return longest_input(self._model, wanted)

    def states(self, batch: TokenBatch) -> tuple[torch.Tensor, NDArray[np.int64]]:
        """float (tokens, width) at the real tokens, and int64 (documents + 1,)."""
        ids, mask = batch.to(self.device)
        return run_batch(self._run, ids, mask, self._batching)[mask.bool()], batch.offsets


class EmbeddingProjection(LastHiddenStates, Backbone):
    """SPARTA: last hidden states against the model's own input embeddings, without context.

    Zhao et al. 2021, as in BEIR (``beir/retrieval/models/sparta.py``), which has no
    bias.

    Raises:
        InputError: the checkpoint has fewer embeddings than terms.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint)
        weight = self._model.get_input_embeddings().weight
        terms = checkpoint.vocabulary.size
        if weight.shape[0] < terms:
            raise InputError(
                f"the checkpoint {checkpoint.name!r} embeds {weight.shape[0]} tokens, fewer than "
                f"the {terms} terms of its tokenizer"
            )
        self.projection = VocabularyProjection(weight, None, terms)


class TermHead:
    """A linear layer from a hidden state to one number.

    Args:
        checkpoint: whose safetensors hold ``NAME.weight`` (1, width); ``NAME.bias`` (1,) may be
            missing.
        names: what the layer may be called; the first that is there counts.
        device: where it computes.

    Raises:
        InputError: there is no such layer.
    """

    def __init__(self, checkpoint: Checkpoint, names: Sequence[str], device: torch.device) -> None:
        tensors = read_tensors(checkpoint)
        for name in names:
            weight = tensors.get(f"{name}.weight")
            if weight is not None and weight.ndim == 2 and weight.shape[0] == 1:
                bias = tensors.get(f"{name}.bias", torch.zeros(1))
                self._weight = weight.float().to(device)
                self._bias = bias.float().to(device)
                return
        raise InputError(
            f"the checkpoint {checkpoint.name!r} has no layer from hidden states to one number; "
            f"looked for {', '.join(names)}"
        )

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """(..., width) to (..., 1)."""
        return torch.nn.functional.linear(states, self._weight, self._bias)
