"""Schemathesis over the OpenAPI document: no failure of the server, and no undocumented answer."""

import threading
import time
from contextlib import suppress

import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from service.api.app import create_app
from service.settings import ServerSettings
from tests.index.conftest import items

schemathesis = pytest.importorskip("schemathesis")
openapi = pytest.importorskip("schemathesis.specs.openapi.checks")
GenerationMode = schemathesis.GenerationMode
FailureGroup = schemathesis.checks.FailureGroup
# Their parts are refused one by one.
BULKS = {"POST /v1/indexes/{index}/documents", "POST /v1/indexes/{index}/search/batch"}
KEY = "0123456789abcdef" * 4
URL = "http://localhost"
TEXTS = {"a": "apple banana", "b": "owls hunt mice at night", "c": "fig"}


@pytest.fixture(scope="module", params=["open", "keys"])
def served(request, tmp_path_factory):
    """The document of a server, what requests need, and the checks that don't hold for it.

    What a schema can't say, as the grammar of a filter, is refused with a documented answer; and a
    server without keys lets all in.
    """
    folder = tmp_path_factory.mktemp("schemathesis")
    made = Collection.create(folder / "fruit", encoder_fields("bm25"))
    index_documents(made, items(TEXTS))
    made.close()
    has_keys = request.param == "keys"
    secret = {"admin_key": KEY} if has_keys else {}
    app = create_app(ServerSettings(paths=[folder], deadline_ms=20_000, **secret))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server stopped while starting"
        time.sleep(0.02)
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    headers = {"Authorization": f"Bearer {KEY}"} if has_keys else {}
    excluded = [openapi.positive_data_acceptance, *([] if has_keys else [openapi.ignored_auth])]
    yield schema, headers, excluded
    server.should_exit = True
    thread.join(30)


def is_allowed(operation, failure):
    """Whether what a schema forbids was rightly accepted.

    Keys are given by the test, or not needed at all; and a bulk takes anything, whose lines are
    refused one by one.
    """
    if type(failure).__name__ != "AcceptedNegativeData":
        return False
    return "Authorization" in str(failure) or operation.label in BULKS


def failures(operation, mode, served, **options):
    """What requests of one kind to an operation show: each failure of a check, once."""
    found = {}
    _, headers, excluded = served

    @given(operation.as_strategy(generation_mode=mode))
    @settings(deadline=None, database=None, suppress_health_check=[*HealthCheck], **options)
    def ask(case):
        if "index" in case.path_parameters and not operation.path.endswith("{index}"):
            case.path_parameters["index"] = "fruit"
        try:
            case.call_and_validate(headers=headers, excluded_checks=excluded, timeout=120)
        except FailureGroup as group:
            for failure in group.exceptions:
                if not is_allowed(operation, failure):
                    found.setdefault(type(failure).__name__ + str(failure)[:300], failure)

    # Some take nothing that could be wrong.
    with suppress(Unsatisfiable):
        ask()
    return [f"{operation.label}: {each}" for each in found.values()]


def all_failures(served, mode, **options):
    operations = [result.ok() for result in served[0].get_all_operations()]
    assert len(operations) > 20
    return [
        each for operation in operations for each in failures(operation, mode, served, **options)
    ]


@pytest.mark.long
@pytest.mark.parametrize("mode", GenerationMode)
def test_every_answer_is_documented(served, mode):
    _, has_key, _ = served
    examples = 1 if has_key else 2
    assert all_failures(served, mode, max_examples=examples, derandomize=True) == []


@pytest.mark.slow
@pytest.mark.parametrize("mode", GenerationMode)
def test_every_answer_to_many_requests_is_documented(served, mode):
    found = all_failures(served, mode, max_examples=60)
    assert not found, "\n\n".join(found)
