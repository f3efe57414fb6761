"""Filters against a plain Python evaluation of their JSON over plain documents."""

import math
import sqlite3
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.collection import metadata
from index.collection.column import passing
from index.collection.schema import SCHEMA
from index.filters.json_form import parse_filter_json
from index.filters.text_form import parse_filter_text
from index.filters.tree import And, Equals, In, Kind, Not, Range, Scalar, check_size, conditions_of
from lsr.errors import InputError
from tests.index.filters.plain_filters import documents, filters, passes, scalars, text_of


def stored(made):
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCHEMA)
    metadata.append_metadata(connection, enumerate(made, start=5))
    return connection


def matching(connection, wanted, sequence):
    keys = {part.key for part in conditions_of(wanted)}
    columns = {key: metadata.read_columns(connection, key, [sequence])[0] for key in keys}
    return passing(wanted, columns, len(sequence))


@settings(max_examples=200)
@given(documents, filters)
def test_a_filter_passes_what_its_plain_evaluation_does(made, wanted):
    sequence = np.arange(5, 5 + len(made), dtype=np.int64)
    found = matching(stored(made), parse_filter_json(wanted), sequence)
    assert found.tolist() == [passes(document, wanted) for document in made]


@settings(max_examples=100)
@given(documents, filters)
def test_the_text_form_means_the_same(made, wanted):
    sequence = np.arange(5, 5 + len(made), dtype=np.int64)
    # A range of two bounds is two conditions in text, which a list may satisfy by two elements.
    if "'range': {'" in repr(wanted):
        made = [
            {name: value for name, value in document.items() if not isinstance(value, list | dict)}
            for document in made
        ]
    found = matching(stored(made), parse_filter_text(text_of(wanted)), sequence)
    assert found.tolist() == [passes(document, wanted) for document in made]


def test_what_no_filter_can_name_or_compare_is_no_value():
    nothing = [{"": {"b": 1}}, {"": 1}, {"a": {"k" * 600: 1}}, {"a": None}, {"a": [[], None]}]
    nothing += [{"a": math.nan}, {"a": math.inf}, {"a": -(10**400)}, {}]
    assert [metadata.metadata_values(document) for document in nothing] == [
        {("a", Scalar(Kind.OBJECT, 0))} if isinstance(document.get("a"), dict) else set()
        for document in nothing
    ]


@given(documents, st.integers(0, 255))
def test_removing_leaves_what_was_not_removed(made, chosen):
    connection = stored(made)
    numbered = list(enumerate(made, start=5))
    gone = [item for item in numbered if chosen >> (item[0] - 5) & 1]
    metadata.remove_metadata(connection, gone)
    kept = [item for item in numbered if item not in gone]
    expected = stored([])
    metadata.append_metadata(expected, kept)
    everything = "SELECT * FROM metadata"
    assert connection.execute(everything).fetchall() == expected.execute(everything).fetchall()


@given(st.lists(st.integers(1, 300), unique=True).map(sorted), st.integers(1, 300))
def test_only_the_sequence_numbers_asked_for_are_answered(asked, below):
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCHEMA)
    metadata.append_metadata(connection, ((n, {"n": n}) for n in range(1, 301)))
    wanted = parse_filter_json({"key": "n", "range": {"lt": below}})
    found = matching(connection, wanted, np.array(asked, np.int64))
    assert found.tolist() == [number < below for number in asked]


def test_the_words_of_the_text_form():
    text = "lang = en and year >= 2000 and not (kind in (a, 'b c')) and author EXISTS or x != 007"
    assert parse_filter_text(text) == parse_filter_json(
        {
            "should": [
                {
                    "must": [
                        {"key": "lang", "match": {"value": "en"}},
                        {"key": "year", "range": {"gte": 2000}},
                        {"must_not": [{"key": "kind", "match": {"any": ["a", "b c"]}}]},
                        {"key": "author", "exists": True},
                    ]
                },
                {"must_not": [{"key": "x", "match": {"value": "007"}}]},
            ]
        }
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-1.50", -1.5),
        ("1e3", 1000.0),
        ("TRUE", True),
        ("false", False),
        ("'1'", "1"),
        ('"a""b"', 'a"b'),
        ("01", "01"),
        ("1.", "1."),
        ("2020-01-02", "2020-01-02"),
        ("-", "-"),
        ("Ⅷ", "Ⅷ"),
        ("٣", "٣"),
        ("a.b/c", "a.b/c"),
        ("or", "or"),
    ],
)
def test_words_are_numbers_booleans_or_strings(text, value):
    assert parse_filter_text(f"k = {text}") == Equals("k", Scalar.parse(value))


