"""CIFF: pinned bytes, an independent reader of them, and every kind of damage."""

import gzip
import struct
import sys
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.corpus.documents import Document
from lsr.errors import CorruptionError, InputError, LsrError, MissingDependencyError
from lsr.vectors import ciff, ciff_messages
from lsr.vectors.ciff import CiffVectors
from lsr.vectors.ciff_messages import message_class, write_delimited
from lsr.vectors.formats import open_vectors
from lsr.vectors.transposition import Transposition
from lsr.vectors.working_files import WorkingFiles
from lsr.vocabulary import Vocabulary
from tests.lsr.vectors.files import TOKENS, FreshFolder, ids, read, write

ROWS = [
    (Document("é", ""), {1: 3.0, 4: 300.0}),
    (Document("b", ""), {}),
    (Document("c", ""), {1: 1.0}),
]
DESCRIPTION = b"lsr: vectors of bm25,k1=1.5; a weight is tf / scale; scale=1.0"
# Written by hand from the definition: tag bytes are field << 3 | wire type.
PINNED = b"".join(
    [
        # Header: version 1, 2 postings lists, 3 documents, totals, 304 terms, mean, description
        bytes([22 + 2 + len(DESCRIPTION)]),
        b"\x08\x01\x10\x02\x18\x03\x20\x02\x28\x03\x30\xb0\x02\x39",
        struct.pack("<d", 304 / 3),
        bytes([0x42, len(DESCRIPTION)]) + DESCRIPTION,
        # "##x": df 1, cf 300, posting (gap 0 left out, tf 300)
        b"\x0f\x0a\x03##x\x10\x01\x18\xac\x02\x22\x03\x10\xac\x02",
        # "apple": df 2, cf 4, postings (0, 3) and (+2, 1)
        b"\x15\x0a\x05apple\x10\x02\x18\x04\x22\x02\x10\x03\x22\x04\x08\x02\x10\x01",
        # documents 0, 1 and 2 with their lengths 303, 0 and 1
        b"\x07\x12\x02\xc3\xa9\x18\xaf\x02",
        b"\x05\x08\x01\x12\x01b",
        b"\x07\x08\x02\x12\x01c\x18\x01",
    ]
)


@pytest.fixture
def path(tmp_path):
    return write(tmp_path, "ciff", ROWS)[0]


def test_the_file_is_pinned(path):
    assert path.read_bytes() == PINNED


def plain_messages(data):
    """The messages of a file as {field: [values]}, by a reader of the wire format alone."""

    def varint(place):
        value = shift = 0
        while True:
            byte = data[place]
            value |= (byte & 0x7F) << shift
            place, shift = place + 1, shift + 7
            if byte < 0x80:
                return value, place

    def message(place, end):
        fields = {}
        while place < end:
            tag, place = varint(place)
            if tag & 7 == 0:
                value, place = varint(place)
            elif tag & 7 == 1:
                (value,) = struct.unpack("<d", data[place : place + 8])
                place += 8
            else:
                length, place = varint(place)
                value = (place, place + length)
                place += length
            fields.setdefault(tag >> 3, []).append(value)
        return fields

    place = 0
    while place < len(data):
        length, place = varint(place)
        yield message(place, place + length), message
        place += length


def plain_read(data):
    """{id: {token: impact}} of a file."""
    messages = plain_messages(data)
    header, message = next(messages)
    rows, names = {}, {}
    total = 0
    for _ in range(header.get(2, [0])[0]):
        fields, _ = next(messages)
        token = data[slice(*fields[1][0])].decode() if 1 in fields else ""
        number = 0
        assert fields[2] == [len(fields[4])]
        for span in fields[4]:
            posting = message(*span)
            number += posting.get(1, [0])[0]
            rows.setdefault(number, {})[token] = posting[2][0]
            total += posting[2][0]
        assert fields[3] == [sum(message(*span)[2][0] for span in fields[4])]
    for _ in range(header.get(3, [0])[0]):
        fields, _ = next(messages)
        number = fields.get(1, [0])[0]
        names[data[slice(*fields[2][0])].decode()] = rows.get(number, {})
        assert fields.get(3, [0])[0] == sum(rows.get(number, {}).values())
    assert next(messages, None) is None
    assert header.get(6, [0])[0] == total
    return names


weights = st.dictionaries(st.integers(0, len(TOKENS) - 1), st.integers(1, 1 << 20), max_size=9)


@given(st.lists(weights, max_size=9))
@settings(max_examples=50)
def test_an_independent_reader_sees_the_same(rows):
    pairs = [
        (Document(str(n), ""), {t: float(w) for t, w in row.items()}) for n, row in enumerate(rows)
    ]
    with FreshFolder() as folder:
        data = write(folder, "ciff", pairs)[0].read_bytes()
    assert plain_read(data) == {
        str(n): {TOKENS[term]: weight for term, weight in row.items()} for n, row in enumerate(rows)
    }


