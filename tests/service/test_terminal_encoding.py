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
def wolves(lsr, tmp_path):
    document = {"_id": "w狼", "title": TEXT[:-1], "text": TEXT[:-1], "ключ": "狼"}
    write_jsonl(tmp_path / "docs.jsonl", [document])
    assert lsr("index", "docs.jsonl", "--into", "c", "--encoder", "bm25").returncode == 0
    return document


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_search_shows_what_can_be_shown(lsr, wolves, encoding):
    codec = encoding.partition(":")[0]
    result = lsr("search", "c", "wolf", encoding=encoding)
    assert (result.returncode, result.stderr) == (0, b"")
    lines = result.stdout.decode(codec)
    assert "  1. wolf " in lines
    assert wolves["title"].encode(codec, "replace").decode(codec)[:8] in lines
    found = json.loads(lsr("search", "c", "wolf", "--json", encoding=encoding).stdout.decode(codec))
    assert found["hits"][0]["payload"]["text"] == wolves["text"]
    assert found["hits"][0]["id"] == wolves["_id"]


def test_the_variable_says_what_a_process_writes(wolves, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "search", "c", "wolf"],
        capture_output=True,
        cwd=tmp_path,
        env=environment(tmp_path) | {"PYTHONIOENCODING": "utf-16"},
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert "  1. wolf 狼" in done.stdout.decode("utf-16")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_errors_and_tables_are_shown(lsr, wolves, encoding, tmp_path):
    def shown(*arguments):
        return lsr(*arguments, encoding=encoding)

    told = shown("search", "c", "wolf", "--using", "狼")
    assert "no '\\u72fc' field" in sentence(told)
    assert told.returncode == 2
    told = shown("nosuch狼")
    assert (told.returncode, b"Traceback" in told.stderr) == (2, False)
    (tmp_path / "狼.jsonl").write_text('{"_id": "狼", "text": ""}\n{"_id": "狼", "text": "x"}\n{\n')
    told = shown("index", "狼.jsonl", "--into", "狼", "--encoder", "bm25")
    assert b"Traceback" not in told.stderr
    assert b"\\u72fc.jsonl:3: " in told.stderr
    assert b"? holds 1 documents" in told.stdout
    for arguments in (["info", "狼"], ["models"], ["models", "splade-v3"], ["check", "狼"]):
        result = shown(*arguments)
        assert (result.returncode, result.stderr) == (0, b""), arguments
        assert json.loads(shown(*arguments, "--json").stdout)


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
