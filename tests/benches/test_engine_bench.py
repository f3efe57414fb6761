"""The engine bench runs, and what it calls exact is."""

import json
import subprocess
import sys
from pathlib import Path

import engine
import numpy as np
import peers.ours
import pytest
from engine_bench import comparison
from engine_bench import truth as truth_module
from engine_bench.comparison import Plan, compare, mark_best
from engine_bench.report import plot, plot_growth
from engine_bench.truth import Truth
from engine_bench.vectors import map_batch, resize, save_resized
from packages import why_missing
from peers.engine import EXACT, NEEDS

from index.engines.document_mask import DocumentMask
from lsr.errors import UsageError
from lsr.sparse import SparseBatch, SparseVector

ROOT = Path(__file__).parents[2]
INSTALLED = [name for name, packages in NEEDS.items() if why_missing(name, packages) is None]
KEYS = {
    "engine",
    "build",
    "settings",
    "queries",
    "documents",
    "mode",
    "us_per_query",
    "p50_us",
    "p95_us",
    "p99_us",
    "recall_at_10",
    "bytes_per_posting",
    "build_s",
    "peak_memory_mb",
    "spread",
}
TERMS = 2000


def random_batch(count, terms, seed):
    random = np.random.default_rng(seed)
    # Common terms are common: ranks are squared.
    rows = [
        {int(term): float(np.float16(random.uniform(0.1, 2.5))) for term in drawn}
        for drawn in (random.random((count, terms)) ** 2 * TERMS).astype(int)
    ]
    return SparseBatch.from_rows((SparseVector.from_mapping(row) for row in rows), TERMS)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    documents, queries = random_batch(600, 40, 1), {"made": random_batch(20, 8, 2)}
    random = np.random.default_rng(3)
    masks = {"all": None, "half": (random.random(600) < 0.5).astype(np.uint8)}
    folder = tmp_path_factory.mktemp("bench")
    plan = Plan(rounds=2, probe=10)
    found = compare(INSTALLED, documents, queries, folder, plan)
    folder = tmp_path_factory.mktemp("filtered")
    return found + compare(["lsr"], documents, queries, folder, Plan(rounds=1, masks=masks))


def test_every_engine_that_is_installed_has_rows(rows):
    assert {row["engine"] for row in rows} == set(INSTALLED) >= {"lsr", "scipy"}
    for row in rows:
        assert row.keys() >= KEYS
        assert row["documents"] == 600
        assert 0 < row["p50_us"] <= row["p95_us"] <= row["p99_us"]
        assert row["bytes_per_posting"] > 0
    assert json.loads(json.dumps(rows)) == rows


def test_what_is_called_exact_finds_everything(rows):
    exact = [row for row in rows if row["mode"] == EXACT]
    exact_peers = {"qdrant", "sindi", "milvus", "zvec"}
    assert {row["engine"] for row in exact} == {"lsr", "scipy"} | (exact_peers & set(INSTALLED))
    assert {row["recall_at_10"] for row in exact} == {1.0}
    assert all(row["recall_at_10"] > 0.6 for row in rows)


