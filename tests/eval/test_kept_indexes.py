"""The indexes that evaluations keep: of these documents and no others, listed, and freed."""

import json
import shutil

import pytest

from eval.datasets import load_dataset
from eval.experiment import evaluate_dataset
from eval.kept_indexes import NOTE, experiment_folder, kept_indexes, prune
from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.search.config import SearchConfig
from lsr.encoding.document_encoders import DocumentEncoders
from lsr.errors import CorruptionError, LockedError, UsageError
from tests.eval.small_beir import write_beir, write_rows


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LSR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def texts(monkeypatch):
    """How many texts were encoded, by field."""
    counts = {"sparse": 0, "dense": 0, "bm25": 0}
    encode = DocumentEncoders.encode

    def counting(self, texts):
        for name in (*self.sparse, *self.dense):
            counts[name] += len(texts)
        return encode(self, texts)

    monkeypatch.setattr(DocumentEncoders, "encode", counting)
    return counts


def rows_of(folder, *encoders, **options):
    return evaluate_dataset(load_dataset(str(folder)), *encoders, measures=["nDCG@10"], **options)


def fresh(folder, tmp_path, *encoders):
    """What an index of its own gives."""
    place = tmp_path / f"own-{len(list(tmp_path.iterdir()))}"
    return rows_of(folder, *encoders, index=place)


def documents(folder):
    return [json.loads(line) for line in (folder / "corpus.jsonl").read_text().splitlines()]


