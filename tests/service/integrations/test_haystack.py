import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lsr
from index.filters.json_form import parse_filter_json
from lsr.errors import InputError
from tests.service.pets import PETS

pytest.importorskip("haystack")

from haystack import Document, Pipeline
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.utils import Secret
from haystack.utils.filters import document_matches_filter

from service.integrations.haystack import LsrDocumentStore, LsrRetriever, filter_of

QUERY = "who hunts at night?"


@pytest.fixture(params=["embedded", "served"])
def store(request, folder, address):
    if request.param == "embedded":
        return LsrDocumentStore(str(folder / "pets"))
    return LsrDocumentStore("pets", url=address)


@pytest.fixture(params=["embedded", "served"])
def empty(request, tmp_path, written, address):
    if request.param == "served":
        return LsrDocumentStore("written", url=address)
    lsr.create(tmp_path / "new", encoder="bm25")
    return LsrDocumentStore(str(tmp_path / "new"))


def test_documents_are_those_of_a_search_with_ids_meta_and_scores(store):
    retriever = LsrRetriever(store, top_k=2, settings={"using": "bm25"})
    found = retriever.run(QUERY)["documents"]
    expected = lsr.search(store.collection, QUERY, limit=2, using="bm25").hits
    assert [(each.id, each.score) for each in found] == [(hit.id, hit.score) for hit in expected]
    stored = {pet.id: pet for pet in PETS}
    for each in found:
        pet = stored[each.id]
        assert each.content == pet.text
        assert each.meta == {"title": pet.title, **pet.metadata}
    assert asyncio.run(retriever.run_async(QUERY))["documents"] == found
    assert len(retriever.run(QUERY, top_k=1)["documents"]) == 1


def test_filters_go_with_the_retriever_or_with_a_run(store):
    two_legs = {"field": "meta.legs", "operator": "==", "value": 2}
    assert [d.id for d in LsrRetriever(store, filters=two_legs).run(QUERY)["documents"]] == ["owl"]
    assert [d.id for d in LsrRetriever(store).run(QUERY, filters=two_legs)["documents"]] == ["owl"]


def test_a_pipeline_is_saved_and_loaded_without_its_key(store, monkeypatch):
    monkeypatch.setenv("LSR_API_KEY", "secret")
    store.api_key = Secret.from_env_var("LSR_API_KEY")
    pipeline = Pipeline()
    pipeline.add_component("retriever", LsrRetriever(store, top_k=1))
    saved = pipeline.dumps()
    assert "secret" not in saved
    again = Pipeline.loads(saved, allowed_modules=["service.integrations.haystack"])
    asked = {"retriever": {"query": "owls hunt mice"}}
    assert again.run(asked) == pipeline.run(asked)
    assert again.run(asked)["retriever"]["documents"][0].id == "owl"


def test_a_store_writes_counts_lists_and_deletes(empty):
    documents = [
        Document(id=f"d{n}", content=f"text {n}", meta={"n": n, "title": f"T{n}"}) for n in range(3)
    ]
    assert empty.write_documents(documents) == 3
    assert empty.count_documents() == 3
    assert empty.filter_documents() == documents
    least = {"field": "meta.n", "operator": ">=", "value": 1}
    assert empty.filter_documents(least) == documents[1:]
    changed = [Document(id="d0", content="new"), Document(id="d9", content="nine")]
    assert empty.write_documents(changed, DuplicatePolicy.SKIP) == 1
    assert empty.collection.get("d0").text == "text 0"
    with pytest.raises(DuplicateDocumentError, match="'d0'"):
        empty.write_documents(changed, DuplicatePolicy.FAIL)
    assert empty.write_documents(changed, DuplicatePolicy.OVERWRITE) == 2
    assert empty.collection.get("d0").text == "new"
    with pytest.raises(InputError, match=r"1 of 2 documents were not written: .*512 bytes"):
        empty.write_documents([Document(id="x" * 600, content="x"), documents[1]])
    empty.delete_documents(["d0", "d9", "none"])
    assert sorted(each.id for each in empty.filter_documents()) == ["d1", "d2"]


RECORDS = [
    {"year": year, "lang": lang}
    for year in (1999, 2005, None)
    for lang in ("en", "de", None)
]  # fmt: skip
years = st.sampled_from([1999, 2005, 2010])
conditions = st.one_of(
    st.fixed_dictionaries(
        {
            "field": st.just("meta.year"),
            "operator": st.sampled_from(["==", "!=", ">", ">=", "<", "<="]),
            "value": years,
        }
    ),
    st.fixed_dictionaries(
        {
            "field": st.just("meta.lang"),
            "operator": st.sampled_from(["in", "not in"]),
            "value": st.lists(st.sampled_from(["en", "it", None]), max_size=3),
        }
    ),
    st.fixed_dictionaries(
        {
            "field": st.just("meta.lang"),
            "operator": st.sampled_from(["==", "!="]),
            "value": st.sampled_from(["en", None]),
        }
    ),
)
trees = st.recursive(
    conditions,
    lambda parts: st.fixed_dictionaries(
        {
            "operator": st.sampled_from(["AND", "OR", "NOT"]),
            "conditions": st.lists(parts, min_size=1, max_size=3),
        }
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    path = tmp_path_factory.mktemp("records") / "records"
    documents = [lsr.Document(str(n), "text", metadata=r) for n, r in enumerate(RECORDS)]
    lsr.index(documents, into=path, encoder="bm25")
    return lsr.open(path)


@given(trees)
def test_filters_let_pass_what_haystack_itself_does(records, filters):
    wanted = parse_filter_json(filter_of(filters))
    assert sorted(records.matching(wanted)) == sorted(
        str(n)
        for n, record in enumerate(RECORDS)
        if document_matches_filter(filters, Document(content="text", meta=record))
    )


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        ({"field": "content", "operator": "==", "value": "x"}, "looks at 'content'; allowed is"),
        ({"field": "meta.a", "operator": "~", "value": 1}, "operator '~'; allowed are =="),
        ({"field": "meta.a", "operator": "in", "value": 1}, "'in' without a list"),
        ({"operator": "XOR", "conditions": []}, "neither a field nor AND, OR or NOT"),
    ],
)
def test_filters_that_can_not_be_are_one_sentence(filters, reason):
    with pytest.raises(InputError, match=reason):
        filter_of(filters)