def test_terms_are_in_the_order_of_their_bytes(tmp_path):
    rows = [(Document("a", ""), dict.fromkeys(range(len(TOKENS)), 1.0))]
    path, _ = write(tmp_path, "ciff", rows)
    assert open_vectors(str(path)).tokens() == sorted(TOKENS, key=str.encode)


entries = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(1, 9)), max_size=60)


@given(st.lists(entries, max_size=6), st.integers(1, 40))
def test_transposition_is_a_stable_sort(calls, at_a_time):
    with FreshFolder() as folder:
        made = Transposition(WorkingFiles(folder), at_a_time)
        for call in calls:
            made.add(*(np.array([entry[i] for entry in call], np.int32) for i in range(3)))
        groups = [list(zip(*map(np.ndarray.tolist, group), strict=True)) for group in made.groups()]
        made.close()
    added = sorted(chain.from_iterable(calls), key=lambda entry: entry[0])
    assert list(chain.from_iterable(groups)) == added
    rows = [{entry[0] for entry in group} for group in groups]
    assert sum(map(len, rows)) == len(set().union(*rows))
    for group, distinct in zip(groups, rows, strict=True):
        assert len(group) <= at_a_time or len(distinct) == 1 or at_a_time < len(calls)


@given(seed=st.integers(0, 1000))
@settings(max_examples=10)
def test_more_postings_than_are_held_at_a_time(seed):
    random = np.random.default_rng(seed)
    rows = [
        (
            Document(str(n), ""),
            {int(t): float(random.integers(1, 9)) for t in random.integers(0, 11, 5)},
        )
        for n in range(60)
    ]
    with pytest.MonkeyPatch.context() as patch, FreshFolder() as folder:
        patch.setattr(Transposition.__init__, "__defaults__", (37,))
        path, _ = write(folder, "ciff", rows, parts=5)
        assert dict(ids(read(path)[0])) == plain_read(path.read_bytes())


def test_a_zipped_file_is_read(path, tmp_path):
    zipped = tmp_path / "z.ciff.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    assert read(zipped) == read(path)
    zipped.write_bytes(zipped.read_bytes()[:-20])
    with pytest.raises(CorruptionError):
        read(zipped)


def test_every_cut_is_refused(path):
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(CorruptionError, match="write or copy it again"):
            read(path)


def test_no_flipped_bit_does_harm(path):
    data = path.read_bytes()
    for place in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            path.write_bytes(flipped)
            try:
                good, _ = read(path, Vocabulary.from_tokens(CiffVectors(path).tokens()))
            except LsrError:
                continue
            for _, row in good:
                assert all(np.isfinite(weight) and weight > 0 for weight in row.values())


def file_of(path, header, lists, records):
    with path.open("wb") as target:
        write_delimited(message_class("Header")(**{"version": 1} | header), target)
        for name, messages in (("PostingsList", lists), ("DocRecord", records)):
            for fields in messages:
                postings = [{"docid": gap, "tf": tf} for gap, tf in fields.pop("postings", [])]
                extra = {"postings": postings} if name == "PostingsList" else {}
                write_delimited(message_class(name)(**fields, **extra), target)
    return path


COUNTS = {"num_postings_lists": 1, "num_doc_records": 2}
RECORDS = [{"docid": 0, "collection_docid": "a"}, {"docid": 3, "collection_docid": "b"}]


@pytest.mark.parametrize(
    ("postings", "df", "reason"),
    [
        ([(0, 1), (3, 1)], 1, "says that it has 1 postings, and has 2"),
        ([(0, 1), (0, 1)], 2, "documents that are not ascending"),
        ([(-1, 1)], 1, "documents that are not ascending"),
        ([(3, 1), (-3, 1)], 2, "documents that are not ascending"),
        ([(2**31 - 1, 1), (1, 1)], 2, "documents that are not ascending"),
        ([(0, -5)], 1, "an impact below 0"),
    ],
)
def test_postings_that_make_no_sense_are_named(tmp_path, postings, df, reason):
    lists = [{"term": "apple", "df": df, "postings": postings}]
    path = file_of(tmp_path / "a.ciff", COUNTS, lists, RECORDS)
    with pytest.raises(CorruptionError, match=f"the postings list 1 .*{reason}"):
        read(path)


