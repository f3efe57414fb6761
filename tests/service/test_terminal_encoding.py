"""What a terminal of another encoding shows: never a traceback, and JSON without loss."""

import json
import os
import pty
import subprocess
import sys

import pytest

from tests.service.conftest import environment, sentence, write_jsonl

TEXT = "wolf 狼 naïve “quoted” \u2028 𝔘 é ▸ \ud83d"
ENCODINGS = ["ascii", "cp1252", "latin-1", "cp932", "utf-16", "ascii:strict", "utf-8"]


@pytest.fixture
def shown(tmp_path):
    """Runs the command line with an encoding of its output."""

    def run(encoding, *arguments):
        return subprocess.run(
            [sys.executable, "-m", "service.cli", *map(str, arguments)],
            capture_output=True,
            cwd=tmp_path,
            env=environment(tmp_path) | {"PYTHONIOENCODING": encoding},
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture
def wolves(lsr, tmp_path):
    document = {"_id": "w狼", "title": TEXT[:-1], "text": TEXT[:-1], "ключ": "狼"}
    write_jsonl(tmp_path / "docs.jsonl", [document])
    assert lsr("index", "docs.jsonl", "--into", "c", "--encoder", "bm25").returncode == 0
    return document


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_search_shows_what_can_be_shown(shown, wolves, encoding):
    codec = encoding.partition(":")[0]
    result = shown(encoding, "search", "c", "wolf")
    assert (result.returncode, result.stderr) == (0, b"")
    lines = result.stdout.decode(codec)
    assert "  1. wolf " in lines
    assert wolves["title"].encode(codec, "replace").decode(codec)[:8] in lines
    found = json.loads(shown(encoding, "search", "c", "wolf", "--json").stdout.decode(codec))
    assert found["hits"][0]["payload"]["text"] == wolves["text"]
    assert found["hits"][0]["id"] == wolves["_id"]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_errors_and_tables_are_shown(shown, wolves, encoding, tmp_path):
    told = shown(encoding, "search", "c", "wolf", "--using", "狼")
    assert "no '\\u72fc' field" in sentence(told)
    assert told.returncode == 2
    told = shown(encoding, "nosuch狼")
    assert (told.returncode, b"Traceback" in told.stderr) == (2, False)
    (tmp_path / "狼.jsonl").write_text('{"_id": "狼", "text": ""}\n{"_id": "狼", "text": "x"}\n{\n')
    told = shown(encoding, "index", "狼.jsonl", "--into", "狼", "--encoder", "bm25")
    assert b"Traceback" not in told.stderr
    assert b"\\u72fc.jsonl:3: " in told.stderr
    assert b"? holds 1 documents" in told.stdout
    for arguments in (["info", "狼"], ["models"], ["models", "splade-v3"], ["check", "狼"]):
        result = shown(encoding, *arguments)
        assert (result.returncode, result.stderr) == (0, b""), arguments
        assert json.loads(shown(encoding, *arguments, "--json").stdout)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_bars_are_shown_in_a_terminal(wolves, encoding, tmp_path):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "index", "docs.jsonl", "--into", "狼",
         "--encoder", "bm25"],
        cwd=tmp_path,
        env=environment(tmp_path) | {"PYTHONIOENCODING": encoding, "TERM": "xterm"},
        stdout=theirs,
        stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        if not part:
            break
        seen += part
    os.close(ours)
    assert process.wait(60) == 0, seen
    assert b"Traceback" not in seen
    assert b"? holds 1 documents" in seen
    assert b"indexing" in seen
