"""Every stage of a search over Qdrant, beside the same search over a directory."""

import dataclasses

import pytest

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.filters.text_form import parse_filter_text
from index.indexing import upsert_documents
from index.listing import fetch_documents, list_documents
from index.search.arranging import count_in_collection, spelled_out
from index.search.config import Prefetch, SearchConfig
from index.search.dimension_settings import Dimensions
from index.search.embedding import embed_texts
from index.search.explanation import explain_document
from index.search.feedback import Rm3, Rocchio
from index.search.fusion import LinearFusion, ReciprocalRankFusion
from index.search.pipeline import search, search_batch
from index.search.query import SearchQuery
from index.search.reranking import Reranking
from lsr.corpus.documents import Document
from lsr.errors import NotFoundError, UsageError

WORDS = ["apple", "banana", "cherry", "plum", "lemon", "fig"]
DOCUMENTS = [
    Document(
        f"d{n}",
        " ".join(WORDS[(n * k + k) % 6] for k in range(n % 5 + 1)),
        f"Title {WORDS[n % 6]}",
        {"third": n % 3, "tags": [f"t{n % 5}", "all"], "when": f"2026-0{n % 9 + 1}-01", "n": n},
    )
    for n in range(30)
]
LONG = [
    Document(f"long{n}", ". ".join(f"{WORDS[k % (n + 2)]} is number {k}" for k in range(400)))
    for n in range(3)
]
TEXT = SearchQuery("apple plum unheardof")
LEFT = {"took_ms", "stages_ms", "generation", "strategies", "page"}


@pytest.fixture(scope="module")
def native(tmp_path_factory, masked_lm, dense_model):
    fields = encoder_fields(str(masked_lm), str(dense_model), bm25=True)
    made = Collection.create(tmp_path_factory.mktemp("query") / "c", fields, passages="auto")
    filled(made)
    return made


@pytest.fixture(scope="module", params=["edge", "local"])
def other(request, native, tmp_path_factory):
    from qdrant_client import QdrantClient

    from index.qdrant.address import QdrantAddress
    from index.qdrant.client_port import ClientPort
    from index.qdrant.collection import QdrantCollection
    from index.qdrant.edge_port import EdgePort

    folder = tmp_path_factory.mktemp("query")
    if request.param == "edge":
        port = EdgePort(QdrantAddress.parse(f"qdrant-edge://{folder}/c"))
    else:
        port = ClientPort(QdrantClient(":memory:"), "c")
    made = QdrantCollection.create_at(port, list(native.fields), passages="auto")
    filled(made)
    yield made
    made.close()


def filled(collection):
    upsert_documents(collection, [*DOCUMENTS, *LONG])
    # Later than what was counted.
    collection.delete(["d3"])


def answered(collection, query=TEXT, **config):
    return search(collection, query, SearchConfig(**spelled_out(config)))


def near(number):
    return pytest.approx(number, rel=2e-5, abs=1e-6)


def plain(value, number=float):
    """A result without times, generations and names of strategies, with each float as asked."""
    if isinstance(value, float):
        return number(value)
    if dataclasses.is_dataclass(value):
        names = [each.name for each in dataclasses.fields(value)]
        return {name: plain(getattr(value, name), number) for name in names if name not in LEFT}
    if isinstance(value, dict):
        return {key: plain(each, number) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each, number) for each in value]
    return value


CONFIGS = {
    "sparse": {"using": "sparse"},
    "bm25": {"using": "bm25", "limit": 7, "offset": 2},
    "dense": {"using": "dense"},
    "hybrid": {"using": "hybrid"},
    "linear": {
        "using": "bm25+sparse",
        "fusion": LinearFusion({"bm25": 0.3, "sparse": 0.7}, "max", "exact"),
        "fusion_depth": 5,
    },
    "prefetch": {
        "prefetch": (Prefetch("bm25", 3), Prefetch("sparse", 6)),
        "fusion": ReciprocalRankFusion(k=10),
    },
    "filter": {"using": "bm25", "filter": parse_filter_text("third >= 1 and not (tags = t2)")},
    "dates": {"using": "hybrid", "filter": parse_filter_text("when >= 2026-03-01")},
    "facets": {"using": "bm25", "facets": ["tags", "third", "absent"]},
    "sort": {"using": "bm25", "sort": ["third:desc", "when"], "limit": 12},
    "groups": {"using": "sparse", "group_by": "tags"},
    "least": {"using": "bm25", "min_score": 0.4, "limit": 50},
    "explained": {"using": "hybrid", "explain": True, "highlight": True},
    "payload": {"using": "bm25", "payload": ["title", "third"]},
    "rm3": {"using": "bm25", "feedback": Rm3()},
    "rocchio": {"using": "sparse", "feedback": Rocchio()},
    "dense feedback": {"using": "dense", "feedback": Rocchio()},
    "rerank": {"using": "bm25", "rerank": Reranking("field:dense", depth=8)},
    "context": {"using": "bm25", "context_tokens": 100},
    "unknown key": {"using": "bm25", "filter": parse_filter_text("thrid = 1 or when = yesterday")},
}


