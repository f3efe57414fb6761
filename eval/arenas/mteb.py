"""MTEB: an encoder, or a whole way of searching, as ``mteb`` takes models.

import mteb
from eval.arenas.mteb import MtebModel

mteb.evaluate(MtebModel("lsr-tiny-v1"), mteb.get_tasks(["SciFact"]))
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from eval.ranking import rank_queries
from eval.run import descending
from eval.systems import settings_of
from index.collection.collection import Collection
from index.collection.field import DENSE, Field, encoder_fields
from index.filters.tree import MOST_VALUES, Filter, In, Scalar
from index.indexing import index_documents
from index.search.config import LARGEST_LIMIT, SearchConfig
from lsr.corpus.documents import Document, Query
from lsr.corpus.items import Item, given_items
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.encoder import SparseEncoder, short_name
from lsr.encoding.progress import LoggedProgress
from lsr.errors import InputError, MissingDependencyError, UsageError
from lsr.sparse import SparseBatch
from lsr.trusted_code import NO_CODE, TrustedCode

logger = logging.getLogger(__name__)

# Each document's id, by which those that a re-ranking task names are found.
KEY = "mteb_id"
TEXTS_AT_A_TIME = 1024
QUERY = "query"


class MtebModel:
    """What ``mteb.evaluate`` takes: it searches as the service does, and encodes.

    Retrieval and re-ranking tasks index their corpus in a temporary collection and search it on
    the path of ``lsr eval`` and ``lsr serve``; vectors stay sparse throughout. Other tasks want
    vectors: they get those of a sparse encoder, made dense with a warning that says how large they
    are, since these tasks take no others.

    Args:
        encoder: name of the sparse encoder; None: the one that ships with lsr.
        dense: name of a dense encoder beside it.
        bm25: whether a BM25 field stands beside a learned encoder.
        searching: how, but for ``limit``; None: as a collection of these fields is by default.
        passages: "auto" to split documents that an encoder doesn't read to the end, or "off";
            None: "auto".
        language: name of the analyser that makes the words of the sparse encoder.
        trusted: the models whose Python code may run.
        name: what results are filed under; None: ``lsr/`` and the names of the encoders.

    Raises:
        MissingDependencyError: mteb is not installed.
        NotFoundError: there is no such encoder.
    """

    def __init__(
        self,
        encoder: str | None = None,
        dense: str | None = None,
        bm25: bool = False,
        *,
        searching: SearchConfig | None = None,
        passages: str = "auto",
        language: str | None = None,
        trusted: TrustedCode = NO_CODE,
        name: str | None = None,
    ) -> None:
        needs_mteb()
        self._fields = encoder_fields(encoder, dense, bm25, trusted, language)
        self._passages, self._trusted = passages, trusted
        self._searching = replace(searching or SearchConfig(), payload=False)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.mteb_model_meta = _meta(self._fields, self._searching, passages, name)

    def index(self, corpus: Any, **_: Any) -> None:
        """Index the rows of a task's corpus: ``id``, ``text``, and ``title`` where there is one.

        Raises:
            InputError: a row holds no text, as those of images do.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="lsr-mteb-")
        path = Path(self._folder.name) / "collection"
        created = Collection.create(
            path, self._fields, trusted=self._trusted, passages=self._passages
        )
        with closing(created) as collection:
            index_documents(collection, _documents(corpus), LoggedProgress())

    def search(
        self,
        queries: Any,
        *,
        top_k: int,
        top_ranked: Mapping[str, Sequence[str]] | None = None,
        **_: Any,
    ) -> dict[str, dict[str, float]]:
        """Scores of the best documents of each query, falling strictly in the order of search.

        Args:
            queries: rows of ``id``, ``text``, and ``instruction`` where there is one.
            top_k: how many results a query has at most.
            top_ranked: the documents that are ranked for each query; None: all.

        Raises:
            UsageError: nothing was indexed, or more is asked for than a search allows.
        """
        if self._folder is None:
            raise UsageError("there is nothing to search; call index with a corpus first")
        if top_k > LARGEST_LIMIT:
            raise UsageError(f"top_k is {top_k}; allowed is 1 to {LARGEST_LIMIT}")
        config = replace(self._searching, limit=top_k)
        asked = [Query(str(row["id"]), _query_text(row)) for row in queries]
        path = Path(self._folder.name) / "collection"
        with closing(Collection.open(path, trusted=self._trusted)) as collection:
            if top_ranked is None:
                run = rank_queries(collection, asked, config).run
            else:
                run = {}
                for query in asked:
                    among = top_ranked.get(query.id, ())
                    if among:
                        config = replace(config, filter=_only(among))
                        run |= rank_queries(collection, [query], config).run
        return {query: dict(descending(ranking)) for query, ranking in run.items()}

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        task_metadata: Any,
        prompt_type: Any = None,
        **_: Any,
    ) -> Any:
        """Vectors of texts, as of queries where ``prompt_type`` says so, and else of documents.

        Returns:
            A sparse COO tensor, float32 of shape (texts, vocabulary), for retrieval; for tasks
            that take none, the same as a dense one.

        Raises:
            UsageError: the encoder has no fixed vocabulary, or needs statistics of a collection.
        """
        encoder = self._sparse_encoder()
        texts = [text for batch in inputs for text in batch["text"]]
        side = str(getattr(prompt_type, "value", prompt_type))
        parts = [
            _encoded(encoder, texts[start : start + TEXTS_AT_A_TIME], side == QUERY)
            for start in range(0, len(texts), TEXTS_AT_A_TIME)
        ]
        vectors = _tensor(SparseBatch.concatenate(parts, encoder.vocabulary.size))
        if _takes_sparse(task_metadata):
            return vectors
        logger.warning(
            "the task %s takes dense vectors only: its %d texts become vectors of %d numbers, "
            "%.0f MB",
            task_metadata.name,
            *vectors.shape,
            vectors.shape[0] * vectors.shape[1] * 4 / 1e6,
        )
        return vectors.to_dense()

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Inner products, a dense float32 tensor (rows of the first, rows of the second)."""
        import torch

        scores = _matrix(embeddings1) @ _matrix(embeddings2).T
        return torch.from_numpy(scores.toarray())

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Inner products of rows with the same number, a float32 tensor (rows,)."""
        import torch

        products = _matrix(embeddings1).multiply(_matrix(embeddings2))
        return torch.from_numpy(products.sum(axis=1))

    def _sparse_encoder(self) -> SparseEncoder:
        encoder = load_encoder(self._fields[0].encoder, self._trusted)
        if encoder.open or encoder.needs_statistics or encoder.stores_counts:
            why = "words besides its vocabulary" if encoder.open else "the counts of a collection"
            hint = "; lsr-tiny-v1,words=no has none" if encoder.open else ""
            raise UsageError(
                f"the vectors of {encoder.name} have {why}, so it runs MTEB's retrieval and "
                f"re-ranking tasks only{hint}"
            )
        return encoder


