"""The bench of large collections: a build that is killed, and what it says of a step that dies."""

import os
import signal

import numpy as np
import pytest
import scale
from engine_bench.vectors import DOCUMENTS, QUERIES, VOCABULARY

from lsr.errors import LsrError


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def save(path, rows, random):
    """So many rows of 12 terms, in the form of the bench's data."""
    terms = np.cumsum(random.integers(1, 900, (rows, 12)), axis=1)
    np.savez(
        path,
        data=random.random(terms.size).astype(np.float16),
        indices=terms.astype(np.int32).ravel(),
        indptr=np.arange(rows + 1, dtype=np.int64) * 12,
        shape=np.array([rows, VOCABULARY]),
    )


def test_a_step_whose_process_is_killed_is_a_sentence():
    with pytest.raises(LsrError, match="the process of die was killed; see that there is memory"):
        scale.alone(die)


def test_a_build_is_killed_and_gone_on_with(tmp_path):
    random = np.random.default_rng(3)
    save(tmp_path / DOCUMENTS, 3000, random)
    for name in QUERIES.values():
        save(tmp_path / name, 20, random)
    rows = scale.run(tmp_path, [3000], tmp_path / "kept", kill=True, mapped=True)
    found = {(row["step"], row["figure"]): row["value"] for row in rows}
    assert found["killed", "documents acknowledged"] == 3000
    assert found["look_after", "documents there"] == 3000
    assert found["build", "unfinished files"] == 0
    assert found["search_mapped", "segments"] == 1
    # Kept: not built again, and without the vectors.
    again = scale.run(tmp_path, [3000], tmp_path / "kept", kill=False, mapped=True)
    assert {row["step"] for row in again} == {"search_mapped"}
    assert not list((tmp_path / "kept").glob("*/*.npy"))
