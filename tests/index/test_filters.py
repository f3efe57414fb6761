"""Filters against a plain Python evaluation of their JSON over plain documents."""

import math
import sqlite3
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index import metadata
from index.filter_json import parse_filter_json
from index.filter_text import parse_filter_text
from index.filters import And, Equals, In, Kind, Not, Range, Scalar, check_size
from lsr.errors import InputError

LONG = "z" * 200
strings = st.sampled_from(
    [
        "",
        "a",
        "b",
        "A",
        "é",
        "中",
        "\0",
        "a\0",
        "1",
        "true",
        " ",
        "it's",
        '"',
        "and",
        "2020-01-02",
        "\U0001f9ec",
        "\uffff",
        LONG,
        LONG + "a",
        LONG + "b",
        LONG + " a" * 90,
    ]
)
numbers = st.sampled_from(
    [
        0,
        -0.0,
        1,
        1.0,
        -1,
        2,
        0.1,
        1e300,
        2**53,
        2**53 + 1,
        float(2**53),
        2**63 - 1,
        2**63,
        2**63 + 1,
        -(2**63),
        10**30,
        5e-324,
    ]
)
scalars = strings | numbers | st.booleans()
# The last can't be held by any float: it is no value.
values = st.recursive(
    scalars | st.none() | st.just(10**400),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["b", "c", "b.c", "", "in"]), inner, max_size=3)
    ),
    max_leaves=6,
)
names = ["a", "b", "a.b", "a.b.c", "not", "my key", "ключ", "k" * 512]
documents = st.lists(
    st.dictionaries(st.sampled_from([*names, "", "k" * 513]), values, max_size=4), max_size=8
)
keys = st.sampled_from(names)
bounds = st.one_of(
    *(
        st.tuples(
            st.dictionaries(st.sampled_from(["gt", "gte"]), part, max_size=1),
            st.dictionaries(st.sampled_from(["lt", "lte"]), part, max_size=1),
        )
        for part in (numbers, strings.filter(lambda text: len(text) <= 200))
    )
).filter(any)
conditions = st.one_of(
    st.builds(lambda k, v: {"key": k, "match": {"value": v}}, keys, scalars),
    st.builds(
        lambda k, v: {"key": k, "match": {"any": v}},
        keys,
        st.lists(scalars, min_size=1, max_size=4),
    ),
    st.builds(lambda k, b: {"key": k, "range": b[0] | b[1]}, keys, bounds),
    st.builds(lambda k, v: {"key": k, "exists": v}, keys, st.booleans()),
)
filters = st.recursive(
    conditions,
    lambda inner: st.dictionaries(
        st.sampled_from(["must", "should", "must_not"]),
        st.lists(inner, min_size=1, max_size=3),
        min_size=1,
    ),
    max_leaves=6,
)


def values_under(key, value, path=""):
    """Every value that stands under a dotted key."""
    if isinstance(value, list):
        return [found for element in value for found in values_under(key, element, path)]
    found = [value] if path == key else []
    if isinstance(value, dict):
        for name, member in value.items():
            if not path and not name:
                continue  # no filter can name it
            found += values_under(key, member, f"{path}.{name}" if path else name)
    return found


def kind(value):
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, dict):
        return "object"
    if value is None or value == 10**400:
        return None
    return "number"


def comparable(value):
    """Integers beyond 64 bits compare as floats do."""
    beyond = kind(value) == "number" and isinstance(value, int) and abs(value) > 2**63 - 1
    return float(value) if beyond else value


def passes(document, part):
    """The plain evaluation of a filter's JSON."""
    if "key" not in part:
        return (
            all(passes(document, inner) for inner in part.get("must", []))
            and ("should" not in part or any(passes(document, inner) for inner in part["should"]))
            and not any(passes(document, inner) for inner in part.get("must_not", []))
        )
    found = [value for value in values_under(part["key"], document) if kind(value)]
    if "exists" in part:
        return bool(found) == part["exists"]
    if "match" in part:
        wanted = part["match"].get("any", [part["match"].get("value")])
        return any(
            kind(a) == kind(b) and comparable(a) == comparable(b) for a in found for b in wanted
        )
    tests = {
        "gt": lambda a, b: a > b, "gte": lambda a, b: a >= b,
        "lt": lambda a, b: a < b, "lte": lambda a, b: a <= b,
    }  # fmt: skip
    return any(
        all(
            kind(value) == kind(bound) and tests[name](comparable(value), comparable(bound))
            for name, bound in part["range"].items()
        )
        for value in found
    )


def text_of(part):
    """The text form of a filter's JSON, every key and string quoted."""
    if "key" not in part:
        parts = [f"({text_of(inner)})" for inner in part.get("must", [])]
        for clause, word in (("should", ""), ("must_not", "NOT ")):
            if clause in part:
                parts.append(
                    f"{word}({' OR '.join(f'({text_of(inner)})' for inner in part[clause])})"
                )
        return " and ".join(parts)
    key = quoted(part["key"])
    if "exists" in part:
        return f"{key} exists" if part["exists"] else f"{key} not exists"
    if "match" in part and "value" in part["match"]:
        return f"{key}={quoted(part['match']['value'])}"
    if "match" in part:
        return f"{key} in ({','.join(map(quoted, part['match']['any']))})"
    marks = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
    return " and ".join(f"{key}{marks[n]}{quoted(bound)}" for n, bound in part["range"].items())


def quoted(value):
    if isinstance(value, bool):
        return str(value).lower()
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def stored(made):
    connection = sqlite3.connect(":memory:")
    connection.executescript(metadata.SCHEMA)
    metadata.append_metadata(connection, enumerate(made, start=5))
    return connection


@settings(deadline=None, max_examples=400)
@given(documents, filters)
def test_a_filter_passes_what_its_plain_evaluation_does(made, wanted):
    sequence = np.arange(5, 5 + len(made), dtype=np.int64)
    found = metadata.matching(stored(made), parse_filter_json(wanted), sequence)
    assert found.tolist() == [passes(document, wanted) for document in made]


@settings(deadline=None, max_examples=200)
@given(documents, filters)
def test_the_text_form_means_the_same(made, wanted):
    sequence = np.arange(5, 5 + len(made), dtype=np.int64)
    # A range of two bounds is two conditions in text, which a list may satisfy by two elements.
    if "'range': {'" in repr(wanted):
        made = [
            {name: value for name, value in document.items() if not isinstance(value, list | dict)}
            for document in made
        ]
    found = metadata.matching(stored(made), parse_filter_text(text_of(wanted)), sequence)
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
    connection.executescript(metadata.SCHEMA)
    metadata.append_metadata(connection, ((n, {"n": n}) for n in range(1, 301)))
    wanted = parse_filter_json({"key": "n", "range": {"lt": below}})
    found = metadata.matching(connection, wanted, np.array(asked, np.int64))
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


@settings(max_examples=300)
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
