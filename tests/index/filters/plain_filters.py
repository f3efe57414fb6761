"""Documents and filters to draw, and what filters mean in plain Python over plain documents."""

from hypothesis import strategies as st

LONG = "z" * 200
# Seconds from the first on.
INSTANTS = {
    "2020-01-02": 0,
    "2020-01-02T00:00:00Z": 0,
    "2020-01-02T01:00+02:00": -3600,
    "2020-01-01 23:30": -1800,
    "2020-01-02T00:00:00.000000001": 1e-9,
}
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
        *INSTANTS,
        "2020-01",
        "2020-01-32",
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
    dates = all(kind(bound) == "string" and bound in INSTANTS for bound in part["range"].values())

    def holds(name, value, bound):
        if kind(value) != kind(bound):
            return False
        if dates and kind(value) == "string" and value in INSTANTS:
            return tests[name](INSTANTS[value], INSTANTS[bound])
        return tests[name](comparable(value), comparable(bound))

    return any(
        all(holds(name, value, bound) for name, bound in part["range"].items()) for value in found
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
