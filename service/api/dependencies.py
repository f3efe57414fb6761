"""What routes are given of the application: the indexes it serves, its threads and limits."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Path, Request

from lsr.errors import ConflictError
from service.api.encoders import AllowedEncoders
from service.api.indexes import Indexes
from service.api.lifecycle import Lifecycle
from service.api.long_work import LongWork
from service.api.searching import Searching
from service.api.work import Work
from service.state.keys import Keys

IndexName = Annotated[str, Path(description="Name of the index: its directory's name")]


# Asynchronous, though nothing is waited for: what is not would take a thread of its own.
def _of_application(name: str) -> Any:
    """What the application has by a name."""

    async def given(request: Request) -> Any:
        return getattr(request.app.state, name)

    return Depends(given)


async def _refuse_on_replica(request: Request) -> None:
    replica = request.app.state.indexes.replica
    if replica is not None:
        raise ConflictError(replica.refusal)


CHANGES_INDEXES = Depends(_refuse_on_replica)
"""Of a route that writes to indexes, makes or deletes them: refused on a replica (409)."""


async def _largest_body(request: Request) -> int:
    return int(request.app.state.settings.largest_body)


ServedIndexes = Annotated[Indexes, _of_application("indexes")]
Changes = Annotated[Lifecycle, _of_application("lifecycle")]
Encoders = Annotated[AllowedEncoders, _of_application("encoders")]
Tasking = Annotated[LongWork, _of_application("long_work")]
LargestBody = Annotated[int, Depends(_largest_body)]
Readers = Annotated[Work, _of_application("readers")]
Writers = Annotated[Work, _of_application("writers")]
ServedKeys = Annotated[Keys, _of_application("keys")]
Searches = Annotated[Searching, _of_application("searching")]
