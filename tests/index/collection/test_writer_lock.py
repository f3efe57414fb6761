"""The writer lock among threads and processes."""

import multiprocessing
import threading
import time

import pytest

from index.collection.writer_lock import WriterLock

PATIENT = 60.0


def hold_again_and_again(folder, started, stop):
    lock = WriterLock(folder)
    while not stop.is_set():
        with lock.held(PATIENT) as held:
            assert held
            started.set()
            time.sleep(0.002)


@pytest.mark.parametrize("kind", ["thread", "handle", "process"])
def test_who_waits_comes_before_who_has_just_let_go(tmp_path, kind):
    """Without turns, a greedy writer holds the lock nearly all the time that others look at it."""
    context = multiprocessing.get_context("spawn")
    ours = WriterLock(tmp_path)
    made = context if kind == "process" else threading
    started, stop = made.Event(), made.Event()
    if kind == "thread":

        def greedy(lock):
            while not stop.is_set():
                with lock.held(PATIENT):
                    started.set()
                    time.sleep(0.002)

        other = threading.Thread(target=greedy, args=(ours,))
    else:
        target = context.Process if kind == "process" else threading.Thread
        other = target(target=hold_again_and_again, args=(tmp_path, started, stop))
    other.start()
    try:
        assert started.wait(PATIENT)
        for _ in range(20):
            with ours.held(PATIENT) as held:
                assert held
    finally:
        stop.set()
        other.join()


def test_it_is_held_once_and_again_within_a_thread(tmp_path):
    lock, other = WriterLock(tmp_path), WriterLock(tmp_path)
    with lock.held(0) as first, lock.held(0) as again:
        assert (first, again) == (True, True)
        with other.held(0) as taken:
            assert not taken
    with other.held(0) as held, lock.held(0) as taken:
        assert (held, taken) == (True, False)


def test_no_two_hold_it_at_once(tmp_path):
    locks, inside, most = [WriterLock(tmp_path), WriterLock(tmp_path)], [], []

    def enter(lock):
        for _ in range(20):
            with lock.held(PATIENT) as held:
                assert held
                inside.append(None)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=enter, args=(lock,)) for lock in locks * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 120


def test_who_has_waited_long_enough_goes_without(tmp_path):
    lock, other = WriterLock(tmp_path), WriterLock(tmp_path)
    with lock.held(0):
        with other.held(0.05) as held:
            assert not held
        got = []
        thread = threading.Thread(target=lambda: got.append(_held(lock, 0.05)))
        thread.start()
        thread.join()
        assert got == [False]
    with other.held(0) as held:
        assert held


def _held(lock, wait):
    with lock.held(wait) as held:
        return held
