"""Details of tasks: whole, replaced, and no more of them than may be kept."""

import random

import pytest

from lsr.errors import InputError
from service.state import task_details
from service.state.database import StateDatabase
from service.state.task_details import TaskDetails
from service.state.tasks import Tasks


def noise(seed, count=2000):
    """What hardly gets smaller when it is compressed."""
    return random.Random(seed).randbytes(count).hex()


@pytest.fixture
def state(tmp_path):
    opened = StateDatabase(tmp_path / "state")
    yield opened
    opened.close()


def test_details_go_with_their_task_and_the_oldest_where_there_are_too_many(state, monkeypatch):
    tasks, details = Tasks(state, kept=4), TaskDetails(state)

    def done(number):
        task = tasks.enqueue("evaluate", "made", {})
        details.keep(task.id, {"run": "of a process that ended"})
        details.keep(task.id, {"run": noise(number), "per_query": {"q\0ä": {"P@1": 0.5}}})
        tasks.finish(task, "succeeded", {})
        return task.id

    made = [done(number) for number in range(3)]
    for number, task in enumerate(made):
        assert details.of(task) == {"run": noise(number), "per_query": {"q\0ä": {"P@1": 0.5}}}
    assert details.of("none") == {}
    (held,) = state.rows("SELECT max(length(details)) FROM task_details")[0]
    monkeypatch.setattr(task_details, "MOST_BYTES", int(2.5 * held))
    made.append(done(3))
    assert [bool(details.of(task)) for task in made] == [False, False, True, True]
    for _ in range(4):
        tasks.finish(tasks.enqueue("merge", "made", {}), "succeeded", {})
    done(7)
    assert [bool(details.of(task)) for task in made] == [False, False, False, False]


def test_details_that_are_too_large_are_refused(state, monkeypatch):
    monkeypatch.setattr(task_details, "LARGEST", 100)
    details = TaskDetails(state)
    with pytest.raises(InputError, match="at most 100 are kept, so ask for less"):
        details.keep("a", {"run": "x" * 100})
    assert details.of("a") == {}
