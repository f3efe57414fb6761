"""The log of a server: JSON for machines, who asked for what, and no query unless asked for."""

import json
import logging
import re

import pytest

from lsr.errors import UsageError
from service import logs
from service.settings import ServerSettings
from tests.service.serving import serving

ADMIN = "an-admin-key-of-the-tests"
SEARCH = "/v1/indexes/fruit/search"
QUERY = {"query": {"text": "cherry secret"}}


@pytest.fixture
def fruit(tmp_path, lsr, corpus):
    lsr("index", corpus, "--into", "fruit", "--encoder", "bm25")
    return tmp_path


def test_all_that_is_written_is_json(fruit):
    log = "--log-format", "json", "--access-log"
    with serving(fruit, "fruit", *log, LSR_SERVE_ADMIN_KEY=ADMIN) as (client, served):
        client.headers["Authorization"] = f"Bearer {ADMIN}"
        client.post(SEARCH, json=QUERY, headers={"X-Request-ID": "mine-1"})
        client.get("/v1/indexes/fruit/documents/zz%0Aevil?text=hidden")
        client.get("/v1/indexes", headers={"Authorization": "Bearer no-key"})
        (fruit / "fruit" / "collection.sqlite").unlink()
        client.get("/v1/indexes/fruit", headers={"X-Request-ID": "mine-2"})
        client.get("/readyz")
        served.stop()
    lines = [json.loads(line) for line in (served.out + served.err).splitlines()]
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    found = [line for line in lines if line["logger"] == "service.access"]
    search, document, refused = [line for line in found if line["path"].startswith("/v1/")][:3]
    assert (search["key"], refused["status"], "key" in refused) == ("admin_key", 401, False)
    assert ADMIN not in served.out + served.err
    assert "no-key" not in served.out + served.err
    assert (search["request_id"], search["method"], search["path"], search["status"]) == (
        "mine-1",
        "POST",
        SEARCH,
        200,
    )
    assert search["client"] == "127.0.0.1"
    assert search["bytes"] > 0 < search["duration_ms"]
    assert document["path"] == "/v1/indexes/fruit/documents/zz\nevil"
    assert document["status"] == 422
    assert re.fullmatch("[0-9a-f]{32}", document["request_id"])
    assert "secret" not in served.out + served.err
    assert "hidden" not in served.out + served.err
    assert any("search page http" in line["message"] for line in lines)


def test_queries_are_logged_on_request_only(fruit):
    with serving(fruit, "fruit", "--access-log", LSR_SERVE_LOG_QUERIES="true") as (client, served):
        client.post(SEARCH, json=QUERY)
        client.get("/livez")
        served.stop()
    search, livez = (line for line in served.out.splitlines() if "path=" in line)
    assert 'query="cherry secret"' in search
    assert 'method="POST"' in search
    assert "query=" not in livez
    assert 'path="/livez" status=200 duration_ms=' in livez


def test_there_is_no_log_of_requests_by_default(fruit):
    with serving(fruit, "fruit") as (client, served):
        client.get("/livez")
        served.stop()
    assert "livez" not in served.out + served.err


def test_queries_that_no_log_would_have_are_refused():
    with pytest.raises(
        UsageError, match=r"^the settings of the server: log_queries was given, and"
    ):
        ServerSettings.load({"log_queries": True})
    assert ServerSettings.load({"log_queries": True, "access_log": True}).log_queries


def test_a_record_has_its_request_and_its_exception():
    token = logs.request_of_record.set("r1")
    try:
        1 / 0  # noqa: B018
    except ZeroDivisionError as error:
        information = (type(error), error, error.__traceback__)
        record = logging.LogRecord("a.b", 40, "", 1, "not %s\n", ("good",), information)
        line = logs.JsonFormatter().format(record)
    finally:
        logs.request_of_record.reset(token)
    assert "\n" not in line
    members = json.loads(line)
    assert members["request_id"] == "r1"
    assert (members["level"], members["logger"], members["message"]) == (
        "error",
        "a.b",
        "not good\n",
    )
    assert members["exception"].startswith("Traceback")
    assert members["exception"].endswith("ZeroDivisionError: division by zero")
