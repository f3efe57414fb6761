"""What collections ask of Qdrant gets the same answers from each port."""

import numpy as np
import pytest

from index.qdrant.conditions import NEVER, Between, Either, Every, Match, Neither, Points
from index.qdrant.port import Layout, Point
from lsr.errors import LsrError
from lsr.sparse import SparseBatch, SparseVector

BIG = 1 << 62


def sparse(weights):
    return SparseVector.from_mapping(weights)


@pytest.fixture
def port(new_port):
    made = new_port()
    made.create(Layout(("words",), {"dense": 2}))
    for path, kind in (("tag", "keyword"), ("n", "integer"), ("x", "float"), ("at", "datetime")):
        made.index_payload(path, kind)
    made.write(
        [
            Point(
                n,
                {
                    "tag": [f"t{n % 2}", "all"],
                    "n": n,
                    "x": [n / 2, -1.0],
                    "at": [f"2020-01-0{n}T00:00:00.000001Z"],
                },
                {"words": sparse({n: 1.0, 7: n / 4}), "dense": np.array([1, -n], np.float32)},
            )
            for n in range(1, 7)
        ]
    )
    made.write([Point(BIG, {"state": "kept"})])
    return made


def numbers(found):
    return [point.number for point in found]


def test_points_come_back_as_they_were_written(port):
    found = port.retrieve([3, 99, BIG], True, ["words", "dense"])
    assert sorted(found) == [3, BIG]
    assert found[3].payload["tag"] == ["t1", "all"]
    assert found[3].vectors["words"].indices.tolist() == [3, 7]
    assert found[3].vectors["words"].values.tolist() == [1.0, 0.75]
    assert found[3].vectors["dense"].tolist() == [1, -3]
    assert found[BIG].payload == {"state": "kept"}
    assert found[BIG].vectors == {}
    assert port.retrieve([3], ["n"])[3].payload == {"n": 3}
    assert port.retrieve([3], False)[3].vectors == {}
    assert port.retrieve([]) == {}


def test_searches_find_the_largest_products(port):
    batch = SparseBatch.from_rows([sparse({7: 2.0}), sparse({2: 1.0, 7: 4.0})], 10)
    first, second = port.search("words", batch, 3)
    assert first.numbers.tolist() == [6, 5, 4]
    assert first.scores.tolist() == [3.0, 2.5, 2.0]
    assert dict(zip(second.numbers.tolist(), second.scores.tolist(), strict=True))[6] == 6.0
    (all_of_them,) = port.search("words", batch.head(1), 100)
    assert len(all_of_them.numbers) == 6
    queries = np.array([[0, 1], [1, 0.5]], dtype=np.float32)
    first, second = port.search("dense", queries, 2, Match("tag", ("t0",)))
    assert (first.numbers.tolist(), first.scores.tolist()) == ([2, 4], [-2.0, -4.0])
    assert (second.numbers.tolist(), second.scores.tolist()) == ([2, 4], [0.0, -1.0])


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Match("tag", ("t1",)), [1, 3, 5]),
        (Match("n", (2, 9)), [2]),
        (Between("x", low=1.0, high=2.0), [2, 3, 4]),
        (Between("x", low=1.0, high=2.0, low_included=False, high_included=False), [3]),
        (Between("x", high=-1.0), [1, 2, 3, 4, 5, 6]),
        (Between("at", low="2020-01-04T00:00:00.000001Z"), [4, 5, 6]),
        (
            Between("at", low="2020-01-04T00:00:00.000001Z", low_included=False),
            [5, 6],
        ),
        (Between("at", high="2020-01-02T00:00:00.000000Z"), [1]),
        (Points((2, 4, 99)), [2, 4]),
        (NEVER, []),
        (Either(()), []),
        (Every((Match("tag", ("t1",)), Neither(Points((3,))))), [1, 5]),
        (Either((Points((1,)), Match("n", (6,)))), [1, 6]),
        (Every((Either((Points((1,)), Points((2,)))), Match("tag", ("t0",)))), [2]),
    ],
)
def test_conditions(port, condition, expected):
    found = list(port.scroll(condition, payload=["n"]))
    assert numbers(found) == expected
    assert [point.payload["n"] for point in found] == expected
    assert port.count(condition) == len(expected)
    top = port.search("words", SparseBatch.from_rows([sparse({7: 1.0})], 10), 10, condition)
    assert sorted(top[0].numbers.tolist()) == expected


def test_scrolls_ascend_from_a_number_on(port):
    assert numbers(port.scroll(payload=False)) == [1, 2, 3, 4, 5, 6, BIG]
    assert numbers(port.scroll(after=2, limit=3)) == [3, 4, 5]
    assert numbers(port.scroll(after=BIG)) == []
    (point,) = port.scroll(Points((2,)), vectors=["dense"])
    assert point.vectors["dense"].tolist() == [1, -2]


def test_facets_count_points(port):
    assert port.facet("tag", 10) == {"all": 6, "t0": 3, "t1": 3}
    assert port.facet("tag", 1) == {"all": 6}
    assert port.facet("tag", 10, Points((1, 2))) == {"all": 2, "t0": 1, "t1": 1}


def test_writes_delete_before_they_write(port):
    port.write([Point(2, {"n": 20})], [1, 2])
    assert sorted(port.retrieve(range(1, 4))) == [2, 3]
    assert port.retrieve([2], True, ["words", "dense"])[2].payload == {"n": 20}
    assert port.retrieve([2], True, ["words", "dense"])[2].vectors == {}
    port.delete_matching(Match("tag", ("t1",)))
    assert numbers(port.scroll()) == [2, 4, 6, BIG]
    port.flush()
    assert port.count() == 4


def test_a_point_is_written_if_a_condition_holds(port):
    port.write_if(Point(50, {"n": 1}), Match("n", (7,)))
    assert port.retrieve([50])[50].payload == {"n": 1}
    port.write_if(Point(50, {"n": 2}), Match("n", (7,)))
    assert port.retrieve([50])[50].payload == {"n": 1}
    port.write_if(Point(50, {"n": 2}), Match("n", (1,)))
    assert port.retrieve([50])[50].payload == {"n": 2}


def test_vectors_and_parts_of_payloads_are_replaced(port):
    port.set_vectors([Point(2, {}, {"words": sparse({9: 5.0})})])
    found = port.retrieve([2], True, ["words", "dense"])[2]
    assert found.vectors["words"].indices.tolist() == [9]
    assert found.vectors["dense"].tolist() == [1, -2]
    assert found.payload["n"] == 2
    port.set_payload(2, {"more": "x"})
    assert port.retrieve([2], ["n", "more"])[2].payload == {"n": 2, "more": "x"}


def test_a_collection_comes_and_goes(port):
    assert port.exists()
    assert port.names()[port.name] == port.name
    port.drop()
    assert not port.exists()
    port.drop()
    with pytest.raises(LsrError):
        port.count()
