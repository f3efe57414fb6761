"""JSON lines: what is refused, and that Anserini and Seismic read what we write."""

import gzip
import io
import json
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lsr.corpus import items
from lsr.corpus.documents import Document
from lsr.errors import InputError, UsageError
from lsr.vectors import json_lines
from lsr.vectors.formats import open_vectors
from lsr.vectors.json_lines import numbers
from tests.lsr.vectors.files import VOCABULARY, floats, ids, read, write

GOOD = b'{"id": "1", "vector": {"apple": 2}}\n'


@given(arrays(np.float32, st.integers(0, 30), elements=floats))
def test_numbers_give_the_same_bits_back(values):
    text = numbers(values)
    assert [np.float32(json.loads(number)) for number in text] == values.tolist()


def test_numbers_are_short():
    values = np.array([0.1, 3, 1e-8, 2.7182817], np.float32)
    assert numbers(values) == ["0.1", "3", "1e-08", "2.7182817"]


def test_lines_are_pinned(tmp_path):
    rows = [(Document("é", "some text", "Title"), {1: 0.5, 2: 3.0}), (Document("b", ""), {})]
    path, _ = write(tmp_path, "jsonl", rows)
    assert path.read_text() == (
        '{"id": "é", "contents": "Title some text", "vector": {"apple": 0.5, "a \\"b\\\\": 3}}\n'
        '{"id": "b", "contents": "", "vector": {}}\n'
    )
    path, _ = write(tmp_path, "seismic", rows[1:], name="seismic")
    assert path.read_text() == '{"id": "b", "content": "", "vector": {}}\n'
    path, _ = write(tmp_path, "jsonl", rows[1:], name="bare", contents=False)
    assert path.read_text() == '{"id": "b", "vector": {}}\n'


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not valid JSON"),
        (b"[1, 2]", 'no "vector"'),
        (b'{"id": "1"}', 'no "vector"'),
        (b'{"id": "1", "vector": [1, 2]}', 'no "vector"'),
        (b'{"vector": {"apple": 1}}', "has no id"),
        (b'{"id": "", "vector": {"apple": 1}}', "has no id"),
        (b'{"id": "1", "vector": {"apple": NaN}}', "NaN is not allowed"),
        (b'{"id": "1", "vector": {"apple": Infinity}}', "Infinity is not allowed"),
        (b'{"id": "1", "vector": {"apple": 1e999}}', "1e999 is not allowed"),
        (b'{"id": "1", "vector": {"apple": 1e300}}', "weights are finite"),
        (b'{"id": "1", "vector": {"apple": 1' + b"0" * 400 + b"}}", "more than 64 bits"),
        (b'{"id": "1", "vector": {"apple": -0.5}}', "not negative"),
        (b'{"id": "1", "vector": {"apple": "1"}}', "is no number"),
        (b'{"id": "1", "vector": {"apple": true}}', "is no number"),
        (b'{"id": "1", "vector": {"apple": null}}', "is no number"),
        (b'{"id": "1", "vector": {"apple": 1, "apple": 2}}', "'apple' stands twice"),
        (b'{"id": "1", "vector": {"plum": 1}}', "1 of 1 tokens are not in the vocabulary"),
        (b'{"id": "1", "vector": {"\\ud800": 1}}', "not in the vocabulary"),
        (b'{"id": "\\ud800", "vector": {}}', "surrogate"),
        (b'{"id": "1", "contents": 3, "vector": {}}', "give a string"),
        (b'{"id": "1", "vector": {"apple": 1}} \xff', "not UTF-8"),
        (b'{"id": "1", "x": ' + b"[" * 500 + b"]" * 500 + b', "vector": {}}', "nested"),
        (b"[" * 200_000, "nested"),
    ],
)
def test_a_bad_line_is_named_and_the_good_are_kept(tmp_path, line, reason):
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD + b"\n" + line + b"\n" + GOOD.replace(b"1", b"2"))
    good, bad = read(path)
    assert ids(good) == [("1", {"apple": 2.0}), ("2", {"apple": 2.0})]
    assert [number for number, _ in bad] == [3]
    assert reason in bad[0][1]


