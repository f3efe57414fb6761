"""The tools at ``/mcp`` of a server, over streamable HTTP; each request stands for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from lsr.errors import MissingDependencyError
from service.api.errors import STATUS, error_response
from service.api.indexes import Indexes
from service.api.work import Work
from service.mcp.tools import Tools

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context, MCPServer

T = TypeVar("T")
PATH = "/mcp"
LARGEST_REQUEST = 1 << 20


class McpEndpoint:
    """Answers what is sent to ``/mcp``; the package mcp is imported when that first happens.

    It keeps no session, so that any process of a server answers any request. ``reaches`` says of a
    request which indexes it may see.
    """

    def __init__(
        self,
        indexes: Indexes,
        readers: Work,
        reaches: Callable[[Request], Callable[[str], bool]],
    ) -> None:
        self._indexes, self._readers, self._reaches = indexes, readers, reaches
        self._begin = asyncio.Lock()
        self._app: ASGIApp | None = None
        self._runs: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        try:
            app = await self._started()
        except MissingDependencyError as error:
            answer = error_response(Request(scope), *STATUS[MissingDependencyError], str(error))
            await answer(scope, receive, send)
            return
        await app(scope, receive, send)

    async def close(self) -> None:
        """End what runs in the background."""
        if self._runs is not None:
            self._runs.cancel()
            with suppress(asyncio.CancelledError):
                await self._runs

    async def _started(self) -> ASGIApp:
        async with self._begin:
            if self._app is None:
                server = await asyncio.to_thread(self._server)
                from mcp.server.transport_security import TransportSecuritySettings

                app = server.streamable_http_app(
                    streamable_http_path=PATH,
                    json_response=True,
                    stateless_http=True,
                    max_request_body_size=LARGEST_REQUEST,
                    # Hosts and origins are looked at before.
                    transport_security=TransportSecuritySettings(
                        enable_dns_rebinding_protection=False
                    ),
                )
                ready = asyncio.Event()
                self._runs = asyncio.create_task(_run(server, ready))
                await ready.wait()
                self._app = app
            return self._app

    def _server(self) -> MCPServer[Any]:
        from service.mcp.server import mcp_server

        return mcp_server(self._indexes, self._run)

    async def _run(self, context: Context[Any], job: Callable[[Tools], T]) -> T:
        """A job among those of all that read."""
        request = context.request_context.request
        assert isinstance(request, Request)
        reaches = self._reaches(request)
        return await self._readers.run(
            request, lambda deadline: job(Tools(self._indexes, reaches, deadline))
        )


async def _run(server: MCPServer[Any], ready: asyncio.Event) -> None:
    async with server.session_manager.run():
        ready.set()
        await asyncio.Event().wait()
