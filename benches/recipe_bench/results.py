"""What was measured: a file of JSON lines, one for each encoder and collection."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from recipe_bench.scores import Score

DIGITS = 4


@dataclass(frozen=True)
class Measured:
    """An encoder on a collection.

    ``key`` tells what was trained and how it was scored, as ``key_of`` does; ``score`` is None
    where the training ``failed``, with why. ``facts`` are of the training; ``machine`` and
    ``versions`` those that it was made with.
    """

    key: str
    row: str
    seed: int
    collection: str
    score: Score | None
    failed: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """One line; values of queries are a list, in the order of the collection's queries."""
        members = asdict(self)
        if self.score is not None:
            values = [round(value, DIGITS) for value in self.score.per_query.values()]
            members["score"] |= {"per_query": values}
        return json.dumps(members)

    @classmethod
    def from_json(cls, line: str) -> Measured:
        """What ``to_json`` wrote; queries are named by their place."""
        members = json.loads(line)
        score = members["score"]
        if score is not None:
            values = {str(place): value for place, value in enumerate(score["per_query"])}
            score = Score(**score | {"per_query": values})
        return cls(**members | {"score": score})


class Results:
    """The file; what is added is written at once, so that a run that was cut off goes on.

    Args:
        path: it need not be there yet; None: nothing is kept. A line that was cut off is passed
            over.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._of_key: dict[str, dict[str, Measured]] = {}
        lines = path.read_text(encoding="utf-8").splitlines() if path and path.is_file() else []
        for number, line in enumerate(lines, 1):
            try:
                self._keep(Measured.from_json(line))
            except (ValueError, TypeError, KeyError) as error:
                print(f"{path}:{number} is no result ({error})", file=sys.stderr)

    def _keep(self, measured: Measured) -> None:
        self._of_key.setdefault(measured.key, {})[measured.collection] = measured

    def of(self, key: str) -> Mapping[str, Measured]:
        """Collection to what was measured under a key, or nothing."""
        return self._of_key.get(key, {})

    def add(self, found: Iterable[Measured]) -> None:
        """Keep what was measured, as a file has it, and in the file."""
        lines = [one.to_json() for one in found]
        for line in lines:
            self._keep(Measured.from_json(line))
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        whole = not self._path.is_file() or self._path.read_bytes()[-1:] in (b"", b"\n")
        with self._path.open("a", encoding="utf-8") as file:
            file.write("" if whole else "\n")
            file.writelines(f"{line}\n" for line in lines)


def key_of(description: Mapping[str, Any], assets: Path) -> str:
    """16 hexadecimal digits of a description in JSON, wherever the folder ``assets`` is."""
    text = json.dumps(description, sort_keys=True).replace(json.dumps(str(assets))[1:-1], "ASSETS")
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
