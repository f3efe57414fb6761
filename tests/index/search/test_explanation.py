"""The place of a document and what carried it there, against the ranking itself."""

import re
from dataclasses import replace

import numpy as np
import pytest

from index.filters.text_form import parse_filter_text
from index.indexing import upsert_documents
from index.search.config import Prefetch, SearchConfig
from index.search.explanation import explain_document
from index.search.feedback import Rocchio
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.errors import InputError, NotFoundError

WORDS = re.findall(r"\w+", "apple banana cherry plum fig lemon owl mouse night hunt")
CHANCE = np.random.default_rng(3)
TEXTS = {f"d{n}": " ".join(CHANCE.choice(WORDS, 6)) for n in range(40)}
QUERY = SearchQuery("owl night apple")
CONFIGS = {
    "sparse": SearchConfig(using="sparse"),
    "bm25": SearchConfig(using="bm25"),
    "dense": SearchConfig(using="dense"),
    "fused": SearchConfig(using="sparse+bm25+dense"),
    "fed": SearchConfig(using="sparse", feedback=Rocchio(depth=3)),
    "filtered": SearchConfig(using="sparse+bm25", filter=parse_filter_text("not (kind = x)")),
    "approximate": SearchConfig(using="sparse", mode="approximate"),
    "prefetched": SearchConfig(prefetch=(Prefetch("sparse", 7), Prefetch("bm25", 9))),
}


@pytest.fixture(scope="module")
def collection(hybrid_collection):
    made = hybrid_collection(TEXTS)
    upsert_documents(made, [Document("late", "owl plum", metadata={"kind": "x"})])
    return made


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_place_and_its_reasons_are_those_of_the_ranking(collection, config):
    whole = search(collection, QUERY, replace(config, limit=1000, explain=True))
    for rank, hit in list(enumerate(whole.hits, 1))[::5]:
        found = explain_document(collection, QUERY, hit.id, config)
        assert (found.rank, found.hit.score) == (rank, hit.score)
        assert found.hit.scores == hit.scores
        assert found.hit.terms == hit.terms
        assert found.passes_filter
        assert f"number {rank} of" in found.sentence
        for name, terms in found.query_terms.items():
            carried = {term.token for term in hit.terms[name]}
            assert found.missing[name] == [pair for pair in terms if pair[0] not in carried]
        if found.ranks.keys() == {found.using} and config.feedback is None:
            scores = [other.score for other in whole.hits]
            assert found.ranks[found.using] == 1 + sum(each > hit.score for each in scores)
    ranked = {hit.id for hit in whole.hits}
    for identifier in [*sorted(set(collection.ids()) - ranked - {"late"})[:4], "late"]:
        if identifier in ranked:
            continue
        found = explain_document(collection, QUERY, identifier, config)
        assert (found.rank, found.ranks) == (None, {})
        if identifier == "late" and config.filter is not None:
            assert not found.passes_filter
            assert found.sentence == "the document does not pass the filter"
            assert found.hit is not None


def test_what_is_beyond_the_depth_or_matches_nothing_is_told(collection):
    config = SearchConfig(using="bm25")
    last = search(collection, QUERY, replace(config, limit=1000)).hits[-1]
    found = explain_document(collection, QUERY, last.id, config, depth=1)
    assert found.rank is None
    assert found.hit.score == pytest.approx(last.score)
    assert "not among the first 1 of" in found.sentence
    nothing = explain_document(collection, SearchQuery("zebra"), "d0", config)
    assert nothing.hit is None
    assert nothing.sentence == "the document matches nothing of the query"


def test_what_can_not_be_explained_is_refused(collection):
    with pytest.raises(NotFoundError, match="no document 'nobody'"):
        explain_document(collection, QUERY, "nobody")
    for depth in (0, 10_001):
        with pytest.raises(InputError, match="depth"):
            explain_document(collection, QUERY, "d0", depth=depth)
