"""Files of training pairs that we write: lines of JSON, plain or packed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from lsr.corpus.files import UNPACK
from lsr.errors import UsageError
from lsr.whole_file import replacing

ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.xz")


@contextmanager
def writing_pairs(path: Path) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """What writes a pair, a JSON object, as a line of the file; the file appears whole at the end.

    Raises:
        UsageError: the ending of its name is none of ``ENDINGS``.
    """
    check_ending(path)
    opener = UNPACK.get(path.suffix.lower(), open)
    with (
        replacing(path) as partial,
        cast(IO[str], opener(partial, "wt", encoding="utf-8")) as stream,
    ):

        def write(record: Mapping[str, Any]) -> None:
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")

        yield write


def check_ending(path: Path) -> None:
    """Raise UsageError where a file of that name would not be read as one of pairs."""
    if not path.name.endswith(ENDINGS):
        raise UsageError(
            f"{str(path)!r} is of no known kind; files of pairs end in .jsonl, plain, .gz or .xz"
        )
