"""What a collection of some size takes: bytes, cores, machines, money."""

from __future__ import annotations

import math
from dataclasses import dataclass

from shards_bench.measuring import Growth

HOURS = 730.0  # of a month
GIB = 2**30


@dataclass(frozen=True)
class Prices:
    """Assumptions, in dollars; change them to what you pay."""

    core_hour: float = 0.04
    memory_gib_hour: float = 0.005
    disk_gib_month: float = 0.08
    objects_gib_month: float = 0.023


@dataclass(frozen=True)
class Sizing:
    """What one passage takes, and how much of a machine is used.

    ``index_bytes`` in memory and ``disk_bytes`` of the whole collection for a passage, both
    measured. ``machine_gib`` is the memory of the largest machine at hand, of which ``filled`` is
    for the index: two states are in memory while one takes the place of the other.
    ``service_ms`` of a core for what a request takes beside ranking: HTTP, encoding, payload.
    ``engine_factor``: how many times as long as ours the engine of the shards takes.
    """

    index_bytes: float
    disk_bytes: float
    machine_gib: float = 64.0
    filled: float = 0.4
    busy: float = 0.5
    service_ms: float = 2.7
    encoded_per_core_s: float = 242.0
    engine_factor: float = 1.0


def plan(
    passages: int, queries_per_s: float, growth: Growth, sizing: Sizing, prices: Prices
) -> dict[str, object]:
    """A row: what so many passages take at so many queries a second, with two of everything."""
    memory = passages * sizing.index_bytes / GIB
    shards = max(1, math.ceil(memory / (sizing.machine_gib * sizing.filled)))
    rank_ms = growth.mean_ms(passages / shards) * (sizing.engine_factor if shards > 1 else 1.0)
    ranking = queries_per_s * shards * rank_ms / 1000 / sizing.busy
    serving = queries_per_s * sizing.service_ms / 1000 / sizing.busy
    # Of each shard at least two, so that one may fail.
    replicas = 2
    cores = max(2 * shards * replicas, math.ceil(ranking + serving))
    held = memory * replicas
    disk = passages * sizing.disk_bytes / GIB
    encoding_hours = passages / sizing.encoded_per_core_s / 3600
    month = (
        HOURS * (cores * prices.core_hour + held / sizing.filled * prices.memory_gib_hour)
        + replicas * 2 * disk * prices.disk_gib_month
        + 2 * disk * prices.objects_gib_month
    )
    return {
        "passages": passages,
        "queries_per_s": queries_per_s,
        "shards": shards,
        "rank_ms": round(rank_ms, 2),
        "memory_gib": round(memory, 1),
        "disk_gib": round(disk, 1),
        "cores": cores,
        "dollars_month": round(month),
        "encoding_core_hours": round(encoding_hours, 1),
        "dollars_encoding": round(encoding_hours * prices.core_hour, 2),
    }
