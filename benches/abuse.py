"""What clients of a server notice of others that abuse it.

    python benches/abuse.py --quick
    python benches/abuse.py --seconds 20 --json abuse.json

A server of its own over a small collection that is made here. A few clients search with pauses, and
one asks for /livez, while one abuse after the other runs in another process. At the end the server
is told to stop while all of them go on.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from abuse_bench.attacks import ATTACKS, attacking
from abuse_bench.served import Measured, Served, behaving
from engine_bench.report import publish
from machine import describe_machine, describe_versions

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import index_documents
from lsr.corpus.documents import Document
from lsr.corpus.items import Item
from lsr.errors import LsrError, UsageError

PACKAGES = ["uvicorn", "httptools", "fastapi", "starlette", "pydantic"]
SEED = 7
SHORT, LONG = 2000, 100
WORDS = ["quick", "brown", "fox", "jumps", "over", "lazy", "dog", "river", "stone", "light"]
LOUD = ["boom", "bang", "crash", "thunder", "hammer", "siren"]
CLIENTS = 2
QUICK_SECONDS = 2.0
# What is aimed at: milliseconds of other clients, megabytes of the server, seconds until it stops.
P99_MS, MEMORY_MB, STOP_SECONDS = 100.0, 1024.0, 10.0
COLUMNS = {
    "abuse": "abuse",
    "searches": "searches",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "max_ms": "max ms",
    "livez_p99_ms": "/livez p99 ms",
    "refused": "503",
    "failed": "failed",
    "peak_memory_mb": "peak MB",
    "descriptors": "descriptors",
    "log_bytes": "log bytes",
    "met": "met",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; 2 for wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--abuses", help="only these, by name and parted by commas")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each abuse")
    parser.add_argument("--quick", action="store_true", help="under 50 seconds")
    parser.add_argument("--json", metavar="FILE", help="write the rows; - for standard output")
    options = parser.parse_args(arguments)
    try:
        report = run(options)
    except LsrError as error:
        print(error, file=sys.stderr)
        return 2
    publish(report, COLUMNS, options.json)
    stream = sys.stderr if options.json == "-" else sys.stdout
    print(
        f"SIGTERM under the last abuse: {report['stop_s']} s; aimed at are a p99 below "
        f"{P99_MS:.0f} ms, a peak below {MEMORY_MB:.0f} MB and an end within "
        f"{STOP_SECONDS:.0f} s",
        file=stream,
    )
    return 0


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The report: machine, versions, rows, and the seconds that stopping took."""
    names = options.abuses.split(",") if options.abuses else list(ATTACKS)
    if unknown := [name for name in names if name not in ATTACKS]:
        raise UsageError(f"there is no abuse {unknown[0]!r}; allowed are {', '.join(ATTACKS)}")
    if not 0.1 <= options.seconds <= 3600:
        raise UsageError(f"--seconds is {options.seconds}; allowed are 0.1 to 3600")
    seconds = min(options.seconds, QUICK_SECONDS) if options.quick else options.seconds
    with tempfile.TemporaryDirectory(prefix="lsr-bench-") as folder:
        fill(Path(folder) / "made")
        served = Served(Path(folder) / "made", Path(folder) / "log.txt")
        try:
            rows = [measure(served, "none", seconds)]
            for name in names[:-1]:
                with attacking(name, served.port):
                    rows.append(measure(served, name, seconds))
            with attacking(names[-1], served.port):
                rows.append(measure(served, names[-1], seconds))
                stop = served.terminate()
        finally:
            served.kill()
    return {
        "machine": describe_machine(),
        "versions": describe_versions(PACKAGES),
        "goals": {"p99_ms": P99_MS, "peak_memory_mb": MEMORY_MB, "stop_s": STOP_SECONDS},
        "rows": rows,
        "stop_s": round(stop, 2),
    }


def fill(path: Path) -> None:
    """A collection of short texts, and of long ones that are full of a few words."""
    random = np.random.default_rng(SEED)
    documents = [
        Document(str(number), " ".join(random.choice(WORDS, 30))) for number in range(SHORT)
    ]
    documents += [
        Document(f"long {number}", " ".join(random.choice(LOUD, 9000))) for number in range(LONG)
    ]
    with closing(Collection.create(path, encoder_fields("bm25"))) as collection:
        index_documents(
            collection,
            [Item("made", number, document) for number, document in enumerate(documents, 1)],
        )


def measure(served: Served, name: str, seconds: float) -> dict[str, Any]:
    """One row."""
    served.forget_peak()
    logged = served.log.stat().st_size
    with behaving(served, CLIENTS) as measured:
        time.sleep(seconds)
    return row(name, measured, served.memory_mb(), served.log.stat().st_size - logged)


def row(name: str, measured: Measured, memory_mb: float, log_bytes: int) -> dict[str, Any]:
    """What was measured during one abuse; ``met`` says whether the goals were."""
    p99, livez = (
        round(float(np.percentile(times or [0.0], 99)), 1)
        for times in (measured.searches, measured.health)
    )
    met = max(p99, livez) < P99_MS and memory_mb < MEMORY_MB and not measured.failed
    return {
        "abuse": name,
        "searches": len(measured.searches),
        "p50_ms": round(float(np.median(measured.searches or [0.0])), 1),
        "p99_ms": p99,
        "max_ms": round(max(measured.searches, default=0.0), 1),
        "livez_p99_ms": livez,
        "refused": measured.refused,
        "failed": measured.failed,
        "peak_memory_mb": round(memory_mb),
        "descriptors": measured.descriptors,
        "log_bytes": log_bytes,
        "met": "yes" if met else "no",
    }


if __name__ == "__main__":
    sys.exit(main())
