"""The JSON of a search is the inverse of what the server makes of it."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.filters.text_form import parse_filter_text
from index.search.arranging import spelled_out
from index.search.config import Prefetch, SearchConfig
from index.search.dimension_settings import Dimensions
from index.search.facets import Facet
from index.search.feedback import Average, Rm3, Rocchio
from index.search.fusion import CombMnz, LinearFusion, ReciprocalRankFusion
from index.search.grouping import Grouping
from index.search.query import SearchQuery
from index.search.reranking import Reranking
from index.search.rewriters import rewriter_of
from index.search.sorting import SortKey
from lsr.errors import UsageError
from service.api.rerankers import ServedRerankers
from service.api.schemas.search_request import MOST_CHARACTERS, SearchBody
from service.client.search_request import SETTINGS, query_body, search_body

OF_THE_SERVER = {"engine", "query_encoder", "most_characters"}
ARGUMENTS = {"limit", "using", "filter"}
keys = st.sampled_from(["year", "lang", "author.name"])
weights = st.dictionaries(st.sampled_from(["sparse", "bm25"]), st.floats(0, 10), max_size=2)
feedbacks = st.one_of(
    st.builds(Average, depth=st.integers(1, 9), interpolation=st.sampled_from(["after", "both"])),
    st.builds(Rocchio, alpha=st.floats(0, 1), beta=st.floats(0.1, 1), using=st.just("bm25")),
    st.builds(Rm3, weight=st.floats(0, 1), terms=st.integers(0, 99)),
)
settings = st.fixed_dictionaries(
    {},
    optional={
        "offset": st.integers(0, 99),
        "prefetch": st.lists(
            st.builds(Prefetch, keys, st.integers(1, 99), st.none() | feedbacks), max_size=2
        ).map(tuple),
        "fusion": st.one_of(
            st.builds(ReciprocalRankFusion, k=st.floats(0, 99), weights=weights),
            st.builds(LinearFusion, weights=weights, norm=st.sampled_from(["max", "z-score"])),
            st.builds(LinearFusion, norm=st.just({"bm25": "rank"}), missing=st.just("exact")),
            st.builds(CombMnz, weights=weights, norm=st.just("dbsf")),
        ),
        "feedback": feedbacks,
        "dense_weight": st.floats(0.1, 9),
        "tuned": st.booleans(),
        "dimensions": st.builds(
            Dimensions,
            keys=st.lists(keys, max_size=3).map(tuple),
            similarity=st.none() | st.floats(0.1, 1),
        ),
        "rerank": st.builds(
            Reranking, st.just("field:bm25"), st.integers(1, 99), st.none() | st.floats(1, 99)
        ),
        "rewrite": st.just((rewriter_of("spelling"),)),
        "min_score": st.floats(-9, 9),
        "sort": st.lists(keys, unique=True)
        | st.builds(SortKey, keys, st.booleans()).map(lambda key: [key]),
        "group_by": keys | st.builds(Grouping, keys, st.integers(1, 9)),
        "facets": st.lists(keys | st.builds(Facet, keys, st.integers(1, 9)), max_size=3),
        "exact_total": st.booleans(),
        "payload": st.booleans() | st.lists(keys, min_size=1, max_size=3),
        "highlight": st.booleans(),
        "explain": st.booleans(),
        "cursor": st.none(),
    },
)
modes = st.sampled_from(
    [{}, {"mode": "exact"}, {"mode": "approximate", "effort": 0.25, "time_budget_ms": 20.0}]
)


@given(settings, modes, st.integers(1, 100), st.none() | keys, st.none() | st.just("year > 1999"))
def test_the_server_reads_what_was_asked_for(given_settings, mode, limit, using, wanted):
    asked = given_settings | mode
    body = search_body("owls", limit, using, wanted, asked)
    read = SearchBody.model_validate(json.loads(json.dumps(body)))
    expected = SearchConfig(
        limit=limit,
        using=using,
        filter=None if wanted is None else parse_filter_text(wanted),
        most_characters=MOST_CHARACTERS,
        **spelled_out(asked),
    )
    assert read.to_config(ServedRerankers([])) == expected
    assert read.to_query() == SearchQuery("owls")


def test_a_depth_of_fusion_goes_with_any_fusion():
    for asked in ({"fusion_depth": 7, "fusion": ReciprocalRankFusion(9)}, {"fusion_depth": 7}):
        body = search_body("owls", 10, None, None, asked)
        assert SearchBody.model_validate(body).to_config(ServedRerankers([])).fusion_depth == 7


def test_every_setting_is_sent_or_refused():
    known = {field.name for field in dataclasses.fields(SearchConfig)}
    assert set(SETTINGS) == known - OF_THE_SERVER - ARGUMENTS
    for name in OF_THE_SERVER:
        with pytest.raises(UsageError, match=f"{name} is no setting of a search on a server"):
            search_body("owls", 10, None, None, {name: "native"})


def test_vectors_are_plain_json():
    import numpy as np

    query = SearchQuery(
        tokens={"a": 1.5},
        sparse=(np.array([3], np.int32), np.array([0.5], np.float32)),
        dense=np.array([1, 2], np.float32),
    )
    assert json.loads(json.dumps(query_body(query))) == {
        "tokens": {"a": 1.5},
        "sparse": {"indices": [3], "values": [0.5]},
        "dense": [1.0, 2.0],
    }
