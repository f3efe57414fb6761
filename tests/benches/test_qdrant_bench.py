"""The bench of our engine beside Qdrant's runs, and both are exact."""

import json

import pytest
import qdrant as bench
import scipy.sparse
from engine_bench.vectors import DOCUMENTS, QUERIES

from tests.benches.test_engine_bench import random_batch


def test_both_engines_are_measured(tmp_path, monkeypatch):
    pytest.importorskip("qdrant_edge")
    scipy.sparse.save_npz(tmp_path / DOCUMENTS, random_batch(600, 40, 1).to_scipy())
    for name in QUERIES.values():
        scipy.sparse.save_npz(tmp_path / name, random_batch(20, 8, 2).to_scipy())
    monkeypatch.setattr(bench, "QUICK_DOCUMENTS", 500)
    report = tmp_path / "report.json"
    assert bench.main(["--data", str(tmp_path), "--quick", "--json", str(report)]) == 0
    rows = json.loads(report.read_text())["rows"]
    assert [(row["engine"], row["queries"]) for row in rows] == [
        (engine, queries) for engine in ("lsr", "qdrant") for queries in QUERIES
    ]
    for row in rows:
        assert row["documents"] == 500
        assert row["recall_at_10"] == 1
        assert row["mode"] == "exact"
        assert row["documents_per_s"] > 0
        assert row["p50_us"] <= row["p99_us"]


def test_a_missing_folder_is_told(tmp_path, capsys):
    assert bench.main(["--data", str(tmp_path), "--quick"]) == 2
    assert "--data" in capsys.readouterr().err
