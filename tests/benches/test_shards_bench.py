"""The simulation of clusters, compared with what is known in closed form or step by step."""

import numpy as np
import pytest
from shards_bench.measuring import Growth, Measured, measure
from shards_bench.plan import Prices, Sizing, plan
from shards_bench.simulation import Cluster, simulate

from lsr.sparse import SparseBatch

CALM = {"network_ms": 0.0, "stragglers": 0.0}


def waits(arrivals, took):
    """First come, first served, by one core: Lindley's recursion."""
    free, found = 0.0, []
    for arrival, each in zip(arrivals, took, strict=True):
        free = max(arrival, free) + each
        found.append(free - arrival)
    return np.array(found)


def test_one_core_is_the_queue_of_the_books():
    # Pollaczek and Khinchine for a service of always 1 ms: half the load over what is left.
    for load in (0.3, 0.7):
        found = simulate(Cluster(1, 1, **CALM), np.ones((1, 1)), 1000 * load, 200_000)
        assert found.ms.mean() == pytest.approx(1 + load / (2 * (1 - load)), rel=0.03)
        assert found.busy == pytest.approx(load, rel=0.02)
        assert found.hedged == 0


def test_a_line_is_that_of_a_plain_loop():
    measured = np.random.default_rng(1).exponential(1.0, (1, 500))
    found = simulate(Cluster(1, 1, **CALM), measured, 600, 2000)
    random = np.random.default_rng(7)
    arrivals = np.cumsum(random.exponential(1000 / 600, 2000))
    took = measured[0, random.integers(0, 500, 2000)]
    np.testing.assert_allclose(found.ms, waits(arrivals, took)[200:])


def test_without_a_line_a_query_takes_its_slowest_shard():
    measured = np.random.default_rng(2).exponential(1.0, (8, 300))
    found = simulate(Cluster(8, 2, **CALM), measured, 0.01, 3000)
    slowest = measured.max(axis=0)
    np.testing.assert_allclose(np.abs(found.ms[:, None] - slowest).min(axis=1), 0, atol=1e-6)
    assert found.ms.mean() == pytest.approx(slowest.mean(), rel=0.05)


def test_more_replicas_wait_less_and_more_shards_wait_longer():
    measured = np.random.default_rng(3).exponential(1.0, (16, 300))
    few, many = (simulate(Cluster(4, count), measured, 700, 8000) for count in (1, 3))
    assert many.percentile(99) < few.percentile(99)
    assert many.busy == pytest.approx(few.busy / 3, rel=0.05)
    wide = simulate(Cluster(16, 3), measured, 700, 8000)
    assert wide.percentile(50) > many.percentile(50)


def test_asking_twice_shortens_the_tail_and_costs_what_it_says():
    cluster = {"shards": 8, "replicas": 3, "network_ms": 0.0, "stragglers": 0.01, "slowness": 50.0}
    measured = np.full((8, 10), 1.0)
    plain = simulate(Cluster(**cluster), measured, 100, 8000)
    hedged = simulate(Cluster(**cluster, hedge_ms=2.0), measured, 100, 8000)
    # 8 shards meet a straggler of 50 ms in 8 % of the queries; of two calls in 0.08 %.
    assert plain.percentile(95) >= 50
    assert hedged.percentile(99) < 5
    assert 0.01 <= hedged.hedged < 0.03
    assert plain.busy < hedged.busy < plain.busy * 1.6
    # Nobody to ask: nothing changes.
    alone = Cluster(8, 1, hedge_ms=2.0)
    assert simulate(alone, measured, 100, 2000).hedged == 0


def test_what_is_measured_is_every_query_over_every_shard():
    random = np.random.default_rng(4)
    rows = [
        (np.sort(random.choice(50, 8, replace=False)).astype(np.int32), random.random(8) + 0.1)
        for _ in range(64)
    ]
    documents = SparseBatch(
        np.arange(0, 513, 8, dtype=np.int64),
        np.concatenate([terms for terms, _ in rows]),
        np.concatenate([weights for _, weights in rows]).astype(np.float32),
        50,
    )
    found = measure(documents, documents.head(5), (1, 4), 1)
    assert [each.ms.shape for each in found] == [(1, 5), (4, 5)]
    assert [each.documents for each in found] == [64, 16]
    assert all((each.ms > 0).all() for each in found)


def test_growth_is_found_again_and_goes_on():
    true = Growth(0.03, 0.3, 0.7)
    sizes = (1e4, 3e4, 1e5, 3e5, 1e6)
    found = Growth.of([Measured(size, np.full((1, 3), true.mean_ms(size)), 1) for size in sizes])
    for size in (1e5, 1e8):
        assert found.mean_ms(size) == pytest.approx(true.mean_ms(size), rel=0.02)


def test_a_plan_is_arithmetic_that_a_reader_can_repeat():
    sizing = Sizing(index_bytes=400.0, disk_bytes=1000.0, machine_gib=64.0, filled=0.5)
    row = plan(100_000_000, 100, Growth(0.0, 0.3, 0.5), sizing, Prices())
    memory = 100_000_000 * 400 / 2**30
    assert row["memory_gib"] == round(memory, 1) == 37.3
    assert row["shards"] == 2
    assert row["rank_ms"] == round(0.3 * 50**0.5, 2)
    assert row["cores"] == 8
    disk = 100_000_000 * 1000 / 2**30
    month = 730 * (8 * 0.04 + 2 * memory / 0.5 * 0.005) + 4 * disk * 0.08 + 2 * disk * 0.023
    assert row["dollars_month"] == round(month)
    assert row["encoding_core_hours"] == round(100_000_000 / sizing.encoded_per_core_s / 3600, 1)
