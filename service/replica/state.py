"""What a replica says of itself: which snapshots answer, how old they are, how it follows."""

from __future__ import annotations

import time
from calendar import timegm
from collections.abc import Mapping
from pathlib import Path

from service.replica.copies import State
from service.replica.following import Following

MOMENT = "%Y-%m-%dT%H:%M:%SZ"


class Replica:
    """One state of a replica, as a worker answers from it.

    Args:
        folder: that of the copies.
        state: the copies that are searched.
        writer: the address of the server that takes writes; None: nobody said.
    """

    def __init__(self, folder: Path, state: State, writer: str | None = None) -> None:
        self._folder = folder
        self._writer = writer
        self.snapshots: Mapping[str, str] = {
            index: copy.snapshot.name for index, copy in state.items()
        }
        """Names of the snapshots that answer, by index."""
        self._created = {index: copy.snapshot.created for index, copy in state.items()}

    @property
    def refusal(self) -> str:
        """What somebody is told who wants to write."""
        where = "what publishes the snapshots" if self._writer is None else self._writer
        return (
            "this server is a replica, which answers from read-only copies of snapshots and takes "
            f"no writes; write to {where}"
        )

    def created(self, index: str) -> str:
        """When the snapshot of an index was taken, as 2026-11-27T12:00:00Z; empty: not known."""
        return self._created.get(index, "")

    def age_seconds(self, index: str) -> float | None:
        """How long ago that was; None: not known."""
        try:
            return max(time.time() - timegm(time.strptime(self.created(index), MOMENT)), 0.0)
        except ValueError:
            return None

    def following(self) -> Following:
        """How following goes on, as its process has told last."""
        return Following.read(self._folder)

    def problems(self) -> dict[str, str]:
        """A sentence for each index of which a snapshot was passed over; without paths."""
        return {
            index: f"{sentence}; the server's log has the reason"
            for index, sentence in self.following().problems().items()
        }
