"""Metadata columns against plain Python over the documents, whichever way they were read."""

import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.collection import metadata
from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.collection.recent import Recent
from index.collection.schema import SCHEMA
from index.filters.dates import instant
from index.filters.text_form import parse_filter_text
from index.filters.tree import Kind, Scalar
from index.indexing import upsert_documents
from lsr.corpus.documents import Document
from lsr.errors import CorruptionError
from tests.index.filters.plain_filters import documents, names

FIRST = 5


def stored(made):
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCHEMA)
    metadata.append_metadata(connection, enumerate(made, start=FIRST))
    return connection


def held(made, key):
    """The values of each document under a key."""
    found = [metadata.metadata_values(document) for document in made]
    return [{scalar for name, scalar in values if name == key} for values in found]


def values_of(column):
    """The same, as a column has it."""
    found = [set() for _ in range(column.size)]
    for document, code in zip(column.documents.tolist(), column.codes.tolist(), strict=True):
        found[document].add(column.scalar(code))
    return found


@settings(max_examples=100)
@given(documents, st.sampled_from(names), st.data())
def test_columns_hold_what_documents_do(made, key, data):
    numbers = np.arange(FIRST, FIRST + len(made), dtype=np.int64)
    end = data.draw(st.integers(0, len(made)))
    segments = [numbers[:end], numbers[end:]]
    read = metadata.read_columns(stored(made), key, segments)
    numbered = list(enumerate(made, start=FIRST))
    for columns in (read, metadata.columns_of_documents(numbered, [key], segments)[key]):
        assert [values for column in columns for values in values_of(column)] == held(made, key)
        for column in columns:
            scalars = [column.scalar(code) for code in range(len(column.values))]
            assert scalars == sorted(set(scalars))
            assert (np.diff(column.starts) > 0).all()


def order(scalar):
    """What a value sorts by; None: it has no place."""
    kind, value = scalar
    if kind == Kind.OBJECT:
        return None
    if kind == Kind.STRING and (at := instant(value)) is not None:
        return 3, at
    return (4 if kind == Kind.STRING else int(kind)), value


@settings(max_examples=100)
@given(documents, st.sampled_from(names), st.integers(0, 255))
def test_counts_extremes_and_documents_of_each_value(made, key, chosen):
    numbers = np.arange(FIRST, FIRST + len(made), dtype=np.int64)
    (column,) = metadata.read_columns(stored(made), key, [numbers])
    values = held(made, key)
    wanted = np.array([bool(chosen >> n & 1) for n in range(len(made))], dtype=np.bool_)
    counted = {
        scalar: sum(scalar in each for each, asked in zip(values, wanted, strict=True) if asked)
        for scalar in set().union(*values)
    }
    counts = column.counts(wanted).tolist()
    assert {column.scalar(code): count for code, count in enumerate(counts)} == counted
    for place, each in enumerate(values):
        keys = [found for scalar in each if (found := order(scalar)) is not None]
        for extreme, found in ((column.smallest, min), (column.largest, max)):
            code = int(extreme[place])
            assert (code >= 0) == bool(keys)
            assert code < 0 or column.sort_keys[code] == found(keys)
    for scalar in counted:
        having = [place for place, each in enumerate(values) if scalar in each]
        assert sorted(column.having(scalar).tolist()) == having
    assert not len(column.having(Scalar(Kind.STRING, "nowhere")))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01", 0),
        ("1970-01-02T00:00", 86_400),
        ("1970-01-01 00:00:01Z", 1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:00-0030", 1800),
        ("1970-01-01T00:00:00,5", 0.5),
        ("1969-12-31T23:59:59.999999999Z", -1e-9),
        ("0001-01-01", -62_135_596_800),
        ("9999-12-31T23:59:59-12:00", 253_402_343_999),
    ],
)
def test_dates_name_instants(text, seconds):
    assert instant(text) == round(seconds * 1e9) or instant(text) == int(seconds) * 10**9


NO_DATES = """1970|1970-01|19700101|1970-02-30|1970-01-01T|1970-01-01T24:00|1970-01-01T00:00:60
1970-01-01T00:00.5|1970-01-01T00:00+25:00|1970-1-1|\u066370-01-01|1970-01-01x|1970-W01-1|"""


@pytest.mark.parametrize("text", NO_DATES.replace("\n", "|").split("|"))
def test_what_is_no_date(text):
    assert instant(text) is None


def documents_of(count):
    return [Document(f"d{n}", "apple", "", {"n": n, "half": n % 2}) for n in range(count)]


@pytest.fixture
def collection(tmp_path):
    made = Collection.create(tmp_path / "c", encoder_fields("bm25"))
    made.maintenance.close()
    return made


