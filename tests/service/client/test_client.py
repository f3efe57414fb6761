import asyncio
import dataclasses
import json

import pytest

import lsr
from index.search.dimension_settings import Dimensions
from index.search.facets import Facet
from index.search.feedback import Rm3
from index.search.fusion import LinearFusion, ReciprocalRankFusion
from index.search.grouping import Grouping
from index.search.rewriters import rewriter_of
from index.search.sorting import SortKey
from lsr.errors import InputError, NotFoundError, UsageError
from tests.service.pets import PETS

SEARCHES = [
    {},
    {"limit": 2, "offset": 1},
    {"using": "bm25", "explain": True},
    {"using": "sparse+bm25", "explain": True},
    {"using": "sparse+bm25", "fusion": LinearFusion({"bm25": 2.0}), "fusion_depth": 3},
    {"using": "sparse+bm25", "fusion": ReciprocalRankFusion(k=2)},
    {"filter": "home in (barn, tree)"},
    {"sort": ["legs"], "facets": ["home"], "payload": ["home"]},
    {
        "sort": [SortKey("legs", True)],
        "facets": [Facet("home", 1, "matching")],
        "exact_total": True,
    },
    {"group_by": "legs", "highlight": False},
    {"group_by": Grouping("home", 2), "payload": False},
    {"payload": ["title"], "min_score": 0.5},
    {"rewrite": (rewriter_of("spelling"),)},
    {"context_tokens": 60},
    {"using": "bm25", "feedback": Rm3(depth=2)},
    {"rerank": lsr.Reranking("field:bm25", depth=2)},
    {"mode": "approximate", "effort": 0.7},
    {"dimensions": Dimensions(("home",), weight=0.5)},
]


def comparable(result, terms_numbered):
    """A result without its times, without how it was searched, and where the next page is."""
    hits = [
        dataclasses.replace(
            hit,
            terms={
                name: [term if terms_numbered else term._replace(term=-1) for term in row]
                for name, row in hit.terms.items()
            },
        )
        for hit in result.hits
    ]
    return dataclasses.replace(result, hits=hits, took_ms=0, stages_ms={}, strategies={}, page=None)


@pytest.mark.parametrize("settings", SEARCHES, ids=str)
def test_a_served_collection_answers_as_the_embedded_one(folder, client, settings):
    for query in ("hunt at night", "slepe in the day"):
        embedded = lsr.search(lsr.open(folder / "pets"), query, **settings)
        served = lsr.search(client.open("pets"), query, **settings)
        assert comparable(served, True) == comparable(embedded, False)
        assert (served.cursor is None) == (embedded.cursor is None)
        if settings.get("explain"):
            assert served.strategies == embedded.strategies


@pytest.mark.parametrize(
    "query",
    [
        lsr.SearchQuery(tokens={"mice": 1.0, "fetch": 0.5}),
        lsr.SearchQuery(sparse=([5, 2000], [1.0, 0.25])),
        lsr.SearchQuery(text="night"),
        lsr.SearchQuery(like="owl"),
        lsr.SearchQuery(like=["owl", "bat"]),
    ],
    ids=str,
)
def test_queries_bring_their_vectors(folder, client, query):
    embedded = lsr.search(lsr.open(folder / "pets"), query)
    assert comparable(lsr.search(client.open("pets"), query), True) == comparable(embedded, False)


def test_several_searches_are_made_at_once(client):
    pets = client.open("pets")
    queries = ["hunt", lsr.SearchQuery(like="owl"), *(f"night {n}" for n in range(120))]
    results = pets.search_batch(queries, limit=2, explain=True)
    for query, result in zip(queries, results, strict=True):
        assert comparable(result, True) == comparable(pets.search(query, 2, explain=True), True)
    with pytest.raises(NotFoundError, match="no document 'bee'"):
        pets.search_batch(["hunt", lsr.SearchQuery(like="bee")])
    with pytest.raises(InputError, match="limit is 0"):
        pets.search_batch(["hunt"], limit=0)
    assert pets.search_batch([]) == []


