"""Bodies of requests that come compressed, inflated bit by bit."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator

from fastapi import HTTPException

ENCODINGS = ("gzip", "x-gzip", "deflate")
# zlib's number for data with a header of its own or of gzip.
ANY_HEADER = 47
# Bytes that are inflated before others have a turn.
STEP = 1 << 20


async def inflated(parts: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    """The parts of a body as they were before a Content-Encoding, each at most ``STEP`` bytes.

    Raises:
        HTTPException: the encoding is not known (415), or the body is none of it (400).
    """
    if encoding in ("", "identity"):
        async for part in parts:
            yield part
        return
    if encoding not in ENCODINGS:
        raise HTTPException(
            415,
            f"the Content-Encoding {encoding[:100]!r} is not known here; allowed are gzip, deflate "
            "and none",
            {"Accept-Encoding": "gzip, deflate"},
        )
    inflater, begun = zlib.decompressobj(ANY_HEADER), False
    async for part in parts:
        left, found = part, b""
        # What fills a step may leave more behind that has no bytes of its own.
        while left or len(found) == STEP:
            if inflater.eof:
                if not left:
                    break
                inflater = zlib.decompressobj(ANY_HEADER)
            try:
                found = inflater.decompress(left, STEP)
            except zlib.error as error:
                raise _broken(encoding, str(error)) from None
            begun = True
            left = inflater.unconsumed_tail or inflater.unused_data
            if found:
                yield found
                await asyncio.sleep(0)
    if begun and not inflater.eof:
        raise _broken(encoding, "it ends too soon")


def _broken(encoding: str, reason: str) -> HTTPException:
    return HTTPException(400, f"the body is no {encoding} ({reason}); send it whole, or as it is")