@pytest.mark.parametrize("name", CONFIGS)
def test_answers_are_those_of_a_directory(native, other, name):
    ours, theirs = (answered(each, **CONFIGS[name]) for each in (native, other))
    assert ours.hits or name == "unknown key"
    assert plain(theirs) == plain(ours, near)


@pytest.mark.parametrize("using", ["sparse", "bm25", "dense", "hybrid"])
def test_more_like_documents(native, other, using):
    query = SearchQuery(like=["d4", "long1"])
    ours, theirs = (answered(each, query, using=using) for each in (native, other))
    assert ours.hits
    assert plain(theirs) == plain(ours, near)


@pytest.mark.parametrize("using", ["bm25", "hybrid"])
def test_a_walk_from_page_to_page(native, other, using):
    walks = []
    for collection in (native, other):
        seen, cursor = [], None
        while True:
            page = answered(collection, using=using, limit=6, cursor=cursor)
            seen += [hit.id for hit in page.hits]
            if page.page is None:
                break
            cursor = page.page.next()
        walks.append(seen)
    assert len(walks[0]) > 12
    assert walks[1] == walks[0]


def test_a_walk_goes_on_over_what_is_written_meanwhile(other):
    first = answered(other, using="bm25", limit=10)
    upsert_documents(other, [Document("d0", "apple plum again", metadata={"n": 1000})])
    try:
        rest = answered(other, using="bm25", limit=50, cursor=first.page.next())
        seen = [hit.id for hit in (*first.hits, *rest.hits)]
        assert len(seen) == len(set(seen))
    finally:
        upsert_documents(other, DOCUMENTS[:1])


def test_a_batch_answers_as_single_queries_do(other):
    queries = [SearchQuery("apple"), SearchQuery("nothing"), SearchQuery("fig lemon")]
    for using in ("sparse", "bm25", "dense"):
        config = SearchConfig(using=using)
        for query, together in zip(queries, search_batch(other, queries, config), strict=True):
            alone = search(other, query, config)
            assert [hit.id for hit in together.hits] == [hit.id for hit in alone.hits]


def walked(collection, condition):
    """The ids and texts of all pages of a listing."""
    listed, cursor = [], None
    while True:
        page = list_documents(collection, 7, cursor, condition)
        listed += [(identifier, found.text) for identifier, found in page.documents.items()]
        cursor = page.cursor
        if cursor is None:
            return listed


def test_documents_are_explained_listed_and_fetched(native, other):
    for identifier in ("d4", "long2", "d1"):
        ours, theirs = (
            explain_document(each, TEXT, identifier, SearchConfig(using="hybrid"))
            for each in (native, other)
        )
        assert plain(theirs) == plain(ours, near)
        assert theirs.sentence == ours.sentence
    with pytest.raises(NotFoundError):
        explain_document(other, TEXT, "d3", SearchConfig(using="bm25"))
    assert fetch_documents(other, ["d9", "long0", "none"]) == fetch_documents(
        native, ["d9", "long0", "none"]
    )
    wanted = parse_filter_text("third = 1")
    for condition in (None, wanted):
        ours, theirs = (walked(each, condition) for each in (native, other))
        assert sorted(theirs) == sorted(ours)
        assert len(set(theirs)) == len(theirs)
    config = SearchConfig(**spelled_out({"facets": ["tags"], "filter": wanted}))
    assert count_in_collection(other, config) == count_in_collection(native, config)


def test_texts_are_embedded_by_the_statistics_of_the_whole(native, other):
    ours, theirs = (
        embed_texts(each, ["apple plum", "fig"], True, "bm25") for each in (native, other)
    )
    assert theirs.tokens == ours.tokens
    assert plain(theirs.rows.values.tolist()) == plain(ours.rows.values.tolist(), near)


def test_what_qdrant_can_not_do_is_refused_in_a_sentence(other):
    with pytest.raises(UsageError, match="leave the engine out"):
        answered(other, using="bm25", engine="lucene")
    with pytest.raises(UsageError, match="every document at once"):
        answered(other, using="bm25", dimensions=Dimensions(keys=("tags",)))
