"""What many rounds of requests come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def row(
    server: str, body: str, connections: int, workers: int, rounds: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The median round of each number; the errors of all."""
    times = [np.array(each["ms"] or [np.nan]) for each in rounds]
    percentiles = np.median([np.percentile(each, (50, 95, 99)) for each in times], axis=0)
    rates = [len(each["ms"]) / each["seconds"] for each in rounds]
    cpu = [1000 * each.get("cpu_seconds", np.nan) / max(len(each["ms"]), 1) for each in rounds]
    median = float(np.median(cpu))
    return {
        "server": server,
        "body": body,
        "connections": connections,
        "workers": workers,
        **dict(zip(("p50_ms", "p95_ms", "p99_ms"), percentiles.round(3).tolist(), strict=True)),
        "requests_per_s": round(float(np.median(rates))),
        "server_cpu_ms": None if np.isnan(median) else round(median, 3),
        "errors": sum(each["errors"] for each in rounds),
    }