def asked(collection, marker):
    """The queries from now on that hold a marker."""
    found = []
    collection.store.connection.set_trace_callback(
        lambda sql: found.append(sql) if marker in sql else None
    )
    return found


def test_columns_are_read_once_for_each_segment(collection):
    upsert_documents(collection, documents_of(400))
    collection.maintenance.flush()
    queries = asked(collection, "group_concat")
    for text in ("n = 1", "n > 5 and half = 0", "half = 1", "not (n exists)"):
        collection.view().masks(parse_filter_text(text))
    assert len(queries) == 2


def test_few_new_documents_are_read_by_themselves(collection):
    upsert_documents(collection, documents_of(400))
    collection.maintenance.flush()
    wanted = parse_filter_text("n >= 399")
    collection.view().masks(wanted)
    queries = asked(collection, "group_concat")
    upsert_documents(collection, [Document("new", "apple", "", {"n": 1000})])
    masks = collection.view().masks(wanted)
    assert [mask.count for mask in masks] == [1, 1]
    assert queries == []


def test_few_new_documents_are_read_from_the_table_where_one_is_damaged(collection):
    upsert_documents(collection, documents_of(400))
    collection.maintenance.flush()
    upsert_documents(collection, [Document("new", "apple", "", {"n": 1000})])
    number = collection.store.sequences(["new"])["new"]
    with collection.store.writing():
        collection.store.connection.execute(
            "UPDATE documents SET metadata = '{}' WHERE sequence = ?", (number,)
        )
    assert [mask.count for mask in collection.view().masks(parse_filter_text("n > 500"))] == [0, 1]


def test_a_damaged_table_is_told(collection):
    upsert_documents(collection, documents_of(3))
    with collection.store.writing():
        collection.store.connection.execute("DELETE FROM metadata WHERE key = 'n' AND value = 1")
    with pytest.raises(CorruptionError, match="metadata key 'n'"):
        collection.view().columns(["n"])
    assert collection.view().columns(["half"])


def test_columns_are_kept_up_to_a_size(collection, monkeypatch):
    monkeypatch.setattr("index.collection.segment.COLUMN_CAPACITY", 10_000)
    upsert_documents(collection, documents_of(3))
    for number in range(20):
        collection.view().columns([f"k{number}"])
    (segment,) = collection.view().segments
    assert isinstance(segment.columns, Recent)
    assert 1 <= len(segment.columns._values) < 10


@pytest.mark.parametrize(
    "row",
    ["'n', 9, 1, 1", "'n', 3, 5, 1", "'n', 2, 'x', 1", "'n', 3, x'00', 1"],
)
def test_a_row_that_was_never_written_is_told(collection, row):
    """Though its key has a tally that fits."""
    upsert_documents(collection, documents_of(3))
    execute = collection.store.connection.execute
    with collection.store.writing():
        execute("DELETE FROM metadata WHERE key = 'n'")
        execute("DELETE FROM tallies WHERE key = 'n'")
        execute(f"INSERT INTO metadata VALUES ({row})")
        try:
            mark = sum(
                metadata._mark(*each)
                for each in execute("SELECT kind, value, sequence FROM metadata WHERE key = 'n'")
            )
        except ValueError:
            mark = 0
        execute("INSERT INTO tallies VALUES ('n', 1, ?)", (mark,))
    with pytest.raises(CorruptionError, match="metadata key 'n'"):
        collection.view().columns(["n"])


def test_keys_are_described(collection):
    upsert_documents(
        collection,
        [
            Document("a", "x", "", {"n": [1, 2.5, "x"], "day": "2026-01-31", "by": {"on": True}}),
            Document("b", "x", "", {"n": 1, "day": ["2026-01-31T08:00Z", "2025-01-01"]}),
            Document("c", "x", "", {"gone": 1, "mixed": ["2025-01-01", "2025-01-x", "2026-01-01"]}),
        ],
    )
    collection.delete(["a"])
    upsert_documents(collection, [Document("d", "x", "", {"by": {"on": True}})])
    wanted = {
        "by": {"object": 1},
        "by.on": {"boolean": 1},
        "day": {"date": 2},
        "gone": {"number": 1},
        "mixed": {"string": 3},
        "n": {"number": 1},
    }
    for _ in range(2):
        assert {each.key: each.kinds for each in collection.columns.describe()} == wanted
    collection.delete(["c"])
    assert [each.key for each in collection.columns.describe()] == ["by", "by.on", "day", "n"]
    with collection.store.writing():
        collection.store.connection.execute("DELETE FROM metadata WHERE key = 'day'")
    with pytest.raises(CorruptionError, match="table of the metadata"):
        collection.columns.describe()
