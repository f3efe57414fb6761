import multiprocessing

import numpy as np
import pytest

from index.collection.check import check
from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import (
    Update,
    document_encoders,
    index_documents,
    upsert_documents,
    write_update,
)
from lsr.corpus.documents import Document
from lsr.corpus.items import Item
from lsr.encoders.masked_lm import PooledLogits
from lsr.errors import LsrError, UsageError
from lsr.sparse import SparseBatch, SparseVector
from tests.index.conftest import items
from tests.recorded_progress import RecordedProgress

TEXTS = {f"d{n}": "apple " * (n % 7) + f"banana number {n}" for n in range(50)}


@pytest.fixture
def splade(tmp_path, masked_lm):
    def make(name):
        return Collection.create(tmp_path / name, encoder_fields(str(masked_lm)))

    return make


@pytest.fixture
def encoded_texts(monkeypatch):
    """Every text that goes through the model, in order."""
    seen = []
    encode = PooledLogits.encode

    def record(self, texts, statistics=None):
        seen.extend(texts)
        return encode(self, texts, statistics)

    monkeypatch.setattr(PooledLogits, "encode", record)
    return seen


class Interrupted(Exception):
    pass


def interrupted(source, after):
    for number, item in enumerate(source):
        if number == after:
            raise Interrupted
        yield item


@pytest.mark.parametrize("after", [1, 8, 9, 30, 49])
def test_an_interrupted_run_goes_on_and_ends_as_if_never_interrupted(splade, encoded_texts, after):
    whole, resumed = splade("whole"), splade("resumed")
    index_documents(whole, items(TEXTS), chunk_size=8)
    encoded_texts.clear()
    with pytest.raises(Interrupted):
        index_documents(resumed, interrupted(items(TEXTS), after), chunk_size=8)
    stored = len(resumed)
    assert stored == after // 8 * 8
    report = index_documents(resumed, items(TEXTS), chunk_size=8)
    assert (report.unchanged, report.created) == (stored, len(TEXTS) - stored)
    assert encoded_texts == list(TEXTS.values())
    assert resumed.ids() == whole.ids()
    assert resumed.digest() == whole.digest()
    field = whole.fields.named("sparse")
    expected, found = whole.store.vectors.sparse(field), resumed.store.vectors.sparse(field)
    np.testing.assert_array_equal(found.indptr, expected.indptr)
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_array_equal(found.values, expected.values)


def test_others_write_between_the_chunks_of_a_run(splade):
    collection = splade("shared")
    other = Collection.open(collection.path)

    def source():
        for number, item in enumerate(items(TEXTS)):
            if number % 8 == 4:
                upsert_documents(other, [Document(f"other{number}", "cherry")])
            if number == 20:
                # Written by the run already, so this is the later write.
                upsert_documents(other, [Document("d3", "plum")])
                # Not yet written by the run, whose write is the later one.
                upsert_documents(other, [Document("d40", "plum")])
                other.delete(["d4"])
            yield item

    report = index_documents(collection, source(), chunk_size=8)
    texts = {name: collection.get(name).text for name in collection.ids()}
    assert {name: text for name, text in texts.items() if name in TEXTS} == {
        name: "plum" if name == "d3" else text for name, text in TEXTS.items() if name != "d4"
    }
    assert sum(name.startswith("other") for name in texts) == 6
    assert (report.created, report.updated) == (len(TEXTS) - 1, 1)
    assert collection.maintenance.flushed()
    assert check(collection).problems == []
    # The same again brings all to what the source says.
    again = index_documents(collection, items(TEXTS), chunk_size=8)
    assert (again.created, again.updated, again.unchanged) == (1, 1, len(TEXTS) - 2)
    assert {name: collection.get(name).text for name in TEXTS} == TEXTS