@settings(max_examples=150)
@given(
    st.lists(
        st.sampled_from(
            [
                "a",
                "b",
                "1",
                "and",
                "or",
                "not",
                "in",
                "exists",
                "(",
                ")",
                ",",
                "=",
                "!=",
                "<",
                ">",
                "!",
                "'",
                "''",
                '"x y"',
                "\ud800",
                "",
                "9" * 5000,
                "-1e999",
            ]
        ),
        max_size=12,
    ).map(" ".join)
)
def test_any_text_is_a_filter_or_refused(text):
    with suppress(InputError):
        check_size(parse_filter_text(text))


json_values = st.recursive(
    scalars | st.none() | st.sampled_from([math.inf, math.nan, 10**400, "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "key",
                    "must",
                    "should",
                    "must_not",
                    "match",
                    "value",
                    "any",
                    "range",
                    "exists",
                    "gt",
                    "gte",
                    "lt",
                    "lte",
                    "other",
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300)
@given(json_values)
def test_any_json_is_a_filter_or_refused(value):
    with suppress(InputError):
        check_size(parse_filter_json(value))


def nested(levels, inner):
    for _ in range(levels):
        inner = {"must_not": [inner, inner]}
    return inner


LEAF = {"key": "a", "exists": True}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([], "not a JSON object"),
        ({}, "a filter is empty; allowed are must, should, must_not"),
        ({"must": []}, "'must' of the filter is empty"),
        ({"must": LEAF}, "'must' of the filter is no list"),
        ({"must": [LEAF], "filter": 1}, "a filter has 'filter'; allowed are must"),
        ({"key": "a"}, "has nothing; give exactly one of match, range, exists"),
        ({"key": "a", "exists": True, "match": {"value": 1}}, "exactly one of match"),
        ({"key": "a", "exists": 1}, "neither true nor false"),
        ({"key": 5, "exists": True}, "not a string"),
        ({"key": "", "exists": True}, "0 characters; allowed are 1 to 512"),
        ({"key": "k" * 513, "exists": True}, "513 characters"),
        ({"key": "\ud800", "exists": True}, "surrogate"),
        ({"key": "a", "match": {"value": None}}, "compares with null"),
        ({"key": "a", "match": {"value": [1]}}, "compares with a list"),
        ({"key": "a", "match": {"value": math.nan}}, "not finite"),
        ({"key": "a", "match": {"value": 10**400}}, "not finite"),
        ({"key": "a", "match": {"any": []}}, "lists no value"),
        ({"key": "a", "match": {"any": "x"}}, "'any' of 'a' is no list"),
        ({"key": "a", "range": {}}, "'range' of 'a' is empty"),
        ({"key": "a", "range": {"gt": 1, "gte": 2}}, "both gt and gte"),
        ({"key": "a", "range": {"gt": 1, "lt": "2"}}, "two numbers or two strings"),
        ({"key": "a", "range": {"gt": True}}, "two numbers or two strings"),
        ({"key": "a", "range": {"gt": "x" * 201}}, "longer than 200 characters"),
        ({"must": [{"must": [LEAF] * 65}]}, "65 conditions"),
        ({"key": "a", "match": {"any": list(range(1001))}}, "1001 values; allowed are 1000"),
        (nested(4, {"must": [LEAF] * 5}), "80 conditions"),
    ],
)
def test_bad_filters_are_refused_in_one_sentence(value, reason):
    with pytest.raises(InputError, match=reason):
        parse_filter_json(value)


@pytest.mark.parametrize("levels", [17, 400])
def test_deep_filters_are_refused(levels):
    deep = LEAF
    for _ in range(levels):
        deep = {"must": [deep]}
    with pytest.raises(InputError, match="nested deeper than 16"):
        parse_filter_json(deep)
    for text in ("(" * levels + "a = 1" + ")" * levels, "not " * levels + "a = 1"):
        with pytest.raises(InputError, match="nested deeper than 16"):
            parse_filter_text(text)
    made = Equals("a", Scalar.parse(1))
    for _ in range(levels):
        made = Not(made)
    with pytest.raises(InputError, match="nested deeper than 16"):
        check_size(made)


def test_filters_made_in_code_are_checked_too():
    with pytest.raises(InputError, match="no value"):
        In("a", ())
    with pytest.raises(InputError, match="no bounds"):
        Range("a")
    with pytest.raises(InputError, match="joins no conditions"):
        check_size(And(()))


def test_true_and_1_are_two_filters():
    assert parse_filter_text("a = true") != parse_filter_text("a = 1")
    assert parse_filter_text("a = 1") == parse_filter_text("a = 1.0")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has its end at character 1 where it needs a key"),
        ("a = b c", "has 'c' at character 7 where it needs and, or, or the end"),
        ("a in (b", r"has its end at character 8 where it needs '\)'"),
        ("and = 1", "has 'and' at character 1 where it needs a key"),
        ("a = 'b", "can't be read at"),
        ("a ! b", "can't be read at '! b'"),
        ("a = 1 and " * 10_000, "longer than 65536"),
    ],
)
def test_bad_texts_say_where(text, reason):
    with pytest.raises(InputError, match=reason):
        parse_filter_text(text)