def test_the_place_of_a_document_is_explained(client):
    pets = client.open("pets")
    found = pets.explain("cat", "hunt mice", using="sparse+bm25", filter="legs > 0")
    ranked = [
        hit.id for hit in pets.search("hunt mice", using="sparse+bm25", filter="legs > 0").hits
    ]
    assert (found["id"], found["rank"]) == ("cat", ranked.index("cat") + 1)
    assert any(term["token"] == "mice" for row in found["missing"].values() for term in row)


def test_pages_are_walked_by_their_cursors(client):
    pets = client.open("pets")
    found, cursor = [], None
    while True:
        page = lsr.search(pets, "hunt sleep fetch", limit=1, cursor=cursor)
        found += [hit.id for hit in page.hits]
        cursor = page.cursor
        if cursor is None:
            break
    assert found == [hit.id for hit in lsr.search(pets, "hunt sleep fetch").hits]


def test_passages_come_with_hits(client):
    best = lsr.search(client.open("pets"), "bats head down").hits[0]
    assert (best.id, best.passage is not None) == ("bat", True)
    assert best.document.text[best.passage.start : best.passage.end]


def test_what_it_is_said_to_be(client, address):
    pets = client.open("pets")
    assert len(pets) == len(PETS)
    assert pets.describe()["name"] == "pets"
    assert [index["name"] for index in client.indexes()] == ["pets", "written"]
    assert repr(pets) == f"Client({address!r}).open('pets')"
    counts = pets.facets(["home", Facet("legs", over="matching")], "hunt")
    assert [facet.key for facet in counts] == ["home", "legs"]
    assert counts[0].values == [("barn", 2), ("house", 2)]


NASTY = [
    "a%2Fb",
    "%0A",
    "%25",
    "new\nline",
    "x/y",
    ".",
    "..",
    "a/../b",
    "?q=1#f",
    "ä 漢 👩‍👩‍👧",
    " ",
]


def test_documents_are_written_read_changed_and_deleted_whatever_their_ids(written):
    documents = [lsr.Document(name, f"text {n}", metadata={"n": n}) for n, name in enumerate(NASTY)]
    assert written.upsert(documents).created == len(NASTY)
    assert len(written) == len(NASTY)
    for document in documents:
        assert written.get(document.id) == document
        assert written.patch(document.id, {"metadata": {"n": None, "m": 1}})
        assert not written.patch(document.id, {"metadata": {"m": 1}})
        assert written.get(document.id).metadata == {"m": 1}
    assert written.delete([*NASTY[:3], "none"]) == set(NASTY[:3])
    assert written.delete([]) == set()
    assert written.get(NASTY[0]) is None
    assert written.delete_matching("m = 1") == set(NASTY[3:])


def test_documents_are_listed_in_the_order_of_writing_and_fetched(folder, client, written):
    documents = [lsr.Document(f"d{n}", f"text {n}", metadata={"n": n}) for n in range(450)]
    written.upsert(documents)
    assert written.ids() == [each.id for each in documents]
    assert list(written.documents()) == documents
    for wanted in ("n >= 440", {"must": [{"key": "n", "range": {"gte": 440}}]}):
        assert list(written.documents(wanted)) == documents[440:]
    asked = [*reversed([each.id for each in documents]), "none"]
    assert list(written.fetch(asked).values()) == documents[::-1]
    assert client.open("pets").ids() == lsr.open(folder / "pets").ids()


def test_a_corpus_is_indexed_as_into_a_folder(written, tmp_path, caplog):
    lines = tmp_path / "pets.jsonl"
    records = [
        {"_id": p.id, "title": p.title, "text": p.text, "metadata": dict(p.metadata)} for p in PETS
    ]
    lines.write_text("".join(json.dumps(record) + "\n" for record in records) + "no json\n")
    report = lsr.index(lines, into=written)
    assert (report.created, report.rejected, report.read) == (len(PETS), 1, len(PETS) + 1)
    embedded = lsr.index(lines, into=tmp_path / "embedded", encoder="bm25")
    assert (report.created, report.rejected) == (embedded.created, embedded.rejected)
    assert lsr.index(lines, into=written).unchanged == len(PETS)
    assert {d.id: d for d in map(written.get, [p.id for p in PETS])} == {p.id: p for p in PETS}
    with pytest.raises(UsageError, match="encoder and sync can't be said of an index of a server"):
        lsr.index(lines, into=written, encoder="bm25", sync=True)


