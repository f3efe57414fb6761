"""The client of programs that ``await``: the same methods, and the same steps."""

from __future__ import annotations

from service.client.async_remote_collection import AsyncRemoteCollection
from service.client.async_server import AsyncServer


class AsyncClient(AsyncServer):
    """``Client`` for programs that ``await``; its arguments, and its errors, are the same."""

    async def open(self, name: str) -> AsyncRemoteCollection:
        """The index of that name; as ``Client.open``."""
        collection = AsyncRemoteCollection(self, name)
        await collection.describe()
        return collection

    async def create(
        self,
        name: str,
        encoder: str | None = None,
        dense: str | None = None,
        bm25: bool = False,
        *,
        passages: str = "auto",
        language: str | None = None,
    ) -> AsyncRemoteCollection:
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
        await self.run(self._steps.create(name, settings))
        return AsyncRemoteCollection(self, name)
