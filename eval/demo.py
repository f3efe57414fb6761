"""The demo collection: what the Python standard library says about itself, with judged questions.

Every interpreter carries this collection, so it needs no download. Sources are parsed, never
imported. A document is named as its users write it: ``os.path.join`` rather than
``posixpath.join``, ``asyncio.gather`` rather than ``asyncio.tasks.gather``.
"""

from __future__ import annotations

import ast
import copy
import csv
import json
import sysconfig
import tokenize
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from lsr.corpus.documents import Document, Query

MAX_SIGNATURE = 120
"""Characters of a signature that a title shows."""

_SKIPPED = frozenset({"__pycache__", "test", "tests", "idle_test", "ntpath"})
"""Folders and modules left out; ``ntpath`` would repeat every ``os.path`` function."""

_IMPLEMENTS = {
    "posixpath": "os.path",
    "genericpath": "os.path",
    "_collections_abc": "collections.abc",
    "_py_abc": "abc",
    "_pydatetime": "datetime",
    "_pydecimal": "decimal",
    "_pyio": "io",
    "_threading_local": "threading",
    "_weakrefset": "weakref",
}
"""Module to the public module that it implements; of two, the first takes precedence."""

_METHODS_KNOWN_AS = {
    "random.Random": ("random", "function"),
    "multiprocessing.context.BaseContext": ("multiprocessing", "function"),
    "pathlib._abc.PurePathBase": ("pathlib.PurePath", "method"),
    "pathlib._abc.PathBase": ("pathlib.Path", "method"),
}
"""Class to the owner and the kind that users know its methods by: a module offers the methods of
one hidden instance as functions, or a public class in another file inherits them."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Definition = _Function | ast.ClassDef


def stdlib_documents(root: Path | None = None) -> Iterator[Document]:
    """Yield one document per documented module, class, function and method, ordered by id.

    ``root`` is the folder of the standard library; by default, that of the running interpreter.
    ``metadata`` holds ``kind`` (module, class, function or method), ``module`` (where the
    definition stands) and ``line``. Of several definitions with one name, the first counts.
    Files that do not decode or parse are skipped. The running interpreter's is read once.
    """
    yield from _own_documents() if root is None else _documents(root)


@cache
def _own_documents() -> list[Document]:
    return _documents(Path(sysconfig.get_path("stdlib")))


def _documents(folder: Path) -> list[Document]:
    sources = sorted(_sources(folder), key=_precedence)
    public_names = _PublicNames.of(sources)
    documents: dict[str, Document] = {}
    for source in sources:
        for document in _module_documents(source, public_names):
            if document.text and not any(map(_is_private, document.id.split("."))):
                documents.setdefault(document.id, document)
    return [documents[name] for name in sorted(documents)]


def demo_queries() -> list[Query]:
    """The questions asked of the demo collection, in the order of their ids."""
    lines = _data("demo_queries.jsonl").splitlines()
    return [Query(record["_id"], record["text"]) for record in map(json.loads, lines)]


def demo_qrels() -> dict[str, dict[str, int]]:
    """Judgements by query id and document id: 2 is the answer wanted, 1 also helps."""
    qrels: dict[str, dict[str, int]] = {}
    rows = csv.DictReader(_data("demo_qrels.tsv").splitlines(), delimiter="\t")
    for row in rows:
        qrels.setdefault(row["query-id"], {})[row["corpus-id"]] = int(row["score"])
    return qrels


def _data(name: str) -> str:
    return (resources.files("eval") / "data" / name).read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class _Source:
    """One source file and the name under which Python imports it."""

    module: str
    path: Path

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    def parse(self) -> ast.Module | None:
        """The syntax tree, or None where the file does not decode or parse."""
        try:
            with tokenize.open(self.path) as file, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(file.read())
        except (SyntaxError, ValueError):
            return None


def _sources(folder: Path, package: str = "") -> Iterator[_Source]:
    """All modules below a folder; the dash keeps out site-packages, which is no package name."""
    for entry in folder.iterdir():
        if entry.stem in _SKIPPED or not entry.stem.isidentifier():
            continue
        if entry.is_dir():
            yield from _sources(entry, f"{package}{entry.name}.")
        elif entry.name == "__init__.py":
            yield _Source(package.removesuffix("."), entry)
        elif entry.suffix == ".py":
            yield _Source(package + entry.stem, entry)


def _precedence(source: _Source) -> tuple[int, str]:
    """Public modules come before those that implement them."""
    implementations = list(_IMPLEMENTS)
    rank = implementations.index(source.module) + 1 if source.module in implementations else 0
    return rank, source.module


@dataclass(frozen=True, slots=True)
class _PublicNames:
    """How users write the names that a module defines.

    ``reexports`` maps a submodule to the names that its package imports from it, with the
    package; the name ``*`` stands for all that the submodule exports.
    """

    reexports: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, sources: Iterable[_Source]) -> _PublicNames:
        reexports: dict[str, dict[str, str]] = {}
        for source in sources:
            tree = source.parse() if source.is_package and source.module else None
            if tree is None:
                continue
            for module, name in _imports_from_submodules(tree, source.module):
                if name == "*" or _exports(tree, name):
                    reexports.setdefault(module, {})[name] = source.module
        return cls(reexports)

    def owner(self, module: str, tree: ast.Module, name: str) -> str:
        """The public module of a name defined at the top level of a module."""
        packages = self.reexports.get(module, {})
        if name in packages:
            return packages[name]
        if "*" in packages and _exports(tree, name):
            return packages["*"]
        return _IMPLEMENTS.get(module, module)


def _exports(tree: ast.Module, name: str) -> bool:
    """Whether ``__all__`` holds a name; where it is missing or computed, every name counts."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            try:
                return name in ast.literal_eval(node.value)
            except ValueError:
                return True
    return True


