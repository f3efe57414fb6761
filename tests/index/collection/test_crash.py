import pytest

from benches.crash import kill_repeatedly


def test_what_was_acknowledged_survives_kill_9(tmp_path):
    kills = list(kill_repeatedly(tmp_path, kills=30, seed=7))
    assert [problem for kill in kills for problem in kill.problems] == []
    assert sum(kill.acknowledged for kill in kills) > 30
    assert len({kill.in_flight for kill in kills}) >= 3


@pytest.mark.slow
def test_what_was_acknowledged_survives_hundreds_of_kills(tmp_path):
    kills = list(kill_repeatedly(tmp_path, kills=500, seed=1000))
    assert [problem for kill in kills for problem in kill.problems] == []
