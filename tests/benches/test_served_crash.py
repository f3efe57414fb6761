"""A server is killed a few times under mixed load: nothing is lost, and a loss would be seen."""

import pytest

from benches.served_crash import Bench, growth
from benches.served_crash_bench.owner import Step, World
from benches.served_crash_bench.server import Client

pytestmark = pytest.mark.long


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_server_has_what_it_acknowledged(tmp_path, monkeypatch, workers):
    monkeypatch.setattr("benches.served_crash.LONGEST_S", 1.0)
    bench = Bench(tmp_path, owners=2, seed=3, workers=workers)
    bench.kill(1)
    assert bench.problems == [], bench.log.read_text()[-2000:]
    assert sum(row["acknowledged"] for row in bench.rows) > 0


def test_the_bench_sees_what_is_lost_and_what_comes_back(tmp_path):
    """An oracle that has acknowledged more, or less, than there is."""
    bench = Bench(tmp_path, owners=1, seed=5)
    (owner,) = bench.owners
    server = bench._start()
    try:
        owner._do(Client(server.port), owner._create(World()))
        (index,) = owner.world.indexes
        for documents in ({"lost": "banana"}, {}):
            told = World(indexes={index: documents}, aliases=dict(owner.world.aliases))
            owner.step = Step("none", "POST", f"/v1/indexes/{index}/documents", None, told)
            owner.world = told
            owner.problems.clear()
            owner.examine(server.port)
            assert bool(owner.problems) == bool(documents)
        owner.world = World()
        owner.step = None
        owner.examine(server.port)
        assert "allowed are" in owner.problems[-1]
    finally:
        server.kill_all()


def test_growth_is_seen_and_noise_is_not():
    flat = [{"memory_mb": 100 + n % 3, "descriptors": 30 + n % 2} for n in range(40)]
    assert growth(flat) == []
    leaking = [row | {"memory_mb": 100 + 2 * n} for n, row in enumerate(flat)]
    assert "memory_mb grew" in growth(leaking)[0]
    assert "descriptors grew" in growth([row | {"descriptors": n} for n, row in enumerate(flat)])[0]
