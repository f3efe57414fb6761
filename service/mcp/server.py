"""The tools as a server of the Model Context Protocol."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import HTTPException
from pydantic import Field

from lsr.distribution import package_version
from lsr.errors import InputError, LsrError, MissingDependencyError, UsageError
from service.api.indexes import Indexes
from service.mcp.tools import (
    DEFAULT_HITS,
    LONGEST_PART,
    MOST_HITS,
    DocumentPart,
    FoundDocuments,
    KnownIndexes,
    Tools,
)

try:
    from mcp.server.mcpserver import Context, MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp_types import ToolAnnotations
except ImportError as error:
    raise MissingDependencyError("the Model Context Protocol", "mcp", "mcp") from error

T = TypeVar("T")
INSTRUCTIONS = (
    "Search collections of documents, and read what was found. Ask list_indexes what there is, "
    "search in the words that the documents would have, and get for the whole text of a hit."
)
READS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
FAILED = "the server failed on this; its log has the reason"
log = logging.getLogger(__name__)

IndexArgument = Annotated[
    str | None,
    Field(description="Name of an index, of list_indexes; left out where there is only one."),
]


class Runner(Protocol):
    """Runs a job on the tools that a call may use."""

    def __call__(self, context: Context[Any], job: Callable[[Tools], T]) -> Awaitable[T]:
        """What the job returns."""


def mcp_server(indexes: Indexes, run: Runner) -> MCPServer[Any]:
    """A server of three tools, which change nothing.

    Args:
        indexes: what is served.
        run: runs the job of each call.
    """
    server: MCPServer[Any] = MCPServer(
        "lsr", title="lsr search", instructions=INSTRUCTIONS, version=package_version()
    )

    @server.tool(title="List indexes", annotations=READS)
    async def list_indexes(context: Context[Any]) -> KnownIndexes:
        """List the indexes that can be searched, with their metadata keys."""
        return await _told(indexes, run(context, Tools.list_indexes))

    @server.tool(title="Search documents", annotations=READS)
    async def search(
        context: Context[Any],
        query: Annotated[str, Field(description="What is looked for, in words or as a question.")],
        index: IndexArgument = None,
        limit: Annotated[int, Field(description=f"Documents wanted, 1 to {MOST_HITS}.")] = (
            DEFAULT_HITS
        ),
        filter: Annotated[  # noqa: A002
            str,
            Field(
                description="A condition on metadata keys, as in: lang = en and year >= 2000 and "
                "not (kind in (a, b)) and author exists"
            ),
        ] = "",
    ) -> FoundDocuments:
        """Search an index; gives the best documents, each with the passage that answers best."""
        return await _told(
            indexes, run(context, lambda tools: tools.search(index, query, limit, filter))
        )

    @server.tool(title="Read a document", annotations=READS)
    async def get(
        context: Context[Any],
        id: Annotated[str, Field(description="Of the document, as of a hit.")],  # noqa: A002
        index: IndexArgument = None,
        start: Annotated[
            int,
            Field(
                description=f"Its first character that is wanted; {LONGEST_PART:,} come at once, "
                "and next_start says where the next begin."
            ),
        ] = 0,
    ) -> DocumentPart:
        """Read the whole text of a document, a long one part by part."""
        return await _told(indexes, run(context, lambda tools: tools.get(index, id, start)))

    return server


async def _told(indexes: Indexes, answer: Awaitable[T]) -> T:
    """The answer; of a failure, what may be said of it."""
    try:
        return await answer
    except HTTPException as refusal:
        raise ToolError(str(refusal.detail)) from refusal
    except (UsageError, InputError) as mistake:
        raise ToolError(indexes.without_paths(str(mistake))) from mistake
    except Exception as failure:
        known = isinstance(failure, LsrError)
        log.error("a tool failed: %s", failure, exc_info=None if known else failure)
        raise ToolError(FAILED) from failure
