"""What the bench asks of an engine, and the table of engines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from index.engines.document_mask import DocumentMask
from lsr.sparse import SparseBatch, SparseVector

# Exact on stored weights; exact, but on weights rounded to integers; anything else.
EXACT, ROUNDED, APPROXIMATE = "exact", "rounded", "approximate"


@dataclass(frozen=True)
class Setting:
    """Parameters of a search, and what they promise: one of the three modes above."""

    mode: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return describe(self.values)


def describe(values: Mapping[str, Any]) -> str:
    """Parameters in one line."""
    return " ".join(f"{name}={value}" for name, value in values.items()) or "-"


class Engine(ABC):
    """One index of one engine. Documents are the rows of the batch that it was built from."""

    # Parameter sets that the bench builds an index with; small collections need no fewer.
    builds: ClassVar[Sequence[Mapping[str, Any]]] = ({},)
    # Whether it searches among some of its documents only.
    filters: ClassVar[bool] = False
    # At most so many queries a round, where one takes long; 0: all.
    queries_a_round: ClassVar[int] = 0
    # Searches before anything is timed, for an engine that compiles itself while it runs.
    warm_up: ClassVar[int] = 0

    @classmethod
    def unfit(cls, build: Mapping[str, Any], documents: int) -> str | None:
        """Why an index of so many documents isn't built; None where it is."""
        return None

    @abstractmethod
    def build(self, vectors: SparseBatch, folder: Path, **build: Any) -> int:
        """Build the index, ready to be searched after ``open``; returns its bytes."""

    def open(self) -> None:
        """Load what ``build`` left on disk; nothing to do for an index that is in memory."""
        return

    def version(self) -> str | None:
        """Of what is timed, where the version of a package doesn't tell; after ``build``."""
        return None

    @abstractmethod
    def settings(self, build: Mapping[str, Any]) -> list[Setting]:
        """What to try with an index that was built so."""

    @abstractmethod
    def prepare(self, query: SparseVector, alive: DocumentMask | None = None) -> Any:
        """A query in the engine's own form; not timed. Only ``filters`` allow for a mask."""

    @abstractmethod
    def search(self, prepared: Any, k: int, **values: Any) -> Any:
        """One search, as a user calls it; timed."""

    @abstractmethod
    def documents(self, found: Any) -> list[int]:
        """Row numbers from what ``search`` returned; not timed."""

    def batch(self, prepared: list[Any], k: int, **values: Any) -> Callable[[], object] | None:
        """A call that searches for all of these on one thread; None where there is none."""
        return None


# Name: module, class, and the packages it needs.
ENGINES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "lsr": ("peers.ours", "OurEngine", ()),
    "bmp": ("peers.bmp", "BmpEngine", ("bmp",)),
    "seismic": ("peers.seismic", "SeismicEngine", ("seismic",)),
    "lucene": ("peers.lucene", "LuceneEngine", ("pyserini", "jnius_config")),
    "qdrant": ("peers.qdrant", "QdrantEngine", ("qdrant_edge",)),
    "sindi": ("peers.sindi", "SindiEngine", ("pyvsag",)),
    "pisa": ("peers.pisa", "PisaEngine", ("pyterrier_pisa",)),
    "kannolo": ("peers.kannolo", "KannoloEngine", ("kannolo",)),
    "milvus": ("peers.milvus", "MilvusEngine", ("milvus_lite", "pymilvus", "pkg_resources")),
    "zvec": ("peers.zvec", "ZvecEngine", ("zvec",)),
    "scipy": ("peers.scipy", "ScipyEngine", ()),
}
NEEDS = {name: packages for name, (_, _, packages) in ENGINES.items()}


def load_engine(name: str) -> type[Engine]:
    """The class of that name."""
    module, attribute, _ = ENGINES[name]
    engine: type[Engine] = getattr(import_module(module), attribute)
    return engine
