"""The Dockerfile's own commands, run here: no Docker engine is needed to know that they work."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import index._core
import lsr._core

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


# Compiling is what `make setup` has just done, by the same rules. (pip reads its options' names
# with "no" as switches of what they deny.)
NOT_COMPILED = {"SKBUILD_WHEEL_CMAKE": "false", "PIP_NO_COMPILE": "0"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A virtual environment made by the build stage's commands, with the extensions of this one."""
    folder = tmp_path_factory.mktemp("image")
    for command in re.findall(r"^RUN (.*/opt/lsr.*)$", DOCKERFILE.split("FROM ")[1], re.M):
        line = command.replace("/opt/lsr", str(folder / "lsr")).replace("${EXTRAS}", "")
        line = re.sub(r"^python\b", sys.executable, line)
        done = subprocess.run(
            line, shell=True, cwd=ROOT, env=os.environ | NOT_COMPILED, capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode()
    (packages,) = folder.glob("lsr/lib/*/site-packages")
    for extension in (index._core, lsr._core):
        assert not list((packages / extension.__name__.split(".")[0]).glob("_core*.so"))
        shutil.copy(extension.__file__, packages / extension.__name__.split(".")[0])
    return folder / "lsr" / "bin"


def run(binaries, *command, **options):
    return subprocess.run(
        [binaries / command[0], *command[1:]], capture_output=True, check=False, **options
    )


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_image_has_no_test_tools_and_no_models(installed):
    packages = {
        p["name"] for p in json.loads(run(installed, "pip", "list", "--format=json").stdout)
    }
    assert "lsr-search" in packages
    assert not packages & {"pytest", "hypothesis", "mypy", "ruff", "torch", "playwright"}


def test_the_installed_packages_say_that_they_are_typed(installed):
    found = {path.parent.name for path in installed.parent.glob("lib/*/site-packages/*/py.typed")}
    assert {"lsr", "index", "eval", "service"} <= found
    stubs = installed.parent.glob("lib/*/site-packages/*/_core.pyi")
    assert {path.parent.name for path in stubs} == {"lsr", "index"}


def test_the_installed_package_searches_serves_and_is_healthy(installed, tmp_path, free_port):
    options = {"cwd": tmp_path, "env": {"PATH": str(installed), "HOME": str(tmp_path)}}
    (tmp_path / "a.jsonl").write_text('{"id": "a", "text": "apples grow on trees"}\n')
    for command in (["index", "a.jsonl", "--into", "data/trees"], ["search", "data/trees", "tree"]):
        done = run(installed, "lsr", *command, **options)
        assert done.returncode == 0, done.stderr.decode()
    assert "apples grow on trees" in done.stdout.decode()
    serve = json.loads(re.search(r"^CMD (.*)$", DOCKERFILE, re.M).group(1))
    check = json.loads(re.search(r"^HEALTHCHECK .*CMD (.*)$", DOCKERFILE, re.M).group(1))
    arguments = [a.replace("/data", "data").replace("0.0.0.0", "127.0.0.1") for a in serve]
    arguments[arguments.index("8000")] = str(free_port)
    others = [a if a != "127.0.0.1" else "0.0.0.0" for a in arguments]
    refused = run(installed, *others, **options)
    assert b"there is no key; create one with: lsr key create" in refused.stderr
    made = run(installed, "lsr", "key", "create", "data", "--name", "k", **options)
    assert made.returncode == 0, made.stderr.decode()
    server = subprocess.Popen([installed / arguments[0], *arguments[1:]], **options)
    try:
        # A process that asks costs more than a look at the port.
        for _ in range(1200):
            if listens(free_port) or server.poll() is not None:
                break
            time.sleep(0.1)
        for _ in range(300):
            healthy = run(installed, *(a.replace("8000", str(free_port)) for a in check), **options)
            if healthy.returncode == 0:
                break
            time.sleep(0.2)
        assert healthy.returncode == 0, healthy.stderr.decode()
    finally:
        server.terminate()
        server.wait()
    unhealthy = run(installed, *(a.replace("8000", str(free_port)) for a in check), **options)
    assert unhealthy.returncode != 0


def test_the_commands_of_the_deployment_page_run_in_the_image(installed, tmp_path):
    """In the order of the page, /data and what it mounts being folders here."""
    page = (ROOT / "docs" / "deployment.md").read_text()
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "trees.md").write_text("# Trees\n\nApples grow on trees.\n")
    options = {
        "cwd": tmp_path,
        "env": {"PATH": str(installed), "HOME": "/nonexistent", "LSR_CACHE": "data/.cache"},
    }
    found = re.findall(
        r"^docker compose (?:(?:run --rm(?: -v \S+)?|exec) lsr (lsr .*)|cp lsr:(\S+) \./(\S+))$",
        page,
        re.M,
    )
    assert [command.split()[1] for command, *_ in found if command] == [
        "index",
        "key",
        "key",
        "snapshot",
        "restore",
        "check",
    ]
    for command, source, target in found:
        if source:
            shutil.copytree(tmp_path / source[1:], tmp_path / target / Path(source).name)
            continue
        words = [re.sub("^/(data|corpus|backup)", r"\1", word) for word in command.split()]
        done = run(installed, *words, **options)
        assert done.returncode == 0, done.stderr.decode()
    done = run(installed, "lsr", "search", "data/docs-restored", "tree", **options)
    assert "Apples grow on trees" in done.stdout.decode()


def test_a_model_without_its_packages_names_the_install_line(installed, tmp_path, masked_lm):
    (tmp_path / "a.jsonl").write_text('{"id": "a", "text": "apple"}\n')
    # Sums over positions are torch's.
    command = ["lsr", "index", "a.jsonl", "--into", "x", "--encoder", f"{masked_lm},pool=sum"]
    failed = run(installed, *command, cwd=tmp_path)
    assert failed.returncode == 1
    assert "pip install 'lsr-search[models]'" in failed.stderr.decode()


def test_every_path_the_image_copies_exists_and_is_not_ignored():
    allowed = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = [
        path
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.M)
        for path in line.split()[:-1]
    ]
    for path in copied:
        assert (ROOT / path).exists()
        assert path in allowed


def test_the_compose_file_is_valid():
    checker = Path(sys.executable).with_name("check-jsonschema")
    schema = ["--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [checker, *schema, ROOT / "docker-compose.yml"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout.decode()
