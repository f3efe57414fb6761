import os
import shlex
import subprocess
import sys

import pytest
from click.testing import CliRunner

from service.cli import cli
from tests.docs.pages import ROOT, pets
from tests.forked import Process

SHELL = ("|", ">", "<", "&", "$")


class Terminal:
    """Types commands in a folder; those of ``lsr`` alone run in this process, others in bash."""

    def __init__(self, folder):
        self.folder = folder
        launcher = folder / "bin" / "lsr"
        launcher.parent.mkdir()
        launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" -u -m service.cli "$@"\n')
        launcher.chmod(0o755)
        self.environment = os.environ | {
            "PATH": f"{launcher.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }
        self.servers = []

    def run(self, command):
        """What the command prints to standard output; it must succeed."""
        if command.startswith("lsr ") and not any(mark in command for mark in SHELL):
            words = shlex.split(command)[1:]
            done = CliRunner().invoke(cli, words, catch_exceptions=False)
            assert done.exit_code == 0, done.output
            return done.stdout
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            check=True,
        ).stdout

    def serve(self, command):
        """Start a server; its first line but for an empty one. It ends with the test."""
        words = shlex.split(command)
        assert words[0] == "lsr"
        server = Process(
            ["-m", "service.cli", *words[1:]],
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
        )
        self.servers.append(server)
        return next(line for line in server.stdout if line.strip())

    def close(self):
        for server in self.servers:
            server.terminate()
            server.wait()
            server.stdout.close()


@pytest.fixture
def terminal(tmp_path, monkeypatch):
    """A terminal in an empty folder, which is this process's current one too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LSR_CACHE", str(tmp_path / "cache"))
    opened = Terminal(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def terminal_with_pets(terminal):
    """The same where the README's ``pets.jsonl`` and ``pets`` have been made."""
    for step in pets():
        terminal.run(step.command)
    return terminal