def test_documents_are_matched_by_number(tmp_path):
    lists = [{"term": "apple", "df": 3, "postings": [(0, 5), (3, 7), (4, 1)]}]
    path = file_of(tmp_path / "a.ciff", COUNTS, lists, RECORDS)
    good, bad = read(path)
    assert ids(good) == [("a", {"apple": 5.0}), ("b", {"apple": 7.0})]
    assert bad == [(0, "1 documents have postings, but no record that names them")]


def test_postings_of_impact_0_are_left_out_and_counted(tmp_path):
    lists = [
        {"term": "apple", "df": 3, "postings": [(0, 0), (3, 7), (4, 0)]},
        {"term": "plum", "df": 2, "postings": [(0, 0), (3, 0)]},
    ]
    counts = {"num_postings_lists": 2, "num_doc_records": 2}
    source = CiffVectors(file_of(tmp_path / "a.ciff", counts, lists, RECORDS))
    found = list(source.items(Vocabulary.from_tokens(source.tokens())))
    assert [(item.document.id, item.vector.values.tolist()) for item in found] == [
        ("a", []),
        ("b", [7.0]),
    ]
    assert (source.zero_weights, source.tokens()) == (4, ["apple", "plum"])


def test_records_and_terms_that_make_no_sense_are_named(tmp_path):
    apple = {"term": "apple", "df": 1, "postings": [(0, 5)]}
    path = file_of(tmp_path / "a.ciff", COUNTS, [dict(apple)], RECORDS[::-1])
    with pytest.raises(CorruptionError, match="record 2 has the number 0 after 3"):
        read(path)
    no_id = [{"docid": 0}, RECORDS[1]]
    path = file_of(tmp_path / "b.ciff", COUNTS, [dict(apple)], no_id)
    good, bad = read(path)
    assert (ids(good), bad[0][0]) == ([("b", {})], 1)
    assert "has no id" in bad[0][1]
    twice = {"num_postings_lists": 2, "num_doc_records": 0}
    path = file_of(tmp_path / "c.ciff", twice, [dict(apple), dict(apple)], [])
    with pytest.raises(CorruptionError, match="list 2 is of the term 'apple', as one before"):
        read(path)
    long = [{"term": "x" * 2000, "df": 1, "postings": [(0, 5)]}]
    with pytest.raises(CorruptionError, match="bad term"):
        read(file_of(tmp_path / "d.ciff", COUNTS, long, RECORDS))


def test_headers_are_checked(tmp_path, monkeypatch):
    path = tmp_path / "a.ciff"
    with pytest.raises(InputError, match="version 7"):
        CiffVectors(file_of(path, {"version": 7}, [], []))
    with pytest.raises(CorruptionError, match="counts fewer than 0"):
        CiffVectors(file_of(path, {"num_doc_records": -1}, [], []))
    for scale in ("zero", "0", "-2", "inf", "nan"):
        with pytest.raises(InputError, match=f"scale={scale}"):
            CiffVectors(file_of(path, {"description": f"made by me; scale={scale}"}, [], []))
    apple = [{"term": "apple", "df": 1, "postings": [(0, 5)]}]
    ours = "lsr: vectors of m,scale=9; a weight is tf / scale; scale=2.0"
    for description in ("Anserini, scale=2 ", "scale=2, bits=8", "scale=2;", "(scale=2.)", ours):
        lists = [dict(apple[0])]
        path = file_of(path, COUNTS | {"description": description}, lists, RECORDS)
        assert ids(read(path)[0]) == [("a", {"apple": 2.5}), ("b", {})]
    for description in ("", "upscale=2", "autoscale=7, rescaled by scale", "scale: 2"):
        lists = [dict(apple[0])]
        path = file_of(path, COUNTS | {"description": description}, lists, RECORDS)
        assert ids(read(path)[0]) == [("a", {"apple": 5.0}), ("b", {})]
    monkeypatch.setattr(ciff, "LARGEST_VOCABULARY", 0)
    with pytest.raises(InputError, match="more than 0 tokens"):
        read(path)


def test_a_length_that_lies_takes_no_memory(tmp_path):
    path = tmp_path / "a.ciff"
    for lie in (b"\xff\xff\xff\xff\x07", b"\xff\xff\xff\xff\x0f", b"\xff" * 9):
        path.write_bytes(lie + b"x")
        with pytest.raises(CorruptionError, match="the header"):
            CiffVectors(path)


def test_without_protobuf_the_error_names_what_to_install(path, monkeypatch):
    ciff_messages._pool.cache_clear()
    message_class.cache_clear()
    monkeypatch.setitem(sys.modules, "google.protobuf", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'lsr-search\[ciff\]'"):
        CiffVectors(path)
    with pytest.raises(MissingDependencyError, match=r"pip install 'lsr-search\[ciff\]'"):
        write(path.parent, "ciff", ROWS, name="other")
