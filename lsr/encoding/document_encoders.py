"""Documents to vectors, stream after stream, in this process or in several."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.catalogue import load_encoder
from lsr.encoders.dense import DenseEncoder
from lsr.encoders.encoder import SparseEncoder
from lsr.encoding.worker_pool import WorkerPool, check_processes
from lsr.errors import EncoderMismatchError
from lsr.sparse import SparseBatch
from lsr.threads import encoding_documents
from lsr.trusted_code import NO_CODE, TrustedCode

ContextT = TypeVar("ContextT")
Names = Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A row for each text: ``vectors`` by field, float32 (n, dimension) where it is a dense one.

    ``tokens`` is how many the encoders went through, all of them together.
    """

    vectors: Mapping[str, SparseBatch | NDArray[np.float32]]
    tokens: int


NOTHING = Encoded({}, 0)


class DocumentEncoders:
    """The encoders of some fields, sparse and dense, which see the same documents.

    Args:
        sparse: encoder of each sparse field.
        dense: encoder of each dense field.
        trusted: the models whose Python code may run in other processes too.
    """

    def __init__(
        self,
        sparse: Mapping[str, SparseEncoder],
        dense: Mapping[str, DenseEncoder] | None = None,
        trusted: TrustedCode = NO_CODE,
    ) -> None:
        self.sparse = sparse
        self._trusted = trusted
        self.dense = dense or {}

    def cuts(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Which documents one of the encoders doesn't read to the end, bool (n,)."""
        found = np.zeros(len(texts), dtype=np.bool_)
        for encoder in self._all().values():
            found |= encoder.cuts(texts)
        return found

    def encode(self, texts: Sequence[str]) -> Encoded:
        """The vectors of some documents, in this process."""
        before = self._tokens()
        vectors: dict[str, SparseBatch | NDArray[np.float32]] = {}
        with encoding_documents():
            for field, encoder in self.sparse.items():
                vectors[field] = encoder.encode_documents(texts)
            for field, model in self.dense.items():
                vectors[field] = model.encode_documents(texts)
        return Encoded(vectors, self._tokens() - before)

    def stream(
        self, chunks: Iterable[tuple[ContextT, Sequence[str]]], processes: int = 1
    ) -> Generator[tuple[ContextT, Encoded], None, None]:
        """Each chunk's context and vectors, in the order of the chunks.

        With several processes, each has encoders of its own, and they work ahead by at most two
        chunks each. A chunk is encoded as a whole, so its vectors are bit for bit those of one
        process with as many threads as each has; torch rounds small matrix products by the number
        of threads. Close the iterator to end the processes before all is read. An empty chunk is
        not encoded, and has no fields.

        Raises:
            UsageError: ``processes`` is not 1 to 512.
            EncoderMismatchError: a process found other weights under an encoder's name.
            LsrError: a process failed or died.
        """
        check_processes(processes)
        if processes == 1:
            for context, texts in chunks:
                yield context, self.encode(texts) if texts else NOTHING
            return
        jobs = ((context, texts or None) for context, texts in chunks)
        with WorkerPool[Sequence[str], Encoded](self.loader(), processes) as pool:
            for context, encoded in pool.map(jobs):
                yield context, encoded or NOTHING

    def loader(self) -> Callable[[], Callable[[Sequence[str]], Encoded]]:
        """Loads the same encoders in another process, and gives their ``encode``.

        It raises EncoderMismatchError where it finds other weights under an encoder's name.
        """
        sparse = {key: (item.name, item.fingerprint) for key, item in self.sparse.items()}
        dense = {key: (item.name, item.fingerprint) for key, item in self.dense.items()}
        return partial(_load, sparse, dense, self._trusted)

    def _tokens(self) -> int:
        return sum(encoder.tokens_encoded for encoder in self._all().values())

    def _all(self) -> dict[str, SparseEncoder | DenseEncoder]:
        return {**self.sparse, **self.dense}


def _load(sparse: Names, dense: Names, trusted: TrustedCode) -> Callable[[Sequence[str]], Encoded]:
    """The encoders of these names and fingerprints, in a process of their own."""
    loaded = DocumentEncoders(
        {field: load_encoder(name, trusted) for field, (name, _) in sparse.items()},
        {field: DenseEncoder.load(name) for field, (name, _) in dense.items()},
    )
    for field, encoder in loaded._all().items():
        _, expected = {**sparse, **dense}[field]
        if encoder.fingerprint != expected:
            raise EncoderMismatchError(
                f"the encoder {encoder.name} was {expected} when encoding began and is "
                f"{encoder.fingerprint} now; leave its files as they are, and run the same again"
            )
    return loaded.encode
