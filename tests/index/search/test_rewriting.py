"""Rewriting: spelling by a collection's own words, and a language model's queries and passages."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.indexing import index_documents
from index.opening import open_or_create
from index.search.config import SearchConfig
from index.search.fusion import ReciprocalRankFusion
from index.search.pipeline import search
from index.search.query import SearchQuery
from index.search.rewriters import rewriter_of
from index.search.spelling import Spelling
from lsr.chat import ChatEndpoint, ChatError
from lsr.corpus.documents import Document
from lsr.corpus.items import Item
from lsr.errors import InputError, UsageError
from tests.index.search.chat_server import ChatServer
from tests.index.search.known_items import known_items

PETS = {
    "owl": "Owls are hunting mice at night in old barns.",
    "cat": "Cats hunted rats and mice in the houses of London.",
    "fish": "Herrings swim in large schools through cold water.",
    "part": "Order the bearing as AB-1234.",
}


def collection_of(folder, texts, encoder="bm25", **settings):
    collection = open_or_create(folder, encoder, **settings)
    made = (Document(identifier, text) for identifier, text in texts.items())
    index_documents(collection, [Item("pets", n, each) for n, each in enumerate(made)])
    return collection


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    return collection_of(tmp_path_factory.mktemp("pets") / "c", PETS)


def corrected(collection, text, **config):
    config = SearchConfig(rewrite=(Spelling(),), using="sparse", **config)
    return search(collection, SearchQuery(text), config)


@pytest.mark.parametrize(
    ("asked", "searched"),
    [
        ("huntign mice", "hunting mice"),
        ("hutned", "hunted"),
        ("herings", "herrings"),
        ("Lodnon", "london"),
        ("wlos", "wlos"),  # four letters: one edit
        ("qzxvbnm", "qzxvbnm"),
        ("AB-1243", "AB-1243"),  # no word of letters
        ("mice", "mice"),
        ("shcools and shcools", "schools and schools"),
    ],
)
def test_a_word_that_no_document_has_becomes_the_nearest_that_some_have(pets, asked, searched):
    result = corrected(pets, asked)
    assert [query.text for query in result.rewritten.queries] == [searched]
    assert bool(result.rewritten.notes) == (asked != searched)
    plain = search(pets, SearchQuery(searched), SearchConfig(using="sparse"))
    assert [(hit.id, hit.score) for hit in result.hits] == [
        (hit.id, hit.score) for hit in plain.hits
    ]


@pytest.mark.parametrize("encoder", ["bm25", "lsr-tiny-v1"])
def test_misspelled_words_find_their_item(tmp_path, encoder):
    documents, queries = known_items()
    collection = collection_of(tmp_path / "c", documents, encoder)
    typos = [query for query in queries if query.kind == "typo"]
    first = [
        bool(hits) and hits[0].id == query.document
        for query in typos
        for hits in [corrected(collection, query.text, limit=1).hits]
    ]
    assert np.mean(first) >= 0.9


def test_deleted_words_correct_nothing(tmp_path):
    collection = collection_of(tmp_path / "c", PETS)
    collection.delete(["fish"])
    assert corrected(collection, "herings").rewritten.queries[0].text == "herings"


@given(st.text(max_size=40))
def test_any_text_may_be_rewritten(pets, text):
    if text.strip():
        try:
            result = corrected(pets, text)
        except InputError:
            return
        assert len(result.rewritten.queries) == 1


def test_the_stage_costs_nothing_where_it_is_not_asked_for(pets):
    result = search(pets, SearchQuery("huntign"), SearchConfig(using="sparse"))
    assert result.rewritten is None
    assert "rewrite" not in result.stages_ms
    assert "rewrite" in corrected(pets, "huntign").stages_ms


@pytest.mark.parametrize(
    "text", ["speling", "spelling,edits=9", "spelling,edits", "queries,count=0", "queries,x=1", ""]
)
def test_what_is_no_rewriter_is_refused(text):
    with pytest.raises(UsageError):
        rewriter_of(text)


def test_a_query_of_vectors_is_not_rewritten(pets):
    config = SearchConfig(rewrite=(Spelling(),), using="sparse")
    with pytest.raises(InputError, match="needs the query's text"):
        search(pets, SearchQuery(tokens={"mice": 1.0}), config)


def test_a_field_without_words_is_named(tmp_path):
    collection = collection_of(tmp_path / "c", PETS, "lsr-tiny-v1,words=no")
    with pytest.raises(UsageError, match="words"):
        corrected(collection, "huntign")


@pytest.fixture(autouse=True)
def no_answers(monkeypatch):
    """What was answered to another test is forgotten."""
    from index.collection.recent import Recent

    monkeypatch.setattr("index.search.chat_rewriting._ANSWERS", Recent(1 << 20))


def asked_for(collection, text, *rewriters):
    rewrite = tuple(map(rewriter_of, rewriters))
    return search(collection, SearchQuery(text), SearchConfig(rewrite=rewrite, using="sparse"))


def test_more_queries_are_fused_by_rrf(pets, monkeypatch):
    lines = "1. hunting at night\n- rats in houses\nmice\n\n"
    with ChatServer(lambda prompt: lines).running(monkeypatch) as server:
        result = asked_for(pets, "mice", "queries")
        again = asked_for(pets, "mice", "queries")
    assert len(server.prompts) == 1  # the second time from memory
    assert server.paths == ["/v1/chat/completions"]
    texts = ["mice", "hunting at night", "rats in houses"]
    assert [query.text for query in result.rewritten.queries] == texts
    rankings, ids = {}, pets.ids()
    for text in texts:
        plain = search(pets, SearchQuery(text), SearchConfig(using="sparse", limit=100))
        rankings[text] = [(ids.index(hit.id), hit.score) for hit in plain.hits]
    fused = ReciprocalRankFusion().fuse(rankings)
    assert [(ids.index(hit.id), hit.score) for hit in result.hits] == fused
    assert [hit.id for hit in again.hits] == [hit.id for hit in result.hits]


def test_spelling_comes_before_the_model_where_it_stands_before(pets, monkeypatch):
    with ChatServer(lambda prompt: "rats").running(monkeypatch) as server:
        result = asked_for(pets, "huntign", "spelling", "queries")
    assert "hunting" in server.prompts[0]
    assert [query.text for query in result.rewritten.queries] == ["hunting", "rats"]


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (ChatServer(lambda prompt: "x", status=500), "answered 500"),
        (ChatServer(lambda prompt: "x", delay=0.5), "did not answer within"),
        (ChatServer(lambda prompt: b"{}"), "not that of a chat completion"),
        (ChatServer(lambda prompt: b"[" * 100_000), "not that of a chat completion"),
        (ChatServer(lambda prompt: b"x" * (1 << 21)), "longer than"),
        (ChatServer(lambda prompt: "  "), "empty"),
        (ChatServer(lambda prompt: b'{"choices": [{"message": {"content": 3}}]}'), "empty"),
    ],
)
def test_where_the_endpoint_fails_the_plain_query_is_searched(pets, monkeypatch, server, reason):
    monkeypatch.setenv("LSR_CHAT_TIMEOUT_MS", "200" if server.delay else "10000")
    monkeypatch.setenv("LSR_CHAT_KEY", "secret-key")
    with server.running(monkeypatch):
        result = asked_for(pets, "mice", "queries")
    plain = search(pets, SearchQuery("mice"), SearchConfig(using="sparse"))
    assert [hit.id for hit in result.hits] == [hit.id for hit in plain.hits]
    (note,) = result.rewritten.notes
    assert reason in note
    assert "secret" not in note
    assert server.keys == ["Bearer secret-key"]


def test_no_endpoint_is_told(pets, monkeypatch):
    monkeypatch.delenv("LSR_CHAT_URL", raising=False)
    with pytest.raises(UsageError, match="LSR_CHAT_URL"):
        asked_for(pets, "mice", "queries")


@pytest.mark.parametrize("url", ["ftp://host/v1", "file:///etc/passwd", "http://", "http://a:b@c/"])
def test_an_endpoint_is_an_http_address(url):
    with pytest.raises(UsageError, match="LSR_CHAT_URL"):
        ChatEndpoint(url, "small")


def test_the_key_is_in_no_repr():
    assert "secret" not in repr(ChatEndpoint("http://host/v1", "small", "secret"))


def test_an_endpoint_that_is_not_there_is_told():
    with pytest.raises(ChatError, match="reached"):
        ChatEndpoint("http://127.0.0.1:1/v1", "small").complete("hello")


def test_a_passage_needs_a_dense_field(pets, monkeypatch):
    with (
        ChatServer(lambda prompt: "x").running(monkeypatch),
        pytest.raises(UsageError, match="dense"),
    ):
        asked_for(pets, "mice", "passage")


def test_a_passage_is_a_part_of_the_dense_query(hybrid_collection, monkeypatch):
    hybrid = hybrid_collection({"a": "apple pie", "b": "plum cake", "c": "cherry plum"})
    dense = hybrid.fields.dense_encoder(hybrid.fields.named("dense"))
    with ChatServer(lambda prompt: "plum and cherry").running(monkeypatch):
        config = SearchConfig(rewrite=(rewriter_of("passage"),), using="sparse+dense")
        result = search(hybrid, SearchQuery("apple"), config)
    vectors = [dense.encode_queries(["apple"])[0], dense.encode_documents(["plum and cherry"])[0]]
    by_hand = SearchQuery("apple", dense=np.mean(np.float64(vectors), axis=0).tolist())
    wanted = search(hybrid, by_hand, SearchConfig(using="sparse+dense"))
    assert [(hit.id, hit.scores) for hit in result.hits] == [
        (hit.id, hit.scores) for hit in wanted.hits
    ]
