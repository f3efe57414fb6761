import subprocess
import sys
import time

import pytest

pytest.importorskip("limits")

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

import service.state.rate_table as rate_table
from service.state.rate_table import FILE_BYTES, RateTable


@pytest.fixture
def table(tmp_path):
    made = RateTable(tmp_path / "rates")
    yield made
    made.close()


def test_it_counts_as_the_memory_of_limits_does(table):
    memory = MemoryStorage()
    for number in range(400):
        name = f"key-{number * number % 23}"
        assert table.incr(name, 3600, 1 + number % 3) == memory.incr(name, 3600, 1 + number % 3)
    for number in range(30):
        assert table.get(f"key-{number}") == memory.get(f"key-{number}")
    assert abs(table.get_expiry("key-0") - memory.get_expiry("key-0")) < 60
    table.clear("key-0")
    assert (table.get("key-0"), table.get("key-1") > 0) == (0, True)
    table.reset()
    assert table.get("key-1") == 0


def test_a_window_ends_and_begins_anew(table, monkeypatch):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    limiter, rate = FixedWindowRateLimiter(table), parse("2/minute")
    assert [limiter.hit(rate, "a") for _ in range(4)] == [True, True, False, False]
    assert limiter.hit(rate, "b")
    assert limiter.get_window_stats(rate, "a").reset_time == now + 60
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert limiter.get_window_stats(rate, "a").remaining == 2
    assert [limiter.hit(rate, "a") for _ in range(3)] == [True, True, False]
    # A clock that is set back keeps nobody out for longer than a window.
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    assert limiter.hit(rate, "a")


def test_processes_count_together(table, tmp_path):
    code = """
import sys
from pathlib import Path
from service.state.rate_table import RateTable
table = RateTable(Path(sys.argv[1]))
for _ in range(3000):
    table.incr("a", 3600)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "rates")]
    running = [subprocess.Popen(command) for _ in range(2)]
    for _ in range(3000):
        table.incr("a", 3600)
    assert [process.wait() for process in running] == [0, 0]
    assert table.get("a") == 9000


def test_it_stays_of_one_size_and_whoever_comes_is_counted(table, tmp_path, monkeypatch):
    monkeypatch.setattr(rate_table, "SLOTS", 64)
    for number in range(2000):
        assert table.incr(f"address-{number}", 3600) == 1
        assert table.incr(f"address-{number}", 3600) == 2
    assert (tmp_path / "rates").stat().st_size == FILE_BYTES


def test_a_file_of_something_else_is_made_anew(tmp_path):
    for content in (b"", b"x" * 10, b"x" * FILE_BYTES):
        (tmp_path / "rates").write_bytes(content)
        table = RateTable(tmp_path / "rates")
        assert table.incr("a", 60) == 1
        table.close()
        again = RateTable(tmp_path / "rates")
        assert again.get("a") == 1
        again.close()