def test_what_another_wrote_since_the_chunk_was_read_is_seen_when_it_is_written(splade):
    collection = splade("raced")
    upsert_documents(collection, [Document("kept", "apple"), Document("old", "apple")])
    documents = [
        Document("kept", "apple"), Document("old", "banana"), Document("same", "plum"),
        Document("gone", "lemon"), Document("new", "fig"),
    ]  # fmt: skip
    update = Update.of(collection, documents)
    vectors = document_encoders(collection).encode(update.texts).vectors
    other = Collection.open(collection.path)
    upsert_documents(other, [Document("kept", "cherry"), Document("same", "plum")])
    upsert_documents(other, [Document("gone", "cherry")])
    other.delete(["old"])
    numbers = collection.store.sequences(["same"])
    outcomes = write_update(collection, update, vectors)
    assert [(item.id, item.status) for item in outcomes] == [
        ("kept", "unchanged"), ("old", "created"), ("same", "unchanged"), ("gone", "updated"),
        ("new", "created"),
    ]  # fmt: skip
    texts = {name: collection.get(name).text for name in collection.ids()}
    assert texts == {
        "kept": "cherry", "old": "banana", "same": "plum", "gone": "lemon", "new": "fig",
    }  # fmt: skip
    assert collection.store.sequences(["same"]) == numbers
    assert check(collection).problems == []


def test_only_changed_documents_are_encoded_again(splade, encoded_texts):
    collection = splade("changed")
    index_documents(collection, items(TEXTS))
    encoded_texts.clear()
    report = index_documents(collection, items(TEXTS | {"d3": "cherry", "new": "plum"}))
    assert (report.updated, report.created, report.unchanged) == (1, 1, len(TEXTS) - 1)
    assert encoded_texts == ["cherry", "plum"]


def test_bad_items_are_reported_by_place_and_the_good_ones_kept(splade):
    collection, progress = splade("bad"), RecordedProgress()
    source = [
        Item("file", 1, Document("a", "apple")),
        Item("file", 2, None, "not valid JSON"),
        Item("file", 5, Document("a", "another apple")),
        Item("file", 6, Document("b", "banana")),
    ]
    report = index_documents(collection, source, progress)
    assert (report.created, report.rejected, report.read) == (2, 2, 4)
    said = progress.sentences
    assert said[0] == "file:2: not valid JSON"
    assert said[1].startswith("file:5: the id 'a' was given before, at file:1")
    assert collection.get("a").text == "apple"


def test_duplicates_are_found_across_chunks(splade):
    report = index_documents(
        splade("far"), items([("a", "x"), ("b", "y"), ("c", "z"), ("a", "w")]), chunk_size=2
    )
    assert (report.created, report.rejected) == (3, 1)


def test_nothing_to_index_makes_an_empty_searchable_collection(splade):
    collection = splade("empty")
    assert index_documents(collection, []).read == 0
    assert len(collection.view()) == 0
    assert len(collection) == 0


def test_tokens_and_what_is_taken_are_told(splade):
    progress = RecordedProgress()
    report = index_documents(splade("tokens"), items(TEXTS), progress, chunk_size=20)
    told = [(each.taken, each.read) for each in progress.chunks]
    assert told == [(20, 20), (40, 40), (50, 50)]
    # "[CLS] apple ... banana number n [SEP]"
    assert report.tokens == sum(2 + n % 7 + 3 for n in range(len(TEXTS)))


@pytest.fixture
def broken_texts(monkeypatch):
    """Texts whose weights come out infinite."""
    broken = set()
    encode = PooledLogits.encode

    def spoil(self, texts):
        vectors = encode(self, texts)
        for row, text in enumerate(texts):
            if text in broken:
                vectors.values[vectors.indptr[row]] = np.inf
        return vectors

    monkeypatch.setattr(PooledLogits, "encode", spoil)
    return broken


def test_documents_without_finite_vectors_are_rejected_by_place(splade, broken_texts):
    collection, progress = splade("infinite"), RecordedProgress()
    index_documents(collection, items({"a": "apple", "b": "banana"}))
    broken_texts |= {"cherry", "plum"}
    report = index_documents(
        collection, items({"a": "cherry", "b": "banana", "c": "cherry", "d": "lemon"}),
        progress, chunk_size=3,
    )  # fmt: skip
    assert (report.rejected, report.created, report.updated, report.unchanged) == (2, 1, 0, 1)
    assert (report.read, report.taken) == (4, 4)
    said = progress.sentences
    assert [sentence.partition(": ")[0] for sentence in said] == ["memory:1", "memory:3"]
    assert "the encoder of the field 'sparse' gave a vector with numbers that are not f" in said[0]
    assert {name: collection.get(name).text for name in collection.ids()} == {
        "a": "apple", "b": "banana", "d": "lemon",
    }  # fmt: skip
    outcomes = upsert_documents(collection, [Document("e", "plum"), Document("f", "fig")])
    assert [(item.id, item.status) for item in outcomes] == [("e", "rejected"), ("f", "created")]
    # Weights of ones that were rejected don't count for the encoder's health.
    assert report.health["sparse"].documents == 1


