"""Files that are there whole, or not at all."""

from __future__ import annotations

from pathlib import Path

from lsr.whole_folder import flush_file, flush_folder


def write_whole(path: Path, text: str) -> None:
    """Write a file in UTF-8, durably; a killed process leaves what was there before.

    A file that holds the text already is left alone.

    Raises:
        OSError: it can't be written.
    """
    content = text.encode()
    if path.exists() and path.read_bytes() == content:
        return
    # Always the same name, so that what a killed process left is gone with the next write.
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        flush_file(partial)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    flush_folder(path.parent)
