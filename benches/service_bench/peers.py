"""Other servers over the same vectors, each behind the same few calls."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from service_bench.vectors import Exported

HERE = Path(__file__).parent
LOAD, PYSERINI, MILVUS = (HERE / f"{n}.py" for n in ("load", "pyserini_server", "milvus_load"))
SECONDS = 300


class Pyserini:
    """Pyserini's REST server; its answers hold the documents whatever is asked."""

    name = "Pyserini REST"

    def __init__(self, exported: Exported) -> None:
        index = exported.rows.with_name("pyserini-index")
        command = [sys.executable, str(PYSERINI)]
        subprocess.run([*command, "build", str(exported.rows), str(index)], check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        given = [str(index), str(exported.queries), str(self._port)]
        self._process = subprocess.Popen([*command, "serve", *given])
        queries = json.loads(exported.queries.read_text())
        self._bodies = [json.dumps({"query": each["text"], "hits": 10}) for each in queries]
        self._wait()

    def ask(self, connections: int, seconds: float, lean: bool) -> Mapping[str, Any]:
        """As ``load.py`` says; ``lean`` is no different here."""
        return _asked([sys.executable, str(LOAD)], {
            "port": self._port, "path": "/v1/indexes/bench/search", "bodies": self._bodies,
            "connections": connections, "seconds": seconds,
        })  # fmt: skip

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def _wait(self) -> None:
        for _ in range(10 * SECONDS):
            with suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
                connection.request("GET", "/")
                if connection.getresponse().status == 200:
                    return
            if self._process.poll() is not None:
                raise RuntimeError("Pyserini's server did not start")
            time.sleep(0.1)


class Milvus:
    """milvus-lite through pymilvus; the engine is a process of the client."""

    name = "milvus-lite"

    def __init__(self, exported: Exported, python: str) -> None:
        self._command, self._exported = [python, str(MILVUS)], exported
        self._database = str(exported.rows.with_name("milvus.db"))
        build = [*self._command, "build", str(exported.rows), self._database]
        subprocess.run(build, check=True, stderr=subprocess.DEVNULL)

    def ask(self, connections: int, seconds: float, lean: bool) -> Mapping[str, Any]:
        """As ``load.py`` says; ``lean``: ids and scores only."""
        return _asked([*self._command, "ask", self._database], {
            "queries": str(self._exported.queries), "connections": connections,
            "seconds": seconds, "lean": lean,
        })  # fmt: skip

    def close(self) -> None:
        """Nothing is at work between two calls."""


def _asked(command: list[str], job: Mapping[str, Any]) -> Mapping[str, Any]:
    done = subprocess.run(
        command, input=json.dumps(job), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    answered: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answered
