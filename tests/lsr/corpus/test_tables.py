"""Rows of CSV, TSV and Parquet become the documents that their header says they are."""

import csv
import datetime
import decimal
import io
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.corpus import files
from lsr.corpus.documents import Document
from lsr.corpus.field_names import FieldNames
from lsr.corpus.readers.corpus import Corpus, Reading
from lsr.corpus.readers.csv_rows import read_csv
from lsr.corpus.readers.tsv import read_tsv
from lsr.errors import MissingDependencyError, UsageError

READ = {"csv": read_csv, "tsv": read_tsv}


def read(kind, text, **options):
    data = text if isinstance(text, bytes) else text.encode()
    return list(READ[kind](io.BytesIO(data), "f", **options))


def documents(items):
    return [item.document for item in items]


def written(rows, delimiter=",", **options):
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, **options).writerows(rows)
    return out.getvalue()


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=20)


@given(
    st.lists(st.tuples(CELLS, CELLS), max_size=5),
    st.permutations(["id", "title", "text"]),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_a_csv_writer_wrote_is_read(cells, order, delimiter, end):
    rows = [{"id": f"{n}", "title": t, "text": x} for n, (t, x) in enumerate(cells)]
    table = written(
        [order, *([row[name] for name in order] for row in rows)], delimiter, lineterminator=end
    )
    items = read("csv", table)
    assert [item.reason for item in items] == [""] * len(rows)
    assert documents(items) == [Document(row["id"], row["text"], row["title"]) for row in rows]


LINE = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=20)


@given(st.lists(st.tuples(LINE, LINE), max_size=5), st.permutations(["id", "title", "text"]))
def test_what_a_program_wrote_with_tabs_is_read(cells, order):
    """The form of DPR's psgs_w100.tsv: quoted where needed, quotes doubled, a line a row."""
    rows = [{"id": f"{n}", "title": t, "text": x} for n, (t, x) in enumerate(cells)]
    table = written([order, *([row[name] for name in order] for row in rows)], "\t")
    assert documents(read("tsv", table)) == [
        Document(row["id"], row["text"], row["title"]) for row in rows
    ]


PSGS = (
    'id\ttext\ttitle\n1\t"Aaron ( or ; ""Aharon"") is a prophet and the brother of Moses."\tAaron\n'
    '2\t"The violin is a wooden string instrument."\tViolin\n'
)


def test_dpr_passages_are_read_as_their_header_says():
    assert documents(read("tsv", PSGS)) == [
        Document("1", 'Aaron ( or ; "Aharon") is a prophet and the brother of Moses.', "Aaron"),
        Document("2", "The violin is a wooden string instrument.", "Violin"),
    ]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ('"whole"', "whole"),
        ('"', '"'),
        ('""', ""),
        ('"a" and "b"', '"a" and "b"'),
        ('5" disk', '5" disk'),
        ('"open', '"open'),
    ],
)
def test_quotes_that_no_writer_of_tables_made_stay(cell, text):
    assert documents(read("tsv", f"id\ttext\n1\t{cell}\n")) == [Document("1", text)]
    assert documents(read("tsv", f"1\t{cell}\n")) == [Document("1", cell)]


COLBERT = "0\t{}\tA title\n1\t{}\tAnother\n".format("a passage of some length " * 5, "words " * 20)


def test_three_columns_in_another_order_are_refused_not_swapped():
    (item,) = read("tsv", COLBERT)
    assert "say which is which, as with --columns id,text,title" in item.reason
    found = documents(read("tsv", COLBERT, columns=("id", "text", "title")))
    assert [document.title for document in found] == ["A title", "Another"]
    assert documents(read("tsv", "pid\tpassage\ttitle\n" + COLBERT)) == found


@pytest.mark.parametrize("kind", READ)
@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (["title", "text"], "no column is an id: its columns are 'title', 'text'"),
        (["id", "note"], "no text under 'text' or 'contents'; its keys are 'id', 'note'"),
        (["id", "text", "text"], "a column is there twice"),
        (["sku", "description"], "no column is an id: its columns are 'sku', 'description'"),
    ],
)
def test_a_header_that_is_not_understood_is_refused_with_its_columns(kind, header, reason):
    between = "," if kind == "csv" else "\t"
    (item,) = read(kind, f"{between.join(header)}\n{between.join('1x'[: len(header)])}\n")
    assert item.line == 1
    assert "understood: " in item.reason
    assert reason in item.reason
    assert "--columns" in item.reason


@pytest.mark.parametrize("kind", READ)
def test_fields_are_named_and_others_are_metadata(kind):
    rows = [
        ["SKU", "name", "description", "price", "stock", "code", "note"],
        ["x1", "Saw", "cuts", "9.90", "-3", "007", ""],
    ]
    names = FieldNames("SKU", None, ("name", "description"))
    found = read(kind, written(rows, "," if kind == "csv" else "\t"), names=names)
    metadata = {"price": 9.9, "stock": -3, "code": "007"}
    assert documents(found) == [Document("x1", "Saw\ncuts", "", metadata)]


