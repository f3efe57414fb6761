"""The client: a server's indexes, with the names that ``lsr`` and a ``Collection`` have."""

from __future__ import annotations

from service.client.remote_collection import RemoteCollection
from service.client.server import Server


class Client(Server):
    """A server of ``lsr serve``, and the collections that it serves, which it calls indexes.

    ``open`` gives a collection that ``lsr.search`` and ``lsr.index`` take as they take one of
    ``lsr.open``. Safe to use from several threads; connections are kept until ``close``, or the
    end of the block.

    Args:
        url: address of the server.
        key: what the server knows this client by; it is sent with every request.
        timeout_ms: milliseconds for an answer to what changes nothing.
        write_timeout_ms: milliseconds for an answer to a write, of which encoding may be a part.
        retries: how often a request is sent again where the server is busy, as its Retry-After
            says, or the connection is lost. Every request may be sent twice without harm.
        ca_file: certificates that are trusted in place of the usual ones, PEM.

    Every method raises the ``LsrError`` that the server tells of, with its sentence, and
    ``UnavailableError`` where the server can't be reached or stays busy.

    Raises:
        InputError: a number is out of its range, or the key is none.
        MissingDependencyError: httpx is not installed.
        UsageError: the address is none, or the certificates can't be read.
    """

    def open(self, name: str) -> RemoteCollection:
        """The index of that name.

        Raises:
            NotFoundError: there is none.
        """
        collection = RemoteCollection(self, name)
        collection.describe()
        return collection

    def create(
        self,
        name: str,
        encoder: str | None = None,
        dense: str | None = None,
        bm25: bool = False,
        *,
        passages: str = "auto",
        language: str | None = None,
    ) -> RemoteCollection:
        """A new, empty index; as ``lsr.create``.

        Args:
            name: of the index.
            encoder: ``bm25``, or one of those that the server allows; None: its default.
            dense: likewise, of a dense encoder beside it.
            bm25: as for ``lsr.create``.
            passages: as for ``lsr.create``.
            language: the analyser that makes the words.

        Raises:
            ConflictError: there is one already.
        """
        settings = {
            "encoder": encoder,
            "dense": dense,
            "bm25": bm25,
            "passages": passages,
            "language": language,
        }
        self.run(self._steps.create(name, settings))
        return RemoteCollection(self, name)
