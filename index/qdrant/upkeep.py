"""What a collection in Qdrant does beside its writes: counts are weighed anew where that is due."""

from __future__ import annotations

import logging

from index.qdrant.port import QdrantPort
from index.qdrant.rows import Encoders
from index.qdrant.state import State, read_state
from index.qdrant.weighing import DRIFT, FEW, due, weigh_anew
from index.qdrant.writing import LEASE, Writing
from lsr.errors import LsrError

log = logging.getLogger(__name__)


class QdrantUpkeep:
    """As ``Maintenance`` of a collection in a directory; Qdrant merges its segments by itself.

    Args:
        port: of the collection.
        writing: its writer.
        encoders: gives the encoder of a sparse field.
    """

    def __init__(self, port: QdrantPort, writing: Writing, encoders: Encoders) -> None:
        self._port = port
        self._writing = writing
        self._encoders = encoders
        # Why the last weighing after a write failed; None once one has succeeded.
        self.failure: Exception | None = None

    def flushed(self) -> bool:
        """Whether a flush would change nothing."""
        return not due(read_state(self._port))

    def flush(self) -> None:
        """Weigh the counts anew, where that is due.

        Raises:
            LockedError: another writer has not let go.
        """
        with self._writing.held(LEASE + 10):
            wanted = due(self._writing.state)
            if wanted:
                weigh_anew(self._port, self._writing, self._encoders, wanted)
        self._port.flush()

    def after_write(self) -> None:
        """While the lease is held: weigh the counts of a small collection that has drifted.

        Raises nothing, for the write has succeeded whatever becomes of this.
        """
        state = self._writing.state
        if state.rows > FEW or not _has_drifted(state):
            return
        try:
            weigh_anew(self._port, self._writing, self._encoders, due(state))
            self.failure = None
        except LsrError as error:
            log.error("counts could not be weighed anew, the next write tries again: %s", error)
            self.failure = error


def _has_drifted(state: State) -> bool:
    return bool(state.weighing) or any(each.drift > DRIFT for each in state.counted.values())
