"""Spans as OpenTelemetry's own collectors get them."""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lsr.errors import MissingDependencyError, UsageError
from service.api.tracing import Tracing
from tests.service.serving import serving

SEARCH = "/v1/indexes/fruit/search"
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def collector():
    """An OTLP collector: the address, and what was sent to it."""
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            import gzip

            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            got.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    server.server_close()


def attributes(span):
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}


def test_a_request_and_the_stages_of_its_search_are_spans(tmp_path, lsr, corpus, collector):
    address, got = collector
    lsr("index", corpus, "--into", "fruit", "--encoder", "bm25")
    variables = {"LSR_SERVE_TRACING": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": address}
    with serving(tmp_path, "fruit", **variables) as (client, served):
        parent = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-ID": "mine"}
        client.post(SEARCH, json={"query": {"text": "cherry secret"}}, headers=parent)
        client.get("/nowhere")
        served.stop()
    (name,) = {
        attribute.value.string_value
        for request in got
        for resource in request.resource_spans
        for attribute in resource.resource.attributes
        if attribute.key == "service.name"
    }
    assert name == "lsr"
    spans = [
        span
        for request in got
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    by_name = {span.name: span for span in spans}
    search = by_name["POST /v1/indexes/{index}/search"]
    assert (search.trace_id.hex(), search.parent_span_id.hex()) == (TRACE, PARENT)
    assert attributes(search) == {
        "http.request.method": "POST",
        "http.route": "/v1/indexes/{index}/search",
        "http.response.status_code": 200,
        "url.path": SEARCH,
        "lsr.request_id": "mine",
    }
    for stage in ("encode", "rank", "hits"):
        span = by_name[stage]
        assert (span.trace_id, span.parent_span_id) == (search.trace_id, search.span_id)
        assert search.start_time_unix_nano <= span.start_time_unix_nano
        assert span.start_time_unix_nano <= span.end_time_unix_nano <= search.end_time_unix_nano
    assert attributes(by_name["GET"])["http.response.status_code"] == 404
    assert "secret" not in str(got)


def test_an_exporter_that_there_is_not_is_one_sentence(monkeypatch):
    pytest.importorskip("opentelemetry.sdk")
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    with pytest.raises(UsageError, match=r"'zipkin'.* allowed are otlp by http/protobuf, console"):
        Tracing()
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(UsageError, match="'grpc'"):
        Tracing()
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    Tracing().close()


def test_without_its_packages_the_install_line_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'lsr-search\[tracing\]'"):
        Tracing()
