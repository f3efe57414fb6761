"""Encoding into files: whatever interrupts it, the file is the same in the end."""

import gzip
import json

import numpy as np
import pytest

from lsr.corpus.documents import Document
from lsr.corpus.items import Item
from lsr.encoders.catalogue import load_encoder
from lsr.encoding.runs import encode_items
from lsr.errors import CorruptionError, UsageError
from lsr.vectors.csr import Maker
from lsr.vectors.formats import FORMATS, open_vectors, vector_writer
from lsr.vectors.output import VectorOutput
from tests.recorded_progress import RecordedProgress

TEXTS = {f"d{n}": "apple " * (n % 7) + f"banana number {n}" for n in range(50)} | {"empty": ""}
SUFFIX = {"jsonl": ".jsonl.gz", "seismic": ".jsonl", "csr": ".safetensors", "ciff": ".ciff"}


def items(texts):
    return [Item("memory", n, Document(*pair)) for n, pair in enumerate(texts.items(), start=1)]


class Interrupted(Exception):
    pass


def interrupted(source, after):
    for number, item in enumerate(source):
        if number == after:
            raise Interrupted
        yield item


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("bm25")


@pytest.fixture
def output(encoder):
    def make(path, kind="jsonl", **settings):
        return VectorOutput(
            path,
            {"format": kind} | settings,
            lambda files: vector_writer(
                kind,
                files,
                encoder.vocabulary,
                Maker(encoder.name, encoder.fingerprint),
                zipped=path.suffix == ".gz",
            ),
        )

    return make


def encode(encoder, source, target, **options):
    report = encode_items(encoder, source, target, chunk_size=8, **options)
    return report, target.finish()


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("after", [1, 8, 9, 30, 50])
def test_an_interrupted_run_ends_with_the_same_file(tmp_path, encoder, output, kind, after):
    whole = tmp_path / f"whole{SUFFIX[kind]}"
    encode(encoder, items(TEXTS), output(whole, kind))
    path = tmp_path / f"resumed{SUFFIX[kind]}"
    with pytest.raises(Interrupted):
        encode(encoder, interrupted(items(TEXTS), after), output(path, kind))
    assert not path.exists()
    kept = after // 8 * 8
    for file in (tmp_path / f"{path.name}.part").iterdir():
        if file.name != "journal.json":
            with file.open("ab") as stream:
                stream.write(b"of a chunk that was not written to its end")
    report, _ = encode(encoder, items(TEXTS), output(path, kind))
    assert (report.kept, report.encoded) == (kept, len(TEXTS) - kept)
    assert path.read_bytes() == whole.read_bytes()
    assert not (tmp_path / f"{path.name}.part").exists()


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_written_is_what_the_encoder_gives(tmp_path, encoder, output, kind):
    path = tmp_path / f"a{SUFFIX[kind]}"
    report, notes = encode(encoder, items(TEXTS), output(path, kind))
    expected = encoder.encode_documents(list(TEXTS.values()))
    vocabulary = encoder.vocabulary.extended(expected.words)
    found = list(open_vectors(str(path)).items(vocabulary))
    assert [item.document.id for item in found] == list(TEXTS)
    for item, row in zip(found, expected, strict=True):
        assert item.vector.indices.tolist() == row.indices.tolist()
        assert item.vector.values.tolist() == row.values.tolist()
    assert (report.encoded, report.weights, notes) == (51, expected.nnz, [])


def test_bad_and_repeated_items_are_named_and_left_out(tmp_path, encoder, output):
    source = items({"a": "apple", "b": "plum"})
    source += [Item("memory", 3, None, "no text"), Item("memory", 4, Document("a", "fig"))]
    progress = RecordedProgress()
    path = tmp_path / "a.jsonl"
    report, _ = encode(encoder, source, output(path), progress=progress)
    assert (report.encoded, report.rejected, report.read) == (2, 2, 4)
    assert progress.sentences == [
        "memory:3: no text",
        "memory:4: the id 'a' was given before, at memory:1; the first is kept",
    ]
    lines = path.read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["a", "b"]


@pytest.mark.parametrize(
    "change",
    [
        lambda texts: texts | {"d3": "another text"},
        lambda texts: dict(list(texts.items())[:20]),
        lambda texts: dict(list(texts.items())[1:]),
    ],
)
def test_another_corpus_is_not_gone_on_with(tmp_path, encoder, output, change):
    path = tmp_path / "a.jsonl"
    with pytest.raises(Interrupted):
        encode(encoder, interrupted(items(TEXTS), 33), output(path))
    with pytest.raises(UsageError, match="the corpus isn't the one"):
        encode(encoder, items(change(TEXTS)), output(path))


def test_a_corpus_that_grew_behind_its_last_chunk_is_another(tmp_path, encoder, output):
    path = tmp_path / "a.jsonl"
    encode_items(encoder, items(dict(list(TEXTS.items())[:20])), output(path), chunk_size=8)
    with pytest.raises(UsageError, match="the corpus isn't the one"):
        encode(encoder, items(TEXTS), output(path))


