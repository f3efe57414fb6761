import base64
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import upsert_documents
from index.search.config import Prefetch, SearchConfig
from index.search.cursor import Cursor
from index.search.fusion import LinearFusion, ReciprocalRankFusion
from index.search.pipeline import search, search_batch
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.errors import InputError, UsageError

WORDS = ["apple", "banana", "cherry", "lemon", "plum"]
TEXTS = {f"d{n}": " ".join(WORDS[n * k % 5] for k in range(1, 2 + n % 4)) for n in range(40)}
QUERY = SearchQuery("apple plum")
CONFIG = SearchConfig(limit=7, payload=False)


@pytest.fixture(scope="module")
def fruit(hybrid_collection):
    return hybrid_collection(TEXTS)


def walk(collection, query, config, between=lambda: None):
    """The ids of each page, by cursors."""
    pages = []
    while True:
        result = search(collection, query, config)
        pages.append([hit.id for hit in result.hits])
        if result.cursor is None:
            return pages
        config = replace(config, offset=0, cursor=result.cursor)
        between()


@pytest.mark.parametrize("using", ["sparse", "bm25", "dense", "hybrid", "sparse+bm25+dense"])
@pytest.mark.parametrize("limit", [3, 40])
def test_a_walk_is_the_whole_ranking(fruit, using, limit):
    whole = search(fruit, QUERY, SearchConfig(limit=100, using=using, payload=False))
    assert whole.cursor is None
    pages = walk(fruit, QUERY, SearchConfig(limit=limit, using=using, payload=False))
    assert [each for page in pages for each in page] == [hit.id for hit in whole.hits]
    assert all(len(page) == limit for page in pages[:-1])


@pytest.mark.parametrize("using", ["sparse", "hybrid"])
def test_a_walk_may_begin_behind_an_offset(fruit, using):
    whole = [h.id for h in search(fruit, QUERY, SearchConfig(limit=100, using=using)).hits]
    pages = walk(fruit, QUERY, replace(CONFIG, using=using, offset=5))
    assert [each for page in pages for each in page] == whole[5:]


def test_what_a_page_holds_may_change_from_page_to_page(fruit):
    cursor = search(fruit, QUERY, CONFIG).cursor
    other = SearchConfig(limit=3, cursor=cursor, explain=True, highlight=False)
    page = [hit.id for hit in search(fruit, QUERY, other).hits]
    assert page == [hit.id for hit in search(fruit, QUERY, SearchConfig(offset=7, limit=3)).hits]


writes = st.lists(
    st.tuples(st.sampled_from(["add", "change", "delete", "flush"]), st.integers(0, 39),
              st.lists(st.sampled_from(WORDS), min_size=1, max_size=6)),
    max_size=12,
)  # fmt: skip


@settings(max_examples=8)
@given(writes, st.sampled_from(["sparse", "sparse+bm25"]), st.integers(1, 9))
def test_a_walk_is_without_repeats_and_gaps_while_writes_go_on(changes, using, limit):
    """What is in the ranking from the first page to the last comes once, be it written anew."""
    with tempfile.TemporaryDirectory() as folder:
        fields = encoder_fields("bm25")
        if using != "sparse":
            fields = [*fields, *(replace(field, name="bm25") for field in fields)]
        collection = Collection.create(Path(folder) / "c", fields)
        upsert_documents(
            collection, [Document(name, f"plum {text}") for name, text in TEXTS.items()]
        )
        left, kept, added = list(changes), set(TEXTS), set()

        def write():
            for kind, number, words in left[:2]:
                if kind == "flush":
                    collection.maintenance.flush()
                elif kind == "delete":
                    collection.delete([f"d{number}"])
                    kept.discard(f"d{number}")
                else:
                    name = f"new{number}" if kind == "add" else f"d{number}"
                    if kind == "change" and name not in kept:
                        continue
                    added.add(name) if kind == "add" else None
                    upsert_documents(collection, [Document(name, f"plum {' '.join(words)}")])
            del left[:2]

        config = SearchConfig(limit=limit, using=using, payload=False)
        found = [each for page in walk(collection, QUERY, config, write) for each in page]
        collection.close()
    assert len(found) == len(set(found))
    assert kept <= set(found) <= set(TEXTS) | added


