"""The values of queries in files."""

import csv
import json

import pytest

from eval.per_query import QueryValues, write_per_query
from lsr.errors import UsageError

SYSTEMS = [
    QueryValues({"dataset": "a", "encoder": "bm25"}, {"P@1": {"q,1": 1.0, 'q"2': 0.0}}),
    QueryValues({"dataset": "a", "encoder": "x"}, {"P@1": {"q,1": 0.1}, "AP": {"q,1": 1 / 3}}),
]


def test_json_has_values_by_measure_and_query(tmp_path):
    write_per_query(tmp_path / "q.json", SYSTEMS)
    found = json.loads((tmp_path / "q.json").read_text())["results"]
    assert found == [
        {"dataset": "a", "encoder": "bm25", "per_query": {"P@1": {"q,1": 1.0, 'q"2': 0.0}}},
        {"dataset": "a", "encoder": "x", "per_query": {"P@1": {"q,1": 0.1}, "AP": {"q,1": 1 / 3}}},
    ]


def test_csv_has_a_line_for_each_query(tmp_path):
    write_per_query(tmp_path / "q.CSV", SYSTEMS)
    with (tmp_path / "q.CSV").open(newline="") as stream:
        found = list(csv.DictReader(stream))
    assert [(row["encoder"], row["query"], row["P@1"], row["AP"]) for row in found] == [
        ("bm25", "q,1", "1.0", ""),
        ("bm25", 'q"2', "0.0", ""),
        ("x", "q,1", "0.1", str(1 / 3)),
    ]


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"give \.json or \.csv"):
        write_per_query(tmp_path / "q.txt", SYSTEMS)
