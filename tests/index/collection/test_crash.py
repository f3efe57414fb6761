import shutil

import pytest

from benches.crash import kill_repeatedly
from benches.crash_images import images
from benches.flips import flips
from benches.full_disk import OPERATIONS, full_disk


def test_what_was_acknowledged_survives_kill_9(tmp_path):
    kills = list(kill_repeatedly(tmp_path, kills=30, seed=7))
    assert [problem for kill in kills for problem in kill.problems] == []
    assert sum(kill.acknowledged for kill in kills) > 30
    assert len({kill.in_flight for kill in kills}) >= 3


@pytest.mark.slow
def test_what_was_acknowledged_survives_hundreds_of_kills(tmp_path):
    kills = list(kill_repeatedly(tmp_path, kills=500, seed=1000))
    assert [problem for kill in kills for problem in kill.problems] == []


@pytest.mark.parametrize("name", ["store", "log", "commits"])
def test_a_bit_that_turned_over_is_named_and_never_answers_wrong(tmp_path, name):
    found = list(flips(tmp_path, name, count=10, seed=3))
    assert [problem for flip in found for problem in flip.problems] == []
    assert name == "commits" or any(flip.outcome.startswith("named") for flip in found)


def test_what_was_flushed_is_whole_after_a_power_cut(tmp_path):
    if shutil.which("strace") is None:
        pytest.skip("following the calls of a process needs strace")
    found = list(images(tmp_path, count=6, seed=5))
    assert len(found) == 12
    assert [problem for problems in found for problem in problems] == []


def test_every_operation_on_a_disk_that_fills_up_is_done_or_refused_whole(tmp_path):
    steps = list(full_disk(tmp_path, steps=2))
    if not steps:
        pytest.skip("mounting a small file system needs more rights")
    assert {step.operation for step in steps} == set(OPERATIONS)
    assert [problem for step in steps for problem in step.problems] == []
