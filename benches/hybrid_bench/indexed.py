"""One collection for each dataset, with a field for each encoder that is compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.datasets import Dataset
from eval.experiment import check_same_documents
from eval.kept_indexes import donors_for, experiment_folder
from index.collection.collection import Collection, is_collection
from index.collection.field import BM25, DENSE, SPARSE, Field, encoder_fields, sparse_field
from index.collection.passage_table import AUTO
from index.indexing import index_documents
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.dense import DenseEncoder
from lsr.encoding.progress import LoggedProgress

LAMBDA = "lambda"


@dataclass(frozen=True)
class Encoders:
    """What is compared: sparse encoders by label, BM25, a dense one, and SPAR's Lambda.

    The first sparse encoder has the field ``sparse``, as a user would have it, and the others one
    of their label.
    """

    sparse: Mapping[str, str]
    dense: str | None = None
    spar: str | None = None

    @property
    def fields(self) -> dict[str, str]:
        """By label the fields that are fused, in the order in which searches name them."""
        first, *others = self.sparse
        found = {first: SPARSE, **{label: label for label in others}, BM25: BM25}
        return found | ({DENSE: DENSE} if self.dense else {})


def opened(dataset: Dataset, encoders: Encoders) -> Collection:
    """The collection of a dataset in the cache of ``lsr eval``, made or gone on with.

    Vectors that another collection there has are taken from it.
    """
    fields = _fields(encoders)
    folder = experiment_folder(dataset, fields, AUTO)
    collection = (
        Collection.open(folder)
        if is_collection(folder)
        else Collection.create(folder, fields, passages=AUTO)
    )
    with donors_for(dataset, fields, folder) as donors:
        index_documents(collection, dataset.corpus(), LoggedProgress(), donors=donors)
    check_same_documents(dataset, collection)
    for field in collection.fields:
        if field.kind == "dense":
            _remember_queries(collection.fields.dense_encoder(field))
    return collection


def _remember_queries(model: DenseEncoder) -> None:
    """Have a model encode each query once, however many systems ask it: that is most of the time.

    The model is the one that searches use, which is loaded once a process.
    """
    encode = model.encode_queries
    known: dict[str, NDArray[np.float32]] = {}

    def encode_queries(texts: Sequence[str]) -> NDArray[np.float32]:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known.update(zip(new, encode(new), strict=True))
        return np.array([known[text] for text in texts], dtype=np.float32)

    model.encode_queries = encode_queries  # type: ignore[method-assign]


def _fields(encoders: Encoders) -> list[Field]:
    first, *others = encoders.sparse.items()
    fields = encoder_fields(first[1], encoders.dense, bm25=True)
    fields += [sparse_field(label, load_encoder(name)) for label, name in others]
    if encoders.spar is not None:
        model = DenseEncoder.load(encoders.spar)
        fields.append(Field(LAMBDA, "dense", model.name, model.fingerprint, model.dimension))
    return fields
