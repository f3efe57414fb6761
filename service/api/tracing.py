"""Spans of requests and of the stages of their searches, for OpenTelemetry."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from index.search.stage_times import told
from lsr.distribution import package_version
from lsr.errors import MissingDependencyError, UsageError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

EXPORTER = "OTEL_TRACES_EXPORTER"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
NANOSECONDS = 1_000_000_000


class Tracing:
    """Makes spans, and sends them as the variables ``OTEL_*`` of the environment say.

    A request that comes with a ``traceparent`` goes on with that trace.

    Raises:
        MissingDependencyError: OpenTelemetry is not installed.
        UsageError: the environment names an exporter that there isn't.
    """

    def __init__(self) -> None:
        try:
            from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as error:
            raise MissingDependencyError("tracing", "opentelemetry-sdk", "tracing") from error
        named = Resource.create().attributes.get(SERVICE_NAME, "")
        own: dict[str, Any] = {SERVICE_VERSION: package_version()}
        # What the standard calls a service without a name.
        if str(named).startswith("unknown_service"):
            own[SERVICE_NAME] = "lsr"
        self._provider = TracerProvider(resource=Resource.create(own))
        exporter = _exporter()
        if exporter is not None:
            self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("lsr", package_version())
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, method: str, path: str, headers: Mapping[str, str]) -> Span:
        """The span of a request that begins now."""
        from opentelemetry.trace import SpanKind

        return self._tracer.start_span(
            method,
            context=self._propagator.extract(headers),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "url.path": path},
        )

    def end(self, span: Span, members: Mapping[str, Any], route: str | None, status: int) -> None:
        """The request is answered; ``members`` are what else is known of it."""
        from opentelemetry.trace import StatusCode

        if route is not None:
            span.update_name(f"{members['method']} {route}")
            span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        for name in ("request_id", "query"):
            if members.get(name) is not None:
                span.set_attribute(f"lsr.{name}", members[name])
        if status >= 500:
            span.set_status(StatusCode.ERROR)
        span.end()

    @contextmanager
    def stages(self, span: Span) -> Iterator[None]:
        """A span for each stage of the searches of this thread inside."""
        from opentelemetry.trace import set_span_in_context

        context = set_span_in_context(span)
        # The spans' clock is another than that of the stages.
        ahead = time.time_ns() - time.perf_counter_ns()

        def note(name: str, started: float, ended: float) -> None:
            stage = self._tracer.start_span(
                name, context=context, start_time=int(started * NANOSECONDS) + ahead
            )
            stage.end(int(ended * NANOSECONDS) + ahead)

        before = told.set(note)
        try:
            yield
        finally:
            told.reset(before)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def _exporter() -> SpanExporter | None:
    """What the environment names; None where it says "none"."""
    name = os.environ.get(EXPORTER, "otlp")
    protocol = os.environ.get(PROTOCOL, "http/protobuf")
    if name == "none":
        return None
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    if name != "otlp" or protocol != "http/protobuf":
        raise UsageError(
            f"the environment has {EXPORTER}={name!r} and {PROTOCOL}={protocol!r}; allowed are "
            "otlp by http/protobuf, console, and none"
        )
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        package = "opentelemetry-exporter-otlp-proto-http"
        raise MissingDependencyError("tracing", package, "tracing") from error
    return OTLPSpanExporter()
