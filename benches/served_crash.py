"""Kill -9 a server under mixed load, and look for what was lost; or let it run, and see it grow.

Clients write and delete documents, make, drop, restore and re-encode indexes, move aliases, make
and revoke keys, import and take snapshots, and note what was acknowledged. The server is killed at
random moments: alone, with all its processes, or first only the process that does its tasks, or one
of several that serve. After a new start each client's things must be as it was told, what was in
flight wholly done or not at all, and a task that was being done must have been done by then or say
that it was interrupted. In the end every collection is verified.

With ``--soak`` nothing is killed: memory and descriptors are sampled, and must not grow.

    python benches/served_crash.py [--quick] [--kills N] [--workers N] [--soak MINUTES]
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benches.engine_bench.report import publish
from benches.machine import describe_machine, describe_versions
from benches.served_crash_bench.owner import Owner, imported
from benches.served_crash_bench.server import Server
from index.collection.check import check
from index.collection.collection import Collection, is_collection

KILLS, QUICK_KILLS, OWNERS = 50, 3, 3
SERVER, ALL, TASKS, WORKER = (
    "the server", "all processes", "the tasks, then all", "a worker, then all"
)  # fmt: skip
WAYS = [SERVER, ALL, TASKS]
SHORTEST_S, LONGEST_S = 0.2, 3.0
SAMPLE_S = 1.0
# What counts as growth between the second and the last quarter of a soak.
MOST_MB, MOST_SHARE, MOST_DESCRIPTORS = 24.0, 0.1, 10


class Bench:
    """Clients, and the server that they ask.

    Args:
        folder: empty.
        owners: clients.
        seed: of all random choices.
        workers: processes that serve.
    """

    def __init__(self, folder: Path, owners: int, seed: int, workers: int = 1) -> None:
        self._workers = workers
        self._ways = WAYS if workers == 1 else [*WAYS, WORKER]
        self.served, self._files = folder / "served", folder / "files"
        self.log = folder / "log"
        for path in (self.served, self._files):
            path.mkdir()
        lines = [json.dumps({"id": name, "text": text}) for name, text in imported().items()]
        (self._files / "import.jsonl").write_text("\n".join(lines))
        self._numbers = random.Random(seed)
        self.owners = [Owner(f"o{n}", self.served, seed + n) for n in range(owners)]
        self.rows: list[dict[str, Any]] = []

    @property
    def problems(self) -> list[str]:
        """All that was found."""
        return [problem for owner in self.owners for problem in owner.problems]

    def kill(self, times: int) -> None:
        """Kill the server so often, and look each time."""
        server = self._start()
        for number in range(times):
            way = self._numbers.choice(self._ways)
            before = sum(owner.acknowledged for owner in self.owners)
            resumed = self._resumed()
            known = len(self.problems)
            self._load(server, way)
            in_flight = [owner.step.what for owner in self.owners if owner.step is not None]
            server = self._start()
            for owner in self.owners:
                owner.examine(server.port)
            after = self._resumed()
            row = {
                "kill": number + 1,
                "of": way,
                "in_flight": ", ".join(in_flight) or "nothing",
                "acknowledged": sum(owner.acknowledged for owner in self.owners) - before,
                "tasks_resumed": after["succeeded"] - resumed["succeeded"],
                "tasks_failed": after["failed"] - resumed["failed"],
                "problems": len(self.problems) - known,
            }
            self.rows.append(row)
            if row["problems"]:
                break
        server.kill_all()
        self._verify()

    def soak(self, seconds: float) -> None:
        """Let it run, and sample what it holds."""
        server = self._start()
        stop = threading.Event()
        threads = self._begin(server, stop)
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            time.sleep(SAMPLE_S)
            self.rows.append(
                {
                    "second": round(time.monotonic() - began),
                    "memory_mb": round(server.memory_mb(), 1),
                    "descriptors": server.descriptors(),
                    "acknowledged": sum(owner.acknowledged for owner in self.owners),
                }
            )
        stop.set()
        for thread in threads:
            thread.join()
        for owner in self.owners:
            owner.examine(server.port)
        server.kill_all()
        self._verify()
        self.owners[0].problems += growth(self.rows)

    def _resumed(self) -> dict[str, int]:
        return {
            status: sum(owner.resumed[status] for owner in self.owners)
            for status in ("succeeded", "failed")
        }

    def _start(self) -> Server:
        return Server(self.served, self._files, self.log, self._workers)

    def _begin(self, server: Server, stop: threading.Event) -> list[threading.Thread]:
        threads = [
            threading.Thread(target=owner.go_on, args=[server.port, stop.is_set], daemon=True)
            for owner in self.owners
        ]
        for thread in threads:
            thread.start()
        return threads

    def _load(self, server: Server, way: str) -> None:
        """Ask until the server is killed, after a random time."""
        threads = self._begin(server, threading.Event())
        time.sleep(self._numbers.uniform(SHORTEST_S, LONGEST_S))
        if way in (TASKS, WORKER):
            if way == TASKS:
                server.kill_tasks()
            else:
                server.kill_worker(self._numbers)
            time.sleep(self._numbers.uniform(SHORTEST_S, LONGEST_S))
        if way == SERVER:
            server.kill()
        else:
            server.kill_all()
        for thread in threads:
            thread.join()

    def _verify(self) -> None:
        """Nothing is left that no index has a part in, and no collection is damaged."""
        found = [path for path in self.served.iterdir() if path.name != ".lsr"]
        for path in found:
            if not is_collection(path):
                self.owners[0].problems.append(f"{path.name} is left of something")
                continue
            with closing(Collection.open(path)) as collection:
                self.owners[0].problems += check(collection).problems


def growth(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What grew between the second and the last quarter of some samples."""
    quarter = len(rows) // 4
    if not quarter:
        return ["the soak was too short to see anything"]
    found = []
    for name, most in (("memory_mb", MOST_MB), ("descriptors", MOST_DESCRIPTORS)):
        early, late = (
            statistics.median(row[name] for row in part)
            for part in (rows[quarter : 2 * quarter], rows[-quarter:])
        )
        if late - early > max(most, MOST_SHARE * early if name == "memory_mb" else 0):
            found.append(f"{name} grew from {early} to {late}")
    return found