def test_settings_that_are_much_slower_than_one_that_finds_enough_are_given_up(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(comparison, "FIRST_QUERIES", 5)
    monkeypatch.setattr(comparison, "SLOWER", 0)
    documents, queries = random_batch(600, 40, 1), {"made": random_batch(20, 8, 2)}
    found = compare(["lsr"], documents, queries, tmp_path, Plan(rounds=1, probe=10))
    assert [row["mode"] for row in found] == [EXACT]


def test_filters_are_searched_as_well(rows):
    assert {row["recall_at_10"] for row in rows if row["passing"] == "half"} >= {1.0}


def test_a_plot_is_drawn(rows, tmp_path):
    pytest.importorskip("matplotlib")
    plot(tmp_path / "engine.png", rows)
    drawn = engine.growth(rows)
    assert drawn.keys() == {"made queries"}
    assert all("lsr, exact" in lines for lines in drawn.values())
    plot_growth(tmp_path / "growth.png", drawn)
    assert (tmp_path / "engine.png").stat().st_size > 10_000


def test_the_best_row_is_the_fastest_with_enough_recall():
    same = {"engine": "x", "queries": "made", "documents": 1, "passing": "all"}
    rows = [
        same | {"us_per_query": microseconds, "recall_at_10": recall}
        for microseconds, recall in [(1, 0.9), (2, 0.98), (3, 0.97), (4, 1.0)]
    ]
    mark_best(rows)
    assert [row["best"] for row in rows] == [False, True, False, False]
    assert [row["pareto"] for row in rows] == [True, True, False, True]


def test_ties_with_the_last_place_count_as_found():
    documents = SparseBatch.from_rows([SparseVector.from_mapping({1: 1.0})] * 4, TERMS)
    query = SparseBatch.from_rows([SparseVector.from_mapping({1: 2.0})], TERMS)
    truth = Truth(documents, query, 2)
    assert truth.recall([[3, 2]]) == 1.0
    assert truth.recall([[3, 3]]) == 0.5
    assert truth.recall([[]]) == 0.0


@pytest.mark.parametrize("part", [1, 7, 40, 1000])
def test_truth_is_the_same_part_by_part(monkeypatch, part):
    documents, queries = random_batch(40, 6, 1), random_batch(15, 3, 2)
    allowed = (np.arange(40) % 3 > 0).astype(np.uint8)
    monkeypatch.setattr(truth_module, "PART", part)
    stored = documents.to_scipy().toarray().astype(np.float16).astype(np.float64)
    for k in (1, 10, 60):
        for mask in (None, allowed):
            truth = Truth(documents, queries, k, mask)
            scores = queries.to_scipy().toarray().astype(np.float64) @ stored.T
            scores *= 1 if mask is None else mask
            wanted = np.minimum(k, np.count_nonzero(scores > 0, axis=1))
            least = [
                -np.sort(-row)[n - 1] if n else 0 for row, n in zip(scores, wanted, strict=True)
            ]
            np.testing.assert_array_equal(truth.wanted, wanted)
            np.testing.assert_allclose(truth.least, least, rtol=1e-12)


@pytest.mark.parametrize("count", [100, 600, 1500])
def test_other_sizes_are_subsets_or_hold_the_documents_and_crosses_of_them(count):
    documents = random_batch(600, 40, 1)
    resized = resize(documents, count)
    rows = {(row.indices.tobytes(), row.values.tobytes()) for row in resized}
    originals = {(row.indices.tobytes(), row.values.tobytes()) for row in documents}
    assert len(resized) == len(rows) == count
    assert len(rows & originals) == min(count, 600)
    assert 0.8 < resized.nnz / len(resized) / (documents.nnz / 600) < 1.2


@pytest.mark.parametrize("count", [100, 600, 1500])
def test_vectors_of_other_sizes_are_written_as_they_would_be_made(tmp_path, count):
    documents = random_batch(600, 40, 1)
    save_resized(tmp_path, documents, count)
    written, made = map_batch(tmp_path, TERMS), resize(documents, count)
    for name in ("indptr", "indices", "values"):
        assert getattr(written, name).dtype == getattr(made, name).dtype
        np.testing.assert_array_equal(getattr(written, name), getattr(made, name))


def test_our_engine_searches_as_many_segments_as_it_takes(monkeypatch, tmp_path):
    documents, queries = random_batch(600, 40, 1), random_batch(20, 8, 2)
    mask = DocumentMask((np.arange(600) % 3 > 0).astype(np.uint8))
    found = []
    for largest in (1000, 250):
        monkeypatch.setattr(peers.ours, "LARGEST_DOCUMENT_COUNT", largest)
        assert sorted(peers.ours.native_order(documents)) == list(range(600))
        ours = peers.ours.OurEngine()
        ours.build(documents, tmp_path)
        prepared = [ours.prepare(query, alive) for query in queries for alive in (None, mask)]
        found.append([ours.documents(ours.search(query, 10)) for query in prepared])
    assert found[0] == found[1]


@pytest.mark.parametrize(("name", "size"), [("300", 300), ("10k", 10_000), ("8.8M", 8_800_000)])
def test_sizes_by_name(name, size):
    assert engine.size_of(name) == size


@pytest.mark.parametrize("name", ["0", "x", "-1", "1.5k", "k", "0.0M", "1.25M", "M"])
def test_a_size_that_is_none_is_refused(name):
    with pytest.raises(UsageError, match="10k or 1M"):
        engine.size_of(name)


def test_a_missing_folder_and_an_unknown_engine_are_told_in_one_sentence(tmp_path):
    for arguments, expected in (
        (["--data", str(tmp_path), "--engines", "lsr"], "--data"),
        (["--engines", "wand"], "allowed are lsr, bmp"),
    ):
        command = [sys.executable, str(ROOT / "benches" / "engine.py"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert expected in done.stderr
        assert done.stderr.count("\n") == 1


def test_an_order_must_name_each_document_once(tmp_path):
    documents = random_batch(10, 5, 1)
    np.save(tmp_path / "order.npy", np.arange(10)[::-1])
    np.testing.assert_array_equal(
        engine.order_of(documents, tmp_path / "order.npy"), np.arange(10)[::-1]
    )
    assert sorted(engine.order_of(documents, None)) == list(range(10))
    np.save(tmp_path / "short.npy", np.arange(9))
    with pytest.raises(UsageError, match="once"):
        engine.order_of(documents, tmp_path / "short.npy")