@pytest.mark.parametrize(
    ("known", "new", "written_before"), [(0, 30, 31), (7, 1003, 993), (1000, 2, 3)]
)
def test_health_is_told_once_after_a_thousand_or_at_the_end(
    splade, monkeypatch, known, new, written_before
):
    monkeypatch.setattr(PooledLogits, "encode", one_term_each)
    collection, progress = splade("health"), RecordedProgress()
    texts = {f"d{n}": f"banana number {n}" for n in range(known + new)} | {"blank": " "}
    index_documents(collection, items(texts)[:known])
    report = index_documents(collection, items(texts), progress, chunk_size=100)
    ((field, health, after),) = progress.healths
    assert (field, health.documents) == ("sparse", min(new, 1000))
    assert after == written_before
    assert report.health == {"sparse": health}
    assert health.warning.startswith("the encoder looks collapsed" if new >= 10 else "")


def one_term_each(self, texts):
    return SparseBatch.from_rows(
        [SparseVector.from_mapping({5: 1.0} if text.strip() else {}) for text in texts], 30522
    )


def test_counts_and_runs_that_encode_nothing_have_no_health(bm25_collection, splade):
    assert index_documents(bm25_collection({}), items(TEXTS)).health == {}
    collection = splade("again")
    index_documents(collection, items(TEXTS))
    assert index_documents(collection, items(TEXTS)).health == {}


def test_several_processes_make_the_same_collection(tmp_path):
    """Unchanged, changed, rejected and new documents, several chunks, more than one at a time."""
    made, reports, said = [], [], []
    for processes in (1, 2):
        collection = Collection.create(tmp_path / str(processes), encoder_fields("bm25"))
        index_documents(collection, items(TEXTS), chunk_size=8)
        source = items(TEXTS | {"d3": "cherry", "d20": "plum"} | {f"n{n}": "fig" for n in range(9)})
        source.insert(10, Item("file", 9, None, "not valid JSON"))
        progress = RecordedProgress()
        report = index_documents(collection, source, progress, chunk_size=4, processes=processes)
        made.append((collection.ids(), collection.digest()))
        reports.append((report.created, report.updated, report.unchanged, report.rejected))
        reports[-1] += (report.taken, report.read, report.tokens)
        said.append(progress.sentences)
    assert made[0] == made[1]
    assert reports[0] == reports[1]
    assert reports[0][:4] == (9, 2, 48, 1)
    assert said[0] == said[1] == ["file:9: not valid JSON"]


def test_a_process_that_dies_loses_no_chunk_that_was_written(tmp_path):
    collection = Collection.create(tmp_path / "dies", encoder_fields("bm25"))

    def kill(report):
        for child in multiprocessing.active_children():
            child.kill()
            child.join()

    with pytest.raises(LsrError, match="a worker process was ended by SIGKILL"):
        index_documents(collection, items(TEXTS), RecordedProgress(kill), chunk_size=4, processes=2)
    stored = len(collection)
    assert stored in range(4, 20, 4)
    assert multiprocessing.active_children() == []
    report = index_documents(collection, items(TEXTS), chunk_size=4, processes=2)
    assert (report.unchanged, report.created) == (stored, len(TEXTS) - stored)
    assert collection.ids() == list(TEXTS)


def test_what_is_refused_before_encoding(tmp_path):
    collection = Collection.create(tmp_path / "c", encoder_fields("bm25"))
    with pytest.raises(UsageError, match="allowed are 1 to 512"):
        index_documents(collection, items(TEXTS), processes=0)
    assert len(collection) == 0


def test_progress_is_told_after_every_chunk(splade):
    progress = RecordedProgress()
    index_documents(splade("told"), items(TEXTS), progress, chunk_size=20)
    assert [report.read for report in progress.chunks] == [20, 40, 50]
