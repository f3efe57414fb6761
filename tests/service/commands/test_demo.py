"""The demo's last line is a command that can be typed; that the demo runs is in tests/docs."""

import os
import shlex
import subprocess
import sys

import pytest

from service.commands import terminal


@pytest.fixture
def launcher(tmp_path):
    """A program called lsr that says its arguments."""
    path = tmp_path / "bin" / "lsr"
    path.parent.mkdir()
    path.write_text('#!/bin/sh\necho "typed $@"\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("on_path", [True, False])
def test_the_program_is_named_so_that_the_shell_finds_it(launcher, monkeypatch, on_path):
    monkeypatch.setenv("PATH", f"{launcher.parent if on_path else '/nowhere'}:{os.defpath}")
    monkeypatch.setattr(sys, "argv", [str(launcher), "demo"])
    named = terminal.program()
    assert named == ("lsr" if on_path else shlex.quote(str(launcher)))
    typed = subprocess.run(f"{named} search", shell=True, capture_output=True, check=True)
    assert typed.stdout == b"typed search\n"


def test_a_module_is_named_by_its_interpreter(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/somewhere/service/cli.py", "demo"])
    named = terminal.program()
    typed = subprocess.run(f"{named} --version", shell=True, capture_output=True, check=True)
    assert typed.stdout.startswith(b"lsr, version")
