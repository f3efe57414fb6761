"""A server in a process of its own, and clients that behave."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAUSE = 0.02
SEARCH = json.dumps({"query": {"text": "quick brown fox"}, "limit": 10}).encode()
HEADERS = {"Content-Type": "application/json"}


def port_of(process: subprocess.Popen[str], log: Path) -> int:
    """The port that a server which has just been started says it listens on."""
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
            return int(found.group(1))
    raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}")


class Served:
    """``lsr serve`` over a collection; ``log`` is what it writes to standard error.

    ``root`` is the checkout whose code serves, ``arguments`` what its command is given besides, and
    ``query_cache`` the bytes of answers that it keeps: none, so that each search is made.
    """

    def __init__(
        self,
        collection: Path,
        log: Path,
        root: Path = ROOT,
        arguments: Sequence[str] = (),
        query_cache: int = 0,
    ) -> None:
        settings = {"PYTHONPATH": str(root), "LSR_SERVE_QUERY_CACHE": str(query_cache)}
        self.log = log
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-u",
                    "-m",
                    "service.cli",
                    "serve",
                    str(collection),
                    "--port",
                    "0",
                    *arguments,
                ],
                cwd=root,
                env=os.environ | settings,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
            )
        self.port = port_of(self.process, log)
        with Client(self.port) as client:
            while client.ask("GET", "/readyz") != 200:
                time.sleep(0.05)

    def memory_mb(self) -> float:
        """Most memory it held since the last ``forget_peak``."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def forget_peak(self) -> None:
        """Measure the peak of memory anew; where the system refuses, it is that since the start."""
        with suppress(OSError):
            Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def cpu_seconds(self) -> float:
        """Seconds of processors that it and its workers have taken."""
        ticks = 0
        for process in (self.process.pid, *self.workers()):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def workers(self) -> list[int]:
        """The processes that it has begun."""
        process = self.process.pid
        found = Path(f"/proc/{process}/task/{process}/children").read_text()
        return list(map(int, found.split()))

    def descriptors(self) -> int:
        """Descriptors it holds."""
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    def terminate(self) -> float:
        """Send SIGTERM; seconds until it has ended."""
        start = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)
        return time.perf_counter() - start

    def kill(self) -> None:
        """End it whatever it does."""
        self.process.kill()
        self.process.wait()


class Client:
    """One that keeps its connection, and connects again where that was closed."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, body: bytes | None = None) -> int:
        """The status of an answer, which is read to its end; 0 where there was none."""
        try:
            self._connection.request(method, path, body, HEADERS if body else {})
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return 0
        return answer.status


@dataclass
class Measured:
    """Milliseconds of each request of the clients that behave, and the server's descriptors."""

    searches: list[float] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    refused: int = 0
    failed: int = 0
    descriptors: int = 0


@contextmanager
def behaving(served: Served, clients: int) -> Iterator[Measured]:
    """Some clients search, with pauses, and one asks for health, as long as the block runs."""
    measured, stop = Measured(), threading.Event()

    def ask(method: str, path: str, body: bytes | None, times: list[float]) -> None:
        with Client(served.port) as client:
            while not stop.wait(PAUSE):
                start = time.perf_counter()
                status = client.ask(method, path, body)
                times.append((time.perf_counter() - start) * 1000)
                measured.refused += status == 503
                measured.failed += status not in (200, 503)

    def watch() -> None:
        while not stop.wait(0.1):
            measured.descriptors = max(measured.descriptors, served.descriptors())

    searching = ("POST", "/v1/indexes/made/search", SEARCH, measured.searches)
    threads = [threading.Thread(target=ask, args=searching) for _ in range(clients)]
    threads.append(threading.Thread(target=ask, args=("GET", "/livez", None, measured.health)))
    threads.append(threading.Thread(target=watch))
    for thread in threads:
        thread.start()
    try:
        yield measured
    finally:
        stop.set()
        for thread in threads:
            thread.join()
