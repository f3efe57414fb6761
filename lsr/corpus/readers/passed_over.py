"""What a folder holds that is not read, counted by kind and reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

NAMED = 10
# How folders are counted, among the endings of files.
FOLDERS = "folders"


class Kind(NamedTuple):
    """Files of one ending, or other things of a folder, and why they are passed over."""

    ending: str
    reason: str


@dataclass(slots=True)
class PassedOver:
    """Counts of what is passed over, and of what was read in a way that should be known.

    ``incomplete`` says what should have been read and wasn't; it is empty where all was.
    """

    kinds: Counter[Kind] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    incomplete: str = ""

    def add(self, ending: str, reason: str, missing: bool = False) -> None:
        """Count one; ``missing`` tells that it should have been read."""
        self.kinds[Kind(ending, reason)] += 1
        if missing:
            self.incomplete = f"{ending} ({reason})"

    def sentence(self) -> str:
        """All of it in one line; empty where there is nothing to say."""
        by_reason: dict[str, Counter[str]] = {}
        for (ending, reason), count in self.kinds.items():
            by_reason.setdefault(reason, Counter())[ending] += count
        largest = sorted(by_reason.items(), key=lambda each: -each[1].total())
        parts = [f"{_counted(endings)} ({reason})" for reason, endings in largest]
        notes = [
            f"{count:,} {'file' if count == 1 else 'files'} {note}"
            for note, count in sorted(self.notes.items())
        ]
        passed = [f"passed over: {', '.join(parts)}"] if parts else []
        return "; ".join(passed + notes)

    def as_json(self) -> dict[str, Any]:
        """The counts, the largest first."""
        return {
            "passed_over": [
                {"ending": ending, "reason": reason, "files": count}
                for (ending, reason), count in self.kinds.most_common()
            ],
            "notes": dict(self.notes),
        }


def _counted(endings: Counter[str]) -> str:
    """The counts of endings, the largest by name."""
    named = endings.most_common(NAMED)
    shown = ", ".join(
        f"{count:,} {'folder' if (count, ending) == (1, FOLDERS) else ending}"
        for ending, count in named
    )
    rest = endings.total() - sum(count for _, count in named)
    return f"{shown}, {rest:,} of {len(endings) - NAMED} other endings" if rest else shown
