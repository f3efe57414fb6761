"""Which package may import which, and what an import may load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "lsr": {"lsr"},
    "index": {"index", "lsr"},
    "service": {"service", "eval", "index", "lsr"},
    "eval": {"eval", "index", "lsr"},
}
OURS = set(MAY_IMPORT)
HEAVY = ["torch", "transformers", "faiss", "jnius", "pyserini"]
NEEDS_TORCH = {
    "lsr.backbones.projection",
    "lsr.backbones.backbone",
    "lsr.backbones.causal",
    "lsr.backbones.dense_maxima",
    "lsr.train.depth",
    "lsr.train.micro_batches",
    "lsr.train.losses",
    "lsr.train.max_pooling",
    "lsr.train.objective",
    "lsr.train.optimization",
    "lsr.train.precision",
    "lsr.train.term_table",
    "lsr.train.sides",
    "lsr.train.term_weights",
    "lsr.train.student",
    "lsr.train.trainer",
    "lsr.train.run",
    "lsr.train.spar.run",
    "lsr.train.dense_terms.fitting",
    "lsr.train.dense_terms.run",
    "lsr.train.dense_terms.student",
    "lsr.train.reranker.run",
    "lsr.train.reranker.student",
    "lsr.train.regularizers",
    "lsr.train.spar.lexical_model",
    "lsr.train.training_state",
}
# Each of a library that may be missing, which they say.
OF_OTHERS = {
    "service.integrations.haystack",
    "service.integrations.langchain",
    "service.integrations.llama_index",
    "service.mcp.server",
}
COMMANDS = ROOT / "service/commands"
# The public face alone reaches up.
FACE = ROOT / "lsr/__init__.py"
# Commands, options and the face, which import ours inside functions only.
# What prints, which commands import where they print.
PRINTING = {COMMANDS / "terminal.py", COMMANDS / "search_output.py"}
LIGHT = {FACE, ROOT / "service/cli.py", *COMMANDS.glob("[!_]*.py")} - PRINTING
FILES = [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]


def imports(tree):
    """(line, module) of each import in a syntax tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


def at_import(tree):
    """The statements that run when the module is imported by a running program."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        else:
            yield from at_import(node)


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def outside(path, pairs, allowed):
    return [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for line, module in pairs
        if module.startswith(".") or module.split(".")[0] in OURS - allowed
    ]


def test_imports_point_in_the_direction_of_the_design():
    found = []
    for path in FILES:
        everything = path.parent == COMMANDS or path == FACE
        allowed = OURS if everything else MAY_IMPORT[path.relative_to(ROOT).parts[0]]
        found += outside(path, imports(ast.parse(path.read_text())), allowed)
    assert found == []


def test_composition_root_and_face_import_ours_only_inside_functions():
    light = {"lsr.errors", *map(module_name, LIGHT)}
    assert len(light) > 10
    for path in LIGHT:
        tree = ast.parse(path.read_text())
        early = [pair for node in at_import(tree) for pair in imports(node)]
        others = [(line, module) for line, module in early if module not in light]
        assert outside(path, others, set()) == []


def test_only_the_command_line_imports_commands():
    for path in FILES:
        if path.parent == COMMANDS or path == ROOT / "service/cli.py":
            continue
        modules = [module for _, module in imports(ast.parse(path.read_text()))]
        early = [m for m in modules if f"{m}.".startswith(("service.commands.", "service.cli."))]
        assert early == [], path


def imported_files():
    """{module: the modules of ours that it imports}, inside functions and for types too."""
    known = {module_name(path): path for path in FILES}
    graph = {}
    for module, path in known.items():
        found = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= (inner & known.keys()) or {node.module}
        graph[module] = (found & known.keys()) - {module}
    return graph


def test_no_file_imports_itself_by_way_of_others():
    graph = imported_files()
    while leaves := {module for module, found in graph.items() if not found}:
        graph = {m: found - leaves for m, found in graph.items() if m not in leaves}
    assert graph == {}


def heavy_after(statements):
    program = f"{statements}\nimport sys\nprint([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return done.stdout.splitlines()[-1]


def test_importing_our_packages_loads_nothing_heavy():
    assert heavy_after("import lsr, index, service, eval") == "[]"


def test_importing_any_module_loads_nothing_heavy():
    modules = sorted({module_name(path) for path in FILES} - NEEDS_TORCH - OF_OTHERS)
    assert heavy_after("\n".join(f"import {module}" for module in modules)) == "[]"


def test_asking_for_help_loads_nothing_heavy():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "service.cli", "--help"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "Usage:" in done.stdout
    assert {"click", "lsr.errors"} <= loaded
    assert not loaded.intersection(HEAVY)
