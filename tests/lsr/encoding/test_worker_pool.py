"""Processes that work, fail, die and are left: real ones, with work that needs no model."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lsr.encoding.worker_pool import WorkerPool
from lsr.errors import InputError, LsrError, MissingDependencyError, UsageError
from lsr.threads import available_cores
from tests.waiting import wait_until

ROOT = Path(__file__).parents[3]


def load():
    return work


def work(job):
    kind, value = job
    if kind == "sleep":
        time.sleep(value)
    elif kind == "raise ours":
        raise InputError(value)
    elif kind == "raise ours with parts":
        raise MissingDependencyError("flying", "wings", "sky")
    elif kind == "raise other":
        raise ZeroDivisionError(f"{value}\nand more")
    elif kind == "die":
        os.kill(os.getpid(), value)
    elif kind == "leave":
        os._exit(3)
    elif kind == "environment":
        return {name: os.environ.get(name) for name in value}, os.getpid()
    return value


def load_nothing():
    raise InputError("the model is not there")


def pool(processes=2, load=load):
    return WorkerPool(load, processes)


def echo(values):
    return [(value, ("echo", value)) for value in values]


def test_results_come_in_the_order_of_the_jobs():
    # The first jobs take longest.
    jobs = [(n, ("sleep", 0.3 / (n + 1))) for n in range(6)]
    with pool() as workers:
        found = list(workers.map(jobs))
    assert [context for context, _ in found] == list(range(6))
    assert [value for _, value in found] == [0.3 / (n + 1) for n in range(6)]


def test_large_jobs_and_results_pass():
    jobs = echo([bytes([n]) * 3_000_000 for n in range(6)])
    with pool() as workers:
        assert all(context == value for context, value in workers.map(jobs))


def test_few_jobs_are_taken_ahead():
    taken = 0

    def jobs():
        nonlocal taken
        for n in range(20):
            taken += 1
            yield n, ("echo", n)

    with pool() as workers:
        for done, (_, value) in enumerate(workers.map(jobs())):
            assert value == done
            assert taken - done <= 4


def test_no_work_starts_no_process():
    with pool() as workers:
        assert list(workers.map([("a", None), ("b", None)])) == [("a", None), ("b", None)]
        assert list(workers.map([])) == []
        assert workers._workers == []


def test_jobs_of_none_keep_their_place():
    with pool() as workers:
        found = list(workers.map([("a", ("sleep", 0.2)), ("b", None), ("c", ("echo", 1))]))
    assert found == [("a", 0.2), ("b", None), ("c", 1)]


@pytest.mark.parametrize(
    ("job", "kind", "message"),
    [
        (("raise ours", "bad input; give good"), InputError, "^bad input; give good$"),
        (("raise ours with parts", 0), MissingDependencyError, "^flying needs the package 'wings'"),
        (
            ("raise other", "no"),
            LsrError,
            r"^a worker process failed \(ZeroDivisionError: no\); what was finished before is kept",
        ),
        (
            ("die", signal.SIGKILL),
            LsrError,
            "^a worker process was ended by SIGKILL, for which a lack of memory is a common cause",
        ),
        (("die", 37), LsrError, "^a worker process was ended by signal 37, for which"),
        (("leave", 0), LsrError, "^a worker process ended with exit code 3"),
    ],
)
def test_what_goes_wrong_in_a_process_is_told_after_what_was_finished(job, kind, message):
    jobs = [*echo([0, 1, 2]), (3, job), *echo(range(4, 50))]
    found = []
    with pool() as workers, pytest.raises(kind, match=message) as caught:
        found.extend(workers.map(jobs))
    assert found == [(n, n) for n in range(3)]
    assert caught.type is kind
    if job[0].startswith("raise"):
        assert "in work" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("notes_it", "message"),
    [(True, "^a worker process was ended by SIGKILL, "), (False, "^a worker process ended, ")],
)
def test_how_a_process_died_is_told_though_another_thread_collected_it(
    monkeypatch, notes_it, message
):
    wait = os.waitpid
    collected = threading.Event()

    def main_thread_first(pid, flags):
        if threading.current_thread() is threading.main_thread():
            found = wait(pid, flags)
            collected.set()
            time.sleep(0.3)
            return found if notes_it else (0, 0)
        assert collected.wait(60)
        return wait(pid, flags)

    monkeypatch.setattr("lsr.encoding.worker_pool.NOTED_WITHIN_S", 60 if notes_it else 0.1)
    with pool(1) as workers:
        results = workers.map([(0, ("echo", 0)), *((n, ("sleep", 600)) for n in range(1, 4))])
        assert next(results) == (0, 0)
        process = workers._workers[0]._process
        monkeypatch.setattr(os, "waitpid", main_thread_first)
        process.kill()
        process.join()
        with pytest.raises(LsrError, match=message):
            next(results)
    # multiprocessing would take it for alive as long as nobody has told it.
    process._popen.returncode = process._popen.returncode or -signal.SIGKILL
    assert process not in multiprocessing.active_children()


def test_what_can_not_be_loaded_is_told():
    with (
        pool(load=load_nothing) as workers,
        pytest.raises(InputError, match="the model is not there"),
    ):
        list(workers.map(echo([1])))


def test_leaving_ends_the_processes_at_once():
    with pool() as workers:
        results = workers.map([*echo([0]), *((n, ("sleep", 600)) for n in range(1, 9))])
        assert next(results) == (0, 0)
        processes = [worker._process for worker in workers._workers]
    assert [process.is_alive() for process in processes] == [False, False]


def test_processes_share_the_cores_and_do_not_spin():
    names = ["OMP_NUM_THREADS", "OMP_WAIT_POLICY"]
    with pool() as workers:
        found = dict(workers.map([(n, ("environment", names)) for n in range(4)]))
    threads = str(max(1, available_cores() // 2))
    assert [values for values, _ in found.values()] == [
        {"OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE"}
    ] * 4
    assert os.getpid() not in [pid for _, pid in found.values()]


@pytest.mark.parametrize("processes", [0, -1, 513])
def test_a_wrong_number_of_processes_is_refused(processes):
    with pytest.raises(UsageError, match="allowed are 1 to 512"):
        pool(processes)


def running(pid):
    """Whether there is such a process that isn't merely waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


SCRIPT = """
from lsr.encoding.worker_pool import WorkerPool
from tests.lsr.encoding.test_worker_pool import load

if __name__ == "__main__":
    with WorkerPool(load, 2) as workers:
        jobs = [(0, ("environment", []))] * 2 + [(n, ("sleep", 600)) for n in range(8)]
        results = workers.map(jobs)
        pids = {next(results)[1][1] for _ in range(2)}
        print(*pids, flush=True)
        list(results)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_an_interrupted_or_killed_program(tmp_path, how):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    program = subprocess.Popen(
        [sys.executable, str(script)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Processes that a shell put into the background ignore it, and so would their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    workers = [int(pid) for pid in program.stdout.readline().split()]
    assert workers
    if how == signal.SIGINT:
        # As the terminal does: to the whole group.
        os.killpg(program.pid, how)
    else:
        program.send_signal(how)
    _, errors = program.communicate(timeout=60)
    if how == signal.SIGINT:
        assert errors.count("KeyboardInterrupt\n") == 1, errors
        assert "_serve" not in errors
    wait_until(lambda: not any(map(running, workers)))