def _imports_from_submodules(tree: ast.Module, package: str) -> Iterator[tuple[str, str]]:
    """Pairs of submodule and imported name, also from imports deferred into functions."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        module = f"{package}.{node.module}" if node.level == 1 else node.module
        if module.startswith(f"{package}."):
            yield from ((module, alias.name) for alias in node.names)


def _module_documents(source: _Source, public_names: _PublicNames) -> Iterator[Document]:
    """Everything that a module defines, public or not, documented or not."""
    tree = source.parse()
    if tree is None:
        return
    yield _document(source.module, "module", _IMPLEMENTS.get(source.module, source.module), tree)
    definitions = list(_definitions(tree.body))
    classes = {node.name: node for node in definitions if isinstance(node, ast.ClassDef)}
    for node in definitions:
        name = f"{public_names.owner(source.module, tree, node.name)}.{node.name}"
        if isinstance(node, ast.ClassDef):
            yield from _class_documents(source.module, name, node, classes)
        else:
            yield _document(source.module, "function", name, node, _signature(node))


def _definitions(nodes: Iterable[ast.AST]) -> Iterator[_Definition]:
    """Classes and functions of a block, also those that stand under a condition."""
    for node in nodes:
        if isinstance(node, _Definition):
            yield node
        elif isinstance(node, ast.If | ast.Try | ast.ExceptHandler | ast.With):
            yield from _definitions(ast.iter_child_nodes(node))


def _class_documents(
    module: str, name: str, node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]
) -> Iterator[Document]:
    yield _document(module, "class", name, node)
    for block in _lineage(node, classes):
        for member in _definitions(block.body):
            if isinstance(member, ast.ClassDef):
                yield from _class_documents(module, f"{name}.{member.name}", member, classes)
            else:
                yield _method_document(module, name, member)


def _lineage(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> Iterator[ast.ClassDef]:
    """A class and its private bases, whose methods users know only as those of the class."""
    yield node
    for base in map(ast.unparse, node.bases):
        if base.startswith("_") and base in classes and base != node.name:
            yield from _lineage(classes[base], classes)


def _method_document(module: str, class_name: str, node: _Function) -> Document:
    owner, kind = _METHODS_KNOWN_AS.get(class_name, (class_name, "method"))
    if kind == "function" and node.name.startswith("_"):
        owner, kind = class_name, "method"
    decorators = set(map(ast.unparse, node.decorator_list))
    signature = ""
    if not any("property" in decorator for decorator in decorators):
        signature = _signature(node, bound="staticmethod" not in decorators)
    return _document(module, kind, f"{owner}.{node.name}", node, signature)


def _signature(node: _Function, *, bound: bool = False) -> str:
    """The parameters as written; a bound method's first one is left out."""
    arguments = copy.copy(node.args)
    if bound and arguments.posonlyargs:
        arguments.posonlyargs = arguments.posonlyargs[1:]
    elif bound:
        arguments.args = arguments.args[1:]
    text = ast.unparse(arguments)
    if len(text) > MAX_SIGNATURE:
        text = text[:MAX_SIGNATURE].rpartition(", ")[0] + ", ..."
    return f"({text})"


def _document(
    module: str, kind: str, name: str, node: ast.Module | _Definition, signature: str = ""
) -> Document:
    line = 1 if isinstance(node, ast.Module) else node.lineno
    metadata = {"kind": kind, "module": module, "line": line}
    return Document(name, ast.get_docstring(node) or "", name + signature, metadata)


def _is_private(part: str) -> bool:
    return part.startswith("_") and not part.endswith("__")
