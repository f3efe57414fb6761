"""A table of ids does as a dictionary does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.corpus.id_table import IdTable

PAIRS = st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.text("ab\0\n")))


@given(PAIRS, st.lists(st.text("ab")))
def test_the_first_text_of_an_id_stays(pairs, others):
    expected = {}
    with IdTable() as table:
        for identifier, text in pairs:
            assert table.add(identifier, text) == expected.get(identifier)
            expected.setdefault(identifier, text)
        for identifier in [*expected, *others]:
            assert table.get(identifier) == expected.get(identifier)


def test_nothing_is_kept_after_the_block():
    with IdTable() as table:
        table.add("a", "first")
    with IdTable() as other:
        assert other.get("a") is None
    with pytest.raises(Exception, match="closed"):
        table.get("a")
