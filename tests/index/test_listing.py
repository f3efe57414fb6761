"""Walks through the documents of a collection, against a dictionary that is written beside it."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.filters.text_form import parse_filter_text
from index.indexing import upsert_documents
from index.listing import MOST_LISTED, fetch_documents, list_documents
from lsr.corpus.documents import Document
from lsr.errors import InputError


def fruit(number, text="plum"):
    return Document(f"d{number}", f"{text} {number}", metadata={"even": number % 2 == 0})


@pytest.fixture
def collection(tmp_path):
    made = Collection.create(tmp_path / "fruit", encoder_fields("bm25", bm25=False))
    yield made
    made.close()


def walk(collection, limit, between=lambda: None, wanted=None):
    """The ids of all pages, with something done between any two."""
    found, cursor = [], None
    while True:
        page = list_documents(collection, limit, cursor, wanted)
        assert len(page.documents) <= limit
        found += page.documents
        cursor = page.cursor
        if cursor is None:
            return found
        between()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(0, 30), st.randoms(use_true_random=False))
def test_a_walk_sees_what_stays_once_while_others_write(tmp_path_factory, limit, size, chance):
    made = Collection.create(
        tmp_path_factory.mktemp("walk") / "c", encoder_fields("bm25", bm25=False)
    )
    upsert_documents(made, [fruit(number) for number in range(size)])
    touched, fresh = set(), iter(range(1000, 1012))

    def write():
        for number in chance.sample(range(size), min(size, 2)):
            touched.add(f"d{number}")
            if chance.random() < 0.5:
                made.delete([f"d{number}"])
            else:
                upsert_documents(made, [fruit(number, f"fig {chance.random()}")])
        if (number := next(fresh, None)) is not None:
            upsert_documents(made, [fruit(number)])

    # Writes that never end would keep a walk going.
    budget = iter(range(12))
    found = walk(made, limit, lambda: write() if next(budget, None) is not None else None)
    untouched = [f"d{number}" for number in range(size) if f"d{number}" not in touched]
    assert [each for each in found if each in untouched] == untouched
    assert set(made.ids()) <= set(found) | touched
    # The walk of one who waits is in the order of writing.
    assert walk(made, limit) == made.ids()
    made.close()


def test_pages_hold_what_a_filter_passes(collection):
    upsert_documents(collection, [fruit(number) for number in range(20)])
    wanted = parse_filter_text("even = true")
    assert walk(collection, 3, wanted=wanted) == [f"d{number}" for number in range(0, 20, 2)]
    assert list_documents(collection, 3, wanted=wanted).total == 10
    assert list_documents(collection, 3).total == 20


def test_a_page_ends_before_it_has_too_many_characters(collection):
    upsert_documents(collection, [fruit(number, "x" * 100) for number in range(6)])
    page = list_documents(collection, 6, most_characters=250)
    assert list(page.documents) == ["d0", "d1", "d2"]
    page = list_documents(collection, 6, page.cursor, most_characters=1)
    assert (list(page.documents), page.total) == (["d3"], 6)
    assert list(fetch_documents(collection, ["d5", "no", "d1"], 1000)) == ["d5", "d1"]
    with pytest.raises(InputError, match="more than 200 characters"):
        fetch_documents(collection, ["d5", "d1", "d3"], 200)


def test_a_cursor_goes_with_its_listing_only(collection, tmp_path):
    upsert_documents(collection, [fruit(number) for number in range(4)])
    cursor = list_documents(collection, 2).cursor
    other = Collection.create(tmp_path / "other", encoder_fields("bm25", bm25=False))
    wanted = parse_filter_text("even = true")
    for held, given_filter in ((other, None), (collection, wanted)):
        with pytest.raises(InputError, match="none that this listing gave"):
            list_documents(held, 2, cursor, given_filter)
    chance = random.Random(1)
    spoilt = [cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :]
              for at in chance.sample(range(len(cursor) - 1), 8)]  # fmt: skip
    for text in ("", "x", "\u00e9", "=" * 50, cursor[:-3], cursor * 2, *spoilt):
        with pytest.raises(InputError, match="none that this listing gave"):
            list_documents(collection, 2, text)
    for limit in (0, -1, MOST_LISTED + 1):
        with pytest.raises(InputError, match="limit is"):
            list_documents(collection, limit)
    other.close()


def test_a_damaged_document_is_listed_without_its_text(collection):
    upsert_documents(collection, [fruit(number) for number in range(3)])
    with collection.store.writing():
        collection.store.connection.execute("UPDATE documents SET title = 'z' WHERE id = 'd1'")
    page = list_documents(collection)
    assert {name: document is None for name, document in page.documents.items()} == {
        "d0": False, "d1": True, "d2": False,
    }  # fmt: skip
