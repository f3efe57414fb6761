"""What differs between two results, and what of a baseline fell."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.cell import Cell, Provenance
from eval.reproduction import differences, drops
from lsr.errors import UsageError

PROVENANCE = Provenance(
    {"sparse": "f1"}, "docs/queries", "native", "auto", {"lsr": "1", "numpy": "2"}
)
CELL = Cell(
    "scifact", "bm25", "sparse", "native", 10, 2, {"nDCG@10": 0.6773, "MAP": 0.5}, PROVENANCE,
    per_query={"nDCG@10": {"q1": 0.6, "q2": 0.7546}}, costs={"ms_per_query": 1.0},
)  # fmt: skip
OTHER = replace(CELL, encoder="splade")


def test_the_same_results_differ_by_nothing_but_costs():
    assert differences([CELL, OTHER], [OTHER, replace(CELL, costs={"ms_per_query": 9.0})]) == []


def test_each_thing_that_differs_is_said():
    now = replace(
        CELL,
        documents=11,
        config={"k1": 0.9},
        measures={"nDCG@10": 0.6, "P@5": 0.1},
        per_query={"nDCG@10": {"q1": 0.5, "q2": 0.7546}},
        provenance=Provenance({"sparse": "f2"}, "docs2/queries", "native", "off", {"lsr": "2"}),
    )
    said = [each.sentence() for each in differences([CELL, OTHER], [now])]
    assert said == [
        "the version lsr of bm25 on scifact was 1 and is 2",
        "the version numpy of bm25 on scifact was 2 and is not there",
        "the encoder sparse of bm25 on scifact was f1 and is f2",
        "the setting k1 of bm25 on scifact was not there and is 0.9000",
        "the data (documents/queries and judgements) of bm25 on scifact was docs/queries and is "
        "docs2/queries",
        "the setting passages of bm25 on scifact was auto and is off",
        "the data (number of documents) of bm25 on scifact was 10 and is 11",
        "nDCG@10 of bm25 on scifact was 0.6773 and is 0.6000",
        "nDCG@10 of bm25 on scifact differs on 1 of 2 queries",
        "MAP of bm25 on scifact was 0.5000 and is not there",
        "P@5 of bm25 on scifact was not there and is 0.1000",
        "splade on scifact is not in the new result",
    ]
    assert [each.kind for each in differences([CELL], [CELL, OTHER])] == ["new"]


@given(st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 100))
def test_only_what_fell_by_more_than_allowed_is_a_drop(before, after, allowed):
    """In thousandths, that is tenths of a point."""
    old = replace(CELL, measures={"nDCG@10": before / 1000})
    new = replace(CELL, measures={"nDCG@10": after / 1000})
    found = drops([old], [new], ["nDCG@10"], allowed / 10)
    assert bool(found) == (before - after > allowed)


def test_a_drop_is_one_sentence_and_a_missing_row_is_one():
    now = replace(CELL, measures={"nDCG@10": 0.6701, "MAP": 0.5})
    [drop] = drops([CELL], [now], ["nDCG@10", "MAP"], 0.5)
    assert drop.sentence() == (
        "nDCG@10 of bm25 on scifact fell by 0.72 points, from 67.73 to 67.01; allowed are 0.5"
    )
    [gone] = drops([CELL], [OTHER], ["nDCG@10"], 0.5)
    assert gone.sentence() == "nDCG@10 of bm25 on scifact was 67.73 and is not in the new result"
    with pytest.raises(UsageError, match=r"no P@5; it has nDCG@10, MAP"):
        drops([CELL], [now], ["P@5"], 0.5)
    with pytest.raises(UsageError, match="bm25 on scifact twice"):
        drops([CELL, CELL], [now], ["MAP"], 0.5)
