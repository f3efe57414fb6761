"""What ``lsr push`` did, for people and for machines."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class PushReport:
    """What a push did.

    ``documents`` and ``rows`` are there now; ``sent`` and ``deleted`` count documents, ``weighed``
    vectors of counts that were weighed anew. ``digest`` is that of all documents, as
    ``Collection.digest`` gives it, and ``sampled`` rows were compared whole. ``alias`` stands for
    the copy now, "" where none was asked for.
    """

    documents: int = 0
    rows: int = 0
    sent: int = 0
    deleted: int = 0
    weighed: int = 0
    digest: str = ""
    sampled: int = 0
    alias: str = ""
    started: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Wall time since the start."""
        return time.perf_counter() - self.started

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        members = asdict(self)
        members.pop("started")
        return members | {"seconds": round(self.seconds, 3)}

    def sentences(self, target: str) -> list[str]:
        """For people."""
        done = [f"{self.sent:,} sent", f"{self.deleted:,} deleted"]
        if self.weighed:
            done.append(f"{self.weighed:,} vectors weighed anew")
        lines = [
            f"{target} holds {self.documents:,} documents: {', '.join(done)}, in "
            f"{self.seconds:.1f} s",
            f"verified: {self.rows:,} rows, the digest {self.digest} of all documents, and the "
            f"vectors of {self.sampled:,}",
        ]
        return [*lines, f"the alias {self.alias} stands for it now"] if self.alias else lines