def main() -> None:
    """Run, print a table, and exit with 1 if anything was lost, wrong or grew."""
    parser = argparse.ArgumentParser(description="Kill a server under load; look for losses.")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_KILLS} kills")
    parser.add_argument("--kills", type=int, default=KILLS, help="how many")
    parser.add_argument("--workers", type=int, default=1, help="processes that serve")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="kill nothing, see it grow")
    parser.add_argument("--json", metavar="FILE", help="write a JSON object there; - for stdout")
    parser.add_argument("--seed", type=int, default=1, help="of the random requests and moments")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        bench = Bench(Path(folder), OWNERS, arguments.seed, arguments.workers)
        if arguments.soak:
            bench.soak(60 * arguments.soak)
            rows = bench.rows[:: max(1, len(bench.rows) // 20)]
        else:
            bench.kill(QUICK_KILLS if arguments.quick else arguments.kills)
            rows = bench.rows
        log = bench.log.read_text()
    result = {
        "machine": describe_machine(),
        "versions": describe_versions([]),
        "rows": rows,
        "acknowledged": sum(owner.acknowledged for owner in bench.owners),
        "problems": bench.problems,
    }
    publish(result, {name: name for name in rows[0]}, arguments.json)
    for problem in bench.problems:
        print(problem, file=sys.stderr)
    if bench.problems:
        print(log[-5000:], file=sys.stderr)
    sys.exit(1 if bench.problems else 0)


if __name__ == "__main__":
    main()
