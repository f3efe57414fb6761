import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from benches.crash import CONFIG
from index.collection import current_view, tail
from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import upsert_documents
from index.search.config import SearchConfig
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.documents import Document

WORDS = ["apple", "banana", "cherry", "lemon", "plum"]
identifiers = st.integers(0, 40).map(str)
contents = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("upsert"), st.dictionaries(identifiers, contents, max_size=8)),
        st.tuples(st.just("delete"), st.sets(identifiers, max_size=6)),
        st.tuples(st.just("flush"), st.none()),
    ),
    max_size=25,
)


def ranking(collection, word):
    found = search(collection, SearchQuery(word), SearchConfig(limit=50, highlight=False))
    return [(hit.id, hit.score) for hit in found.hits]


@settings(max_examples=20)
@given(operations, st.sampled_from([tail.LARGEST_PART, 8]))
def test_a_view_that_grew_step_by_step_answers_as_one_that_was_just_made(history, largest):
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(tail, "LARGEST_PART", largest),
        mock.patch.object(current_view, "LARGEST_PART", largest),
    ):
        writer = Collection.create(Path(folder) / "c", encoder_fields("bm25"))
        reader = Collection.open(writer.path)
        for operation, argument in history:
            if operation == "upsert":
                upsert_documents(writer, [Document(i, text) for i, text in argument.items()])
            elif operation == "delete":
                writer.delete(argument)
            else:
                writer.maintenance.flush()
            fresh = Collection.open(writer.path)
            for word in WORDS[:2]:
                assert ranking(reader, word) == ranking(fresh, word) == ranking(writer, word)
            grown, made = reader.view(), fresh.view()
            assert len(grown) == len(made) == len(writer)
            for part in (*grown.tail.parts, *made.tail.parts):
                assert len(part.rows) <= largest
            field = reader.fields[0]
            ours, theirs = grown.statistics(field), made.statistics(field)
            assert ours.documents == theirs.documents
            assert ours.average_length == theirs.average_length
            np.testing.assert_array_equal(ours.document_frequency, theirs.document_frequency)
            fresh.close()


def test_masks_stay_the_same_objects_while_nothing_of_theirs_is_deleted(bm25_collection):
    collection = bm25_collection({f"d{n}": "apple" for n in range(30)})
    collection.delete(["d3"])
    first = collection.view()
    upsert_documents(collection, [Document("new", "apple")])
    second = collection.view()
    assert second.alive[0] is first.alive[0]
    assert second.segments[0] is first.segments[0]
    collection.delete(["d4"])
    third = collection.view()
    assert (third.alive[0].count, first.alive[0].count) == (28, 29)
    assert third.segments[1] is second.segments[1]


def test_the_tail_has_few_parts_and_each_row_is_read_once(tmp_path):
    collection = Collection.create(tmp_path / "c", encoder_fields("bm25"))
    largest = 0
    for number in range(300):
        upsert_documents(collection, [Document(str(number), "apple plum")])
        largest = max(largest, len(collection.view().segments))
    assert largest <= 6
    assert [i for i, _ in ranking(collection, "plum")] == [str(n) for n in range(50)]


def test_an_endlessly_replaced_document_leaves_no_trail(tmp_path):
    collection = Collection.create(tmp_path / "c", encoder_fields("bm25"), CONFIG)
    for number in range(100):
        upsert_documents(collection, [Document("a", f"apple {number}")])
        assert [i for i, _ in ranking(collection, "apple")] == ["a"]
        assert len(collection.view()) == 1
    collection.maintenance.flush()
    collection.close()
    (segment,) = collection.view().segments
    assert len(segment) == 1
    assert collection.store.connection.execute("SELECT COUNT(*) FROM tombstones").fetchone() == (0,)
