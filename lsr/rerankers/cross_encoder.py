"""Cross-encoders: one score for a query and a document that are read together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from lsr.backbones.batch_threads import map_batches
from lsr.backbones.batching import TokenBatch, padded
from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.pooled import TOKEN_BUDGET
from lsr.encoders.encoder import canonical_name, fingerprint
from lsr.errors import InputError
from lsr.rerankers.pair_model import DeclaredCrossEncoder, PairModel
from lsr.rerankers.reranker import Reranker, Scorer
from lsr.settings import check_length
from lsr.threads import computing_threads
from lsr.trusted_code import NO_CODE, TrustedCode

FAMILY = "cross-encoder"


@dataclass(frozen=True, slots=True)
class CrossEncoderConfig:
    """How a cross-encoder reads a pair."""

    # Tokens of query and document together, special ones included; the longer of the two is cut.
    # 3 or more; 0: what the checkpoint says.
    max_length: int = 0

    def __post_init__(self) -> None:
        if self.max_length:
            check_length(self.max_length)


class CrossEncoder(Reranker):
    """A transformer that reads query and document together, and gives them one score.

    ``logits`` are what the model gives; ``scores`` are those with the activation that the folder
    declares, as sentence-transformers' CrossEncoder gives them. Of two outputs, the second is for
    a match: its logit is that of the second over the first, its score the second's softmax.

    Raises:
        InputError: the folder is no cross-encoder, or asks for what is not supported.
    """

    def __init__(self, checkpoint: Checkpoint, config: CrossEncoderConfig | None = None) -> None:
        config = config or CrossEncoderConfig()
        self._checkpoint = checkpoint
        self._declared = DeclaredCrossEncoder.of(checkpoint)
        self._length = config.max_length or self._declared.max_length
        self.name = canonical_name(FAMILY, checkpoint, config)
        self.fingerprint = fingerprint(
            FAMILY,
            vocabulary=checkpoint.vocabulary.digest,
            checkpoint=checkpoint.digest,
            config=asdict(config),
            **self._declared.identity,
        )

    @classmethod
    def named(
        cls,
        name: str,
        config: CrossEncoderConfig | None = None,
        trusted: TrustedCode = NO_CODE,
    ) -> CrossEncoder:
        """The cross-encoder of a hub id or folder; weights are read at first use.

        It runs no Python code of its own, ``trusted`` or not.

        Raises:
            InputError: as for the class.
            NotFoundError: there is no such model.
        """
        return cls(Checkpoint.resolve(name, trusted), config)

    def load(self) -> None:
        """See ``Reranker``."""
        _ = self._model, self._tokenizer

    def scorer(self, query: str) -> Scorer:
        """See ``Reranker``."""
        return lambda texts: self.scores([(query, text) for text in texts])

    def scores(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """float32 (n,): the score of each query and document, behind the activation.

        Raises:
            InputError: a score is not finite, or the model can't be used.
        """
        model = self._model
        import torch

        kind = self._declared.activation or ("Sigmoid" if model.outputs == 1 else "Identity")
        activation = getattr(torch.nn, kind)()
        logits = torch.from_numpy(self._outputs(pairs))
        with torch.inference_mode():
            activated = activation(logits)
            chosen = activated[:, 0] if model.outputs == 1 else activated.softmax(dim=1)[:, 1]
        return self._finite(chosen.numpy())

    def logits(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """float32 (n,): what the model gives for each query and document.

        Raises:
            InputError: as for ``scores``.
        """
        outputs = self._outputs(pairs)
        return self._finite(
            outputs[:, 0] if outputs.shape[1] == 1 else outputs[:, 1] - outputs[:, 0]
        )

    def _outputs(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """float32 (n, outputs)."""
        model, prompt = self._model, self._declared.prompt
        import torch

        def run(batch: TokenBatch) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
            with torch.inference_mode():
                return batch.rows, model.logits(batch).cpu().numpy()

        encodings = self._tokenizer.encode_batch([(prompt + query, text) for query, text in pairs])
        outputs = np.zeros((len(pairs), model.outputs), dtype=np.float32)
        for rows, part in map_batches(run, spread(encodings, TOKEN_BUDGET[model.device.type])):
            outputs[rows] = part
        return outputs

    def _finite(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        if not np.isfinite(scores).all():
            raise InputError(
                f"the cross-encoder {self.name} gives a score that is not finite; its weights are "
                "damaged, or it needs other numbers than float32: leave it out"
            )
        return scores

    @cached_property
    def _model(self) -> PairModel:
        return PairModel(self._checkpoint, self._declared)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        from lsr.backbones.model_weights import longest_input

        length = longest_input(self._model.module, self._length)
        return pair_tokenizer(self._checkpoint, length)


def pair_tokenizer(checkpoint: Checkpoint, length: int) -> Tokenizer:
    """The checkpoint's tokenizer, which cuts the longer text of a pair until both fit.

    Raises:
        InputError: it puts nothing between the two, or they have no room.
    """
    tokenizer = Tokenizer.from_str(checkpoint.vocabulary.tokenizer.to_str())
    special = tokenizer.num_special_tokens_to_add(is_pair=True)
    if special == 0:
        raise InputError(
            f"the tokenizer of {checkpoint.name!r} puts nothing between query and document; give a "
            "cross-encoder, whose tokenizer.json has a template for pairs"
        )
    if length < special + 2:
        raise InputError(
            f"{length} tokens of a pair leave no room beside {special} special ones for a query "
            f"and a document; give {special + 2} or more"
        )
    tokenizer.enable_truncation(length, strategy="longest_first")
    return tokenizer


def spread(encodings: Sequence[Encoding], token_budget: int) -> Iterable[TokenBatch]:
    """Batches of pairs of like length: a batch for each thread, or more where they are long."""
    tokens = sum(len(encoding.ids) for encoding in encodings)
    return padded(encodings, min(token_budget, -(-tokens // computing_threads())))
