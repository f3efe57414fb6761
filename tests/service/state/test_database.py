import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import suppress

import pytest

from lsr.errors import UsageError
from service.state.database import StateDatabase


def test_a_write_is_all_or_nothing_and_kept(tmp_path):
    path = tmp_path / "deep" / "server.sqlite"
    state = StateDatabase(path)
    state.define("CREATE TABLE IF NOT EXISTS things (name TEXT PRIMARY KEY)")
    with state.writing() as connection:
        connection.execute("INSERT INTO things VALUES ('a')")
    with suppress(ZeroDivisionError), state.writing() as connection:
        connection.execute("INSERT INTO things VALUES ('b')")
        raise ZeroDivisionError
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = state.version()
    code = (
        "import sys; from pathlib import Path; from service.state.database import StateDatabase\n"
        "with StateDatabase(Path(sys.argv[1])).writing() as c:\n"
        "    c.execute(\"INSERT INTO things VALUES ('c')\")\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, env={**os.environ})
    assert state.version() != before
    assert [row["name"] for row in state.rows("SELECT name FROM things")] == ["a", "c"]
    state.close()


def test_two_of_one_process_see_what_a_third_elsewhere_writes(tmp_path):
    path = tmp_path / "server.sqlite"
    first = StateDatabase(path)
    first.define("CREATE TABLE IF NOT EXISTS things (name TEXT PRIMARY KEY)")
    second = StateDatabase(path)
    code = (
        "import sys; from pathlib import Path; from service.state.database import StateDatabase\n"
        "with StateDatabase(Path(sys.argv[1])).writing() as c:\n"
        "    c.execute('INSERT INTO things VALUES (?)', (sys.argv[2],))\n"
    )
    for name in "abc":
        subprocess.run([sys.executable, "-c", code, str(path), name], check=True)
        for each in (first, second):
            assert each.rows("SELECT max(name) AS last FROM things")[0]["last"] == name
    first.close()
    second.close()


def test_a_temporary_one_is_gone_when_closed():
    state = StateDatabase(None)
    assert not state.is_kept
    assert state.path.is_file()
    state.close()
    assert not state.path.exists()


def test_a_file_of_something_else_is_left_alone(tmp_path):
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="--state"):
        StateDatabase(path)
    (tmp_path / "text").write_text("no database at all, though long enough to be looked at" * 9)
    with pytest.raises(UsageError, match="--state"):
        StateDatabase(tmp_path / "text")
    assert path.read_bytes() == before


def test_processes_may_make_the_file_at_once(tmp_path):
    code = (
        "import sys, time; from pathlib import Path\n"
        "from service.state.database import StateDatabase\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for n in range(20):\n"
        "    state = StateDatabase(Path(sys.argv[1]) / str(n))\n"
        "    state.define('CREATE TABLE IF NOT EXISTS things (name TEXT)')\n"
        "    state.close()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in started:
        process.communicate(timeout=120)
        assert process.returncode == 0
