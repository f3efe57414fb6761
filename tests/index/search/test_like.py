"""More like this, against plain products of the vectors of documents."""

import re

import numpy as np
import pytest

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.filters.text_form import parse_filter_text
from index.indexing import index_documents, upsert_documents
from index.search.config import SearchConfig
from index.search.facets import Facet
from index.search.feedback import DEFAULT_TERMS
from index.search.like import MOST_LIKE
from index.search.pipeline import search, search_batch
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.errors import InputError, NotFoundError, UsageError
from lsr.sparse import SparseBatch
from tests.index.conftest import items

WORDS = tuple(
    re.findall(
        r"\w+", "apple banana cherry plum fig lemon owl mouse night hunt bark stick house barn"
    )
)
CHANCE = np.random.default_rng(7)
TEXTS = {f"d{n}": " ".join(CHANCE.choice(WORDS, 8)) for n in range(40)}
ALL = {"limit": 100, "payload": False}


@pytest.fixture(scope="module")
def collection(hybrid_collection):
    made = hybrid_collection(TEXTS)
    # Some stay in the tail, some are gone.
    upsert_documents(made, [Document("d40", "owl hunt night mouse", metadata={"kind": "x"})])
    made.delete(["d3"])
    return made


def texts():
    return {name: text for name, text in TEXTS.items() if name != "d3"} | {
        "d40": "owl hunt night mouse"
    }


def expected(collection, using, ids):
    """Scores of all other documents by the mean of these documents' vectors."""
    field = collection.fields.named(using)
    names = list(texts())
    if using == "dense":
        vectors = collection.fields.dense_encoder(field).encode_documents(list(texts().values()))
        rows = np.asarray(vectors, np.float32)
    else:
        encoded = collection.fields.encoder(field).encode_documents(list(texts().values()))
        rows = dense(encoded).astype(np.float16).astype(np.float32)
    query = rows[[names.index(name) for name in ids]].mean(axis=0)
    if using != "dense":
        weakest = np.sort(query)[::-1][DEFAULT_TERMS : DEFAULT_TERMS + 1].max(initial=0)
        query = np.where(query > weakest, query, 0)
    return {
        name: float(score)
        for name, score in zip(names, rows @ query, strict=True)
        if name not in ids and (score > 0 or using == "dense")
    }


def dense(batch: SparseBatch):
    rows = np.zeros((len(batch), batch.vocabulary_size), np.float32)
    for place, row in enumerate(batch):
        rows[place, row.indices] = row.values
    return rows


@pytest.mark.parametrize("using", ["sparse", "dense"])
@pytest.mark.parametrize("ids", [["d0"], ["d40"], ["d1", "d2", "d40", "d1"]])
def test_what_is_like_documents_is_near_their_mean(collection, using, ids):
    like = ids[0] if len(ids) == 1 else ids
    found = search(collection, SearchQuery(like=like), SearchConfig(using=using, **ALL))
    wanted = expected(collection, using, dict.fromkeys(ids))
    got = {hit.id: hit.score for hit in found.hits}
    assert set(got) <= set(wanted)
    assert set(ids).isdisjoint(got)
    for name, score in wanted.items():
        # Terms at the edge of those that count may weigh alike.
        assert got.get(name, 0) == pytest.approx(score, rel=0.02, abs=0.02)
    assert found.exact
    assert found.documents == len(collection) - len(set(ids))


def test_every_way_to_search_takes_documents(collection):
    query = SearchQuery(like="d40")
    for using in ("bm25", "sparse+bm25", "hybrid"):
        result = search(collection, query, SearchConfig(using=using, limit=5, explain=True))
        assert len(result.hits) == 5
        assert "d40" not in [hit.id for hit in result.hits]
        assert any(result.query_terms.values())
    approximate = SearchConfig(using="sparse", mode="approximate", limit=5)
    assert len(search(collection, query, approximate).hits) == 5
    kinds = SearchConfig(
        using="sparse", facets=(Facet("kind"),), filter=parse_filter_text("kind=x")
    )
    nobody = search(collection, query, kinds)
    assert (nobody.hits, nobody.facets[0].documents) == ([], 0)


def test_pages_and_batches_leave_out_what_they_are_like(collection):
    query, config = SearchQuery(like="d5"), SearchConfig(using="sparse", **ALL)
    whole = [hit.id for hit in search(collection, query, config).hits]
    found, cursor = [], None
    while True:
        page = search(collection, query, SearchConfig(using="sparse", limit=7, cursor=cursor))
        found += [hit.id for hit in page.hits]
        cursor = page.cursor
        if cursor is None:
            break
    assert found == whole
    asked = [query, SearchQuery("owl"), SearchQuery(like=["d1"])]
    for one, answer in zip(asked, search_batch(collection, asked, config), strict=True):
        alone = search(collection, one, config)
        assert [(h.id, h.score) for h in answer.hits] == [(h.id, h.score) for h in alone.hits]


def test_a_document_of_passages_is_left_out_whole(tmp_path, masked_lm):
    made = Collection.create(tmp_path / "c", encoder_fields(str(masked_lm)), passages="auto")
    long = " ".join(f"owl hunt night {word}." for word in WORDS * 40)
    index_documents(made, items({"long": long, "short": "owl hunt night", "other": "plum fig"}))
    assert made.describe()["split"] == 1
    result = search(made, SearchQuery(like="long"), SearchConfig(**ALL))
    assert result.hits[0].id == "short"
    assert "long" not in [hit.id for hit in result.hits]
    back = search(made, SearchQuery(like="short"), SearchConfig(**ALL))
    assert back.hits[0].id == "long"
    assert back.hits[0].passage is not None
    made.close()


@pytest.mark.parametrize(
    ("query", "kind", "reason"),
    [
        (SearchQuery(like="nobody"), NotFoundError, "no document 'nobody'"),
        (SearchQuery(like=["d1", "d3"]), NotFoundError, "no document 'd3'"),
        (SearchQuery(like=[]), InputError, "names 0 documents"),
        (SearchQuery(like=[f"d{n}" for n in range(MOST_LIKE + 1)]), InputError, "33 documents"),
        (SearchQuery("owl", like="d1"), InputError, "a text or a vector beside"),
        (SearchQuery(tokens={"owl": 1}, like="d1"), InputError, "a text or a vector beside"),
    ],
)
def test_what_nothing_can_be_like_is_refused(collection, query, kind, reason):
    with pytest.raises(kind, match=reason):
        search(collection, query, SearchConfig(using="sparse"))


def test_what_needs_a_text_is_refused(collection):
    from index.search.rewriters import rewriter_of

    config = SearchConfig(using="sparse", rewrite=(rewriter_of("spelling"),))
    with pytest.raises((InputError, UsageError), match="text"):
        search(collection, SearchQuery(like="d1"), config)
