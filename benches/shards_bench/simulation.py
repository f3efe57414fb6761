"""Queries over shards and replicas: fan-out, waiting in line, stragglers, asking twice."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Cluster:
    """What is simulated.

    Queries come at random (a Poisson process) and each asks one replica of every shard, of two
    drawn at random the one that is free sooner; the answer is there when the last shard has
    answered. A replica has ``cores``, each of which searches for one query at a time, first come,
    first served. What one search takes is drawn from what was measured, jointly for all shards of
    a query. Every call adds ``network_ms`` times a draw from a lognormal distribution (median 1,
    sigma 0.5). A share ``stragglers`` of the calls takes ``slowness`` times as long, as where its
    core is taken by something else.

    With ``hedge_ms``, a call that isn't answered after so long is sent to another replica too, and
    the sooner answer counts; the later one is searched for all the same, unless it hadn't begun.
    """

    shards: int
    replicas: int
    cores: int = 1
    network_ms: float = 0.25
    stragglers: float = 0.01
    slowness: float = 10.0
    hedge_ms: float | None = None


@dataclass(frozen=True)
class Simulated:
    """Milliseconds of each query, float64 (queries,); what part of the time cores searched; and
    how many calls were sent twice, of each.
    """

    ms: NDArray[np.float64]
    busy: float
    hedged: float

    def percentile(self, q: float) -> float:
        """Milliseconds."""
        return float(np.percentile(self.ms, q))


def simulate(
    cluster: Cluster,
    measured: NDArray[np.float64],
    queries_per_s: float,
    queries: int,
    seed: int = 7,
) -> Simulated:
    """Let so many queries come.

    Args:
        cluster: what they come to.
        measured: milliseconds (shards measured, queries measured) to draw from: a query is one
            column, and where the cluster has more shards than rows, rows are drawn again.
        queries_per_s: how many come in a second.
        queries: how many in all; the first tenth fills the lines, and is left out.
        seed: of all draws.
    """
    random = np.random.default_rng(seed)
    arrivals = np.cumsum(random.exponential(1000 / queries_per_s, queries))
    columns = random.integers(0, measured.shape[1], queries)
    last = np.zeros(queries)
    busy, hedged = 0.0, 0
    for shard in range(cluster.shards):
        # Shards that were measured each by themselves, else one of them at random.
        row = shard if cluster.shards <= len(measured) else random.integers(0, len(measured))
        base = measured[row, columns]
        calls = _Calls(cluster, base, random)
        answered, worked, twice = _one_shard(cluster, arrivals, calls)
        np.maximum(last, answered, out=last)
        busy, hedged = busy + worked, hedged + twice
    capacity = (arrivals[-1] - arrivals[0]) * cluster.shards * cluster.replicas * cluster.cores
    warm = queries // 10
    return Simulated((last - arrivals)[warm:], busy / capacity, hedged / (queries * cluster.shards))


class _Calls:
    """What the first and a second call of each query take, drawn beforehand."""

    def __init__(
        self, cluster: Cluster, base: NDArray[np.float64], random: np.random.Generator
    ) -> None:
        queries = len(base)
        slow = random.random((2, queries)) < cluster.stragglers
        self.search = (base * np.where(slow, cluster.slowness, 1.0)).tolist()
        self.network = (cluster.network_ms * random.lognormal(0, 0.5, (2, queries))).tolist()
        self.first = random.integers(0, cluster.replicas, queries).tolist()
        self.step = random.integers(0, max(cluster.replicas - 1, 1), queries).tolist()


def _one_shard(
    cluster: Cluster, arrivals: NDArray[np.float64], calls: _Calls
) -> tuple[NDArray[np.float64], float, int]:
    """When each query is answered, the milliseconds that cores worked, and the calls sent twice."""
    free = [[0.0] * cluster.cores for _ in range(cluster.replicas)]
    answered = np.empty(len(arrivals))
    late: list[tuple[float, int, int]] = []
    worked, twice = 0.0, 0

    def begin(replica: int, when: float, took: float) -> float:
        nonlocal worked
        worked += took
        end = max(when, free[replica][0]) + took
        heapq.heapreplace(free[replica], end)
        return end

    def ask_again(until: float) -> None:
        nonlocal twice
        while late and late[0][0] <= until:
            when, query, replica = heapq.heappop(late)
            twice += 1
            other = (replica + 1 + calls.step[query]) % cluster.replicas
            # The first call's answer comes before this one would begin.
            if answered[query] <= max(when, free[other][0]):
                continue
            end = begin(other, when, calls.search[1][query]) + calls.network[1][query]
            answered[query] = min(answered[query], end)

    for query, arrival in enumerate(arrivals.tolist()):
        ask_again(arrival)
        replica = calls.first[query]
        # Of two drawn, the one that is free sooner.
        if cluster.replicas > 1:
            other = (replica + 1 + calls.step[query]) % cluster.replicas
            if free[other][0] < free[replica][0]:
                replica = other
        end = begin(replica, arrival, calls.search[0][query]) + calls.network[0][query]
        answered[query] = end
        if cluster.hedge_ms is not None and cluster.replicas > 1:
            due = arrival + cluster.hedge_ms
            if end > due:
                heapq.heappush(late, (due, query, replica))
    ask_again(np.inf)
    return answered, worked, twice
