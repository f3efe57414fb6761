"""The stubs of the extensions against the signatures that nanobind gives them.

mypy's own stubtest takes no function of nanobind for one, so it compares none of their parameters.
"""

import ast
import re
from pathlib import Path

import pytest

import index._core
import lsr._core

ROOT = Path(__file__).parent.parent
SIZE = r"ndarray\[dtype=(\w+)[^\]]*\]"
REQUIRED = "required"


def without_shapes(annotation):
    """An annotation by the element type of each array, and without modules."""
    text = re.sub(r"NDArray\[np\.(\w+)\]", r"\1", ast.unparse(annotation))
    return re.sub(r"(?:\w+\.)+(\w+)", r"\1", text)


def described(function):
    """Parameters as (name, type, default or REQUIRED), and the return type, of a syntax tree."""
    arguments = function.args
    assert arguments.posonlyargs == arguments.kwonlyargs == []
    names = [argument for argument in arguments.args if argument.arg != "self"]
    defaults = [REQUIRED] * (len(names) - len(arguments.defaults))
    defaults += [ast.literal_eval(default) for default in arguments.defaults]
    parameters = [
        (name.arg, without_shapes(name.annotation), default)
        for name, default in zip(names, defaults, strict=True)
    ]
    return parameters, without_shapes(function.returns)


def bound(function):
    """The same of a function of an extension."""
    ((signature, _, defaults),) = function.__nb_signature__
    # That of a property has no name.
    text = re.sub(SIZE, r"\1", signature).replace("def (", "def get(")
    text = re.sub(r"\\(\d+)", lambda place: repr(defaults[int(place.group(1))]), text)
    return described(ast.parse(f"{text}: ...").body[0])


def agree(function, stated):
    function = function.fget if isinstance(function, property) else function
    (parameters, returned), (expected, promised) = bound(function), described(stated)
    # nanobind knows no elements of a dictionary or tuple, no calls, and of any object nothing.
    expected = [
        (name, re.sub(r"^(dict|Callable)\[.*", r"\1", kind), value)
        for name, kind, value in expected
    ]
    assert expected == parameters
    assert returned in ("object", promised.split("[")[0])
    return True


@pytest.mark.parametrize("extension", [index._core, lsr._core], ids=lambda module: module.__name__)
def test_a_stub_is_its_extension(extension):
    stub = ast.parse((ROOT / extension.__name__.replace(".", "/")).with_suffix(".pyi").read_text())
    public = {name for name in vars(extension) if not name.startswith("_")}
    stated = set()
    for node in stub.body:
        if isinstance(node, ast.FunctionDef):
            stated.add(node.name)
            assert agree(getattr(extension, node.name), node)
        elif isinstance(node, ast.ClassDef):
            stated.add(node.name)
            methods = {each.name: each for each in node.body if isinstance(each, ast.FunctionDef)}
            members = vars(getattr(extension, node.name))
            # What can't be made has a constructor that is not of the extension.
            made = hasattr(members.get("__init__"), "__nb_signature__")
            public_members = {name for name in members if not name.startswith("_")}
            assert set(methods) == public_members | ({"__init__"} if made else set())
            for name, method in methods.items():
                assert agree(members[name], method)
        elif isinstance(node, ast.AnnAssign):
            stated.add(node.target.id)
            assert type(getattr(extension, node.target.id)).__name__ == node.annotation.id
    assert stated == public


def test_the_comparison_sees_what_differs():
    search = index._core.search
    stub = (ROOT / "index/_core.pyi").read_text()
    changes = [
        (
            "terms: NDArray[np.int32],\n    weights: NDArray[np.float32],\n    k",
            "weights: NDArray[np.float32],\n    k",
        ),
        ("k: int", "depth: int"),
        ("budget_us: int = 0", "budget_us: int = 1"),
        ("masks: Sequence[NDArray[np.uint16]", "masks: Sequence[NDArray[np.uint8]"),
        ("choice: int = 0,\n) -> tuple[", "choice: int = 0,\n) -> list["),
    ]
    for old, new in changes:
        assert stub.count(old) == 1
        [changed] = [
            node
            for node in ast.walk(ast.parse(stub.replace(old, new)))
            if isinstance(node, ast.FunctionDef) and node.name == "search"
        ]
        with pytest.raises(AssertionError):
            agree(search, changed)
