"""Segments that someone forged, and segment files that change while they are searched."""

import subprocess
import sys

import pytest

from benches.forgery import Forgery, put_together, take_apart
from benches.hostile import Base, examine
from index.collection import segment_opening, unpacking

SEARCH_WHILE_THE_FILE_CHANGES = """
import os, sys
from pathlib import Path
from benches.hostile import answers, make_collection
from index.collection.collection import Collection

path = Path(sys.argv[1])
make_collection(path)
(segment,) = (path / "segments").iterdir()
intact = segment.read_bytes()
built = Collection.open(path)
expected = answers(built)
for content in (b"", intact[: len(intact) // 2], b"\\xff" * len(intact)):
    segment.write_bytes(intact)
    opened = Collection.open(path)
    assert answers(opened) == expected
    with segment.open("r+b") as stream:  # the same file, not another of its name
        stream.truncate(len(content))
        stream.write(content)
    assert answers(opened) == expected
    assert answers(Collection.open(path)) == expected
print("survived")
"""


def test_forged_segments_and_flipped_bits_crash_nothing_and_change_no_answer(tmp_path):
    base = Base.make(tmp_path)
    outcomes = list(base.outcomes(tmp_path, 10, 8, seed=3))
    assert [outcome for outcome in outcomes if outcome.problems] == []
    believed = [outcome for outcome in outcomes if outcome.way == "believed"]
    assert sum(outcome.refused for outcome in believed) > len(believed) / 2


@pytest.mark.parametrize("part", ["documents", "weights", "masks"])
@pytest.mark.parametrize("background", [False, True])
def test_lists_that_a_search_finds_malformed_are_made_anew(
    tmp_path, monkeypatch, caplog, part, background
):
    monkeypatch.setattr(segment_opening, "FEW_POSTINGS", 0)
    if not background:
        monkeypatch.setattr(unpacking, "begin", lambda indexes: None)
    base = Base.make(tmp_path)
    (segment,) = (base.collection / "segments").iterdir()
    parts = take_apart(segment)
    (name,) = (each for each in parts.arrays if each.endswith(f"/{part}"))
    for entry in parts.table["sections"].values():
        entry.clear()
    parts.arrays[name][:] = 0
    forgery = Forgery(part, *put_together(parts))
    # In this process, for what is patched.
    outcome = base.attack(examine, tmp_path, "believed", forgery)
    assert outcome.refused
    assert outcome.problems == []
    assert "a segment is damaged" in caplog.text


def test_a_segment_that_is_cut_or_overwritten_in_place_changes_no_answer(tmp_path):
    command = [sys.executable, "-c", SEARCH_WHILE_THE_FILE_CHANGES, str(tmp_path / "collection")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.stdout == "survived\n", result.stderr