def test_other_settings_are_not_gone_on_with(tmp_path, encoder, output):
    path = tmp_path / "a.jsonl"
    with pytest.raises(Interrupted):
        encode(encoder, interrupted(items(TEXTS), 33), output(path, encoder="x"))
    with pytest.raises(UsageError, match=r"begun with other settings \(encoder\)"):
        output(path, encoder="y")


def test_a_file_that_is_there_is_kept(tmp_path, output):
    path = tmp_path / "a.jsonl"
    path.write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        output(path)
    assert path.read_text() == "mine"


def test_damaged_working_files_are_refused(tmp_path, encoder, output):
    path = tmp_path / "a.jsonl"
    with pytest.raises(Interrupted):
        encode(encoder, interrupted(items(TEXTS), 33), output(path))
    part = tmp_path / "a.jsonl.part"
    lines = (part / "lines").read_bytes()
    (part / "lines").write_bytes(lines[:-1])
    with pytest.raises(CorruptionError, match="shorter than"):
        encode(encoder, items(TEXTS), output(path))
    for journal in (b"{", b"[]", b"{}", b'{"settings": {}}', b"\xff"):
        (part / "journal.json").write_bytes(journal)
        with pytest.raises(CorruptionError, match="can't be read; delete"):
            output(path)


def test_queries_are_encoded_as_queries(tmp_path, masked_lm):
    encoder = load_encoder(f"splade:{masked_lm}")
    path = tmp_path / "q.jsonl"
    maker = Maker(encoder.name, encoder.fingerprint)
    target = VectorOutput(
        path, {}, lambda files: vector_writer("jsonl", files, encoder.vocabulary, maker)
    )
    encode(encoder, items({"q": "a wing"}), target, queries=True)
    (item,) = open_vectors(str(path)).items(encoder.vocabulary)
    expected = encoder.encode_queries(["a wing"])
    np.testing.assert_array_equal(item.vector.values, expected.values)


def test_queries_that_need_a_collection_are_refused(tmp_path, encoder, output):
    with pytest.raises(UsageError, match="weighed by the statistics of a collection"):
        encode(encoder, items(TEXTS), output(tmp_path / "a.jsonl"), queries=True)


def test_each_chunk_is_a_member_of_a_zipped_file(tmp_path, encoder, output):
    path = tmp_path / "a.jsonl.gz"
    encode(encoder, items(TEXTS), output(path))
    lines = gzip.decompress(path.read_bytes()).splitlines()
    assert [json.loads(line)["id"] for line in lines] == list(TEXTS)


def output_of(encoder, path):
    def writer(files):
        return vector_writer("csr", files, encoder.vocabulary, Maker(encoder.name, "f"))

    return VectorOutput(path, {}, writer)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_models_vectors_are_looked_at_whatever_the_number_of_processes(
    tmp_path, masked_lm, processes
):
    encoder = load_encoder(str(masked_lm))
    path, progress = tmp_path / "a.safetensors", RecordedProgress()
    target = output_of(encoder, path)
    report, _ = encode(encoder, items(TEXTS), target, processes=processes, progress=progress)
    expected = [
        row
        for start in range(0, len(TEXTS), 8)
        for row in encoder.encode_documents(list(TEXTS.values())[start : start + 8])
    ]
    found = list(open_vectors(str(path)).items(encoder.vocabulary))
    for item, row in zip(found, expected, strict=True):
        assert item.vector.indices.tolist() == row.indices.tolist()
        np.testing.assert_allclose(item.vector.values, row.values, rtol=1e-4, atol=1e-5)
    # The text that is empty has no vector, and says nothing about the model.
    mean = np.mean([len(row) for row in expected[:-1]])
    assert [each[:2] for each in progress.healths] == [("vectors", report.health)]
    assert (report.health.documents, report.health.non_zeros) == (50, pytest.approx(mean))
    assert report.tokens > 5 * 50


def test_a_vector_that_is_not_finite_is_rejected_by_name(tmp_path, encoder, output, monkeypatch):
    plain = type(encoder).encode_documents

    def spoil(self, texts):
        batch = plain(self, texts)
        for row, text in enumerate(texts):
            if "number 9" in text:
                batch.values[batch.indptr[row]] = np.inf
        return batch

    monkeypatch.setattr(type(encoder), "encode_documents", spoil)
    progress, path = RecordedProgress(), tmp_path / "a.jsonl"
    report, _ = encode(encoder, items(TEXTS), output(path), progress=progress)
    assert (report.encoded, report.rejected) == (len(TEXTS) - 1, 1)
    (said,) = progress.sentences
    assert said.startswith("memory:10: the encoder of the documents gave a vector with numbers")
    written = [json.loads(line)["id"] for line in path.read_text().splitlines()]
    assert written == [name for name in TEXTS if name != "d9"]