def test_every_item_that_is_rejected_is_told(written, caplog):
    documents = [
        {"id": "a", "text": "fine"},
        {"text": "no id"},
        lsr.Document("a", "twice"),
        {"id": "b", "text": 7},
        {"id": "c", "text": "x" * 2_000_000},
        {"id": "n", "text": "not a number", "weight": float("nan")},
        lsr.Document("d", "fine"),
    ]
    report = written.upsert(documents)
    assert (report.created, report.rejected, report.taken) == (2, 5, 7)
    assert [(each.place, each.id) for each in report.rejections] == [
        ("document:2", ""),
        ("document:3", "a"),
        ("document:4", "b"),
        ("document:5", "c"),
        ("document:6", "n"),
    ]
    reasons = [each.reason for each in report.rejections]
    assert "has no id" in reasons[0]
    assert reasons[1] == "the id 'a' was given before, at document:1; the first is kept"
    assert not any(reason.startswith("item ") for reason in reasons)
    assert [record.getMessage() for record in caplog.records] == [
        f"{each.place}: {each.reason}" for each in report.rejections
    ]


def test_failures_are_the_same_errors_with_the_servers_sentence(client):
    with pytest.raises(NotFoundError, match="there is no index 'birds'; there are: pets, written"):
        client.open("birds")
    pets = client.open("pets")
    with pytest.raises(InputError, match="limit is 0; allowed is 1 to 10000") as caught:
        lsr.search(pets, "hunt", limit=0)
    assert "The server calls this request " in caught.value.__notes__[0]
    with pytest.raises(UsageError, match="has no 'dense' field"):
        lsr.search(pets, "hunt", using="dense")
    with pytest.raises(NotFoundError, match="no document 'bee'"):
        pets.patch("bee", {"title": "Bees"})
    with pytest.raises(UsageError, match="there is no setting 'depht' of a search; there are: off"):
        lsr.search(pets, "hunt", depht=3)
    with pytest.raises(UsageError, match="engine is no setting of a search on a server"):
        lsr.search(pets, "hunt", engine="native")
    with pytest.raises(InputError, match="the request is no JSON"):
        lsr.search(pets, "hunt", min_score=object())


def test_it_is_the_same_with_await(address, client, written):
    async def run():
        async with lsr.AsyncClient(address) as opened:
            assert repr(opened) == f"AsyncClient({address!r})"
            pets, index = await asyncio.gather(opened.open("pets"), opened.open("written"))
            results = await asyncio.gather(
                *(pets.search(query, limit=2) for query in ("hunt", "night", "bark"))
            )
            assert await pets.count() == len(PETS)
            assert (await pets.describe())["documents"] == len(PETS)
            assert [each["name"] for each in await opened.indexes()] == ["pets", "written"]
            assert (await pets.facets(["legs"]))[0].distinct == 2
            assert (await pets.get("bat")) == PETS[3]
            assert [each async for each in pets.documents("legs >= 0")] == PETS[:3]
            assert [each.hits[0].id for each in await pets.search_batch(["bark"])] == ["dog"]
            assert (await pets.explain("dog", "bark"))["rank"] == 1
            assert await pets.fetch(["bat", "none"]) == {"bat": PETS[3]}
            assert sorted(await pets.ids()) == ["bat", "cat", "dog", "owl"]

            async def stream():
                for number in range(2500):
                    yield {"id": f"s{number}", "text": f"figs of the number {number}"}

            report = await index.upsert(stream())
            assert (report.created + report.unchanged, report.rejected) == (2500, 0)
            assert (await index.upsert([PETS[0]])).read == 1
            assert await index.patch("s1", {"title": "Figs"})
            assert await index.delete(["s0", "none"]) == {"s0"}
            assert len(await index.delete_matching("not nothing = 1")) == 2500
            with pytest.raises(NotFoundError, match="no index 'birds'"):
                await opened.open("birds")
            return results

    results = asyncio.run(run())
    pets = client.open("pets")
    for query, result in zip(("hunt", "night", "bark"), results, strict=True):
        assert comparable(result, True) == comparable(pets.search(query, limit=2), True)
