"""Fixtures: a server of two indexes, and clients of it."""

import pytest

import lsr
from tests.service.pets import PETS
from tests.service.serving import serving


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder of two collections: one to read, and one to write."""
    made = tmp_path_factory.mktemp("served") / "all"
    lsr.index(PETS, into=made / "pets", bm25=True)
    lsr.create(made / "written", encoder="bm25")
    return made


@pytest.fixture(scope="session")
def address(folder):
    with serving(folder.parent, "all") as (_, served):
        yield served.address()


@pytest.fixture
def client(address):
    with lsr.Client(address) as opened:
        yield opened


@pytest.fixture
def written(client):
    """The index to write, empty."""
    index = client.open("written")
    if len(index):
        index.delete_matching({"must_not": [{"key": "nothing", "exists": True}]})
    return index
