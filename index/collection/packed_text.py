"""Texts as the rows of the store have them: a byte that says how, and the text.

That is DEFLATE (RFC 1951) where it takes fewer bytes, or else UTF-8 as it is.
"""

from __future__ import annotations

import zlib

PLAIN = b"\0"
DEFLATED = b"\1"
# Texts that would take fewer bytes than one in so many stay as they are, so that no row can ask for
# more memory than that many times what it takes on disk.
LARGEST_RATIO = 64
# Shorter ones gain nothing, in bytes.
SHORTEST = 64


def pack_text(text: bytes) -> bytes:
    """What is stored of a text in UTF-8."""
    if len(text) >= SHORTEST:
        # Level 4 takes half a percent more bytes than 6 on abstracts, in a tenth less time.
        packer = zlib.compressobj(4, wbits=-zlib.MAX_WBITS)
        packed = packer.compress(text) + packer.flush()
        if len(packed) < len(text) <= LARGEST_RATIO * len(packed):
            return DEFLATED + packed
    return PLAIN + text


def unpack_text(stored: bytes) -> bytes:
    """The text, in UTF-8; of bytes that may be anyone's.

    Raises:
        ValueError: they are malformed.
    """
    how, content = stored[:1], stored[1:]
    if how == PLAIN:
        return content
    if how != DEFLATED:
        raise ValueError("a text is stored in no known way")
    unpacker = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    try:
        text = unpacker.decompress(content, LARGEST_RATIO * len(content) + 1)
    except zlib.error as error:
        raise ValueError(f"a stored text is malformed: {error}") from error
    if not unpacker.eof or unpacker.unused_data or len(text) > LARGEST_RATIO * len(content):
        raise ValueError("a stored text is malformed")
    return text
