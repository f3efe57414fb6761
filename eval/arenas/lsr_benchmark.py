"""lsr-benchmark (ECIR 2026): its embeddings, and the folders of runs that it evaluates.

EMBEDDING/doc/doc-embeddings.npz       indptr, indices, data of compressed sparse rows
EMBEDDING/doc/doc-ids.txt              an id a line; the same under query/
RUN/run.txt.gz                         the TREC run
RUN/index-metadata.yml                 ir_metadata of building the index
RUN/retrieval-metadata.yml             and of searching for all queries
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import platform
import resource
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from eval.arenas.embeddings import EmbeddedTexts, csr_vectors, rank_vectors
from eval.run import run_lines
from lsr.distribution import installed_versions, package_version
from lsr.errors import InputError, NotFoundError, UsageError

DOCUMENTS, QUERIES = "doc", "query"
INDEXING, SEARCHING = "index-metadata.yml", "retrieval-metadata.yml"
RUN_FILE = "run.txt.gz"
PACKAGES = ("lsr", "numpy", "scipy")
RAPL = Path("/sys/class/powercap")
SCHEMA = "0.2"
TIRA = Path("/tira-data")


def read_embedding(folder: Path, kind: str) -> EmbeddedTexts:
    """The vectors and ids of one side, ``doc`` or ``query``, of an embedding's folder.

    Raises:
        NotFoundError: the folder or one of its files is missing.
        InputError: a file is malformed.
    """
    arrays = folder / kind / f"{kind}-embeddings.npz"
    names = folder / kind / f"{kind}-ids.txt"
    for file in (arrays, names):
        if not file.is_file():
            raise NotFoundError(
                f"there is no file {str(file)!r}; an embedding of lsr-benchmark is a folder with "
                "doc/ and query/, as lsr-benchmark download-embeddings leaves it"
            )
    try:
        with np.load(arrays, allow_pickle=False) as loaded:
            indptr, indices, data = (loaded[name] for name in ("indptr", "indices", "data"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{str(arrays)!r} is no file of compressed sparse rows: {error}"
        ) from error
    try:
        ids = names.read_text(encoding="utf-8").strip().splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{str(names)!r} is not UTF-8: {error}") from error
    return EmbeddedTexts(ids, csr_vectors(indptr, indices, data, None, repr(str(arrays))))


@dataclass(frozen=True)
class Entry:
    """What a run folder is made of.

    ``dataset`` is the data set's id or folder, by which the evaluator finds the judgements;
    ``embedding`` the folder of its vectors, whose name stands in the metadata unless
    ``embedding_name`` does, or it is one that TIRA mounted; ``team`` and ``tag`` name who made the
    run, and what it is.
    """

    dataset: str
    embedding: Path
    k: int = 10
    engine: str = "native"
    team: str = "lsr-search"
    embedding_name: str | None = None
    tag: str | None = None


def write_run_folder(entry: Entry, folder: Path) -> dict[str, float]:
    """Index an embedding, search for its queries, and write the run with its metadata.

    Returns:
        Wall seconds by step: ``index`` and ``retrieval``.

    Raises:
        NotFoundError: the embedding is not there.
        InputError: it is malformed, or an id can't stand in a TREC run.
        UsageError: the folder holds another run, the engine is unknown, or ``k`` is below 1.
    """
    if any((folder / name).exists() for name in (RUN_FILE, "run.txt", INDEXING, SEARCHING)):
        raise UsageError(f"{str(folder)!r} holds a run already; give another folder, or delete it")
    documents = read_embedding(entry.embedding, DOCUMENTS)
    queries = read_embedding(entry.embedding, QUERIES)
    tag = entry.tag or f"lsr-{entry.engine}"
    steps = {INDEXING: Resources(), SEARCHING: Resources()}
    ranked = rank_vectors(
        documents, queries, entry.k, entry.engine,
        watch=lambda step: steps[INDEXING if step == "index" else SEARCHING].watch(),
    )  # fmt: skip
    lines = run_lines(ranked.run(documents, queries), tag)
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(folder / RUN_FILE, "wt", encoding="utf-8") as stream:
        stream.writelines(lines)
    for name, used in steps.items():
        # JSON is YAML; no other package is needed to write it.
        text = json.dumps(_metadata(entry, tag, used), indent=2, ensure_ascii=False)
        (folder / name).write_text(text + "\n", encoding="utf-8")
    return {"index": ranked.index_seconds, "retrieval": ranked.search_seconds}


class Resources:
    """What a step took: wall and processor time, memory, and energy where it can be read."""

    def __init__(self) -> None:
        self._began = self._ended = datetime.now(UTC)
        self._times = (0.0, 0.0, 0.0)
        self._energy: dict[str, float | None] = {}

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Measure what is done inside."""
        self._began, energy, before = datetime.now(UTC), _energy(), _times()
        yield
        self._times = tuple(b - a for a, b in zip(before, _times(), strict=True))  # type: ignore[assignment]
        self._ended, after = datetime.now(UTC), _energy()
        self._energy = {
            name: after[name] - joules if after.get(name, 0.0) >= joules else None
            for name, joules in energy.items()
        }

    def to_json(self) -> dict[str, Any]:
        """As ir_metadata has it under ``resources``; what was not measured is null."""
        wall, user, system = (f"{1000 * seconds:.0f} ms" for seconds in self._times)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {
            "cpu": {"energy used system": _joules(self._energy.get("package"))},
            "gpu": {"energy used system": _joules(None)},
            "ram": {
                "energy used system": _joules(self._energy.get("dram")),
                # Mebibytes; macOS counts bytes.
                "used process": {"max": peak >> (20 if sys.platform == "darwin" else 10)},
            },
            "runtime": {
                "start time": self._began.isoformat(),
                "stop time": self._ended.isoformat(),
                "wallclock": wall,
                "user": user,
                "system": system,
            },
        }


