"""Dense terms of the encoder that a training begins with: they stay as they are.

What is trained stands beside them, in training as in the encoder that comes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lsr.backbones.checkpoint import FETCHED, NOT_FETCHED, Checkpoint
from lsr.backbones.declared import DeclaredDenseTerms, declared_dense_terms
from lsr.backbones.exported_folder import copy_files
from lsr.encoders.dense_terms import FOLDER, DenseTerms
from lsr.encoders.encoder import SparseEncoder, fingerprint
from lsr.errors import UsageError
from lsr.sparse import SparseBatch
from lsr.statistics import CollectionStatistics
from lsr.train.components import PROJECTIONS
from lsr.train.pairs import TrainingCorpus
from lsr.train.vector_cache import OnProgress, sparse_vectors


@dataclass(frozen=True, slots=True)
class KeptDenseTerms:
    """Weight and number of the dense terms of a document, and the folder that has them."""

    declared: DeclaredDenseTerms
    folder: Path

    @classmethod
    def of(cls, base: str, documents: str) -> KeptDenseTerms | None:
        """Those of a base; None where it has none.

        Args:
            base: a folder or hub id.
            documents: how documents are trained, one of ``lsr.train.components``, or "decoder".

        Raises:
            UsageError: it has some, and documents so trained take none.
        """
        checkpoint = Checkpoint.resolve(base)
        declared = declared_dense_terms(checkpoint)
        if not declared.weight:
            return None
        if documents not in PROJECTIONS:
            raise UsageError(
                f"the base {checkpoint.name!r} has dense terms, which stand beside the vocabulary "
                f"projection of a masked language model, and documents by {documents!r} have none; "
                "train the encoder that they were added to"
            )
        return cls(declared, checkpoint.root)

    def of_documents(
        self, corpus: TrainingCorpus, cache: Path, on_progress: OnProgress
    ) -> SparseBatch:
        """One row for each document of a corpus, kept in the folder ``cache``.

        Raises:
            InputError: the dense terms, or their model, are damaged.
            CorruptionError: a file of the cache is damaged.
        """
        encoder = _DenseTermsAlone(self)
        path = cache / f"{encoder.fingerprint}-{corpus.digest}-documents.safetensors"
        return sparse_vectors(path, encoder, corpus.documents, on_progress=on_progress)

    def copy_to(self, folder: Path) -> None:
        """Copy table and model into the folder of another encoder."""
        copy_files(self.folder / FOLDER, folder / FOLDER, FETCHED, NOT_FETCHED)


class _DenseTermsAlone(SparseEncoder):
    def __init__(self, kept: KeptDenseTerms) -> None:
        self.vocabulary = Checkpoint.resolve(str(kept.folder)).vocabulary
        self._terms = DenseTerms(self.vocabulary, kept.folder / FOLDER, *kept.declared)
        self.name = f"dense terms of {kept.folder.name}"
        self.fingerprint = fingerprint(
            "dense-terms",
            vocabulary=self.vocabulary.digest,
            terms=self._terms.identity,
            settings=kept.declared.settings,
        )

    @property
    def tokens_encoded(self) -> int:
        return self._terms.model.tokens_encoded

    def encode_documents(self, texts: Sequence[str]) -> SparseBatch:
        return self._terms(texts)

    def encode_queries(
        self, texts: Sequence[str], statistics: CollectionStatistics | None = None
    ) -> SparseBatch:
        raise UsageError("documents alone have dense terms")
