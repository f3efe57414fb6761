"""What queries take their IDF from, counted in texts, compared with a count of all of them."""

import sqlite3
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.collection import frequency_table
from index.collection.check import check
from index.collection.collection import STORE_FILE, Collection
from index.collection.field import fields_beside
from index.collection.repair import repair
from index.search.config import SearchConfig
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.corpus.passages import Passage, contents
from lsr.encoders.catalogue import load_encoder
from lsr.errors import CorruptionError
from lsr.sparse import SparseBatch, SparseVector

WORDS = ["apple", "plum", "unbelievable", "the", "électricité", "ЯЯ", "zzqqxx", "🍎", "\n", "#"]


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("lsr-tiny-v1")


def write(collection, documents, passages=()):
    """Documents with vectors that are none of theirs."""
    rows = len(contents(documents, passages))
    batch = SparseBatch.from_rows([SparseVector(np.array([5]), np.array([1.0]))] * rows, 30522)
    collection.upsert(documents, {field.name: batch for field in collection.fields}, passages)


def statistics(collection):
    with collection.pinned() as view:
        return view.text_statistics(collection.fields.counted)


def counted(encoder, texts):
    """Plainly."""
    found = Counter(term for terms in encoder.vocabulary.tokenize(texts) for term in set(terms))
    return len(texts), dict(found)


def as_found(statistics):
    there = np.flatnonzero(statistics.document_frequency)
    return statistics.documents, {int(t): int(statistics.document_frequency[t]) for t in there}


texts = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
ids = st.lists(st.sampled_from("abcdef"), max_size=4, unique=True)
operations = st.one_of(
    st.tuples(st.just("write"), ids, st.lists(texts, min_size=4, max_size=4), st.booleans()),
    st.tuples(st.just("delete"), ids),
    st.tuples(st.sampled_from(["flush", "reopen"])),
)


@given(st.lists(operations, max_size=8), st.integers(1, 4))
def test_frequencies_are_those_of_the_live_texts(tmp_path_factory, encoder, done, longest):
    path = tmp_path_factory.mktemp("frequencies") / "c"
    collection = Collection.create(path, fields_beside(encoder), passages="auto")
    texts = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frequency_table, "LONGEST_LOG", longest)
        for operation, *arguments in done:
            if operation == "write":
                names, bodies, split = arguments
                documents = [
                    Document(n, body, "Title") for n, body in zip(names, bodies, strict=False)
                ]
                half = [len(document.text) // 2 for document in documents]
                passages = [
                    [Passage(0, h), Passage(h, len(d.text))] if split and h else []
                    for d, h in zip(documents, half, strict=True)
                ]
                if documents:
                    write(collection, documents, passages)
                for document, parts in zip(documents, passages, strict=True):
                    texts[document.id] = contents([document], [parts])
            elif operation == "delete":
                collection.delete(arguments[0])
                for name in arguments[0]:
                    texts.pop(name, None)
            elif operation == "flush":
                collection.maintenance.flush()
            else:
                collection.close()
                collection = Collection.open(path)
            rows = [text for parts in texts.values() for text in parts]
            assert as_found(statistics(collection)) == counted(encoder, rows)
    assert check(collection).problems == []
    collection.close()


@pytest.fixture
def collection(tmp_path, encoder):
    collection = Collection.create(tmp_path / "c", fields_beside(encoder))
    write(collection, [Document("a", "apple plum"), Document("b", "apple")])
    yield collection
    collection.close()


def execute(collection, statement, *values):
    with sqlite3.connect(collection.path / STORE_FILE) as store:
        store.execute(statement, values)
    store.close()


def test_a_document_whose_text_is_damaged_goes_with_what_was_counted_in_it(collection, encoder):
    execute(collection, "UPDATE documents SET text = x'00' || 'else' WHERE id = 'a'")
    collection.delete(["a"])
    assert as_found(statistics(collection)) == counted(encoder, ["apple"])


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE frequencies SET counts = x'0000'",
        "UPDATE frequencies SET checksum = x'00'",
        "UPDATE frequencies SET number = 7",
        "DELETE FROM frequencies",
    ],
)
def test_a_damaged_table_is_refused_and_counted_again(collection, encoder, damage):
    before = statistics(collection)
    execute(collection, damage)
    with Collection.open(collection.path).pinned() as view, pytest.raises(CorruptionError):
        view.text_statistics(collection.fields.counted)
    report = check(collection)
    assert ["table of term frequencies" in problem for problem in report.problems] == [True]
    repair(collection, report)
    assert check(collection).problems == []
    assert as_found(statistics(Collection.open(collection.path))) == as_found(before)


def test_scores_are_those_of_a_field_of_counts(tmp_path, encoder):
    documents = [Document(str(n), " ".join(WORDS[n % 7 :])) for n in range(20)]
    vectors = encoder.encode_documents([document.contents for document in documents])
    found = []
    for bm25 in (False, True):
        made = Collection.create(tmp_path / str(bm25), fields_beside(encoder, bm25=bm25))
        rows = {"sparse": vectors}
        if bm25:
            counts = made.fields.encoder(made.fields.named("bm25"))
            rows["bm25"] = counts.encode_documents([document.contents for document in documents])
        made.upsert(documents, rows)
        made.maintenance.flush()
        assert [field.counted for field in made.fields] == ([False, False] if bm25 else [True])
        config = SearchConfig(limit=20, payload=False)
        queries = [SearchQuery("apple plum"), SearchQuery("the unbelievable électricité")]
        hits = [search(made, query, config).hits for query in queries]
        found.append([[(hit.id, hit.score) for hit in each] for each in hits])
        made.close()
    assert found[0] == found[1]
