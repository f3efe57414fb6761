"""How many tasks there are, looked up when Prometheus asks."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from lsr.errors import LsrError
from service.api.metrics import LookedUp
from service.state.tasks import UNFINISHED, Tasks
from service.tasks.process import KINDS

log = logging.getLogger(__name__)


class TaskMetrics(LookedUp):
    """The tasks of all processes of a server, by what they do and how they are."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def collect(self) -> Iterator[Metric]:
        """All of them now; none where the state can't be read."""
        found = GaugeMetricFamily(
            "lsr_tasks",
            "Tasks that wait, are being done, or have ended and are kept.",
            labels=["kind", "status"],
        )
        # So that a series begins before the first task of its kind.
        counts = {(kind, status): 0 for kind in KINDS for status in UNFINISHED}
        try:
            counts |= self._tasks.counts()
        except LsrError as error:
            log.debug("no numbers of tasks: %s", error)
            return
        for labels, count in counts.items():
            found.add_metric(labels, count)
        yield found