def _metadata(entry: Entry, tag: str, used: Resources) -> dict[str, Any]:
    is_folder = Path(entry.dataset).is_dir()
    return {
        "schema version": SCHEMA,
        "tag": tag,
        "actor": {"team": entry.team},
        "data": {
            "test collection": {
                "name": str(Path(entry.dataset).resolve()) if is_folder else entry.dataset
            },
            **_embedding_model(entry),
        },
        "method": {
            "name": f"lsr-search {package_version()}, engine {entry.engine}",
            "retrieval": {"depth": entry.k, "single stage retrieval": True},
        },
        "implementation": {
            "executable": {"cmd": sys.argv},
            "python": {"version": platform.python_version(), "packages": _packages()},
        },
        "platform": {
            "hardware": {"cpu": {"number of cores": os.cpu_count()}},
            "operating system": {"kernel": platform.platform()},
            "software": {"lsr-search": package_version()},
        },
        "resources": used.to_json(),
    }


def _embedding_model(entry: Entry) -> dict[str, Any]:
    """Nothing where TIRA mounted it: the name is not that of the folder then."""
    folder = entry.embedding.resolve()
    unnamed = folder.is_relative_to(TIRA) and not entry.embedding_name
    return {} if unnamed else {"embedding model": {"name": entry.embedding_name or folder.name}}


def _packages() -> list[str]:
    return [f"{name}=={number}" for name, number in installed_versions(PACKAGES).items()]


def _times() -> tuple[float, float, float]:
    used = os.times()
    return time.perf_counter(), used.user, used.system


def _joules(value: float | None) -> str:
    """As tirex-tracker spells it, and its evaluator reads it."""
    return "null J" if value is None else f"{value:.2f} J"


def _energy() -> dict[str, float]:
    """Joules counted by the processor for its packages and memory, where they may be read."""
    counted: dict[str, float] = {}
    for domain in RAPL.glob("intel-rapl:*"):
        with contextlib.suppress(OSError, ValueError):
            name = (domain / "name").read_text().strip().partition("-")[0]
            joules = int((domain / "energy_uj").read_text()) / 1e6
            counted[name] = counted.get(name, 0.0) + joules
    return counted
