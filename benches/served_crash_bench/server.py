"""The server that is killed, in processes of its own, and requests to it."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from abuse_bench.served import port_of

ROOT = Path(__file__).parents[2]
ADMIN = "the-admin-key-of-the-crash-bench"
START_SECONDS = 120.0


class Answer(NamedTuple):
    """Status and JSON of an answer."""

    status: int
    body: Any


class Gone(Exception):  # noqa: N818
    """The server is not there any more."""


class Server:
    """``lsr serve`` over a folder, whose processes can be killed.

    Args:
        folder: of collections.
        files: of what may be imported.
        log: to which its standard error is added.
        workers: processes that serve.
    """

    def __init__(self, folder: Path, files: Path, log: Path, workers: int = 1) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "LSR_SERVE_ADMIN_KEY": ADMIN,
            "LSR_SERVE_IMPORT_FOLDERS": json.dumps([str(files)]),
        }
        command = [
            sys.executable, "-u", "-m", "service.cli", "serve", str(folder), "--port", "0",
            "--workers", str(workers),
        ]  # fmt: skip
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=stream,
                text=True, start_new_session=True,
            )  # fmt: skip
        self.port = port_of(self.process, log)
        until = time.monotonic() + START_SECONDS
        client = Client(self.port)
        while client.ask("GET", "/readyz").status != 200:
            if time.monotonic() > until:
                raise RuntimeError(f"the server is not ready: {log.read_text()[-2000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill it; the process that does its tasks has to notice."""
        self.process.kill()
        self.process.wait()

    def kill_all(self) -> None:
        """Kill it and all its processes at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_tasks(self) -> bool:
        """Kill the process that does its tasks, if there is one."""
        found = False
        for pid in _descendants(str(self.process.pid)):
            if _does_tasks(pid):
                with suppress(OSError):
                    os.kill(int(pid), signal.SIGKILL)
                    found = True
        return found

    def kill_worker(self, numbers: random.Random) -> None:
        """Kill one of several processes that serve, by chance."""
        workers = [pid for pid in _children(str(self.process.pid)) if not _does_tasks(pid)]
        if workers:
            with suppress(OSError):
                os.kill(int(numbers.choice(workers)), signal.SIGKILL)

    def memory_mb(self) -> float:
        """What its processes that serve hold in memory, what they share counted for each."""
        found = 0.0
        for pid in self._serving():
            with suppress(OSError, IndexError):
                status = Path(f"/proc/{pid}/status").read_text()
                found += int(status.split("VmRSS:")[1].split()[0]) / 1024
        return found

    def descriptors(self) -> int:
        """What they have open."""
        found = 0
        for pid in self._serving():
            with suppress(OSError):
                found += sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        return found

    def _serving(self) -> list[str]:
        own = str(self.process.pid)
        return [own, *(pid for pid in _children(own) if not _does_tasks(pid))]


class Client:
    """One that keeps its connection, with a key."""

    def __init__(self, port: int, key: str = ADMIN) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._key = key

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """The answer to a request.

        Raises:
            Gone: there is none.
        """
        headers = {"Authorization": f"Bearer {self._key}"}
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        try:
            self._connection.request(method, path, data, headers)
            answer = self._connection.getresponse()
            return Answer(answer.status, json.loads(answer.read() or b"null"))
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._connection.close()
            raise Gone from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _does_tasks(pid: str) -> bool:
    """Whether a process is one that does tasks, or one that is gone."""
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True


def _descendants(pid: str) -> list[str]:
    found = _children(pid)
    return found + [each for child in found for each in _descendants(child)]


def _children(pid: str) -> list[str]:
    """Of all threads of a process."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += path.read_text().split()
    return found