def needs_mteb() -> None:
    """Raise MissingDependencyError unless MTEB is installed."""
    for package in ("mteb", "torch"):
        if find_spec(package) is None:
            raise MissingDependencyError("MTEB", package, "mteb")


def _meta(fields: Sequence[Field], searching: SearchConfig, passages: str, name: str | None) -> Any:
    """A ModelMeta; its revision changes with anything that changes a ranking."""
    from mteb.models import ModelMeta

    parts = [[field.name, field.fingerprint] for field in fields]
    canonical = json.dumps([parts, settings_of(searching), passages], sort_keys=True)
    kinds = {field.kind for field in fields}
    using = searching.using or ("hybrid" if DENSE in {f.name for f in fields} else "sparse")
    kind = "dense" if using == DENSE else "sparse" if kinds == {"sparse"} else "hybrid"
    return ModelMeta.create_empty(
        overwrites={
            "name": name or "lsr/" + plain_name("+".join(short_name(f.encoder) for f in fields)),
            "revision": hashlib.sha256(canonical.encode()).hexdigest()[:16],
            "model_type": [kind],
            "embed_dim": fields[0].size if kind == "sparse" and not fields[0].open else None,
            "modalities": ["text"],
        }
    )


def plain_name(name: str) -> str:
    """A name without what paths and MTEB's names can't hold."""
    return re.sub(r"[^\w.+=-]+", "-", name).strip("-") or "unnamed"


def _documents(corpus: Any) -> Iterator[Item]:
    def rows() -> Iterator[Document]:
        for row in corpus:
            text, title = row.get("text"), row.get("title") or ""
            if not isinstance(text, str) or not isinstance(title, str):
                raise InputError(
                    f"the document {row.get('id')!r} of the task has no text; lsr runs MTEB's "
                    "tasks over texts only"
                )
            identifier = str(row["id"])
            yield Document(identifier, text, title, {KEY: identifier})

    return given_items(rows())


def _query_text(row: Mapping[str, Any]) -> str:
    """A query with its instruction behind it, as MTEB joins them."""
    text, instruction = row.get("text"), row.get("instruction")
    if not isinstance(text, str):
        raise InputError(
            f"the query {row.get('id')!r} of the task is no text; lsr runs MTEB's tasks over texts "
            "only, and none of conversations"
        )
    return f"{text} {instruction}" if instruction else text


def _only(identifiers: Sequence[str]) -> Filter:
    names = dict.fromkeys(str(name) for name in identifiers)
    if len(names) > MOST_VALUES:
        raise UsageError(
            f"the task names {len(names)} documents to rank for one query; allowed are "
            f"{MOST_VALUES}"
        )
    return In(KEY, tuple(scalar for name in names if (scalar := Scalar.of(name)) is not None))


def _encoded(encoder: SparseEncoder, texts: Sequence[str], queries: bool) -> SparseBatch:
    return encoder.encode_queries(texts) if queries else encoder.encode_documents(texts)


def _takes_sparse(task_metadata: Any) -> bool:
    """As SparseEncoderWrapper of mteb has it."""
    kind = task_metadata.simplified_task_type
    return str(getattr(kind, "value", kind)) == "retrieval" and "Reranking" not in (
        task_metadata.type
    )


def _tensor(vectors: SparseBatch) -> Any:
    import torch

    matrix = vectors.to_scipy().tocoo()
    places = torch.from_numpy(np.stack(matrix.coords).astype(np.int64))
    values = torch.from_numpy(matrix.data)
    return torch.sparse_coo_tensor(
        places, values, matrix.shape, check_invariants=True, is_coalesced=True
    )


def _matrix(embeddings: Any) -> scipy.sparse.csr_array:
    """Rows of a tensor, sparse or not, or of an array; one dimension is one row."""
    if getattr(embeddings, "is_sparse", False):
        tensor = embeddings.cpu().coalesce()
        places, terms = tensor.indices().numpy()
        values = tensor.values().numpy().astype(np.float32)
        return scipy.sparse.coo_array((values, (places, terms)), shape=tuple(tensor.shape)).tocsr()
    rows = embeddings.cpu().numpy() if hasattr(embeddings, "cpu") else np.asarray(embeddings)
    return scipy.sparse.csr_array(np.atleast_2d(rows).astype(np.float32))
