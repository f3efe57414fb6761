"""What a collection keeps as the defaults of its searches, and which searches take it."""

import json
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.collection.check import check
from index.collection.collection import Collection
from index.collection.field import SPARSE, sparse_field
from index.collection.settings import write_settings
from index.collection.snapshot import restore, snapshot
from index.indexing import upsert_documents
from index.search.config import Prefetch, SearchConfig
from index.search.default_fusion import default_fusion
from index.search.defaults import (
    SearchDefaults,
    keep_defaults,
    read_defaults,
    reset_defaults,
)
from index.search.feedback import Average, Rm3, Rocchio, feedback_text, parse_feedback
from index.search.fusion import CombMnz, LinearFusion, ReciprocalRankFusion
from index.search.fusion_text import fusion_text, parse_fusion
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.encoders.catalogue import load_encoder
from lsr.errors import CorruptionError, InputError
from tests.index.collection.test_snapshot import vouch_for

FIELDS = [
    sparse_field(SPARSE, load_encoder("bm25,analyzer=wordpiece,k1=0.1,b=0")),
    sparse_field("bm25", load_encoder("bm25")),
]
USING = "sparse+bm25"
TUNED = SearchDefaults(
    fusion=LinearFusion({"sparse": 0.3, "bm25": 0.7}, "z-score"),
    feedback=Rm3(depth=2, using="bm25", interpolation="after"),
    effort=0.25,
)
QUERY = SearchQuery("apple pie")
WEIGHTS = st.dictionaries(st.sampled_from(["a", "b.c", "d"]), st.floats(0, 1e6))
NORMS = st.sampled_from(["max", "z-score", "rank"])
NORM = NORMS | st.dictionaries(st.sampled_from(["a", "d"]), NORMS, min_size=1)


@pytest.fixture
def collection(tmp_path):
    with closing(Collection.create(tmp_path / "c", FIELDS)) as made:
        texts = ["apple pie", "apple tart", "plum pie and apple", "owl", "pie pie", "apple"]
        upsert_documents(made, [Document(f"d{n}", text) for n, text in enumerate(texts)])
        yield made


def found(collection, **settings):
    result = search(collection, QUERY, SearchConfig(**{"using": USING, **settings}))
    return result.fusion, [(hit.id, hit.score) for hit in result.hits], sorted(result.feedback)


@given(
    st.builds(ReciprocalRankFusion, st.floats(0, 1e6), WEIGHTS)
    | st.builds(LinearFusion, WEIGHTS, NORM, st.sampled_from(["minimum", "zero", "exact"]))
    | st.builds(CombMnz, WEIGHTS, NORM)
)
def test_a_fusion_is_that_of_its_text(fusion):
    assert parse_fusion(fusion_text(fusion)) == (fusion, None)


@given(
    st.builds(Average, depth=st.integers(1, 100), using=st.sampled_from(["", "dense"]))
    | st.builds(Rocchio, alpha=st.floats(0.1, 1000), interpolation=st.sampled_from(["", "both"]))
    | st.builds(Rm3, weight=st.floats(0, 1), terms=st.integers(0, 1000))
)
def test_a_feedback_is_that_of_its_text(feedback):
    assert parse_feedback(feedback_text(feedback)) == feedback


@pytest.mark.parametrize("using", [USING, "bm25+sparse"])
def test_a_search_that_says_nothing_takes_them(collection, using):
    plain = found(collection, using=using)
    said = found(collection, using=using, fusion=TUNED.fusion, feedback=TUNED.feedback)
    assert plain != said
    keep_defaults(collection, USING, TUNED)
    assert found(collection, using=using) == said
    assert found(collection, using=using, tuned=False) == plain
    reset_defaults(collection)
    assert found(collection, using=using) == plain
    assert read_defaults(collection) == {}


def test_what_a_search_says_stands(collection):
    fusion, feedback = ReciprocalRankFusion(5), Rocchio(depth=1, using="sparse")
    said = found(collection, fusion=fusion, feedback=feedback)
    keep_defaults(collection, USING, TUNED)
    assert found(collection, fusion=fusion, feedback=feedback) == said
    half = found(collection, fusion=fusion, feedback=TUNED.feedback, tuned=False)
    assert found(collection, fusion=fusion) == half


