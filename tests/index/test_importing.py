"""Encoding into a file and importing it is the same as indexing."""

import json
import os
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.collection.check import check
from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.collection.snapshot import restore, snapshot
from index.importing import _learn_tokens, import_vectors, open_for_import, stored_vectors
from index.indexing import index_documents
from index.search.config import SearchConfig
from index.search.pipeline import search
from index.search.query import SearchQuery
from lsr.corpus.documents import Document
from lsr.corpus.items import Item
from lsr.encoders.catalogue import load_encoder
from lsr.encoding.runs import encode_items
from lsr.errors import EncoderMismatchError, InputError, UsageError
from lsr.sparse import SparseBatch
from lsr.vectors.csr import Maker
from lsr.vectors.formats import FORMATS, open_vectors, vector_writer
from lsr.vectors.output import VectorOutput
from tests.index.conftest import items
from tests.recorded_progress import RecordedProgress

PIECES = "bm25,analyzer=wordpiece"
TEXTS = {f"d{n}": "apple " * (n % 7) + f"banana number {n}" for n in range(60)} | {"empty": ""}
# A model of random weights gives each document thousands of terms.
FEW = dict(list(TEXTS.items())[::6])
QUERIES = ["apple", "banana number 7", "number number", "cherry"]
SUFFIX = {"jsonl": ".jsonl", "seismic": ".jsonl", "csr": ".safetensors", "ciff": ".ciff"}


@pytest.fixture
def encoded(tmp_path):
    """Makes a file of vectors of {id: text}."""

    def make(name, kind="jsonl", texts=TEXTS, **options):
        encoder = load_encoder(name)
        path = tmp_path / f"{kind}{SUFFIX[kind]}"
        path.unlink(missing_ok=True)
        maker = Maker(encoder.name, encoder.fingerprint)
        output = VectorOutput(
            path,
            {},
            lambda files: vector_writer(kind, files, encoder.vocabulary, maker, **options),
        )
        encode_items(encoder, items(texts), output)
        output.finish()
        return path

    return make


def imported(into, path, encoder=None, texts=None, **options):
    source = open_vectors(str(path))
    collection = open_for_import(into, source, encoder)
    return collection, import_vectors(collection, source, texts, **options)


def hits(collection, query):
    found = search(collection, query, SearchConfig(limit=20)).hits
    return [(hit.id, hit.score) for hit in found]


def by_text(collection):
    return [hits(collection, SearchQuery(text=text)) for text in QUERIES]


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        *(("bm25", kind) for kind in FORMATS),
        # CIFF rounds weights that are no integers.
        *(("splade:{}", kind) for kind in FORMATS if kind != "ciff"),
        ("inference-free:{},idf=collection", "csr"),
    ],
)
def test_encode_then_import_then_search_is_index_then_search(
    tmp_path, masked_lm, encoded, family, kind
):
    name = family.format(masked_lm)
    texts = TEXTS if family == "bm25" else FEW
    direct = Collection.create(tmp_path / "direct", encoder_fields(name))
    index_documents(direct, items(texts))
    path = encoded(name, kind, texts)
    collection, report = imported(tmp_path / "imported", path, name, texts=items(texts))
    assert (report.index.created, report.index.rejected) == (len(texts), 0)
    assert report.without_text == 0
    assert [field.name for field in collection.fields] == [field.name for field in direct.fields]
    assert by_text(collection) == by_text(direct)
    assert any(by_text(direct))
    assert collection.digest() == direct.digest()


def test_quantised_impacts_rank_as_their_rounded_weights(tmp_path, masked_lm, encoded):
    name = f"splade:{masked_lm}"
    path = encoded(name, "ciff", FEW, scale=100)
    collection, _ = imported(tmp_path / "imported", path, name)
    encoder = load_encoder(name)
    query = encoder.encode_queries(["apple"]).to_scipy().toarray()[0]
    rows = encoder.encode_documents(list(FEW.values())).to_scipy().toarray()
    rounded = (np.rint(rows.astype(np.float64) * 100) / 100).astype(np.float16).astype(np.float32)
    scores = dict(zip(FEW, rounded @ query, strict=True))
    found = hits(collection, SearchQuery(text="apple"))
    assert found
    for identifier, score in found:
        assert score == pytest.approx(scores[identifier], rel=1e-5)
    assert found[-1][1] >= sorted(scores.values())[-len(found)] * (1 - 1e-5)


