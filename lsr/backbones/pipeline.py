"""The modules of a sentence-transformers folder, in the order in which a text goes through them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from lsr.backbones.json_files import read_json, read_json_object
from lsr.errors import InputError

MODULES = "modules.json"
# Modules that read text with a transformer, and with a table of one weight a token.
TRANSFORMERS = ("Transformer", "MLMTransformer")
TABLES = ("SparseStaticEmbedding", "IDF")
ROUTERS = ("Router", "Asym")
# Classes of sentence-transformers are named without their package, others in full.
PACKAGE = "sentence_transformers."


class Module(NamedTuple):
    """The name of a module's class, and its folder inside the one that was named."""

    kind: str
    path: str


def pipeline(root: Path, side: str) -> list[Module]:
    """The modules of a side's texts; none where the folder has no ``modules.json``.

    ``side`` is ``document`` or ``query``; the two differ behind a Router, whose route is the one
    that sentence-transformers takes for texts.

    Raises:
        InputError: ``modules.json`` or ``router_config.json`` is malformed, or leads out of the
            folder.
    """
    path = root / MODULES
    if not path.is_file():
        return []
    try:
        modules = [_module(entry["type"], entry["path"]) for entry in read_json(path)]
        if not modules or modules[0].kind not in ROUTERS:
            return modules
        folder = PurePosixPath(modules[0].path)
        router = _router(root / folder)
        routed = [
            _module(router["types"][name], str(folder / name)) for name in _route(router, side)
        ]
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path} or the router_config.json beside it is no list of modules with type and path "
            f"({error!r}); restore the checkpoint's own file"
        ) from error
    return [*routed, *modules[1:]]


def _module(kind: str, path: str) -> Module:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts:
        raise ValueError(f"the path {path!r} leads out of the checkpoint")
    own = kind.startswith(PACKAGE)
    return Module(kind.rpartition(".")[2] if own else kind, "" if str(parts) == "." else str(parts))


def _router(folder: Path) -> dict[str, Any]:
    path = folder / "router_config.json"
    return read_json_object(path if path.is_file() else folder / "config.json")


def _route(router: Mapping[str, Any], side: str) -> list[str]:
    """The names of the modules on the route of a side's texts."""
    structure = router["structure"]
    mappings = (router.get("parameters") or {}).get("route_mappings") or {}
    # The keys are written as Python spells pairs of task and modality.
    for pair in ((side, "text"), (side, None), (None, "text"), (None, None)):
        if str(pair) in mappings:
            return list(structure[mappings[str(pair)]])
    return list(structure[side] if side in structure else structure["text"])
