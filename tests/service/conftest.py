import io
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import forked

ROOT = Path(__file__).parents[2]
# Of a client in the same process: a host that the server answers to.
URL = "http://localhost"


@pytest.fixture
def lsr(tmp_path, monkeypatch):
    """Runs the command line in this process, in an empty folder; returns what a process would.

    ``encoding`` is what PYTHONIOENCODING would say, of what it writes. A command that takes the
    process along (kills, signals, what is imported) needs ``lsr_process``.
    """

    def run(*arguments, stdin=b"", encoding="utf-8"):
        codec, _, errors = encoding.partition(":")
        streams = [
            io.TextIOWrapper(io.BytesIO(stdin), "utf-8"),
            io.TextIOWrapper(io.BytesIO(), codec, errors or "strict"),
            io.TextIOWrapper(io.BytesIO(), codec, "backslashreplace"),
        ]
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            for name, value in environment(tmp_path).items():
                patch.setenv(name, value)
            for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
                patch.setattr(sys, name, stream)
            patch.setattr(sys, "argv", ["lsr", *map(str, arguments)])
            # Logging is set up by the command line, as in a process where nobody did before.
            patch.setattr(logging.root, "handlers", [])
            code = _exit_code()
            written = [_written(stream) for stream in streams[1:]]
        return subprocess.CompletedProcess(arguments, code, *written)

    return run


def _exit_code():
    from service.cli import main

    try:
        main()
    except SystemExit as end:
        return end.code or 0
    return 0


def _written(stream):
    stream.flush()
    return stream.buffer.getvalue()


@pytest.fixture
def lsr_process(tmp_path):
    """Runs the command line in a process of its own, in an empty folder."""

    def run(*arguments, stdin=b""):
        command = ["-m", "service.cli", *map(str, arguments)]
        return forked.run(command, stdin=stdin, cwd=tmp_path, env=environment(tmp_path))

    return run


def environment(folder):
    return os.environ | {
        "LSR_CACHE": str(folder / "cache"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "COLUMNS": "200",
        "HF_HUB_OFFLINE": "1",
    }


def sentence(result):
    """The one line of an error; fails on a traceback or on more than one line."""
    text = result.stderr.decode()
    assert "Traceback" not in text
    lines = [line for line in text.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1, text
    return lines[0]


def write_jsonl(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture
def corpus(tmp_path):
    return write_jsonl(
        tmp_path / "corpus.jsonl",
        [
            {"_id": "a", "title": "Apples", "text": "apple banana", "url": "http://a.example"},
            {"_id": "b", "title": "Cherries", "text": "cherry cherry banana"},
            {"_id": "c", "title": "", "text": "plum <b>lemon</b>"},
        ],
    )


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A folder with ``cert.pem`` of localhost, its ``key.pem``, and that with a password."""
    if shutil.which("openssl") is None:
        pytest.skip("certificates are made by openssl")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    subprocess.run(
        ["openssl", "pkey", "-in", folder / "key.pem", "-aes256", "-passout", "pass:secret",
         "-out", folder / "locked.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder
