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
# What a schema can't say, as the grammar of a filter, is refused with a documented answer; and a
# server without keys lets all in.
EXCLUDED = [openapi.positive_data_acceptance, openapi.ignored_auth]
URL = "http://localhost"
TEXTS = {"a": "apple banana", "b": "owls hunt mice at night", "c": "fig"}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("schemathesis")
    made = Collection.create(folder / "fruit", encoder_fields("bm25"))
    index_documents(made, items(TEXTS))
    made.close()
    app = create_app(ServerSettings(paths=[folder], deadline_ms=20_000))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server stopped while starting"
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(30)


@pytest.fixture(scope="module")
def schema(address):
    return schemathesis.openapi.from_url(f"{address}/openapi.json")


def failures(operation, mode, examples, excluded):
    """What requests of one kind to an operation show: each failure of a check, once."""
    found = {}

    @given(operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=[*HealthCheck]
    )
    def ask(case):
        if "index" in case.path_parameters:
            case.path_parameters["index"] = "fruit"
        try:
            case.call_and_validate(excluded_checks=excluded)
        except FailureGroup as group:
            for failure in group.exceptions:
                found.setdefault(type(failure).__name__ + str(failure)[:300], failure)

    # Some take nothing that could be wrong.
    with suppress(Unsatisfiable):
        ask()
    return [f"{operation.label}: {each}" for each in found.values()]


@pytest.mark.parametrize("mode", GenerationMode)
def test_every_answer_is_documented(schema, mode):
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 20
    found = [each for operation in operations for each in failures(operation, mode, 6, EXCLUDED)]
    assert found == []
