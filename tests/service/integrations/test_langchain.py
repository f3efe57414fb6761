import asyncio

import pytest

import lsr
from lsr.errors import UsageError
from tests.service.pets import PETS

pytest.importorskip("langchain_core")

from service.integrations.langchain import LsrRetriever

QUERY = "who hunts at night?"


@pytest.fixture(params=["embedded", "served"])
def collection(request, folder, client):
    return lsr.open(folder / "pets") if request.param == "embedded" else client.open("pets")


def test_documents_are_those_of_a_search_with_ids_metadata_and_scores(collection):
    from langchain_core.documents import Document

    retriever = LsrRetriever(collection=collection, k=2, settings={"using": "bm25"})
    found = retriever.invoke(QUERY)
    expected = lsr.search(collection, QUERY, limit=2, using="bm25").hits
    assert all(isinstance(each, Document) for each in found)
    assert [(each.id, each.metadata["score"]) for each in found] == [
        (hit.id, hit.score) for hit in expected
    ]
    stored = {pet.id: pet for pet in PETS}
    for each in found:
        pet = stored[each.id]
        assert each.page_content == pet.text
        assert each.metadata["title"] == pet.title
        assert each.metadata.items() >= pet.metadata.items()
    assert asyncio.run(retriever.ainvoke(QUERY)) == found
    assert retriever.batch([QUERY, ""]) == [found, []]


def test_a_long_document_is_its_passage(collection):
    (best,) = LsrRetriever(collection=collection, k=1).invoke("bats head down")
    passage = best.metadata["passage"]
    assert best.page_content == PETS[3].text[passage["start"] : passage["end"]]
    assert len(best.page_content) < len(PETS[3].text)


@pytest.mark.parametrize(
    "wanted", ["legs = 2", {"must": [{"key": "legs", "match": {"value": 2}}]}], ids=["text", "json"]
)
def test_filters_and_settings_go_with_the_retriever_or_with_a_call(collection, wanted):
    assert [d.id for d in LsrRetriever(collection=collection, filter=wanted).invoke(QUERY)] == [
        "owl"
    ]
    retriever = LsrRetriever(collection=collection)
    assert [d.id for d in retriever.invoke(QUERY, filter=wanted, k=5)] == ["owl"]
    assert len(retriever.invoke(QUERY, k=1)) == 1


def test_it_is_a_part_of_chains(collection):
    from langchain_core.runnables import RunnableLambda

    chain = LsrRetriever(collection=collection, k=1) | RunnableLambda(lambda found: found[0].id)
    assert chain.invoke("owls hunt mice") == "owl"


def test_a_collection_of_programs_that_await(address):
    async def run():
        async with lsr.AsyncClient(address) as client:
            retriever = LsrRetriever(collection=await client.open("pets"), k=1)
            with pytest.raises(UsageError, match="the collection is one of an AsyncClient"):
                retriever.invoke(QUERY)
            assert await retriever.ainvoke("") == []
            return await retriever.ainvoke("owls hunt mice")

    assert [each.id for each in asyncio.run(run())] == ["owl"]