def test_texts_come_from_the_file_or_from_documents(tmp_path, encoded):
    path = encoded("bm25", "jsonl")
    own, _ = imported(tmp_path / "own", path, "bm25")
    assert own.get("d1") == Document("d1", "apple banana number 1")
    bare, _ = imported(tmp_path / "bare", encoded("bm25", "csr"), "bm25")
    assert bare.get("d1") == Document("d1", "")
    texts = [
        Item("memory", 1, Document("d1", "text", "title", {"year": 1})),
        Item("memory", 2, None, "broken"),
        Item("memory", 3, Document("other", "text")),
    ]
    progress = RecordedProgress()
    joined, report = imported(tmp_path / "joined", path, "bm25", texts=texts, progress=progress)
    assert joined.get("d1") == Document("d1", "text", "title", {"year": 1})
    assert joined.get("d2") == Document("d2", "apple apple banana number 2")
    assert (report.without_text, len(joined)) == (60, 61)
    assert progress.sentences == ["memory:2: broken"]


def test_a_vocabulary_of_its_own(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = {"a": {"plum pie": 1.5, "Ä": 2}, "b": {"plum pie": 0.5, '"': 1}, "c": {}}
    lines = [{"id": name, "contents": "Ä pie", "vector": row} for name, row in rows.items()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    collection, _ = imported(tmp_path / "c", path)
    assert hits(collection, SearchQuery(tokens={"plum pie": 2})) == [("a", 3.0), ("b", 1.0)]
    result = search(collection, SearchQuery(tokens={"Ä": 1, '"': 3}), SearchConfig(explain=True))
    assert [(hit.id, hit.score) for hit in result.hits] == [("b", 3.0), ("a", 2.0)]
    assert result.hits[1].terms["sparse"][0].token == "Ä"
    assert hits(collection, SearchQuery(sparse=([0], [1.0]))) == [("b", 1.0)]
    unknown = search(collection, SearchQuery(tokens={"apple": 1, "Ä": 1, "fig": 0}))
    assert [(hit.id, hit.score) for hit in unknown.hits] == [("a", 2.0)]
    assert (unknown.unknown_tokens, result.unknown_tokens) == (["apple", "fig"], [])
    assert search(collection, SearchQuery(tokens={"apple": 1})).hits == []
    for weight in (-1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="finite and not negative"):
            search(collection, SearchQuery(tokens={"apple": weight, "Ä": 1}))
    with pytest.raises(UsageError, match="can't be searched by text; give tokens and weights"):
        search(collection, SearchQuery(text="plum"))
    with pytest.raises(UsageError, match="no text can be indexed into it"):
        index_documents(collection, items({"d": "plum"}))
    collection.close()
    again = Collection.open(tmp_path / "c")
    assert hits(again, SearchQuery(tokens={"plum pie": 2})) == [("a", 3.0), ("b", 1.0)]


def test_a_snapshot_brings_the_vocabulary_along(tmp_path, encoded):
    collection, _ = imported(tmp_path / "c", encoded(PIECES))
    snapshot(collection, tmp_path / "s")
    restore(tmp_path / "s", tmp_path / "r")
    query = SearchQuery(tokens={"apple": 1, "7": 2})
    restored = hits(Collection.open(tmp_path / "r"), query)
    assert restored
    assert restored == hits(collection, query)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_second_import_changes_what_has_changed(tmp_path, encoded, kind):
    path = encoded("bm25", kind)
    collection, _ = imported(tmp_path / "c", path)
    before = {row.tobytes() for row in collection.store.live()}
    report = import_vectors(collection, open_vectors(str(path)))
    assert (report.index.unchanged, report.index.encoded) == (61, 0)
    assert {row.tobytes() for row in collection.store.live()} == before
    changed = encoded("bm25", kind, TEXTS | {"d3": "banana banana number"})
    report = import_vectors(collection, open_vectors(str(changed)))
    assert (report.index.unchanged, report.index.updated) == (60, 1)
    found = dict(hits(collection, SearchQuery(tokens={"banana": 1.0})))
    assert found["d3"] == 2.0


class Interrupted(Exception):
    pass


def test_an_interrupted_import_goes_on(tmp_path, encoded):
    path = encoded(PIECES)
    whole, _ = imported(tmp_path / "whole", path, chunk_size=8)

    def stop(report):
        if report.read >= 24:
            raise Interrupted

    with pytest.raises(Interrupted):
        imported(tmp_path / "c", path, chunk_size=8, progress=RecordedProgress(stop))
    collection, report = imported(tmp_path / "c", path, chunk_size=8)
    assert (report.index.unchanged, report.index.created) == (24, 37)
    assert collection.ids() == whole.ids()
    query = SearchQuery(tokens={"apple": 1.0, "3": 2.0})
    assert hits(collection, query) == hits(whole, query)


def test_bad_items_are_named_and_the_good_are_kept(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"id": "a", "vector": {"apple": 1}}\n{"id": "b", "vector": {"apple": -1}}\n'
        '{"id": "a", "vector": {"apple": 2}}\n{"id": "c", "vector": {"qqzz": 2}}\n{\n'
        '{"id": "d", "vector": {"apple": 0.5}}\n'
    )
    progress = RecordedProgress()
    collection, report = imported(tmp_path / "c", path, PIECES, progress=progress)
    assert (collection.ids(), report.index.rejected) == (["a"], 5)
    reasons = ("not negative", "given before", "1 of 1 tokens", "not valid", "term counts")
    for line, reason in enumerate(reasons, start=2):
        assert any(f"{path}:{line}: " in each and reason in each for each in progress.sentences)


def test_vectors_of_another_vocabulary_are_refused(tmp_path, encoded, masked_lm):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": "a", "vector": {"apple": 1}}\n')
    own, _ = imported(tmp_path / "own", rows)
    made = tmp_path / "other.safetensors"
    encoder = own.fields.encoder(own.fields[0])
    output = VectorOutput(
        made,
        {},
        lambda files: vector_writer("csr", files, encoder.vocabulary, Maker("imported", "x")),
    )
    for documents, batch in stored_vectors(own, own.fields[0]):
        output.append(documents, batch, len(documents), "")
    output.finish()
    with pytest.raises(EncoderMismatchError, match=f"{encoder.vocabulary.digest} of imported"):
        imported(tmp_path / "c", made, PIECES)
    assert not (tmp_path / "c").exists()
    bm25, _ = imported(tmp_path / "bm25", encoded(PIECES), PIECES)
    with pytest.raises(EncoderMismatchError, match="over the vocabulary"):
        imported(bm25.path, made)
    with pytest.raises(EncoderMismatchError, match="was built with"):
        imported(bm25.path, rows, f"splade:{masked_lm}")
    report = import_vectors(bm25, open_vectors(str(rows)))
    assert report.index.created == 1
    wider = encoded(PIECES, "csr")
    _, report = imported(own.path, wider)
    assert (report.index.created, report.index.rejected, report.new_tokens) == (61, 0, 30521)
    assert hits(own, SearchQuery(tokens={"apple": 1}))


def test_other_fields_are_encoded_from_the_texts(tmp_path, encoded, masked_lm, dense_model):
    source = open_vectors(str(encoded(f"splade:{masked_lm}", "csr", FEW)))
    collection = open_for_import(
        tmp_path / "c", source, f"splade:{masked_lm}", dense=str(dense_model), bm25=True
    )
    import_vectors(collection, source, items(FEW))
    direct = Collection.create(
        tmp_path / "d", encoder_fields(f"splade:{masked_lm}", str(dense_model), True)
    )
    index_documents(direct, items(FEW))
    for using in ("sparse", "bm25"):
        config = SearchConfig(using=using, limit=20)
        found = [
            search(each, SearchQuery("banana 7"), config).hits for each in (collection, direct)
        ]
        assert [(hit.id, hit.score) for hit in found[0]] == [
            (hit.id, hit.score) for hit in found[1]
        ]
    with pytest.raises(EncoderMismatchError):
        open_for_import(tmp_path / "c", source, "bm25")
    assert open_for_import(tmp_path / "c", source, bm25=True).path == collection.path


def test_weights_that_a_collection_cannot_hold_are_counted(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "a", "vector": {"x": 70000, "y": 65504, "z": 1e-9}}\n')
    collection, report = imported(tmp_path / "c", path)
    assert report.cut == 1
    assert hits(collection, SearchQuery(tokens={"x": 1})) == [("a", 65504.0)]
    ((documents, batch),) = stored_vectors(collection, collection.fields[0])
    assert ([each.id for each in documents], batch.values.tolist()) == (["a"], [65504, 65504])
    report = import_vectors(collection, open_vectors(str(path)))
    assert report.index.unchanged == 1


@pytest.mark.parametrize("kind", FORMATS)
def test_export_then_import_is_the_same_collection(tmp_path, encoded, kind):
    collection, _ = imported(tmp_path / "c", encoded("bm25"), "bm25", texts=items(TEXTS))
    collection.delete(["d5"])
    encoder = collection.fields.encoder(collection.fields[0])
    vocabulary = collection.fields.vocabulary(collection.fields[0])
    path = tmp_path / f"out{SUFFIX[kind]}"
    output = VectorOutput(
        path,
        {},
        lambda files: vector_writer(
            kind, files, vocabulary, Maker(encoder.name, encoder.fingerprint)
        ),
    )
    read = 0
    for documents, batch in stored_vectors(collection, collection.fields[0]):
        output.append(documents, batch, read := read + len(documents), "")
    output.finish()
    again, _ = imported(tmp_path / "again", path, "bm25", texts=items(TEXTS))
    collection.maintenance.flush()
    assert again.ids() == collection.ids()
    # Terms have other numbers where a format has tokens in another order, so sums may round apart.
    for found, wanted in zip(by_text(again), by_text(collection), strict=True):
        assert [score for _, score in found] == pytest.approx([score for _, score in wanted])
        assert dict(found).keys() == dict(wanted).keys()


def test_nothing_to_import(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("")
    collection, report = imported(tmp_path / "c", path)
    assert (len(collection), report.index.read) == (0, 0)
    found = search(collection, SearchQuery(tokens={"apple": 1}))
    assert (found.hits, found.unknown_tokens) == ([], ["apple"])
    path.write_text('{"id": "a", "vector": {"apple": 1}}')
    import_vectors(collection, open_vectors(str(path)))
    assert hits(collection, SearchQuery(tokens={"apple": 2})) == [("a", 2.0)]


TOKENS = st.sampled_from(["a", "b", "c", "D", "é", "f g"])
ROWS = st.dictionaries(st.sampled_from("123456"), st.dictionaries(TOKENS, st.integers(1, 9)))


@settings(max_examples=20)
@given(st.lists(ROWS, min_size=1, max_size=4))
def test_files_that_bring_new_tokens_give_what_one_file_gives(parts):
    """Against sums of products; readers that opened it earlier see the same."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        collection, reader, texts, known = None, None, {}, set()
        for rows in parts:
            lines = [json.dumps({"id": name, "vector": row}) for name, row in rows.items()]
            path.write_text("\n".join(lines))
            source = open_vectors(str(path))
            collection = open_for_import(Path(folder) / "c", source)
            import_vectors(collection, source)
            texts |= rows
            known |= {token for row in rows.values() for token in row}
            reader = reader or Collection.open(collection.path)
            query = {"a": 1, "c": 2, "D": 3, "é": 0.5, "f g": 1, "none": 7}
            expected = {
                name: sum(query.get(token, 0) * weight for token, weight in row.items())
                for name, row in texts.items()
            }
            expected = {name: score for name, score in expected.items() if score}
            for each in (collection, reader):
                for engine in ("native", "reference"):
                    config = SearchConfig(limit=9, engine=engine)
                    found = search(each, SearchQuery(tokens=query), config)
                    assert {hit.id: hit.score for hit in found.hits} == expected
                    assert set(found.unknown_tokens) == query.keys() - known
            assert check(collection).problems == []
            collection.close()
        reader.close()


def test_a_growing_vocabulary_is_found_by_a_reader_in_its_tail(tmp_path):
    """Also where rows over fewer and over more terms are merged in memory."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "1", "vector": {"b": 1}}')
    collection, _ = imported(tmp_path / "c", path)
    reader = Collection.open(collection.path)
    assert hits(reader, SearchQuery(tokens={"b": 1})) == [("1", 1.0)]
    before = collection.fields[0]
    for number, token in enumerate("acde", start=2):
        path.write_text(json.dumps({"id": str(number), "vector": {token: number, "b": 1}}))
        source = open_vectors(str(path))
        _learn_tokens(collection, source)
        field = collection.fields[0]
        (item,) = source.items(collection.fields.encoder(field).vocabulary)
        batch = SparseBatch.from_rows([item.vector], field.size)
        collection.upsert([item.document], {field.name: batch})
        assert hits(reader, SearchQuery(tokens={token: 1})) == [(str(number), float(number))]
        assert len(hits(reader, SearchQuery(tokens={"b": 1}))) == number
    after = collection.fields[0]
    assert (before.size, after.size) == (1, 5)
    assert (before.fingerprint != after.fingerprint, before.name) == (True, after.name)
    assert after == Collection.open(collection.path).fields[0]


def test_what_is_read_once_brings_no_tokens(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": "a", "vector": {"apple": 1}}\n')
    collection, _ = imported(tmp_path / "c", rows)
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    lines = '{"id": "b", "vector": {"plum": 1}}\n{"id": "c", "vector": {"apple": 1}}\n'
    with pytest.raises(UsageError, match="which is no file"):
        open_for_import(tmp_path / "other", open_vectors(str(pipe)))
    writer = threading.Thread(target=pipe.write_text, args=[lines])
    writer.start()
    report = import_vectors(collection, open_vectors(str(pipe)))
    writer.join()
    assert (report.index.created, report.index.rejected, report.new_tokens) == (1, 1, 0)


def test_a_vocabulary_does_not_grow_without_bound(tmp_path, monkeypatch):
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": "a", "vector": {"apple": 1}}\n')
    collection, _ = imported(tmp_path / "c", rows)
    monkeypatch.setattr("index.importing.LARGEST_VOCABULARY", 2)
    rows.write_text('{"id": "b", "vector": {"plum": 1, "fig": 1}}\n')
    with pytest.raises(InputError, match="import into a new directory"):
        import_vectors(collection, open_vectors(str(rows)))
    assert (len(collection), collection.fields[0].size) == (1, 1)
