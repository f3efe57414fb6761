import pytest

import lsr
from tests.service.serving import serving

PETS = [
    lsr.Document("cat", "Cats sleep most of the day and hunt at night.", "Cats",
                 {"legs": 4, "home": ["house", "barn"]}),
    lsr.Document("dog", "Dogs bark, fetch sticks, and like company.", "Dogs",
                 {"legs": 4, "home": "house", "since": "2020-01-02"}),
    lsr.Document("owl", "Owls hunt mice at night without a sound.", "Owls",
                 {"legs": 2, "home": "barn", "fed": {"often": True}}),
    lsr.Document("bat", "Bats hunt by echo. " + "They sleep in the day, head down. " * 200, "Bats"),
]  # fmt: skip


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A folder of two collections: one to read, and one to write."""
    made = tmp_path_factory.mktemp("served") / "all"
    lsr.index(PETS, into=made / "pets", bm25=True)
    lsr.create(made / "written", encoder="bm25")
    return made


@pytest.fixture(scope="session")
def address(folder):
    with serving(folder) as found:
        yield found


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
