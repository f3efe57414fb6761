"""Cross-encoders: one score for a query and a document that are read together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from lsr.backbones.batch_threads import map_batches
from lsr.backbones.batching import TokenBatch, padded
from lsr.backbones.checkpoint import Checkpoint
from lsr.backbones.pooled import TOKEN_BUDGET
from lsr.encoders.encoder import canonical_name, fingerprint
from lsr.errors import InputError
from lsr.settings import check_length
from lsr.train.pairs import TrainingCorpus
from lsr.train.vector_cache import OnProgress, no_progress

PAIRS_AT_A_TIME = 256


@dataclass(frozen=True, slots=True)
class CrossEncoderConfig:
    """How a cross-encoder reads a pair."""

    # Tokens of query and document together, special ones included; the longer of the two is cut.
    # 3 or more.
    max_length: int = 512

    def __post_init__(self) -> None:
        check_length(self.max_length)


class CrossEncoder:
    """A transformer with one number as output, taken as it is: no sigmoid."""

    def __init__(self, checkpoint: Checkpoint, config: CrossEncoderConfig) -> None:
        self._checkpoint = checkpoint
        self._config = config
        self.name = canonical_name("cross-encoder", checkpoint, config)
        self.fingerprint = fingerprint(
            "cross-encoder",
            vocabulary=checkpoint.vocabulary.digest,
            checkpoint=checkpoint.digest,
            config=asdict(config),
        )

    @classmethod
    def load(cls, name: str, config: CrossEncoderConfig) -> CrossEncoder:
        """The cross-encoder of a hub id or folder; weights are read at first use.

        Raises:
            NotFoundError: there is no such model.
        """
        return cls(Checkpoint.resolve(name), config)

    def scores(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """float32 (n,): the score of each query and document.

        Raises:
            InputError: the model has more than one output, or gives a score that is not finite.
        """
        model = self._model
        import torch

        def score(batch: TokenBatch) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
            inputs = {"input_ids": batch.ids, "attention_mask": batch.mask}
            # Some architectures, such as DistilBERT, have no types and take none.
            if getattr(model.config, "type_vocab_size", 0):
                inputs["token_type_ids"] = batch.types
            with torch.inference_mode():
                tensors = {
                    name: torch.from_numpy(array).to(model.device) for name, array in inputs.items()
                }
                logits = model(**tensors).logits
                return batch.rows, logits[:, 0].float().cpu().numpy()

        encodings = self._tokenizer.encode_batch(list(pairs))
        batches = padded(encodings, TOKEN_BUDGET[model.device.type])
        scores = np.zeros(len(pairs), dtype=np.float32)
        for rows, part in map_batches(score, batches):
            scores[rows] = part
        if not np.isfinite(scores).all():
            raise InputError(
                f"the cross-encoder {self.name} gives a score that is not finite; leave it out of "
                "the training"
            )
        return scores

    @cached_property
    def _model(self) -> Any:
        from lsr.backbones.model_weights import CLASSIFIER, load_model

        model = load_model(self._checkpoint, CLASSIFIER)
        if model.config.num_labels != 1:
            raise InputError(
                f"the model {self.name} has {model.config.num_labels} outputs; give a "
                "cross-encoder, which has one"
            )
        return model

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        from lsr.backbones.model_weights import longest_input

        tokenizer = Tokenizer.from_str(self._checkpoint.vocabulary.tokenizer.to_str())
        if tokenizer.num_special_tokens_to_add(is_pair=True) == 0:
            raise InputError(
                f"the tokenizer of {self.name} puts nothing between query and document; give a "
                "cross-encoder, whose tokenizer.json has a template for pairs"
            )
        length = longest_input(self._model, self._config.max_length)
        tokenizer.enable_truncation(length, strategy="longest_first")
        return tokenizer


class CrossEncoderTeacher:
    """A ``Teacher`` that scores a pair when it is first asked for, and keeps scores in a file.

    Args:
        encoder: what scores.
        corpus: the texts.
        cache: the folder of the file.
        on_progress: takes what is computed, how much of it is done, and the total of a call.
    """

    def __init__(
        self,
        encoder: CrossEncoder,
        corpus: TrainingCorpus,
        cache: Path,
        on_progress: OnProgress = no_progress,
    ) -> None:
        self.name = encoder.name
        self._encoder = encoder
        self._corpus = corpus
        self._on_progress = on_progress
        self._file = ScoreFile(cache / f"{encoder.fingerprint}-{corpus.digest}.scores")

    def scores(
        self, queries: NDArray[np.int64], documents: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """See ``Teacher``."""
        width = len(self._corpus.documents)
        keys = queries[:, None] * width + documents
        there = documents >= 0
        wanted = np.unique(keys[there])
        missing = [key for key in wanted.tolist() if key not in self._file.scores]
        for start in range(0, len(missing), PAIRS_AT_A_TIME):
            part = missing[start : start + PAIRS_AT_A_TIME]
            pairs = [
                (self._corpus.queries[key // width], self._corpus.documents[key % width])
                for key in part
            ]
            self._file.append(part, self._encoder.scores(pairs))
            self._on_progress(f"pairs by {self.name}", start + len(part), len(missing))
        found = np.zeros(documents.shape, dtype=np.float32)
        found[there] = [self._file.scores[key] for key in keys[there].tolist()]
        return found


class ScoreFile:
    """Scores by key, in a file of records that only grows: int64 key, float32 score.

    A record that was cut off by an interruption is dropped.
    """

    RECORD = np.dtype([("key", "<i8"), ("score", "<f4")])

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        whole = path.stat().st_size // self.RECORD.itemsize
        records = np.fromfile(path, self.RECORD, whole)
        os.truncate(path, whole * self.RECORD.itemsize)
        self._path = path
        finite = records[np.isfinite(records["score"])]
        self.scores: dict[int, float] = dict(
            zip(finite["key"].tolist(), finite["score"].tolist(), strict=True)
        )

    def append(self, keys: Sequence[int], scores: NDArray[np.float32]) -> None:
        """Keep some scores; they are in the file when this returns."""
        records = np.empty(len(keys), self.RECORD)
        records["key"], records["score"] = keys, scores
        with self._path.open("ab") as file:
            file.write(records.tobytes())
        self.scores.update(zip(keys, scores.tolist(), strict=True))
