"""What is too deep or reaches for files is refused by name, and nothing else is."""

import json
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from lsr.errors import InputError
from service.api.app import create_app
from service.api.bodies import DEEPEST_JSON, check_depth
from service.settings import ServerSettings
from tests.index.conftest import items
from tests.service.conftest import URL

DOCUMENTS = "/v1/indexes/fruit/documents"
JSON = {"Content-Type": "application/json"}
SECRET = "what nobody may read"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bounds")
    (folder / "secret.txt").write_text(SECRET)
    made = Collection.create(folder / "served" / "fruit", encoder_fields("bm25"))
    index_documents(made, items({"a": "apple banana"}))
    made.close()
    hidden = Collection.create(folder / "hidden", encoder_fields("bm25"))
    index_documents(hidden, items({"a": SECRET}))
    hidden.close()
    app = create_app(ServerSettings(paths=[folder / "served"]))
    with TestClient(app, base_url=URL, raise_server_exceptions=False) as opened:
        yield opened


def nested(depth, kind="[]"):
    opening, closing = ("[", "]") if kind == "[]" else ('{"a":', "}")
    return opening * depth + "1" + closing * depth


def depth_of(value):
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max(map(depth_of, inner), default=0)
    return 0


@given(
    st.recursive(
        st.text(st.sampled_from('[]{}"\\a,'), max_size=6) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text('[{"\\', max_size=3), inner)
        ),
        max_leaves=20,
    ),
    st.integers(0, 130),
)
def test_depth_is_that_of_the_value(inner, levels):
    value = inner
    for level in range(levels):
        value = [value] if level % 2 else {"[{": value, "]": "}"}
    body = json.dumps(value).encode()
    if depth_of(value) > DEEPEST_JSON:
        with pytest.raises(InputError, match="nested deeper than 100 levels"):
            check_depth(body, "it")
    else:
        check_depth(body, "it")


@pytest.mark.parametrize("kind", ["[]", "{}"])
@pytest.mark.parametrize("more", [0, 1, 500, 50_000])
def test_what_is_nested_too_deeply_is_refused_alone(client, kind, more):
    # The document is a level, and "deep" is none.
    deep = f'{{"id": "deep", "text": "x", "deep": {nested(DEEPEST_JSON - 1 + more, kind)}}}'
    good = f'{{"id": "good{more}{kind}", "text": "fig"}}'
    answer = client.post(DOCUMENTS, content=f"{good}\n{deep}\n").json()
    assert answer["items"][0]["status"] == 201
    refused = answer["items"][1]
    again = client.post(DOCUMENTS, content=f"[{good},{deep}]").json()
    assert [each["status"] for each in again["items"]] == [200, refused["status"] if more else 200]
    if more == 0:
        assert refused["status"] in (200, 201)
        hit = client.get(f"{DOCUMENTS}/deep").json()
        assert depth_of(hit["metadata"]) == DEEPEST_JSON
    else:
        assert refused["status"] == 422
        assert "nested deeper than 100 levels" in json.dumps(refused)
    change = f'{{"metadata": {{"deep": {nested(DEEPEST_JSON - 2 + more, kind)}}}}}'
    answer = client.patch(f"{DOCUMENTS}/a", content=change, headers=JSON)
    assert answer.status_code == (422 if more else 200)
    query = f'{{"query": {{"text": "a"}}, "filter": {nested(DEEPEST_JSON - 1 + more, kind)}}}'
    answer = client.post("/v1/indexes/fruit/search", content=query, headers=JSON)
    assert answer.status_code == 422


NAMES = ["..", ".", "../hidden", "..%2fhidden", "%2e%2e", "%2e%2e%2fhidden", "fruit/../../hidden",
         "..\\hidden", "....//hidden", "/hidden", "file:///hidden", "hidden%00", "fruit/", ".lsr",
         "~", "$HOME", "fruit%00", "../secret.txt", "..%252fhidden"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_no_name_leaves_the_folder(client, name):
    for escaped in (name, quote(name, safe=""), quote(quote(name, safe=""), safe="")):
        for path in (f"/v1/indexes/{escaped}", f"/v1/indexes/{escaped}/documents/a",
                     f"/static/{escaped}", f"/static/../{escaped}", f"/{escaped}"):  # fmt: skip
            answer = client.get(path)
            assert answer.status_code < 500
            assert SECRET not in answer.text
            assert '"name":"hidden"' not in answer.text
