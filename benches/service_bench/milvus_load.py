"""milvus-lite under load, through its own client; run as a script, by a Python that has it.

    python milvus_load.py build ROWS DATABASE
    python milvus_load.py ask DATABASE < JOB

A job and what it comes to are those of ``load.py``, with the file of ``queries`` in place of
address and bodies. Each connection is a thread with a client; the time of Python's part of gRPC is
in it, as it would be for whoever uses it.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from itertools import cycle
from pathlib import Path
from typing import Any

NAME, BATCH = "bench", 1000
PARAMETERS = {"metric_type": "IP", "params": {"drop_ratio_search": 0.0}}
LONGEST = 60_000


def build(rows: Path, database: str) -> None:
    """A collection with an inverted index, which its engine searches exactly."""
    from pymilvus import DataType, MilvusClient

    client = MilvusClient(database)
    schema = client.create_schema(auto_id=True)
    schema.add_field("number", DataType.INT64, is_primary=True)
    schema.add_field("id", DataType.VARCHAR, max_length=1000)
    schema.add_field("title", DataType.VARCHAR, max_length=LONGEST)
    schema.add_field("text", DataType.VARCHAR, max_length=LONGEST)
    schema.add_field("vector", DataType.SPARSE_FLOAT_VECTOR)
    indexes = client.prepare_index_params()
    algorithm = {"inverted_index_algo": "DAAT_MAXSCORE"}
    indexes.add_index(
        "vector", index_type="SPARSE_INVERTED_INDEX", metric_type="IP", params=algorithm
    )
    client.create_collection(NAME, schema=schema, index_params=indexes)
    batch: list[dict[str, Any]] = []
    with rows.open() as lines:
        for line in lines:
            row = json.loads(line)
            row["vector"] = {int(term): weight for term, weight in row["vector"].items()}
            row["text"] = row["text"].encode()[:LONGEST].decode(errors="ignore")
            batch.append(row)
            if len(batch) == BATCH:
                client.insert(NAME, batch)
                batch = []
    if batch:
        client.insert(NAME, batch)
    client.close()


def ask(database: str, job: dict[str, Any]) -> dict[str, Any]:
    """Ask for so long, each connection for its own queries in turn."""
    from pymilvus import MilvusClient

    queries = json.loads(Path(job["queries"]).read_text())
    vectors = [{int(t): w for t, w in each["vector"].items()} for each in queries]
    fields = [] if job["lean"] else ["id", "title", "text"]
    first = MilvusClient(database)
    first.load_collection(NAME)
    clients = [first, *(MilvusClient(database) for _ in range(job["connections"] - 1))]
    found: list[float] = []
    failed: list[str] = []
    begun = time.perf_counter()

    def run(client: Any, place: int) -> None:
        turn = cycle(vectors[place:] + vectors[:place])
        while time.perf_counter() - begun < job["seconds"]:
            started = time.perf_counter()
            try:
                client.search(
                    NAME, [next(turn)], anns_field="vector", limit=10, output_fields=fields,
                    search_params=PARAMETERS,
                )  # fmt: skip
            except Exception as error:
                failed.append(str(error))
                continue
            found.append(1000 * (time.perf_counter() - started))

    # The first search of a process opens what is searched.
    first.search(NAME, [vectors[0]], anns_field="vector", limit=10, search_params=PARAMETERS)
    begun = time.perf_counter()
    threads = [
        threading.Thread(target=run, args=(client, 7 * place % len(vectors)))
        for place, client in enumerate(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"ms": found, "errors": len(failed), "seconds": time.perf_counter() - begun}


if __name__ == "__main__":
    command, *given = sys.argv[1:]
    if command == "build":
        build(Path(given[0]), given[1])
    else:
        json.dump(ask(given[0], json.load(sys.stdin)), sys.stdout)
