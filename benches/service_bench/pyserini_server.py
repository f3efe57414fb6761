"""Pyserini's own REST server over an impact index of the same vectors; run as a script.

    python pyserini_server.py build ROWS INDEX
    python pyserini_server.py serve INDEX QUERIES PORT

Impacts are integers as Anserini has them: a document weight times 100, and so a query weight. The
text of a query is looked up among the queries, whose vectors are given: no encoder is timed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

SCALE = 100
NAME = "bench"


def build(rows: Path, index: Path) -> None:
    """An impact index with what is stored of each row, by Anserini's own program."""
    from index.engines.anserini import pyserini_jar
    from index.engines.java import java_runtime

    corpus = index.with_name(index.name + "-corpus")
    corpus.mkdir(parents=True, exist_ok=True)
    with rows.open() as lines, (corpus / "rows.jsonl").open("w") as file:
        for line in lines:
            row = json.loads(line)
            vector = {term: round(SCALE * weight) for term, weight in row["vector"].items()}
            vector = {term: weight for term, weight in vector.items() if weight > 0}
            text = f"{row['title']}\n{row['text']}"
            file.write(json.dumps({"id": row["id"], "contents": text, "vector": vector}) + "\n")
    java = str(java_runtime().program)
    program = [java, "-Xmx6g", "-cp", str(pyserini_jar()), "io.anserini.index.IndexCollection"]
    program += [
        "-collection",
        "JsonVectorCollection",
        "-generator",
        "DefaultLuceneDocumentGenerator",
    ]
    program += ["-input", str(corpus), "-index", str(index), "-threads", "2"]
    program += ["-impact", "-pretokenized", "-storeRaw", "-optimize"]
    subprocess.run(program, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class GivenVectors:
    """A query's vector by its text, as Pyserini's query encoders give it."""

    def __init__(self, queries: Path) -> None:
        self._vectors = {
            each["text"]: {
                term: max(1, round(SCALE * weight)) for term, weight in each["vector"].items()
            }
            for each in json.loads(queries.read_text())
        }

    def encode(self, text: str, **_: Any) -> dict[str, int]:
        return self._vectors[text]


def serve(index: Path, queries: Path, port: int) -> None:
    """Pyserini's application, with the index under the name that requests give."""
    os.environ.setdefault("OPENAI_API_KEY", "none")
    from index.engines.anserini import pyserini_jar
    from index.engines.java import start_java

    # Its Python part fits the jar that it carries.
    start_java(pyserini_jar())
    _without_images()
    import jnius  # noqa: F401
    import uvicorn
    from pyserini.search.lucene import LuceneImpactSearcher
    from pyserini.server.models import IndexConfig
    from pyserini.server.rest.app import app
    from pyserini.server.search_controller import get_controller

    searcher = LuceneImpactSearcher(str(index), GivenVectors(queries))
    # By this type it takes hits' documents from the index itself.
    get_controller().indexes[NAME] = IndexConfig(NAME, searcher=searcher, index_type="tf")
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


def _without_images() -> None:
    """The server imports a package for searching images, which is none of its dependencies."""
    for name in ("corpus", "query"):
        module = ModuleType(f"uniir_for_pyserini.pyserini_integration.uniir_{name}_encoder")
        setattr(module, f"{name.title()}Encoder", object)
        sys.modules[module.__name__] = module
    for name in ("uniir_for_pyserini", "uniir_for_pyserini.pyserini_integration"):
        sys.modules[name] = ModuleType(name)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    command, first, second, *rest = sys.argv[1:]
    if command == "build":
        build(Path(first), Path(second))
    else:
        serve(Path(first), Path(second), int(rest[0]))
