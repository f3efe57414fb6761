import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lsr
from index.filters.json_form import parse_filter_json
from lsr.errors import InputError
from tests.service.pets import PETS

pytest.importorskip("llama_index.core")

from llama_index.core.vector_stores import (
    FilterCondition,
    MetadataFilter,
    MetadataFilters,
)

from service.integrations.llama_index import LsrRetriever, filter_of

QUERY = "who hunts at night?"


@pytest.fixture(params=["embedded", "served"])
def collection(request, folder, client):
    return lsr.open(folder / "pets") if request.param == "embedded" else client.open("pets")


def test_nodes_are_those_of_a_search_with_ids_metadata_and_scores(collection):
    retriever = LsrRetriever(collection, similarity_top_k=2, using="bm25")
    found = retriever.retrieve(QUERY)
    expected = lsr.search(collection, QUERY, limit=2, using="bm25").hits
    assert [(each.node_id, each.score) for each in found] == [(h.id, h.score) for h in expected]
    stored = {pet.id: pet for pet in PETS}
    for each in found:
        pet = stored[each.node_id]
        assert each.text == pet.text
        assert each.metadata["title"] == pet.title
        assert each.metadata.items() >= pet.metadata.items()
        assert "score: " not in each.node.get_content("llm")
    awaited = asyncio.run(retriever.aretrieve(QUERY))
    assert [each.node_id for each in awaited] == [each.node_id for each in found]


def test_a_long_document_is_its_passage(collection):
    (best,) = LsrRetriever(collection, similarity_top_k=1).retrieve("bats head down")
    passage = best.metadata["passage"]
    assert best.text == PETS[3].text[passage["start"] : passage["end"]]


def test_a_collection_of_programs_that_await(address):
    async def run():
        async with lsr.AsyncClient(address) as client:
            return await LsrRetriever(await client.open("pets")).aretrieve("owls hunt mice")

    assert asyncio.run(run())[0].node_id == "owl"


two_legs = MetadataFilters(filters=[MetadataFilter(key="legs", value=2)])


@pytest.mark.parametrize(
    "filters", [two_legs, "legs = 2", {"must": [{"key": "legs", "match": {"value": 2}}]}]
)
def test_filters_of_either_kind(collection, filters):
    assert [n.node_id for n in LsrRetriever(collection, filters=filters).retrieve(QUERY)] == ["owl"]


ALL_RECORDS = [
    {"year": year, "lang": lang} for year in (1999, 2005, 2020) for lang in ("en", "de", "fr")
]
numbers, words = st.sampled_from([1999, 2005, 2010]), st.sampled_from(["en", "de", "it"])
conditions = st.one_of(
    st.builds(
        MetadataFilter,
        key=st.just("year"),
        value=numbers,
        operator=st.sampled_from(
            [
                "==",
                "!=",
                ">",
                ">=",
                "<",
                "<=",
            ]
        ),
    ),
    st.builds(
        MetadataFilter,
        key=st.just("lang"),
        value=st.lists(words, min_size=1, max_size=3),
        operator=st.sampled_from(["in", "nin"]),
    ),
    st.builds(MetadataFilter, key=st.just("lang"), value=words, operator=st.just("==")),
)
trees = st.recursive(
    conditions,
    lambda parts: st.builds(
        MetadataFilters,
        filters=st.lists(parts, min_size=1, max_size=3),
        condition=st.sampled_from([FilterCondition.AND, FilterCondition.OR, FilterCondition.NOT]),
    ),
    max_leaves=5,
).filter(lambda each: isinstance(each, MetadataFilters))
COMPARED = {
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b, ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
    "in": lambda a, b: a in b, "nin": lambda a, b: a not in b,
}  # fmt: skip


def passes(record, given_filter):
    """By the words of LlamaIndex's documentation."""
    if isinstance(given_filter, MetadataFilter):
        return COMPARED[given_filter.operator.value](record[given_filter.key], given_filter.value)
    parts = [passes(record, each) for each in given_filter.filters]
    if given_filter.condition is FilterCondition.NOT:
        return not any(parts)
    return all(parts) if given_filter.condition is FilterCondition.AND else any(parts)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    path = tmp_path_factory.mktemp("records") / "records"
    documents = [lsr.Document(str(n), "text", metadata=r) for n, r in enumerate(ALL_RECORDS)]
    lsr.index(documents, into=path, encoder="bm25")
    return lsr.open(path)


@given(trees)
def test_filters_let_pass_what_they_say(records, filters):
    wanted = parse_filter_json(filter_of(filters))
    assert sorted(records.matching(wanted)) == sorted(
        str(n) for n, record in enumerate(ALL_RECORDS) if passes(record, filters)
    )


def test_other_operators():
    def of(operator, value, key="home"):
        filters = [MetadataFilter(key=key, value=value, operator=operator)]
        return filter_of(MetadataFilters(filters=filters))["must"][0]

    assert of("contains", "barn") == {"key": "home", "match": {"value": "barn"}}
    assert of("any", ["barn"]) == {"should": [{"key": "home", "match": {"any": ["barn"]}}]}
    assert of("all", ["a", "b"]) == {
        "must": [{"key": "home", "match": {"value": each}} for each in ("a", "b")]
    }
    assert of("is_empty", None) == {"key": "home", "exists": False}
    assert filter_of(MetadataFilters(filters=[])) is None
    with pytest.raises(InputError, match="operator 'text_match'; allowed are ==, !=, >"):
        of("text_match", "barn")
