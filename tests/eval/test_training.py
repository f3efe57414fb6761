"""A training as its file says, from Python."""

import pytest

from eval.training import train
from lsr.encoders.catalogue import load_encoder
from lsr.errors import NotFoundError, UsageError
from lsr.train.run import Watching
from tests.lsr.train.tiny_training import tiny_checkpoint, tiny_pairs, write_pairs

CONFIG = """
output = "{folder}/trained"
[model]
base = "{folder}/base"
queries = "learned"
max_length = 20
[optimizer]
steps = 2
learning_rate = 1e-3
[[sources]]
path = "{folder}/pairs.jsonl"
[[losses]]
name = "info-nce"
candidates = "list"
[documents]
regularizer = "flops"
target_nnz = 20
[batches]
queries = 8
negatives = 2
[mining]
pool = 5
[evaluation]
every = 1
held_out = 0.1
"""


@pytest.fixture
def config(tmp_path):
    tiny_checkpoint(tmp_path / "base")
    write_pairs(tmp_path / "pairs.jsonl", tiny_pairs(40))
    path = tmp_path / "training.toml"
    path.write_text(CONFIG.format(folder=tmp_path))
    return path


def test_an_encoder_comes_out_judged_and_watched(config, tmp_path):
    steps, work = [], set()
    watching = Watching(
        lambda entry, total: steps.append((entry.step, total, set(entry.measures))),
        lambda what, done, total: work.add(what),
        pytest.fail,
    )
    report = train(config, tmp_path / "there", watching=watching)
    assert report.student.parent == tmp_path / "there"
    assert not (tmp_path / "trained").exists()
    assert [step[:2] for step in steps] == [(1, 2), (2, 2)]
    assert all({"nDCG@10", "Recall@100", "nnz", "flops"} <= step[2] for step in steps)
    assert any(what.startswith("documents by ") for what in work)
    assert load_encoder(report.encoder).encode_documents(["ba be"]).nnz > 0
    # Gone on with, there is nothing left to do, and nobody need be told.
    assert train(config, tmp_path / "there").steps == 0


def test_a_wrong_kind_and_a_cache_without_use_are_refused(tmp_path):
    path = tmp_path / "training.toml"
    with pytest.raises(NotFoundError, match="give a TOML file"):
        train(path)
    path.write_text('kind = "dense"')
    with pytest.raises(UsageError, match="allowed are 'sparse', 'dense-terms', 'spar'"):
        train(path)
    path.write_text('kind = "spar"')
    with pytest.raises(UsageError, match="has no vectors of teachers"):
        train(path, cache=tmp_path / "cache")
