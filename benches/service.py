"""Latency and throughput of ``lsr serve``: real requests over connections that are kept.

    python benches/service.py --quick
    python benches/service.py COLLECTION --queries titles.txt --workers 1 2 --json service.json
    python benches/service.py COLLECTION --server before=/other/checkout --server after=.
    python benches/service.py COLLECTION --pyserini --milvus /other/venv/bin/python

``server_cpu_ms`` is the processor time of the server for a request, which other work on the machine
disturbs least. Without COLLECTION it indexes the corpus of SciFact. Several servers are asked in
turn, in rounds, each over a copy of the collection. Pyserini's own REST server (over an impact
index of the same vectors, weights of queries looked up) and milvus-lite (its engine in C++, through
its client; 2.5.1 wants pymilvus 2.5 and setuptools below 80, so a Python of its own) are asked the
same queries.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from abuse_bench.served import Served
from engine_bench.report import publish
from machine import describe_machine, describe_versions
from service_bench.peers import Milvus, Pyserini
from service_bench.rows import row
from service_bench.vectors import Exported, export

from index.collection.collection import Collection
from index.collection.field import DENSE

ROOT = Path(__file__).resolve().parents[1]
ASSETS = Path(os.environ.get("LSR_ASSETS", ROOT.parent / "shared"))
CORPUS = ASSETS / "data/scifact/corpus.jsonl.gz"
LOAD = Path(__file__).parent / "service_bench/load.py"
QUERIES = 500
QUICK_DOCUMENTS = 800
CONNECTIONS = 1, 8, 64
WORKERS = 1, 2
ROUNDS = 5
# A body of each kind, beside the query; the first is what a client gets that asks for nothing else.
BODIES: dict[str, dict[str, Any]] = {
    "default": {},
    "lean": {"with_payload": False, "highlight": False},
    "sparse": {"using": "sparse"},
}
COLUMNS = {
    "server": "server",
    "body": "body",
    "connections": "connections",
    "workers": "workers",
    "p50_ms": "p50 ms",
    "p95_ms": "p95 ms",
    "p99_ms": "p99 ms",
    "requests_per_s": "requests/s",
    "server_cpu_ms": "server CPU ms",
    "errors": "errors",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; 2 where what it needs is not there."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("collection", nargs="?", type=Path, help="what is served; it is copied")
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="what is indexed without one")
    parser.add_argument("--queries", type=Path, help="a query a line, in place of titles")
    parser.add_argument(
        "--server",
        action="append",
        metavar="NAME=CHECKOUT",
        help="the code that serves; this one where none is given",
    )
    parser.add_argument("--workers", type=int, nargs="+", default=WORKERS)
    parser.add_argument("--connections", type=int, nargs="+", default=CONNECTIONS)
    parser.add_argument("--pyserini", action="store_true", help="ask its REST server too")
    parser.add_argument("--milvus", metavar="PYTHON", help="ask milvus-lite too, by this Python")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement in a round")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--query-cache",
        type=int,
        default=0,
        metavar="BYTES",
        help="of answers that a server keeps: 0, so that queries asked again are searched again",
    )
    parser.add_argument("--quick", action="store_true", help="fewer documents, under 50 seconds")
    parser.add_argument("--json", metavar="FILE", help="write the rows; - for standard output")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seconds, options.rounds, options.connections = 0.6, 1, (1, 8)
    needed = options.collection or options.corpus
    if not needed.exists():
        print(f"{needed} is not there; give a COLLECTION or --corpus FILE", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        rows = run(options, Path(folder))
    report = {
        "machine": describe_machine(),
        "versions": describe_versions(["uvicorn"]),
        "query_cache": options.query_cache,
    }
    publish(report | {"rows": rows}, COLUMNS, options.json)
    return 0


def run(options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """The rows, by server, body, connections and workers."""
    servers = dict(each.split("=", 1) for each in options.server or [f"lsr={ROOT}"])
    collection = options.collection or indexed(options.corpus, folder, options.quick)
    queries = read_queries(options.queries, collection)
    with closing(Collection.open(collection)) as opened:
        hybrid = any(field.name == DENSE for field in opened.fields)
    bodies = {name: body for name, body in BODIES.items() if hybrid or name != "sparse"}
    if hybrid:
        bodies = {("hybrid" if name == "default" else name): body for name, body in bodies.items()}
    found: dict[tuple[str, str, int, int], list[Mapping[str, Any]]] = {}
    with ExitStack() as stack:
        peers = started_peers(options, export_queries(options, collection, queries, folder), stack)
        started = {}
        for name, checkout in servers.items():
            copy = folder / name / "served"
            shutil.copytree(collection, copy)
            for workers in options.workers:
                log, root = folder / f"{name}-{workers}.log", Path(checkout).resolve()
                arguments = () if workers == 1 else ("--workers", str(workers))
                started[name, workers] = Served(copy, log, root, arguments, options.query_cache)
                stack.callback(started[name, workers].kill)
        # The first round warms caches, and is not counted.
        for turn in range(options.rounds + 1):
            for body, settings in bodies.items():
                for connections in options.connections:
                    asked = {
                        (name, workers): ask(
                            served, queries, settings, connections, options.seconds
                        )
                        for (name, workers), served in started.items()
                    }
                    lean = not settings.get("with_payload", True)
                    for peer in peers:
                        asked[peer.name, 1] = peer.ask(connections, options.seconds, lean)
                    for (name, workers), answered in asked.items() if turn else ():
                        key = name, body, connections, workers
                        found.setdefault(key, []).append(answered)
    names = [name for name, *_ in found]
    return [row(*key, found[key]) for key in sorted(found, key=_order(names, bodies))]


def export_queries(
    options: argparse.Namespace,
    collection: Path,
    queries: Sequence[Mapping[str, Any]],
    folder: Path,
) -> Exported | None:
    """The vectors that peers are given, where any is asked."""
    return export(collection, queries, folder) if options.pyserini or options.milvus else None


def started_peers(
    options: argparse.Namespace, exported: Exported | None, stack: ExitStack
) -> list[Pyserini | Milvus]:
    """The peers that are asked for, at work."""
    found: list[Pyserini | Milvus] = []
    if exported is None:
        return found
    if options.pyserini:
        found.append(Pyserini(exported))
    if options.milvus:
        found.append(Milvus(exported, options.milvus))
    for peer in found:
        stack.callback(peer.close)
    return found


def indexed(corpus: Path, folder: Path, quick: bool) -> Path:
    """A collection of a corpus, or of its first lines."""
    if quick:
        part = folder / "corpus.jsonl"
        reading = gzip.open if corpus.suffix == ".gz" else open
        with reading(corpus, "rt", encoding="utf-8") as lines:
            part.write_text("".join(islice(lines, QUICK_DOCUMENTS)), encoding="utf-8")
        corpus = part
    collection = folder / "made"
    command = [sys.executable, "-m", "service.cli", "index", str(corpus), "--into", str(collection)]
    subprocess.run([*command, "--quiet"], cwd=ROOT, check=True)
    return collection


def read_queries(file: Path | None, collection: Path) -> list[dict[str, Any]]:
    """The lines of a file, or titles or vectors of documents spread over the collection."""
    if file is not None:
        lines = [line.strip() for line in file.read_text().splitlines()]
        return [{"text": line} for line in lines if line][:QUERIES]
    with closing(Collection.open(collection)) as opened, opened.pinned():
        numbers = opened.store.live()
        some = numbers[:: max(1, len(numbers) // QUERIES)].tolist()
        found = opened.store.documents(some).values()
        texts = [document.title or document.text[:100] for document in found]
    return [{"text": text} for text in texts if text.strip()][:QUERIES]


def ask(
    served: Served,
    queries: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    connections: int,
    seconds: float,
) -> Mapping[str, Any]:
    """What the clients of ``service_bench/load.py`` saw."""
    bodies = [json.dumps({"query": query, **settings}) for query in queries]
    job = {
        "port": served.port,
        "path": "/v1/indexes/served/search",
        "bodies": bodies,
        "connections": connections,
        "seconds": seconds,
    }
    before = served.cpu_seconds()
    done = subprocess.run(
        [sys.executable, str(LOAD)],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=True,
    )
    answered: Mapping[str, Any] = json.loads(done.stdout)
    return {**answered, "cpu_seconds": served.cpu_seconds() - before}


def _order(servers: Sequence[str], bodies: Mapping[str, Any]) -> Any:
    places = {name: place for place, name in enumerate([*dict.fromkeys(servers), *bodies])}
    return lambda key: (places[key[1]], key[2], places[key[0]], key[3])


if __name__ == "__main__":
    sys.exit(main())
