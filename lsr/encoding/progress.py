"""Progress of runs that encode or index a stream of documents."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lsr.encoding.health import Health

log = logging.getLogger(__name__)


class Totals(Protocol):
    """Running totals: items taken and done with, tokens encoded, seconds since the start."""

    taken: int
    tokens: int

    @property
    def read(self) -> int: ...  # noqa: D102

    @property
    def seconds(self) -> float: ...  # noqa: D102


class Progress:
    """Is told how a run goes on, and does nothing about it; override what is to be shown."""

    def chunk(self, totals: Totals) -> None:
        """A chunk is done with; ``totals`` is the run's report so far, which it goes on to fill."""

    def rejected(self, sentence: str) -> None:
        """An item is left out; the sentence names its place and the reason."""

    def health(self, name: str, health: Health) -> None:
        """What an encoder's first thousand vectors look like, or all where there are fewer.

        ``name`` is of the field that they fill, ``vectors`` in a file. Counts of terms have none.
        """


class LoggedProgress(Progress):
    """Warns, through the package's logger, of what is left out and of vectors that look wrong."""

    def rejected(self, sentence: str) -> None:
        """Warn of an item that is left out."""
        log.warning("%s", sentence)

    def health(self, name: str, health: Health) -> None:
        """Warn where an encoder's vectors look wrong."""
        if health.warning:
            log.warning("%s: %s", name, health.warning)


SILENT = Progress()
