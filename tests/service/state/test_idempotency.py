"""Answers that are kept for requests which are sent again."""

import os
import subprocess
import sys
import time

import pytest

from service.state import idempotency
from service.state.database import StateDatabase
from service.state.idempotency import IdempotencyKeys, Kept, digest_of

KEY, OTHER, BODY = digest_of(b"key"), digest_of(b"other"), digest_of(b"body")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.sqlite"


def test_a_key_is_claimed_once_and_its_answer_kept(path):
    mine, theirs = (IdempotencyKeys(StateDatabase(path)) for _ in range(2))
    assert mine.claim(KEY, BODY) == "new"
    assert mine.claim(KEY, BODY) == "running"
    assert mine.claim(KEY, digest_of(b"more")) == "other"
    mine.keep(KEY, 200, b"{}" * 5000)
    for keys in (mine, theirs):
        assert keys.claim(KEY, BODY) == Kept(200, b"{}" * 5000)
        assert keys.claim(KEY, digest_of(b"more")) == "other"
    mine.release(KEY)
    assert mine.claim(KEY, BODY) == Kept(200, b"{}" * 5000)


def test_a_key_that_is_released_is_free(path):
    keys = IdempotencyKeys(StateDatabase(path))
    assert keys.claim(KEY, BODY) == "new"
    keys.release(KEY)
    assert keys.claim(KEY, digest_of(b"more")) == "new"


CLAIM = """
import sys, time
from pathlib import Path
from service.state.database import StateDatabase
from service.state.idempotency import IdempotencyKeys, digest_of
keys = IdempotencyKeys(StateDatabase(Path(sys.argv[1])))
print(keys.claim(digest_of(b"key"), digest_of(b"body")))
sys.stdout.flush()
time.sleep(600)
"""


def test_the_key_of_a_process_that_was_killed_is_free(path):
    keys = IdempotencyKeys(StateDatabase(path))
    process = subprocess.Popen([sys.executable, "-c", CLAIM, str(path)], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"new\n"
        assert keys.claim(KEY, BODY) == "running"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert keys.claim(KEY, BODY) == "new"
    assert keys.claim(KEY, BODY) == "running"


def test_a_process_of_the_same_number_is_another(path):
    """As in a container, where each server has the same number."""
    database = StateDatabase(path)
    keys = IdempotencyKeys(database)
    assert keys.claim(KEY, BODY) == "new"
    with database.writing() as connection:
        owner = f"{os.getpid()} {idempotency._begun(os.getpid())} another"
        connection.execute("UPDATE idempotency SET owner = ?", [owner])
    assert keys.claim(KEY, BODY) == "new"


def test_answers_are_kept_for_a_day_and_so_many(path, monkeypatch):
    database = StateDatabase(path)
    keys = IdempotencyKeys(database)
    monkeypatch.setattr(idempotency, "MOST_KEPT", 20)
    names = [digest_of(b"%d" % number) for number in range(60)]
    for name in names:
        assert keys.claim(name, BODY) == "new"
        keys.keep(name, 200, os.urandom(100))
        assert len(database.rows("SELECT 1 FROM idempotency")) <= 20
    assert isinstance(keys.claim(names[-1], BODY), Kept)
    monkeypatch.setattr(idempotency, "MOST_BYTES", 300)
    for name in names[:30]:
        keys.claim(name, BODY)
        keys.keep(name, 200, os.urandom(100))
    sizes = database.rows("SELECT sum(length(answer)) FROM idempotency")
    assert 0 < sizes[0][0] < 2000
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + idempotency.KEPT_SECONDS + 1)
    assert keys.claim(names[29], BODY) == "new"
    assert len(database.rows("SELECT 1 FROM idempotency")) == 1
