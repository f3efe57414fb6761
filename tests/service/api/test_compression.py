"""Answers are compressed where asked, and are the same then."""

import gzip
import zlib

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from service.api.app import create_app
from service.api.compression import asked_for
from service.settings import ServerSettings
from tests.index.conftest import items
from tests.service.conftest import URL

DOCUMENTS = "/v1/indexes/fruit/documents"


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    made = Collection.create(
        tmp_path_factory.mktemp("compressed") / "fruit", encoder_fields("bm25", bm25=False)
    )
    texts = {"a": "fig", "long": "apple plum " * 1000, "huge": "banana " * 100_000}
    index_documents(made, items(texts))
    with TestClient(create_app(ServerSettings(paths=[made.path])), base_url=URL) as opened:
        yield opened


def raw(client, path, encoding):
    headers = {"Accept-Encoding": encoding}
    with client.stream("GET", path, headers=headers) as answer:
        return answer, b"".join(answer.iter_raw())


UNPACK = {"gzip": gzip.decompress, "deflate": zlib.decompress}


@pytest.mark.parametrize("encoding", UNPACK)
@pytest.mark.parametrize("path", [f"{DOCUMENTS}/long", f"{DOCUMENTS}/huge", "/static/app.js", "/"])
def test_what_is_large_is_compressed(client, encoding, path):
    plain, body = raw(client, path, "identity")
    assert "content-encoding" not in plain.headers
    packed, small = raw(client, path, encoding)
    assert packed.headers["content-encoding"] == encoding
    assert "accept-encoding" in packed.headers["vary"].lower()
    assert "accept-encoding" in plain.headers["vary"].lower()
    assert UNPACK[encoding](small) == body
    assert len(small) < len(body)
    assert int(packed.headers.get("content-length", len(small))) == len(small)
    assert packed.headers.get("etag") == plain.headers.get("etag")


def test_what_is_small_empty_or_secret_is_left_as_it_is(client):
    for path in (f"{DOCUMENTS}/a", "/livez", f"{DOCUMENTS}/none"):
        assert "content-encoding" not in raw(client, path, "gzip")[0].headers
    part = client.get("/static/app.js", headers={"Range": "bytes=0-2000"})
    assert (part.status_code, len(part.content)) == (206, 2001)
    tag = client.get(f"{DOCUMENTS}/long").headers["ETag"]
    answer = client.get(f"{DOCUMENTS}/long", headers={"If-None-Match": tag})
    assert (answer.status_code, answer.content) == (304, b"")


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("", None), ("gzip", "gzip"), ("deflate", "deflate"), ("br, zstd", None),
        ("gzip, deflate, br", "gzip"), ("gzip;q=0.2, deflate;q=0.9", "deflate"), ("*", "gzip"),
        ("gzip;q=0, *;q=0.5", "deflate"), ("identity, gzip;q=0.5", None), ("GZIP ; Q=1", "gzip"),
        ("gzip;q=x", None), ("gzip;q=0", None), ("*;q=0", None),
    ],
)  # fmt: skip
def test_the_encoding_is_the_client_s_choice(header, encoding):
    assert asked_for(header) == encoding


@given(st.text(st.characters(max_codepoint=255), max_size=60))
def test_no_header_breaks_the_choice(header):
    assert asked_for(header) in (None, "gzip", "deflate")
