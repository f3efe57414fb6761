"""What a log keeps of records that come by the thousand."""

import logging

import pytest

from service.api import repeated_records
from service.api.repeated_records import MOST, RepeatedRecords


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(repeated_records.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def written():
    lines, limit = [], RepeatedRecords()

    class Lines(logging.Handler):
        def emit(self, record):
            lines.append(record.getMessage())

    handler = Lines()
    handler.addFilter(limit)
    log = logging.getLogger("tests.repeated")
    log.addHandler(handler)
    log.propagate = False
    yield log, lines, limit
    log.removeHandler(handler)
    log.propagate = True


def test_a_few_are_logged_and_the_others_counted(written, clock):
    log, lines, limit = written

    def say(number):
        log.warning("number %d", number)

    for number in range(1239):
        say(number)
    assert lines == [f"number {number}" for number in range(MOST)]
    clock[0] = 61.0
    say(2000)
    assert lines[-1] == "number 2000 (repeated 1,234 more times, not logged)"
    for number in range(10):
        say(number)
    assert len(lines) == MOST + 1 + MOST - 1
    assert limit.left_out() == ["number 0 (repeated 6 more times, not logged)"]
    assert limit.left_out() == []


def test_other_lines_levels_and_exceptions_are_others(written, clock):
    log, lines, limit = written
    for _ in range(10):
        log.warning("one line")
        log.warning("another line")
    for kind in (ValueError, KeyError):
        for level in (logging.WARNING, logging.ERROR):
            for _ in range(10):
                log.log(level, "it failed", exc_info=kind("why"))
    assert lines.count("one line") == lines.count("another line") == MOST
    assert lines.count("it failed") == 4 * MOST
    assert len(limit.left_out()) == 6
