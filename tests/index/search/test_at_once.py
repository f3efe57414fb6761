import threading

import pytest

from index.search.at_once import at_once
from lsr.threads import available_cores, cores_are_shared, sharing_cores


def test_results_come_in_the_order_of_the_jobs():
    jobs = [lambda n=n: n for n in range(10)]
    assert at_once(jobs) == list(range(10))
    assert at_once(jobs[:3], jobs[3:5]) == [0, 1, 2, 3, 4]
    assert at_once([], jobs[:2]) == [0, 1]
    assert at_once([]) == []


def test_jobs_run_at_the_same_time():
    meeting = threading.Barrier(2, timeout=30)
    assert sorted(at_once([meeting.wait, meeting.wait])) == [0, 1]
    assert sorted(at_once([meeting.wait], [meeting.wait])) == [0, 1]


def test_what_is_to_run_here_runs_here():
    here = threading.get_ident()
    assert at_once([threading.get_ident], [threading.get_ident])[1] == here
    assert at_once([threading.get_ident]) == [here]
    assert at_once([threading.get_ident] * 3)[2] == here


def test_a_job_that_no_other_thread_begins_runs_here():
    end, begun = threading.Event(), threading.Barrier(available_cores() + 1)

    def wait():
        begun.wait(30)
        end.wait(30)

    others = [
        threading.Thread(target=at_once, args=([wait], [lambda: end.wait(30)]))
        for _ in range(available_cores())
    ]
    for other in others:
        other.start()
    begun.wait(30)
    here = threading.get_ident()
    assert at_once([threading.get_ident], [lambda: here]) == [here, here]
    end.set()
    for other in others:
        other.join()


def test_the_first_failure_is_raised_once_nothing_runs_any_more():
    ended = threading.Event()

    def fail(message):
        raise ValueError(message)

    def slow():
        threading.Event().wait(0.1)
        ended.set()

    with pytest.raises(ValueError, match="first"):
        at_once([slow, lambda: fail("first"), lambda: fail("second")], [lambda: fail("third")])
    assert ended.is_set()


def test_other_threads_share_the_cores_as_this_one_does():
    assert at_once([cores_are_shared], [cores_are_shared]) == [False, False]
    with sharing_cores():
        assert at_once([cores_are_shared], [cores_are_shared]) == [True, True]
    assert at_once([cores_are_shared], [cores_are_shared]) == [False, False]
