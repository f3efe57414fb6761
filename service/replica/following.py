"""How a replica follows: what was seen of the snapshots, told by the process that copies them."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

from service.state.database import FOLDER

FILE = "following.json"
LARGEST = 1 << 20  # bytes
# Snapshots that were passed over and are remembered.
MOST_PASSED = 200


@dataclass
class PassedOver:
    """A snapshot that isn't searched: why, as what it was seen, and when it is looked at again.

    ``waits`` says that it is being written, as far as one can see; ``again`` is a Unix time, 0
    where it is looked at again only once it has changed.
    """

    reason: str
    seen: str
    waits: bool = False
    again: float = 0.0


@dataclass
class Following:
    """``looked`` and ``failed`` are Unix times, of the last look that succeeded and of the last
    failure; ``unreachable`` is why the last look failed, and empty where it didn't. Snapshots that
    were ``passed_over`` go by INDEX/SNAPSHOT.
    """

    looked: float = 0.0
    failed: float = 0.0
    failures: int = 0
    unreachable: str = ""
    passed_over: dict[str, PassedOver] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """What was written last for a folder of copies; nothing where that can't be read."""
        try:
            with (folder / FOLDER / FILE).open("rb") as stream:
                content = json.loads(stream.read(LARGEST))
            passed = {
                str(name): PassedOver(
                    str(each["reason"]),
                    str(each["seen"]),
                    bool(each["waits"]),
                    float(each["again"]),
                )
                for name, each in content["passed_over"].items()
            }
            return cls(
                float(content["looked"]),
                float(content["failed"]),
                int(content["failures"]),
                str(content["unreachable"]),
                passed,
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return cls()

    def write(self, folder: Path) -> None:
        """Write it, for ``read`` in any process.

        Raises:
            OSError: it can't be written.
        """
        path = folder / FOLDER / FILE
        new = path.with_suffix(f".{os.getpid()}.new")
        while len(self.passed_over) > MOST_PASSED:
            del self.passed_over[next(iter(self.passed_over))]
        new.write_text(json.dumps(asdict(self)))
        new.replace(path)

    def count_failure(self) -> None:
        """Note a failure that is of now."""
        self.failures += 1
        self.failed = time.time()

    def problems(self) -> dict[str, str]:
        """What is wrong, by index, without reasons; what is of all goes by an empty name."""
        found = {"": "the snapshots can't be reached"} if self.unreachable else {}
        for name, each in self.passed_over.items():
            if not each.waits:
                index, _, snapshot = name.partition("/")
                found[index] = f"the snapshot {snapshot} is passed over"
        return found
