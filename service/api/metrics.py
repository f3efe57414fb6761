"""What a server counts and times, for Prometheus."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import prometheus_client as prometheus
from prometheus_client import multiprocess, values
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from service.api.workers import SHARED_FOLDER

if TYPE_CHECKING:
    from prometheus_client import Metric

    from lsr.encoding.query_batches import QueryBatches
    from service.api.work import Work

OTHER = "other"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Seconds.
REQUEST_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10)
STAGE_BUCKETS = (0.0001, 0.0002, 0.0005, *REQUEST_BUCKETS[1:-1])
RECALL_BUCKETS = (0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)
ENCODER_COUNTS = {
    "batches": "Batches of queries that went through a model.",
    "encoded": "Queries that went through a model.",
    "kept": "Queries whose vector was kept from a search before.",
    "refused": "Searches refused since too many waited for a model.",
}
"""As ``QueryBatches`` has them."""
KINDS = ("read", "write")


class Metrics:
    """The metrics of one worker, and the answer that has those of all.

    What is counted on the way of a request takes a few microseconds: the children of labels are
    made once, and labels have few values (templates of routes, never addresses).

    Args:
        collectors: what else is asked for its metrics when somebody looks, in the worker that
            answers: what is the same in all of them.
    """

    def __init__(self, collectors: Iterable[Collector] = ()) -> None:
        # When each series began is a series of its own else.
        prometheus.disable_created_metrics()
        self._registry = prometheus.CollectorRegistry()
        self._shared = SHARED_FOLDER in os.environ
        self._collectors = list(collectors)
        made: dict[str, Any] = {"registry": self._registry}
        summed: dict[str, Any] = {**made, "multiprocess_mode": "livesum"}
        self._requests = prometheus.Counter(
            "lsr_http_requests",
            "Requests that were answered.",
            ["method", "route", "status"],
            **made,
        )
        self._request_seconds = prometheus.Histogram(
            "lsr_http_request_duration_seconds",
            "Time from the head of a request to the end of its answer.",
            ["method", "route"],
            buckets=REQUEST_BUCKETS,
            **made,
        )
        self._stage_seconds = prometheus.Histogram(
            "lsr_search_stage_seconds",
            "Time that each stage of searches took.",
            ["stage"],
            buckets=STAGE_BUCKETS,
            **made,
        )
        self._at_work = prometheus.Gauge(
            "lsr_work_running", "Reads and writes at work.", ["kind"], **summed
        )
        self._waiting = prometheus.Gauge(
            "lsr_work_waiting", "Reads and writes that wait for a thread.", ["kind"], **summed
        )
        self._refused = prometheus.Counter(
            "lsr_work_refused", "Reads and writes refused since too many waited.", ["kind"], **made
        )
        self._recall = prometheus.Histogram(
            "lsr_recall_probe_recall",
            "Share of the exact hits that approximate searches had, of those repeated.",
            ["index"],
            buckets=RECALL_BUCKETS,
            **made,
        )
        self._not_probed = prometheus.Counter(
            "lsr_recall_probe_skipped",
            "Searches that were to be repeated and were not: too many waited, the server was "
            "busy, the index has changed, it failed.",
            ["reason"],
            **made,
        )
        for reason in ("full", "busy", "changed", "failed"):
            self._not_probed.labels(reason)
        looked_up = prometheus.Counter(
            "lsr_query_cache_requests",
            "Searches, by whether their answer was kept.",
            ["result"],
            **made,
        )
        self._looked_up = looked_up.labels("miss"), looked_up.labels("hit")
        self._cache_bytes = prometheus.Gauge(
            "lsr_query_cache_bytes", "Bytes of the answers that are kept.", **summed
        )
        self._connections = prometheus.Gauge(
            "lsr_http_connections", "Connections of clients that are open.", **summed
        )
        self._encoder_waiting = prometheus.Gauge(
            "lsr_encoder_waiting", "Searches that wait for a model to encode them.", **summed
        )
        self._encoder = {
            name: prometheus.Counter(f"lsr_encoder_{name}", text, **made)
            for name, text in ENCODER_COUNTS.items()
        }
        self._encoder_before = dict.fromkeys(ENCODER_COUNTS, 0)
        self._refused_before = dict.fromkeys(KINDS, 0)
        self._answers: dict[tuple[str, str, int], tuple[Any, Any]] = {}
        self._stages: dict[str, Any] = {}
        for kind in KINDS:
            self._refused.labels(kind)
        if not self._shared:
            prometheus.ProcessCollector(registry=self._registry)
            for collector in self._collectors:
                self._registry.register(collector)

    def answered(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """A request was answered; ``route`` is the template of its path, None where it has none."""
        key = method, route or OTHER, status
        children = self._answers.get(key)
        if children is None:
            known = method if method in METHODS else OTHER
            children = self._answers[key] = (
                self._requests.labels(known, key[1], str(status)),
                self._request_seconds.labels(known, key[1]),
            )
            # A client may invent methods.
            if known is OTHER:
                del self._answers[key]
        children[0].inc()
        children[1].observe(seconds)

    def searched(self, stages_ms: Mapping[str, float]) -> None:
        """A search took so long, stage by stage."""
        for stage, milliseconds in stages_ms.items():
            child = self._stages.get(stage)
            if child is None:
                child = self._stages[stage] = self._stage_seconds.labels(stage)
            child.observe(milliseconds / 1000)

    def looked_up(self, found: bool) -> None:
        """A search came for which an answer was kept, or none."""
        self._looked_up[found].inc()

    def cache_holds(self, size: int) -> None:
        """So many bytes are kept now."""
        self._cache_bytes.set(size)

    def connected(self, count: int) -> None:
        """So many clients are connected now."""
        self._connections.set(count)

    def probed(self, index: str, recall: float) -> None:
        """A search of an index was repeated exactly."""
        self._recall.labels(index).observe(recall)

    def not_probed(self, reason: str) -> None:
        """A search that was to be repeated was not."""
        self._not_probed.labels(reason).inc()

    def sample(self, kind: str, work: Work) -> None:
        """Note how much is at work, and waits, now; to be called every second or so."""
        self._at_work.labels(kind).set(work.running)
        self._waiting.labels(kind).set(work.waiting)
        self._refused.labels(kind).inc(work.refused - self._refused_before[kind])
        self._refused_before[kind] = work.refused

    def sample_encoder(self, batches: QueryBatches) -> None:
        """The same of what encodes queries."""
        self._encoder_waiting.set(batches.waiting)
        for name, counter in self._encoder.items():
            now = getattr(batches, name)
            counter.inc(now - self._encoder_before[name])
            self._encoder_before[name] = now

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """All metrics, those of other workers included, as a client accepts them; and its type."""
        registry = self._registry
        if self._shared:
            registry = prometheus.CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)
            for collector in self._collectors:
                registry.register(collector)
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type


def count_as(worker: str) -> None:
    """Have this process count as a worker of this name, in files that go on where one of the same
    name before it left off; before its metrics are made.
    """
    values.ValueClass = values.MultiProcessValue(lambda: worker)


class LookedUp(Collector):
    """Metrics whose values are looked up when Prometheus asks for them."""

    def describe(self) -> list[Metric]:
        """Nothing: no index is opened, and no state read, for the names of its metrics."""
        return []


def forget_worker(worker: str) -> None:
    """Leave a worker that has ended out of what is at work now; for the process that began it."""
    if SHARED_FOLDER in os.environ:
        multiprocess.mark_process_dead(worker)
