"""Validators of settings name what was given and what is allowed."""

import pytest

from lsr.errors import UsageError
from lsr.settings import check_choice


def test_a_choice_is_one_of_those_allowed():
    check_choice("pool", "max", ("max", "sum"))
    with pytest.raises(UsageError, match="pool is 'mean'; allowed are max and sum"):
        check_choice("pool", "mean", ("max", "sum"))
