"""PISA (Mallia et al., OSIRRC 2019), by the extension module of PyTerrier's package for it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from importlib.metadata import files
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.engines.document_mask import DocumentMask
from lsr.sparse import SparseBatch, SparseVector
from peers.engine import ROUNDED, Engine, Setting

LARGEST_IMPACT = 255
# To what a query's largest weight is rounded: a term is given to PISA that many times.
QUERY_LEVELS = (63, 255)

# For each of QUERY_LEVELS, the one query of a call.
Prepared = dict[int, list[tuple[int, dict[str, float]]]]


class PisaEngine(Engine):
    """Integer weights on both sides; exact search for these."""

    builds = ({"encoding": "block_simdbp"},)

    def build(self, vectors: SparseBatch, folder: Path, **build: Any) -> int:
        self._pisa = _extension()
        place = folder / "pisa"
        place.mkdir()
        _write(place, vectors)
        for names, lexicon in (("documents", "doclex"), ("terms", "termlex")):
            self._pisa.build_binlex(str(place / f"fwd.{names}"), str(place / f"fwd.{lexicon}"))
        self._context = self._pisa.RetrievalContext()
        self._pisa.prepare_index(
            self._context, str(place), scorer_name="quantized", stemmer="", **build
        )
        return sum(path.stat().st_size for path in place.glob("quantized*"))

    def settings(self, build: Mapping[str, Any]) -> list[Setting]:
        return [
            Setting(ROUNDED, {"algorithm": algorithm, "query_levels": levels})
            for algorithm in ("maxscore", "block_max_maxscore", "block_max_wand", "ranked_or_taat")
            for levels in QUERY_LEVELS
        ]

    def prepare(self, query: SparseVector, alive: DocumentMask | None = None) -> Prepared:
        step = float(query.values.max(initial=0)) or 1.0
        return {levels: [(0, _counts(query, levels / step))] for levels in QUERY_LEVELS}

    def search(self, prepared: Prepared, k: int, **values: Any) -> Any:
        return self._retrieve(prepared[values["query_levels"]], k, values["algorithm"])

    def documents(self, found: Any) -> list[int]:
        return [int(name) for name in found]

    def batch(self, prepared: list[Prepared], k: int, **values: Any) -> Callable[[], object] | None:
        queries = [each[values["query_levels"]][0] for each in prepared]
        return lambda: self._retrieve(queries, k, values["algorithm"])

    def _retrieve(self, queries: list[tuple[int, dict[str, float]]], k: int, algorithm: str) -> Any:
        room = len(queries) * k
        names = np.empty(room, dtype=object)
        count = self._pisa.retrieve(
            self._context,
            algorithm,
            queries,
            k=k,
            threads=1,
            pretokenised=1,
            query_weighted=1,
            result_qidxs=np.empty(room, dtype=np.int32),
            result_docnos=names,
            result_ranks=np.empty(room, dtype=np.int32),
            result_scores=np.empty(room, dtype=np.float32),
        )
        return names[:count]


def _extension() -> Any:
    """The module alone: its package would bring PyTerrier, and with it Java."""
    library = [file.locate() for file in files("tbb") or [] if file.name == "libtbb.so.2"]
    ctypes.CDLL(str(library[0]) if library else "libtbb.so.2", mode=ctypes.RTLD_GLOBAL)
    package = find_spec("pyterrier_pisa")
    assert package is not None
    folder = Path((package.submodule_search_locations or [""])[0])
    spec = spec_from_file_location("_pisathon", next(folder.glob("_pisathon*.so")))
    assert spec is not None
    module = module_from_spec(spec)
    assert spec.loader is not None
    spec.loader.exec_module(module)
    return module


def _name(term: int) -> str:
    """Of a term, in an order that is that of the numbers."""
    return f"{term:08}"


def _counts(query: SparseVector, scale: float) -> dict[str, float]:
    counts = np.maximum(1, np.rint(query.values * scale)).tolist()
    return {_name(term): count for term, count in zip(query.indices.tolist(), counts, strict=True)}


def _write(folder: Path, vectors: SparseBatch) -> None:
    """PISA's inverted lists, and the names of documents and terms, a line each."""
    impacts = vectors.to_scipy().tocsc()
    step = float(impacts.data.max(initial=0)) / LARGEST_IMPACT or 1.0
    impacts.data = np.maximum(1, np.rint(impacts.data / step))
    lengths = np.diff(impacts.indptr)
    used = np.flatnonzero(lengths)
    sums = impacts.sum(axis=1).astype(np.uint32)
    with (folder / "inv.docs").open("wb") as stream:
        np.array([1, len(vectors)], np.uint32).tofile(stream)
        _lists(lengths[used], impacts.indices).tofile(stream)
    _lists(lengths[used], impacts.data).tofile(folder / "inv.freqs")
    _lists(np.array([len(sums)]), sums).tofile(folder / "inv.sizes")
    (folder / "fwd.documents").write_text("".join(f"{row}\n" for row in range(len(vectors))))
    (folder / "fwd.terms").write_text("".join(f"{_name(term)}\n" for term in used.tolist()))


def _lists(lengths: NDArray[Any], values: NDArray[Any]) -> NDArray[np.uint32]:
    """Lists of these lengths, one after the other, each behind its length."""
    words = np.empty(len(lengths) + len(values), np.uint32)
    starts = np.cumsum(lengths + 1) - lengths - 1
    inner = np.ones(len(words), bool)
    inner[starts] = False
    words[starts], words[inner] = lengths, values
    return words