def test_over_long_lines_and_cut_off_archives(tmp_path, monkeypatch):
    monkeypatch.setattr(items, "LONGEST_LINE", 100)
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD + b'{"id": "' + b"x" * 300 + b'", "vector": {}}\n' + GOOD)
    good, bad = read(path)
    assert (len(good), [line for line, _ in bad]) == (2, [2])
    assert "longer than" in bad[0][1]
    zipped = tmp_path / "b.jsonl.gz"
    zipped.write_bytes(gzip.compress(GOOD) + gzip.compress(GOOD * 50)[:-12])
    good, bad = read(zipped)
    assert len(good) >= 1
    assert "can't be read further" in bad[-1][1]


def test_a_folder_is_read_file_by_file_in_order_of_names(tmp_path):
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(GOOD.replace(b"1", b"2")))
    (tmp_path / "a.json").write_bytes(GOOD)
    (tmp_path / "notes.txt").write_bytes(b"no vectors")
    source = open_vectors(str(tmp_path))
    items = list(source.items(VOCABULARY))
    assert [item.document.id for item in items] == ["1", "2"]
    assert items[1].place == f"{tmp_path / 'b.jsonl.gz'}:1"
    assert source.fraction == 1
    assert source.tokens() == ["apple"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no file of vectors"):
        open_vectors(str(tmp_path / "empty"))


def test_every_name_of_the_text_and_other_members_are_read(tmp_path):
    path = tmp_path / "a.jsonl"
    lines = [
        {"_id": 1, "contents": "one", "vector": {}, "lang": "en"},
        {"id": "2", "content": "two", "title": "T", "vector": {}},
        {"id": "3", "text": "three", "metadata": {"year": 2000}, "vector": {}},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [document for document, _ in read(path)[0]] == [
        Document("1", "one", metadata={"lang": "en"}),
        Document("2", "two", "T"),
        Document("3", "three", metadata={"year": 2000}),
    ]


def test_standard_input_is_read_but_once(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD)))
    source = open_vectors("-")
    with pytest.raises(UsageError, match="give --encoder NAME, or a file"):
        source.tokens()
    assert source.fraction is None
    assert [item.document.id for item in source.items(VOCABULARY)] == ["1"]


def test_tokens_of_malformed_lines_are_no_part_of_the_vocabulary(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    bad = b'{"id": "1", "vector": {"\\ud800": 1}}\n{"id": "", "vector": {"plum": 1}}\n{\n\xff\n'
    long = b'{"id": "1", "vector": {"' + b"a" * 2000 + b'": 1}}\n'
    path.write_bytes(GOOD + bad + long)
    assert open_vectors(str(path)).tokens() == ["apple"]
    monkeypatch.setattr(json_lines, "LARGEST_VOCABULARY", 0)
    with pytest.raises(InputError, match="more than 0 tokens"):
        open_vectors(str(path)).tokens()


@pytest.mark.skipif(find_spec("pyserini") is None, reason="needs pip install '.[lucene]'")
def test_anserini_reads_our_quantised_lines(tmp_path):
    from index.engines.java import start_java

    start_java()
    from jnius import autoclass

    weights = {"a": {1: 0.02, 4: 0.031}, "b": {}, "c": {3: 0.01}}
    rows = [(Document(name, "text"), row) for name, row in weights.items()]
    path, _ = write(tmp_path, "jsonl", rows, scale=100)
    place = autoclass("java.io.File")(str(path)).toPath()
    collection = autoclass("io.anserini.collection.JsonVectorCollection")(place.getParent())
    there, documents = {}, collection.createFileSegment(place).iterator()
    while documents.hasNext():
        document = documents.next()
        there[document.id()] = document.contents().split()
    assert there == {"a": ["apple"] * 2 + ["##x"] * 3, "b": [], "c": ["é"]}


def test_seismic_builds_an_index_of_our_lines(tmp_path):
    seismic = pytest.importorskip("seismic")
    rows = [(Document(f"d{n}", "text"), {1: 1.0 + n, 3: 0.5}) for n in range(20)]
    path, _ = write(tmp_path, "seismic", rows)
    index = seismic.SeismicIndex.build(str(path), n_postings=50)
    assert (index.len, index.nnz) == (20, 40)
    string = seismic.get_seismic_string()
    found = index.batch_search(
        queries_ids=np.array(["q"], dtype=string),
        query_components=[np.array(["apple"], dtype=string)],
        query_values=[np.array([1.0], dtype=np.float32)],
        k=3,
        query_cut=10,
        heap_factor=1.0,
    )
    assert [hit[2] for hit in found[0]] == ["d19", "d18", "d17"]
