"""What is made ahead is what would have been made in time, step by step."""

import pytest

from lsr.train.ahead import Ahead


def test_each_step_gets_its_own_and_nothing_is_made_twice():
    made = []

    def make(step):
        made.append(step)
        return step * 10

    ahead = Ahead(make, lambda step: step not in (3, 6))
    assert [ahead(step) for step in range(6)] == [0, 10, 20, 30, 40, 50]
    assert made == list(range(6))
    # Another step than the one that was expected: a training that went on elsewhere.
    ahead = Ahead(make, lambda step: True)
    assert [ahead(4), ahead(9), ahead(10)] == [40, 90, 100]


def test_an_error_is_raised_where_its_step_is_asked_for():
    def make(step):
        if step == 1:
            raise ValueError("step 1")
        return step

    ahead = Ahead(make, lambda step: True)
    assert ahead(0) == 0
    with pytest.raises(ValueError, match="step 1"):
        ahead(1)
