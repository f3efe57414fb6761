"""The training bench: both trainers get the same steps, and learn the same from them."""

import argparse

import numpy as np
import pytest
import train
from encode_bench.parts import Peaks
from encode_bench.subjects import Place
from train_bench.anatomy import NAMES, Anatomy, Parts
from train_bench.anatomy import rows as part_rows
from train_bench.task import MODEL, TABLE, Task, load_pairs

from lsr.backbones.checkpoint import Checkpoint
from lsr.errors import UsageError

pytestmark = pytest.mark.long

PAIRS = [
    (f"what is a {word} like", f"the {word} is as old as the {other} of the sea {number}")
    for number, (word, other) in enumerate(
        zip(
            ["whale", "moon", "tree", "river", "stone", "cloud", "bird", "wolf"],
            ["sand", "storm", "light", "night", "wind", "fire", "rain", "snow"],
            strict=True,
        )
    )
]


def task(base, queries=TABLE, dropout=0.0):
    return Task(str(base), PAIRS, queries, dropout, batch=2, max_length=16)


def test_the_order_holds_every_pair_once():
    assert sorted(task("x").in_order()) == sorted(PAIRS)
    assert task("x").steps == 4


@pytest.mark.parametrize("queries", [TABLE, pytest.param(MODEL, marks=pytest.mark.slow)])
def test_both_trainers_have_the_same_losses(queries, masked_lm, tmp_path):
    pytest.importorskip("sentence_transformers")
    place = Place(Checkpoint.resolve(str(masked_lm)), 16, 1)
    options = argparse.Namespace(rounds=3, steps=1)
    measured = train.compare(
        task(masked_lm, queries), list(train.NEEDS), place, options, tmp_path / "work"
    )
    ours, theirs = (np.array(one.losses) for one in measured)
    assert len(ours) == 4
    assert len(set(ours.round(6))) > 1
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    table = list(train.rows(measured, options))
    assert [row["trainer"] for row in table] == list(train.NEEDS)
    assert table[1]["ratio"] == table[1]["memory_ratio"] == 1
    assert {*train.COLUMNS} <= {*table[0]}
    assert all(one.peak_mb >= one.loaded_mb > 0 for one in measured)


@pytest.mark.slow
def test_the_parts_of_a_step_are_all_timed(masked_lm, tmp_path):
    place = Place(Checkpoint.resolve(str(masked_lm)), 16, 1)
    child = place.child("parts", tmp_path / "parts.txt", Anatomy, task(masked_lm))
    try:
        parts, peaks = child.ask("turn")
    finally:
        child.close()
    assert all(parts.seconds[name] > 0 for name in NAMES)
    assert parts.operations["body_back"] == 2 * parts.operations["body"]
    assert peaks.float32 > 0


def test_limits_are_operations_over_the_peak():
    parts = Parts(dict.fromkeys(NAMES, 0.5), {"head": 2e9})
    table = {row["part"]: row for row in part_rows([parts], Peaks(1e10, None))}
    assert table["head"]["limit_ms"] == 200
    assert table["head"]["of_limit"] == 2.5
    assert table["tokenise"]["limit_ms"] is None
    assert table["step"]["ms"] == 500 * len(NAMES)


def test_pairs_have_each_text_once(tmp_path):
    path = tmp_path / "pairs.jsonl"
    lines = [("a", "one"), ("A ", "two"), ("b", "one"), ("c", "three")]
    path.write_text("".join(f'{{"query": "{q}", "positive": "{d}"}}\n' for q, d in lines))
    found = load_pairs([path], 2)
    assert len({query.strip().lower() for query, _ in found}) == 2
    assert len({document for _, document in found}) == 2
    with pytest.raises(UsageError, match="9 are needed"):
        load_pairs([path], 9)
