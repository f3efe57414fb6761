"""What is a document, what is none, and when it has changed."""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.corpus.documents import (
    DEEPEST_METADATA,
    LONGEST_ID,
    Document,
    Section,
    parse_document,
)
from lsr.corpus.items import given_items
from lsr.errors import InputError

modest = settings(max_examples=100)
valid_text = st.text(st.characters(codec="utf-8"), max_size=20)
metadata = st.dictionaries(
    valid_text, st.none() | st.booleans() | st.integers() | valid_text, max_size=3
)


def nested(levels):
    value = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize("id_key", ["_id", "id"])
@pytest.mark.parametrize("text_key", ["text", "contents"])
def test_both_spellings_of_id_and_text(id_key, text_key):
    assert parse_document({id_key: "a", text_key: "b"}) == Document("a", "b")


def test_underscore_id_and_text_win_over_the_other_spelling():
    record = {"id": "2", "_id": "1", "contents": "d", "text": "c"}
    assert parse_document(record) == Document("1", "c")


@modest
@given(st.integers())
def test_integer_ids_become_strings(number):
    assert parse_document({"id": number, "text": ""}).id == str(number)


def test_null_text_and_title_are_empty():
    assert parse_document({"_id": "a", "title": None, "text": None}) == Document("a", "")


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"year": 1999}, {"year": 1999}),
        ({"metadata": {"year": 1999}}, {"year": 1999}),
        ({"metadata": {"year": 1999, "url": "u"}, "year": 2001}, {"year": 2001, "url": "u"}),
        ({"metadata": ["x"]}, {"metadata": ["x"]}),
        ({"metadata": None}, {}),
    ],
)
def test_other_members_become_metadata(record, expected):
    assert parse_document({"_id": "a", "text": "b"} | record).metadata == expected


def test_the_record_itself_is_left_as_it_was():
    record = {"_id": "a", "text": "b", "metadata": {"c": 1}, "d": 2}
    before = json.dumps(record)
    parse_document(record)
    assert json.dumps(record) == before


@pytest.mark.parametrize(
    ("title", "text", "contents"),
    [("a", "b", "a b"), ("", "b", "b"), ("a", "", "a"), (" ", " ", ""), ("a", " b\n", "a  b")],
)
def test_contents_join_title_and_text(title, text, contents):
    assert Document("1", text, title).contents == contents


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        (["a"], "not a list"),
        ("a", "not a string"),
        (None, "not null"),
        (7, "not the number 7"),
        ({"text": "a"}, "has no id"),
        ({"_id": "", "text": "a"}, "has no id"),
        ({"_id": None, "text": "a"}, "has no id"),
        ({"_id": True, "text": "a"}, "the id a boolean"),
        ({"_id": 1.5, "text": "a"}, "the id the number 1.5"),
        ({"_id": {}, "text": "a"}, "the id an object"),
        ({"_id": "é" * (LONGEST_ID // 2 + 1), "text": "a"}, f"longer than {LONGEST_ID} bytes"),
        ({"_id": "a"}, "has no text"),
        ({"_id": "a", "text": ["b"]}, "the text is a list"),
        ({"_id": "a", "text": "b", "title": 5}, "the title is the number 5"),
        ({"_id": "\ud800", "text": "b"}, "the id holds half of a surrogate pair at character 0"),
        ({"_id": "a", "text": "ab\udfff"}, "the text holds half .* at character 2"),
        ({"_id": "a", "text": "b", "title": "\ud83d"}, "the title holds half"),
        ({"_id": "a", "text": "b", "x": {"y": ["\ud800"]}}, "the metadata holds half"),
        ({"_id": "a", "text": "b", "\ud800": 1}, "the metadata holds half"),
        ({"_id": "a", "text": "b", "x": nested(DEEPEST_METADATA)}, "nested deeper"),
        ({"_id": "a", "text": "b", "x": nested(100_000)}, "nested deeper"),
    ],
)
def test_refusals_are_one_sentence(record, complaint):
    with pytest.raises(InputError, match=complaint) as caught:
        parse_document(record)
    assert "\n" not in str(caught.value)


def test_metadata_may_be_nested_to_the_limit():
    record = {"_id": "a", "text": "b", "x": nested(DEEPEST_METADATA - 1)}
    assert len(parse_document(record).digest()) == 16


@modest
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["_id", "id", "text", "contents", "title", "metadata", "x"]), inner
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_a_document_or_refused(record):
    try:
        document = parse_document(record)
    except InputError:
        return
    document.contents.encode()
    assert document.id
    assert len(document.digest()) == 16


@modest
@given(valid_text, valid_text, valid_text, metadata)
def test_equal_documents_have_equal_digests(identifier, title, text, members):
    first = Document(identifier, text, title, members)
    second = Document(identifier, text, title, dict(reversed(members.items())))
    assert first.digest() == second.digest()


@pytest.mark.parametrize(
    "change",
    [
        {"id": "id2"},
        {"title": "title2"},
        {"text": "text2"},
        {"metadata": {"year": 2000}},
        {"metadata": {"year": "1999"}},
        {"metadata": {}},
        {"title": "", "text": "title text"},
        {"title": "title text", "text": ""},
    ],
)
def test_digest_changes_with_every_part(change):
    document = Document("id", "text", "title", {"year": 1999})
    assert dataclasses.replace(document, **change).digest() != document.digest()


def test_sections_of_a_program_are_kept_and_make_no_other_document():
    sections = (Section(0, "One", 1), Section(4, "Two", 2))
    given = Document("a", "one two", "t", {"x": 1}, sections)
    (item,) = given_items([given])
    assert item.document.sections == sections
    assert given == Document("a", "one two", "t", {"x": 1})
    assert given.digest() == Document("a", "one two", "t", {"x": 1}).digest()
