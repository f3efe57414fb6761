"""The same over HTTP, as the client of a server sends and reads it."""

import pytest

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import upsert_documents
from index.opening import is_there, open_collection, place_of
from index.qdrant.making import port_of
from index.qdrant.pushing import push, stand_for
from index.search.config import SearchConfig
from index.search.facets import Facet
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from tests.index.qdrant.test_pushing import check_same
from tests.index.qdrant.test_writing import texts

pytest.importorskip("qdrant_client")
# The local mode tells that it searches exactly, whatever it is asked.
pytestmark = pytest.mark.filterwarnings("ignore:Local mode performs exact")


@pytest.fixture
def server():
    from tests.index.qdrant.rest_server import serving

    served = serving()
    yield f"qdrant://127.0.0.1:{served.server_port}"
    served.shutdown()
    served.server_close()


def test_a_collection_is_pushed_searched_and_written(server, tmp_path, dense_model):
    fields = encoder_fields(None, str(dense_model), bm25=True)
    here = Collection.create(tmp_path / "c", fields, passages="auto")
    upsert_documents(here, texts(1, 9))
    here.maintenance.flush()
    place = place_of(f"{server}/fruit")
    assert not is_there(place)
    report = push(here, port_of(place), str(place))
    assert report.sent == 9
    assert push(here, port_of(place), str(place)).sent == 0
    there = open_collection(place)
    check_same(there, here)
    config = SearchConfig(using="sparse+bm25+dense", facets=(Facet("n"),))
    found, wanted = (search(each, SearchQuery("zebra and yak"), config) for each in (there, here))
    assert [hit.id for hit in found.hits] == [hit.id for hit in wanted.hits]
    assert found.facets == wanted.facets
    for collection in (there, here):
        upsert_documents(collection, [Document("new", "a zebra"), Document("1", "yak")])
        collection.delete([collection.ids()[0]])
        collection.maintenance.flush()
    check_same(there, here)


def test_an_alias_stands_for_a_collection(server, tmp_path):
    for name in ("old", "new"):
        here = Collection.create(tmp_path / name, encoder_fields("bm25"))
        upsert_documents(here, [Document(name, "apple pie")])
        port = port_of(place_of(f"{server}/{name}"))
        push(here, port, name)
        stand_for(port, name, "current")
        assert open_collection(place_of(f"{server}/current")).ids() == [name]
