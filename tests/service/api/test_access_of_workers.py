"""Keys and rates hold in all processes of a server at once."""

import contextlib
import json

import httpx
import pytest

from tests.service.serving import SECONDS, serving

pytestmark = pytest.mark.long


def test_all_processes_know_a_key_and_its_rate_at_once(tmp_path, lsr, corpus):
    lsr("index", corpus, "--into", "all/fruit", "--encoder", "bm25")
    rate = {"LSR_SERVE_RATE_BY_KEY": "30/hour"}
    with (
        serving(tmp_path, "all", "--workers", "2", **rate) as (first, _),
        contextlib.ExitStack() as stack,
    ):
        # Connections that are open together, so that each process has some.
        clients = [
            stack.enter_context(httpx.Client(base_url=first.base_url, timeout=SECONDS))
            for _ in range(10)
        ]

        def statuses(token=None, times=1):
            headers = {} if token is None else {"X-API-Key": token}
            return [
                client.get("/v1/indexes/fruit/documents/a", headers=headers).status_code
                for _ in range(times)
                for client in clients
            ]

        assert statuses() == 10 * [200]
        first_key = json.loads(lsr("key", "create", "all", "--name", "k", "--json").stdout)
        assert statuses() == 10 * [401]
        assert statuses(first_key["token"]) == 10 * [200]
        assert lsr("key", "create", "all", "--name", "other").returncode == 0
        lsr("key", "revoke", "all", first_key["key"]["id"])
        assert statuses(first_key["token"]) == 10 * [401]
        made = json.loads(lsr("key", "create", "all", "--name", "k", "--json").stdout)
        assert statuses(made["token"], times=4) == 30 * [200] + 10 * [429]