@pytest.mark.parametrize("kind", READ)
def test_rows_of_another_width_are_refused_alone(kind):
    between = "," if kind == "csv" else "\t"
    lines = ["id", "text"], ["1", "a"], ["2"], ["3", "a", "b"], ["", "x"], ["4", "d"]
    items = read(kind, "\n".join(between.join(row) for row in lines))
    assert [(item.line, bool(item.document)) for item in items] == [
        (2, True),
        (3, False),
        (4, False),
        (5, False),
        (6, True),
    ]
    assert "has 1 cells and the header 2 columns" in items[1].reason


def test_a_csv_without_a_header_has_its_columns_named():
    assert documents(read("csv", "1,a\n2,b\n", columns=("id", "text"))) == [
        Document("1", "a"),
        Document("2", "b"),
    ]


def test_spreadsheets_say_what_is_between_the_cells():
    assert documents(read("csv", 'sep=;\r\nid;text\r\n1;"a;b"\r\n')) == [Document("1", "a;b")]


@pytest.mark.parametrize(
    ("row", "line", "reason"),
    [
        ('2,"a"b\n', 3, "no row of a table"),
        ("2,caf\udce9\n", 3, "not UTF-8"),
        ('2,"not closed\n', 3, "no row of a table"),
    ],
)
def test_a_broken_row_is_named(row, line, reason):
    table = f"id,text\n1,a\n{row}3,c\n".encode(errors="surrogateescape")
    items = read("csv", table)
    bad = [item for item in items if item.document is None]
    assert [item.line for item in bad] == [line]
    assert reason in bad[0].reason
    assert items[0].document == Document("1", "a")


def test_rows_after_one_over_several_lines_keep_their_line_numbers():
    items = read("csv", 'id,text\n1,"a\nb\nc"\n\n2\n')
    assert [(item.line, bool(item.document)) for item in items] == [(2, True), (6, False)]


def test_a_cell_that_is_too_long_is_named(monkeypatch):
    monkeypatch.setattr(files, "LONGEST_LINE", 1000)
    for size, good in ((997, True), (998, False), (5000, False)):
        first, second = read("csv", f"id,text\n1,{'x' * size}\n2,b\n")
        assert second.document == Document("2", "b")
        assert bool(first.document) == good
        assert good or "longer than" in first.reason


@pytest.mark.parametrize("head", [b"id\rx,text\n1,a", b'sep="\nid,text\n1,a', b"id,te\xffxt\n1,a"])
def test_headers_that_break_the_parser_are_named(head):
    for item in read("csv", head):
        assert (item.document is None) == bool(item.reason)


@given(st.binary(max_size=200), st.sampled_from(list(READ)), st.booleans())
def test_any_bytes_give_items(data, kind, header):
    for item in read(kind, b"id,text\tid\n" * header + data):
        assert (item.document is None) == bool(item.reason)
        assert "\n" not in item.reason


@pytest.fixture
def parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def write(rows):
        path = tmp_path / "a.parquet"
        parquet.write_table(arrow.Table.from_pylist(rows), path)
        return path

    return write


def test_parquet(parquet):
    when = datetime.datetime(2020, 5, 17, 12, tzinfo=datetime.UTC)
    rows = [
        {
            "id": 1,
            "text": "a",
            "title": "t",
            "when": when,
            "price": decimal.Decimal("1.5"),
            "tags": ["x", "y"],
            "by": {"name": "Ann"},
        },
        {"id": 2, "text": None, "title": None, "when": None, "price": None, "tags": [], "by": None},
    ]
    first, second = documents(Corpus(str(parquet(rows))))
    assert first == Document(
        "1",
        "a",
        "t",
        {
            "when": "2020-05-17T12:00:00+00:00",
            "price": 1.5,
            "tags": ["x", "y"],
            "by": {"name": "Ann"},
        },
    )
    assert (second.id, second.text, second.metadata["tags"]) == ("2", "", [])


def test_parquet_columns_are_named_or_refused(parquet):
    path = parquet([{"sku": "1", "note": "a"}])
    (item,) = Corpus(str(path))
    assert "its keys are 'sku', 'note'" in item.reason
    reading = Reading(FieldNames("sku", None, ("note",)))
    assert documents(Corpus(str(path), reading)) == [Document("1", "a")]


def test_broken_parquet_is_named(parquet):
    path = parquet([{"id": "1", "text": "a" * 1000}])
    path.write_bytes(path.read_bytes()[:-20])
    (item,) = Corpus(str(path))
    assert "can't be read further" in item.reason


def test_a_missing_extra_is_said_with_the_line_that_installs_it(parquet, monkeypatch):
    path = parquet([{"id": "1", "text": "a"}])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'lsr-search\[parquet\]'"):
        list(Corpus(str(path)))


@pytest.mark.parametrize(
    ("name", "reading", "reason"),
    [
        ("a.jsonl", Reading(columns=("id", "text")), "--columns is for .csv and .tsv files"),
        ("a.txt", Reading(FieldNames(id="a")), "is one document"),
        ("irds:vaswani", Reading(FieldNames(id="a")), "names its own fields"),
        ("-", Reading(columns=("id",)), "--columns is for"),
    ],
)
def test_a_reading_without_effect_is_refused(tmp_path, name, reading, reason):
    (tmp_path / "a.jsonl").touch()
    (tmp_path / "a.txt").touch()
    source = str(tmp_path / name) if name.startswith("a.") else name
    with pytest.raises(UsageError, match=reason):
        Corpus(source, reading)
