import pytest
from fastapi.testclient import TestClient

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from lsr.errors import UsageError
from service.api.app import create_app
from service.settings import ServerSettings
from tests.service.conftest import URL

pytest.importorskip("limits")


@pytest.fixture
def serve(tmp_path):
    Collection.create(tmp_path / "served" / "fruit", encoder_fields("bm25")).close()
    opened = []

    def start(address="10.0.0.1", **settings):
        app = create_app(ServerSettings(paths=[tmp_path / "served"], **settings))
        client = TestClient(app, base_url=URL, client=(address, 50000))
        opened.append(client.__enter__())
        return client

    yield start
    for client in opened:
        client.__exit__(None, None, None)


def statuses(client, count, headers=None):
    return [client.get("/v1/indexes", headers=headers).status_code for _ in range(count)]


def test_an_address_that_asks_too_often_is_told_when_to_come_again(serve):
    client = serve(rate_by_address="3/hour")
    assert statuses(client, 4) == [200, 200, 200, 429]
    answer = client.get("/v1/indexes")
    assert 3500 < int(answer.headers["retry-after"]) <= 3600
    error = answer.json()["error"]
    assert (error["code"], error["type"]) == (429, "too_many_requests")
    assert "of your address; allowed are 3 per 1 hour" in error["message"]
    # Whoever watches the server is never told so; files and unknown paths are counted.
    assert client.get("/livez").status_code == client.get("/readyz").status_code == 200
    assert client.get("/").status_code == client.get("/nowhere").status_code == 429


def test_addresses_are_counted_apart_and_networks_of_ipv6_as_one(serve):
    first, second = (
        serve("10.0.0.1", rate_by_address="2/hour"),
        serve("10.0.0.2", rate_by_address="2/hour"),
    )
    mapped = serve("::ffff:10.0.0.2", rate_by_address="2/hour")
    assert statuses(first, 3) == [200, 200, 429]
    assert statuses(second, 1) == [200]
    assert statuses(mapped, 2) == [200, 429]
    near, far = (serve(each, rate_by_address="2/hour") for each in ("2001:db8::1", "2001:db8::2"))
    assert statuses(near, 1) + statuses(far, 2) == [200, 200, 429]
    assert statuses(serve("2001:db8:0:1::1", rate_by_address="2/hour"), 1) == [200]


def test_a_key_is_counted_wherever_it_comes_from(serve):
    first, second = serve("10.0.0.1", rate_by_key="2/hour"), serve("10.0.0.2", rate_by_key="2/hour")
    tokens = [first.app.state.keys.create("k", ["search"])[1] for _ in range(2)]
    headers = [{"X-API-Key": token} for token in tokens]
    assert statuses(first, 1, headers[0]) + statuses(second, 2, headers[0]) == [200, 200, 429]
    assert statuses(first, 1, headers[1]) == [200]
    assert "of this key" in first.get("/v1/indexes", headers=headers[0]).json()["error"]["message"]
    assert statuses(first, 3) == [401, 401, 401]


def test_guesses_are_counted_by_address(serve):
    client = serve(rate_by_address="2/hour", admin_key="an-admin-key-of-the-tests")
    wrong = {"Authorization": "Bearer guess"}
    assert statuses(client, 3, wrong) == [401, 401, 429]
    assert statuses(client, 1, {"Authorization": "Bearer an-admin-key-of-the-tests"}) == [429]


@pytest.mark.parametrize("rate", ["", "x", "0/second", "-1/second", "1/fortnight"])
def test_a_rate_that_is_none_is_one_sentence(rate):
    with pytest.raises(UsageError, match=r"'rate_by_key' of the server: .*as in 100/second"):
        ServerSettings.load({"rate_by_key": rate})