def test_other_searches_take_none(collection):
    parts = (Prefetch("sparse", 10), Prefetch("bm25", 10))
    others = [{"using": "sparse"}, {"using": "bm25"}, {"using": None, "prefetch": parts}]
    before = [found(collection, **other) for other in others]
    keep_defaults(collection, USING, TUNED)
    assert [found(collection, **other) for other in others] == before
    keep_defaults(collection, "bm25", SearchDefaults(feedback=Rm3(depth=1)))
    assert found(collection, using="bm25")[2] == ["bm25"]
    assert sorted(read_defaults(collection)) == ["bm25", "bm25+sparse"]


def test_the_effort_is_that_of_approximate_searches_without_a_budget():
    assert TUNED.applied(SearchConfig()).mode == "exact"
    assert TUNED.applied(SearchConfig()).effort is None
    assert TUNED.applied(SearchConfig(mode="approximate")).effort == 0.25
    assert TUNED.applied(SearchConfig(mode="approximate", effort=0.9)).effort == 0.9
    assert TUNED.applied(SearchConfig(mode="approximate", time_budget_ms=50)).effort is None


def test_they_outlive_the_process_and_go_with_a_snapshot(collection, tmp_path):
    keep_defaults(collection, USING, TUNED)
    expected = found(collection)
    snapshot(collection, tmp_path / "taken")
    restore(tmp_path / "taken", tmp_path / "restored")
    for path in (collection.path, tmp_path / "restored"):
        with closing(Collection.open(path)) as opened:
            assert read_defaults(opened) == {"bm25+sparse": TUNED}
            assert found(opened) == expected


def test_a_cursor_is_of_the_settings_that_it_began_with(collection):
    first = search(collection, QUERY, SearchConfig(using=USING, limit=2))
    keep_defaults(collection, USING, TUNED)
    with pytest.raises(InputError, match="cursor"):
        search(collection, QUERY, SearchConfig(using=USING, limit=2, cursor=first.cursor))


BAD = [
    "[",
    "[]",
    "3",
    '{"bm25+sparse": 1}',
    '{"bm25+sparse": {"fusion": null}}',
    '{"bm25+sparse": {"fusion": true}}',
    "[" * 60_000,
    '{"a": ' * 10_000 + "1" + "}" * 10_000,
    " " * 100_000,
]
MEANINGLESS = [
    {"fusion": "sum"},
    {"fusion": 3},
    {"fusion": "rrf,depth=3"},
    {"feedback": "rocchio,depth=0"},
    {"feedback": "rocchio,depth"},
    {"feedback": "rocchio,using=dense"},
    {"fusion": "rrf,dense=2"},
    {"effort": 2},
    {"effort": "0.5"},
    {"dense_weight": -1},
    {"other": 1},
]


@pytest.mark.parametrize("text", [*BAD, *(json.dumps({"bm25+sparse": e}) for e in MEANINGLESS)])
def test_damaged_ones_are_said_and_can_be_reset(collection, text):
    plain = found(collection)
    with closing(sqlite3.connect(collection.path / "collection.sqlite")) as store, store:
        write_settings(store, {"search_defaults": text})
    with closing(Collection.open(collection.path)) as opened:
        with pytest.raises(CorruptionError, match=r"search defaults .* --reset"):
            found(opened)
        assert found(opened, tuned=False) == plain
        reset_defaults(opened)
        assert found(opened) == plain


def test_a_row_that_is_not_its_checksum_is_damage(collection):
    keep_defaults(collection, USING, TUNED)
    with closing(sqlite3.connect(collection.path / "collection.sqlite")) as store, store:
        store.execute("UPDATE settings SET value = '{}' WHERE name = 'search_defaults'")
    with (
        closing(Collection.open(collection.path)) as opened,
        pytest.raises(CorruptionError, match=r"'search_defaults' .* is damaged.* --reset"),
    ):
        found(opened)
    with closing(Collection.open(collection.path)) as opened:
        assert any("--reset" in problem for problem in check(opened).problems)
        reset_defaults(opened)
        assert not check(opened).problems


@pytest.mark.parametrize("text", BAD)
def test_no_snapshot_brings_damaged_ones(collection, tmp_path, text):
    snapshot(collection, tmp_path / "taken")
    file = tmp_path / "taken" / "snapshot.sqlite"
    with closing(sqlite3.connect(file)) as store, store:
        write_settings(store, {"search_defaults": text})
    vouch_for(tmp_path / "taken")
    with pytest.raises(CorruptionError, match=r"can't be restored: .*search defaults"):
        restore(tmp_path / "taken", tmp_path / "restored")


def test_lsr_has_its_own_where_nothing_is_kept(collection):
    assert found(collection)[0] == default_fusion(list(collection.fields)).describe()
