"""The sizes of what is served, looked up when Prometheus asks."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from lsr.distribution import package_version
from lsr.errors import LsrError
from service.api.indexes import Indexes
from service.api.metrics import LookedUp
from service.replica.state import Replica

# By the names that Collection.describe has.
SIZES = {
    "documents": ("lsr_index_documents", "Documents of an index."),
    "segments": ("lsr_index_segments", "Segments of an index."),
    "unflushed": ("lsr_index_unflushed_documents", "Documents that are in no segment yet."),
    "deleted": ("lsr_index_deleted_documents", "Deleted documents that segments still hold."),
    "bytes": ("lsr_index_bytes", "Bytes of an index on disk."),
    "generation": ("lsr_index_generation", "Rises whenever a segment is published."),
}
log = logging.getLogger(__name__)


class IndexMetrics(LookedUp):
    """Metrics of every index, and which can be read."""

    def __init__(self, indexes: Indexes) -> None:
        self._indexes = indexes

    def collect(self) -> Iterator[Metric]:
        """All of them now."""
        build = GaugeMetricFamily("lsr_build_info", "The version that runs.", labels=["version"])
        build.add_metric([package_version()], 1)
        yield build
        up = GaugeMetricFamily("lsr_index_up", "Whether an index can be read.", labels=["index"])
        sizes = {
            key: GaugeMetricFamily(name, text, labels=["index"])
            for key, (name, text) in SIZES.items()
        }
        for name in self._indexes.names():
            try:
                described = self._indexes[name].describe()
            except (LsrError, OSError) as error:
                log.debug("no sizes of the index %r: %s", name, error)
                up.add_metric([name], 0)
                continue
            up.add_metric([name], 1)
            for key, family in sizes.items():
                if key in described:
                    family.add_metric([name], described[key])
        yield up
        yield from sizes.values()
        if self._indexes.replica is not None:
            yield from _of_replica(self._indexes.replica)


def _of_replica(replica: Replica) -> Iterator[Metric]:
    """Which snapshots answer, how old they are, and how following goes on."""
    names = GaugeMetricFamily(
        "lsr_replica_snapshot_info", "The snapshot that answers.", labels=["index", "snapshot"]
    )
    ages = GaugeMetricFamily(
        "lsr_replica_snapshot_age_seconds",
        "Time since the snapshot that answers was taken.",
        labels=["index"],
    )
    for index, name in replica.snapshots.items():
        names.add_metric([index, name], 1)
        if (age := replica.age_seconds(index)) is not None:
            ages.add_metric([index], age)
    yield names
    yield ages
    following = replica.following()
    for name, text, value in (
        ("last_look", "When snapshots were looked for last.", following.looked),
        ("last_failure", "When following failed last; 0: never.", following.failed),
    ):
        yield GaugeMetricFamily(f"lsr_replica_{name}_timestamp_seconds", text, value)
    yield CounterMetricFamily(
        "lsr_replica_failures",
        "Snapshots that were passed over, and looks that failed.",
        following.failures,
    )