CHANGES = {
    "gone": lambda rows: rows[:-3],
    "new": lambda rows: [*rows, {"_id": "new", "title": "", "text": "wing boundary"}],
    "other text": lambda rows: [*rows[:-1], rows[-1] | {"text": "wing wing"}],
    "other id": lambda rows: [*rows[:-1], rows[-1] | {"_id": "other"}],
    "other title": lambda rows: [*rows[:-1], rows[-1] | {"title": "wing"}],
    "swapped": lambda rows: [rows[0] | {"text": rows[1]["text"]},
                             rows[1] | {"text": rows[0]["text"]}, *rows[2:]],
    "one is none": lambda rows: [*rows[:-1], {"text": "no id"}],
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_corpus_that_has_changed_is_scored_as_it_is(tmp_path, change):
    folder = write_beir(tmp_path / "data")
    (before,) = rows_of(folder, "bm25")
    write_rows(folder / "corpus.jsonl", CHANGES[change](documents(folder)))
    (row,), (expected,) = rows_of(folder, "bm25"), fresh(folder, tmp_path, "bm25")
    assert (row.documents, row.run, row.measures) == (
        expected.documents, expected.run, expected.measures,
    )  # fmt: skip
    assert row.provenance.data == expected.provenance.data != before.provenance.data
    # The former index is as it was, should the former documents come back.
    write_beir(tmp_path / "again/data")
    (again,) = rows_of(tmp_path / "again/data", "bm25")
    assert (again.run, again.provenance) == (before.run, before.provenance)


def test_vectors_are_not_made_twice(tmp_path, masked_lm, dense_model, texts):
    folder, splade = write_beir(tmp_path / "data"), f"splade:{masked_lm}"
    rows_of(folder, splade)
    assert texts == {"sparse": 30, "dense": 0, "bm25": 0}
    rows = rows_of(folder, splade, str(dense_model))
    assert texts == {"sparse": 30, "dense": 30, "bm25": 0}
    rows_of(folder, "bm25", str(dense_model))
    assert texts == {"sparse": 60, "dense": 30, "bm25": 0}
    # Only the new document of a corpus that has grown, whatever its folder is called.
    grown = [*documents(folder), {"_id": "new", "title": "", "text": "wing"}]
    write_rows(folder / "corpus.jsonl", grown)
    rows_of(folder, splade)
    assert texts["sparse"] == 61
    write_beir(tmp_path / "elsewhere")
    same = rows_of(tmp_path / "elsewhere", splade, str(dense_model))
    assert texts["sparse"] == 61
    assert [row.run for row in same] == [row.run for row in rows]


def test_an_interrupted_index_is_gone_on_with(tmp_path, monkeypatch):
    folder = write_beir(tmp_path / "data", documents=600)
    (expected,) = fresh(folder, tmp_path, "bm25")
    encode, calls = DocumentEncoders.encode, []

    def failing(self, texts):
        calls.append(len(texts))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return encode(self, texts)

    monkeypatch.setattr(DocumentEncoders, "encode", failing)
    with pytest.raises(KeyboardInterrupt):
        rows_of(folder, "bm25")
    (unfinished,) = kept_indexes()
    assert not unfinished.complete
    (row,) = rows_of(folder, "bm25")
    assert calls == [256, 256, 256, 88]
    assert row.repeatable() == expected.repeatable()
    assert kept_indexes()[0].complete


def test_errors_name_the_data_and_not_the_cache(tmp_path, cache):
    folder = write_beir(tmp_path / "data")
    rows_of(folder, "bm25")
    kept = experiment_folder(load_dataset(str(folder)), encoder_fields("bm25"))
    with pytest.raises(UsageError, match="the index kept for the data set 'data'") as told:
        rows_of(folder, "bm25", searching=SearchConfig(using="hybrid"))
    assert str(cache) not in str(told.value)
    (segment,) = (kept / "segments").glob("*.segment")
    segment.write_bytes(segment.read_bytes()[:100])
    (kept / "collection.sqlite").write_bytes(b"nothing")
    with pytest.raises(CorruptionError, match="lsr eval cache data --prune") as told:
        rows_of(folder, "bm25")
    assert str(cache) not in str(told.value)
    assert prune(kept_indexes(["data"])) != ([], [])
    (row,) = rows_of(folder, "bm25")
    assert row.documents == 30


def test_an_index_of_ones_own_with_documents_that_are_gone_is_refused(tmp_path):
    folder = write_beir(tmp_path / "data")
    rows_of(folder, "bm25", index=tmp_path / "own")
    # As many items as before: an item that is none stands where a document was.
    write_rows(folder / "corpus.jsonl", CHANGES["one is none"](documents(folder)))
    with pytest.raises(UsageError, match="'data' does not: 1, such as 'd29'"):
        rows_of(folder, "bm25", index=tmp_path / "own")


def test_what_is_kept_is_listed_and_freed(tmp_path, cache):
    rows_of(write_beir(tmp_path / "one"), "bm25")
    rows_of(write_beir(tmp_path / "two", 1), "bm25")
    rows_of(tmp_path / "two", "bm25,k1=1.2")
    old = cache / "format-1/eval/three-0123456789ab"
    old.mkdir(parents=True)
    (old / "collection.sqlite").write_bytes(b"x" * 1000)
    listed = kept_indexes()
    assert [(each.dataset, each.current, each.documents) for each in listed] == [
        ("one", True, 30), ("three", False, 0), ("two", True, 30), ("two", True, 30),
    ]  # fmt: skip
    assert listed[1].bytes == 1000
    assert {each.encoders["sparse"] for each in kept_indexes(["two"])} == {"bm25", "bm25,k1=1.2"}
    gone, left = prune(kept_indexes(["two", "three"]))
    assert (len(gone), left) == (3, [])
    assert [each.dataset for each in kept_indexes()] == ["one"]


def test_what_another_process_writes_stays(tmp_path, monkeypatch):
    rows_of(write_beir(tmp_path / "one"), "bm25")
    (kept,) = kept_indexes()

    def held(self, wait=None):
        raise LockedError("process 1 is writing")

    monkeypatch.setattr(Collection, "writing", held)
    gone, (sentence,) = prune([kept])
    assert gone == []
    assert "'one' is being written by another process" in sentence
    assert kept.path.exists()


def test_a_note_that_is_damaged_costs_nothing(tmp_path):
    folder = write_beir(tmp_path / "data")
    (row,) = rows_of(folder, "bm25")
    (kept,) = kept_indexes()
    for text in ("", "[]", "{", '{"documents": "many"}'):
        (kept.path / NOTE).write_text(text)
        assert kept_indexes()[0].path == kept.path
        (again,) = rows_of(folder, "bm25")
        assert again.run == row.run
    shutil.rmtree(kept.path)
