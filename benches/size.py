"""Where the bytes of a collection are: each table of its store, and its segments, by byte of text.

    python benches/size.py COLLECTION
    python benches/size.py --quick

COLLECTION is what ``lsr index`` made. Without one, the demo corpus is indexed. Texts are those that
documents have, titles included, in UTF-8. What a table takes is whole pages, indexes are apart.
"""

from __future__ import annotations

import argparse
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine_bench.report import publish
from machine import describe_machine, describe_versions

from index.collection.collection import STORE_FILE, Collection
from lsr.errors import LsrError

COLUMNS = {
    "part": "part",
    "bytes": "bytes",
    "unused": "unused",
    "bytes_per_byte_of_text": "bytes a byte of text",
}
DOCUMENTS_AT_A_TIME = 1000


def main(arguments: list[str] | None = None) -> int:
    """Run the bench; 2 for a collection that can't be read."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("collection", type=Path, nargs="?", help="made by lsr index")
    parser.add_argument("--quick", action="store_true", help="the demo corpus, under 50 seconds")
    parser.add_argument("--json", metavar="FILE", help="write the rows; - for standard output")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as folder:
            rows = measure(options.collection or index_demo(Path(folder, "demo")))
    except LsrError as error:
        print(error, file=sys.stderr)
        return 2
    report = {"machine": describe_machine(), "versions": describe_versions([]), "rows": rows}
    publish(report, COLUMNS, options.json)
    return 0


def index_demo(folder: Path) -> Path:
    """A collection of the demo corpus, by the packaged encoder."""
    command = ["-m", "service.cli", "index", "demo", "--into", str(folder), "--quiet"]
    subprocess.run([sys.executable, *command], check=True, stdout=sys.stderr)
    return folder


def measure(folder: Path) -> list[dict[str, Any]]:
    """A row for each part, the largest first, and one for the whole folder."""
    with closing(Collection.open(folder)) as collection:
        text = _bytes_of_text(collection)
    tables = _bytes_of_tables(folder / STORE_FILE)
    segments = [path.stat().st_size for path in (folder / "segments").iterdir()]
    parts = [*tables, ("segments", sum(segments), 0)]
    whole = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    parts = [*sorted(parts, key=lambda part: -part[1]), ("whole folder", whole, 0)]
    return [
        {
            "part": name,
            "bytes": size,
            "unused": unused,
            "bytes_per_byte_of_text": round(size / max(text, 1), 3),
        }
        for name, size, unused in parts
    ]


def _bytes_of_text(collection: Collection) -> int:
    numbers, found = collection.store.live().tolist(), 0
    for start in range(0, len(numbers), DOCUMENTS_AT_A_TIME):
        documents = collection.store.documents(numbers[start : start + DOCUMENTS_AT_A_TIME])
        found += sum(len((d.title + d.text).encode()) for d in documents.values())
    return found


def _bytes_of_tables(path: Path) -> list[tuple[str, int, int]]:
    """Name, bytes, and bytes that hold nothing, of each table and index."""
    query = "SELECT name, SUM(pgsize), SUM(unused) FROM dbstat GROUP BY name"
    uri = f"{path.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as store:
        try:
            return store.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            raise LsrError(
                f"the SQLite of this Python can't say what a table takes ({error}); use one that "
                "was built with SQLITE_ENABLE_DBSTAT_VTAB"
            ) from error


if __name__ == "__main__":
    sys.exit(main())
