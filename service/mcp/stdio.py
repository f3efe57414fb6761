"""The tools over standard input and output, for the program that starts this process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from index.opening import Place
from lsr.trusted_code import NO_CODE, TrustedCode
from service.api.indexes import Indexes
from service.mcp.tools import Tools

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context

T = TypeVar("T")


def serve(paths: Sequence[Place], trusted: TrustedCode = NO_CODE) -> None:
    """Serve collections, or folders of collections, until the other side closes the input.

    Raises:
        MissingDependencyError: the package mcp is not installed.
        NotFoundError: a path does not exist.
        UsageError: two collections have one name.
    """
    from service.mcp.server import mcp_server

    with closing(Indexes(paths, trusted)) as indexes:

        async def run(context: Context[Any], job: Callable[[Tools], T]) -> T:
            return await asyncio.to_thread(job, Tools(indexes))

        asyncio.run(mcp_server(indexes, run).run_stdio_async())
