"""Addresses of collections in Qdrant."""

import pytest

from index.qdrant.address import QdrantAddress, is_address
from lsr.errors import UsageError


@pytest.mark.parametrize(
    ("text", "spelled", "url"),
    [
        ("qdrant://host/docs", "qdrant://host:6333/docs", "http://host:6333"),
        ("qdrants://host:443/docs", "qdrants://host:443/docs", "https://host:443"),
        ("qdrant://h/a/b/docs", "qdrant://h:6333/a/b/docs", "http://h:6333"),
        ("qdrant://[::1]:5/x.y-z", "qdrant://[::1]:5/x.y-z", "http://[::1]:5"),
        ("qdrant://h/docs?grpc=6334", "qdrant://h:6333/docs?grpc=6334", "http://h:6333"),
    ],
)
def test_an_address_is_read_and_spelled(text, spelled, url):
    address = QdrantAddress.parse(text)
    assert str(address) == spelled
    assert address.url == url
    assert QdrantAddress.parse(str(address)) == address
    assert is_address(text)


def test_a_folder_is_an_address_too():
    address = QdrantAddress.parse("qdrant-edge:///data/docs")
    assert (str(address.folder), address.name) == ("/data", "docs")
    assert str(address) == "qdrant-edge:///data/docs"
    assert str(address.named("other")) == "qdrant-edge:///data/other"


@pytest.mark.parametrize(
    "text",
    [
        "qdrant://",
        "qdrant://host",
        "qdrant://host/",
        "qdrant:///docs",
        "qdrant://host:99999/docs",
        "qdrant://host:x/docs",
        "qdrant://host/docs?timeout=1",
        "qdrant://host/docs?grpc=0",
        "qdrant://host/docs?grpc=1&grpc=2",
        "qdrant://host/docs#part",
        "qdrant://host/a%20b",
        "qdrant://host/..",
        "qdrant-edge://data/docs",
        "qdrant-edge:///",
        "http://host/docs",
        "qdrant:/host/docs",
    ],
)
def test_what_is_none_is_refused(text):
    with pytest.raises(UsageError):
        QdrantAddress.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "qdrant://user:s3cret@host/docs",
        "qdrant://s3cret@host/docs",
        "qdrant://host/docs?api_key=s3cret",
        "qdrant://host/docs?api-key=s3cret",
        "qdrants://s3cret@host",
        "http://s3cret@host/docs",
    ],
)
def test_a_key_in_an_address_is_refused_and_not_repeated(text):
    with pytest.raises(UsageError) as refused:
        QdrantAddress.parse(text)
    assert "s3cret" not in str(refused.value)


def test_a_path_is_no_address():
    assert not any(map(is_address, ["docs", "/data/docs", "./qdrant", "http://host/docs", ""]))
