"""Every reader of foreign files reads all that is kept of its fuzzing, and some mutations of it."""

import random

import fuzz
import pytest
from fuzz_readers import READERS


@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_kept_inputs_and_mutations_of_them_are_read_or_refused(tmp_path, monkeypatch, target):
    monkeypatch.setattr("index.collection.segment.checksum", None)  # put back at the end
    read, numbers = READERS[target](tmp_path), random.Random(5)
    kept = [path.read_bytes() for path in sorted((fuzz.CORPUS / target).iterdir())]
    assert kept
    for data in kept:
        read(data)
        for _ in range(40 // len(kept)):
            read(fuzz.mutated(data, numbers))


def test_the_targets_are_those_that_have_readers_and_inputs():
    assert set(fuzz.TARGETS) == set(READERS) == {path.name for path in fuzz.CORPUS.iterdir()}
