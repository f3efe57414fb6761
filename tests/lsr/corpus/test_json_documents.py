"""However documents are written as JSON, they are the same documents."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.corpus import files
from lsr.corpus.documents import Document
from lsr.corpus.field_names import FieldNames
from lsr.corpus.readers.corpus import Corpus
from lsr.corpus.readers.json_documents import read_json_documents

RECORDS = [
    {"_id": "1", "text": 'cats "hunt" [mice]', "year": 1999},
    {"_id": "2", "text": "", "title": "a, b"},
    {"_id": "3", "text": "中 \u2028 é\n", "deep": {"list": [1, {"a": None}]}},
]
FORMS = {
    "lines": lambda records: "\n".join(map(json.dumps, records)),
    "lines with spaces": lambda records: "\n\n  ".join(map(json.dumps, records)) + " \n\n",
    "array": json.dumps,
    "array of lines": lambda records: "[\n" + ",\n".join(map(json.dumps, records)) + "\n]\n",
    "indented array": lambda records: json.dumps(records, indent=2),
    "indented objects": lambda records: "\n".join(json.dumps(each, indent=4) for each in records),
    "objects with commas": lambda records: ",\n".join(
        json.dumps(each, indent=1) for each in records
    ),
    "characters as they are": lambda records: json.dumps(records, ensure_ascii=False, indent=1),
}


def read(text, **options):
    data = text if isinstance(text, bytes) else text.encode()
    return list(read_json_documents(io.BytesIO(data), "f", **options))


def ids(items):
    return [item.document and item.document.id for item in items]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_documents(form):
    found = [item.document for item in read(FORMS[form](RECORDS))]
    assert found == [item.document for item in read(FORMS["lines"](RECORDS))]
    assert len(found) == 3


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.lists(
        st.fixed_dictionaries(
            {"text": st.text(st.characters(exclude_categories=["Cs"])), "x": VALUES}
        ),
        max_size=4,
    ),
    st.sampled_from(list(FORMS)),
)
def test_any_objects_in_any_form(values, form):
    records = [{"_id": str(number), **value} for number, value in enumerate(values)]
    items = read(FORMS[form](records))
    assert [item.reason for item in items] == [""] * len(records)
    assert [item.document for item in items] == [
        Document(each["_id"], each["text"], metadata={"x": each["x"]}) for each in records
    ]


def test_items_name_the_line_they_begin_on():
    items = read(json.dumps(RECORDS, indent=2) + "\n")
    assert [item.line for item in items] == [2, 7, 12]


@pytest.mark.parametrize(
    ("text", "good", "line", "reason"),
    [
        ('[\n{"id": "1", "text": "a"},\n{"id": "2", "text" "b"}\n]', ["1"], 3, "not valid JSON"),
        ('[\n{"id": "1", "text": "a"},\n', ["1"], 3, "the array isn't closed"),
        ('[\n{"id": "1", "text": "a"},\n{"id": "2", "te', ["1"], 3, "not valid JSON"),
        ('{\n"id": "1"', [], 2, "not valid JSON"),
        ("no json", [], 1, "not valid JSON"),
        ('[\n{"id": "1", "text": "a"},\n{"id": "2", "text": "b", "x": NaN}]', ["1"], 3, "NaN"),
        ('[\n{"id": "1", "text": "a"},\n[1], 2, "x"]', ["1"], 3, "not a list"),
        (f'[\n{{"id": "1", "text": "a"}},\n{{"id": {"9" * 5000}}}]', ["1"], 3, "has 5,000 digits"),
        ("[" * 100_000, [], 1, "nested too deeply"),
        ('{"a":' * 100_000, [], 1, "nested too deeply"),
    ],
)
def test_broken_json_is_named_and_what_stands_before_it_read(text, good, line, reason):
    items = read(text)
    assert [each for each in ids(items) if each] == good
    first = next(item for item in items if item.document is None)
    assert first.line == line
    assert reason in first.reason


def test_a_broken_line_among_lines_spoils_no_other():
    items = read('{"id": "1", "text": \n{"id": "2", "text": "b"}\n["x"]\n{"id": "3", "text": "c"}')
    assert ids(items) == [None, "2", None, "3"]
    items = read('{"id": \n"text": \n\n{"id": "2", "text": "b"}\n')
    assert ids(items) == [None, None, "2"]


def test_bytes_that_are_no_utf_8_spoil_one_object_of_an_array():
    items = read(b'[\n{"id": "1", "text": "caf\xe9"},\n{"id": "2", "text": "b"}]')
    assert ids(items) == [None, "2"]


@pytest.mark.parametrize("size", [100, 70_000, 300_000])
def test_long_arrays_on_one_line_are_read_in_parts(monkeypatch, size):
    records = [{"_id": str(number), "text": "x" * 99} for number in range(size // 100)]
    text = json.dumps(records)
    monkeypatch.setattr(files, "LONGEST_LINE", 140_000)
    assert ids(read(text)) == [each["_id"] for each in records]


def test_a_value_that_is_too_long_is_named(monkeypatch):
    monkeypatch.setattr(files, "LONGEST_LINE", 100_000)
    (item,) = read('[{"_id": "1", "text": "' + "x" * 400_000)
    assert "longer than" in item.reason


def test_an_object_alone_is_called_as_its_file(tmp_path):
    folder = tmp_path / "docs"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.json").write_text('{\n"title": "A",\n"contents": "cats"\n}')
    (folder / "b.json").write_text('[{"contents": "no id"}, {"id": "2", "contents": "dogs"}]')
    assert ids(Corpus(str(folder))) == [None, "2", "deep/a.json"]


@pytest.mark.parametrize(
    ("record", "names", "expected"),
    [
        ({"id": "1", "description": "d", "name": "n"}, {}, Document("1", "d", "n")),
        ({"docno": 7, "body": "b", "Title": "t"}, {}, Document("7", "b", "t")),
        ({"ID": "1", "Text": "b", "name": "n"}, {}, Document("1", "b", "n")),
        ({"id": "1", "text": "b", "name": "n"}, {}, Document("1", "b", "", {"name": "n"})),
        (
            {"sku": "s", "id": 3, "name": "n", "description": "d", "text": "t"},
            {"id": "sku", "text": ("name", "description")},
            Document("s", "n\nd", "", {"id": 3, "text": "t"}),
        ),
        (
            {"id": "1", "a": "x", "b": None, "c": 5},
            {"text": ("a", "b", "c", "d")},
            Document("1", "x\n5"),
        ),
        (
            {"id": "1", "text": "b", "h": "n", "title": "t"},
            {"title": "h"},
            Document("1", "b", "n", {"title": "t"}),
        ),
    ],
)
def test_members_are_found_by_their_usual_names_or_those_given(record, names, expected):
    (item,) = read(json.dumps(record), names=FieldNames(**names))
    assert item.document == expected, item.reason


@pytest.mark.parametrize(
    ("record", "names", "reason"),
    [
        (
            {"id": "1", "note": "n"},
            {},
            "text under 'text' or 'contents'; its keys are 'id', 'note'",
        ),
        ({"text": "n", "key": 1}, {}, "no id; its keys are 'text', 'key'"),
        (
            {"id": "1", "text": "n"},
            {"text": ("a", "b")},
            "text under 'a', 'b'; its keys are 'id', 'text'",
        ),
        ({"id": "1", "text": "n"}, {"id": "sku"}, "no id; its keys are 'id', 'text'"),
        ({"id": "1", "text": ["a"]}, {}, "the text is a list"),
        ({"id": "1", "a": "x", "b": {}}, {"text": ("a", "b")}, "the text 'b' is an object"),
    ],
)
def test_what_is_missing_is_said_with_the_keys_that_are_there(record, names, reason):
    (item,) = read(json.dumps(record), names=FieldNames(**names))
    assert item.document is None
    assert reason in item.reason


def test_items_that_are_no_documents_keep_their_id():
    items = read('{"id": "1"}\n{"id": "2", "text": 5}\n{"text": "a"}\nbroken')
    assert [item.id for item in items] == ["1", "2", "", ""]


def test_an_empty_file_has_no_documents(tmp_path):
    (tmp_path / "a.json").write_text(" \n")
    assert list(Corpus(str(tmp_path / "a.json"))) == []