def test_a_cursor_of_another_search_is_refused(fruit, hybrid_collection):
    cursor = search(fruit, QUERY, CONFIG).cursor
    going_on = replace(CONFIG, cursor=cursor)
    assert search(fruit, QUERY, going_on).hits
    others = [
        (SearchQuery("apple"), going_on),
        (QUERY, replace(going_on, using="sparse")),
        (QUERY, replace(going_on, fusion_depth=10)),
        (QUERY, replace(going_on, fusion=LinearFusion())),
        (QUERY, replace(going_on, prefetch=(Prefetch("sparse", 5),))),
        (QUERY, replace(going_on, mode="approximate")),
    ]
    for query, config in others:
        with pytest.raises(InputError, match="cursor is of another search"):
            search(fruit, query, config)
    with pytest.raises(InputError, match="cursor is of another search"):
        search(hybrid_collection({"d0": "apple plum"}), QUERY, going_on)


def test_the_same_settings_in_another_order_are_the_same_search(fruit):
    first = LinearFusion({"sparse": 1.0, "dense": 2.0})
    second = LinearFusion({"dense": 2.0, "sparse": 1.0})
    cursor = search(fruit, QUERY, replace(CONFIG, fusion=first)).cursor
    assert search(fruit, QUERY, replace(CONFIG, fusion=second, cursor=cursor)).hits


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_what_is_no_cursor_is_refused(text):
    with pytest.raises(InputError, match="not one that a search gave"):
        Cursor.parse(text, bytes(16))


@settings(max_examples=20)
@given(st.integers(0, 1 << 20), st.integers(1, 255))
def test_a_changed_cursor_is_refused(place, change):
    made = Cursor(bytes(16), 9, np.array([3, 700]), np.array([5, 6], np.uint32)).text()
    raw = bytearray(base64.urlsafe_b64decode(made + "=" * (-len(made) % 4)))
    raw[place % len(raw)] ^= change
    with pytest.raises(InputError, match="not one that a search gave"):
        Cursor.parse(base64.urlsafe_b64encode(raw).decode(), bytes(16))


@given(st.lists(st.integers(1, 1 << 40), unique=True), st.lists(st.text(), max_size=5))
def test_a_cursor_is_spelt_and_read(numbers, ids):
    empty = Cursor(bytes(16), 9, np.empty(0, np.int64), np.empty(0, np.uint32))
    cursor = empty.after(numbers, [each for each in ids if each.isascii()])
    again = Cursor.parse(cursor.text(), bytes(16))
    assert again.served.tolist() == sorted(numbers)
    assert again.ids.tolist() == cursor.ids.tolist()
    assert again.newest == 9


def test_a_cursor_goes_with_one_query_and_no_offset(fruit):
    cursor = search(fruit, QUERY, CONFIG).cursor
    with pytest.raises(UsageError, match="one query, and there are 2"):
        search_batch(fruit, [QUERY, QUERY], replace(CONFIG, cursor=cursor))
    with pytest.raises(InputError, match="leave the offset out"):
        replace(CONFIG, offset=3, cursor=cursor)
    with pytest.raises(InputError, match="characters; allowed are"):
        replace(CONFIG, cursor="A" * (5 << 20))


@pytest.fixture(scope="module")
def titles(assets, hybrid_collection):
    lines = (assets / "cases/hybrid-paging/titles.jsonl").read_text().splitlines()
    return hybrid_collection({row["id"]: row["text"] for row in map(json.loads, lines)})


@pytest.mark.assets
@pytest.mark.parametrize("fusion", [None, ReciprocalRankFusion(), LinearFusion(norm="z-score")])
def test_pages_of_fused_results_are_one_ranking(titles, fusion):
    query = SearchQuery("gene expression in breast cancer cells")
    config = SearchConfig(using="hybrid", limit=33, payload=False, fusion=fusion)
    by_offset = [
        hit.id
        for offset in range(0, 240, 33)
        for hit in search(titles, query, replace(config, offset=offset)).hits
    ]
    assert len(by_offset) == len(set(by_offset)) == len(titles) == 240
    assert [each for page in walk(titles, query, config) for each in page] == by_offset
