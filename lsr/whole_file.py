"""Files that are there whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lsr.whole_folder import flush_file, flush_folder


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write, which takes the place of ``path``, durably, when the block ends.

    Where it ends with an error, or the process is killed, what was there before stays.

    Raises:
        OSError: it can't be written.
    """
    # Always the same name, so that what a killed process left is gone with the next write.
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        flush_file(partial)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)


def write_whole(path: Path, text: str) -> None:
    """Write a file in UTF-8 as ``replacing`` does; one that holds the text already is left alone.

    Raises:
        OSError: it can't be written.
    """
    content = text.encode()
    if path.exists() and path.read_bytes() == content:
        return
    with replacing(path) as partial:
        partial.write_bytes(content)
