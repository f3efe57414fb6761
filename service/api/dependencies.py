"""What routes are given of the application: the indexes it serves, its threads and limits."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path, Request

from service.api.encoders import AllowedEncoders
from service.api.indexes import Indexes
from service.api.lifecycle import Lifecycle
from service.api.long_work import LongWork
from service.api.searching import Searching
from service.api.work import Work
from service.state.keys import Keys

IndexName = Annotated[str, Path(description="Name of the index: its directory's name")]


# Asynchronous, though nothing is waited for: what is not would take a thread of its own.
async def _indexes(request: Request) -> Indexes:
    indexes: Indexes = request.app.state.indexes
    return indexes


async def _largest_body(request: Request) -> int:
    return int(request.app.state.settings.largest_body)


async def _readers(request: Request) -> Work:
    readers: Work = request.app.state.readers
    return readers


async def _writers(request: Request) -> Work:
    writers: Work = request.app.state.writers
    return writers


async def _lifecycle(request: Request) -> Lifecycle:
    lifecycle: Lifecycle = request.app.state.lifecycle
    return lifecycle


async def _long_work(request: Request) -> LongWork:
    long_work: LongWork = request.app.state.long_work
    return long_work


async def _encoders(request: Request) -> AllowedEncoders:
    encoders: AllowedEncoders = request.app.state.encoders
    return encoders


async def _keys(request: Request) -> Keys:
    keys: Keys = request.app.state.keys
    return keys


async def _searching(request: Request) -> Searching:
    searching: Searching = request.app.state.searching
    return searching


ServedIndexes = Annotated[Indexes, Depends(_indexes)]
Changes = Annotated[Lifecycle, Depends(_lifecycle)]
Encoders = Annotated[AllowedEncoders, Depends(_encoders)]
Tasking = Annotated[LongWork, Depends(_long_work)]
LargestBody = Annotated[int, Depends(_largest_body)]
Readers = Annotated[Work, Depends(_readers)]
Writers = Annotated[Work, Depends(_writers)]
ServedKeys = Annotated[Keys, Depends(_keys)]
Searches = Annotated[Searching, Depends(_searching)]
