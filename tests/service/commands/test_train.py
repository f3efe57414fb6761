"""lsr train: from a TOML file to an encoder, also when it is killed on the way."""

import dataclasses
import json
import signal
import subprocess
import sys

import pytest
from safetensors.numpy import load_file

from lsr.encoders.catalogue import load_encoder
from lsr.train.config import TrainingConfig
from lsr.train.config_file import parse_config, read_toml
from lsr.train.training_log import read_log
from tests.lsr.train.tiny_training import tiny_checkpoint, tiny_pairs, write_pairs
from tests.service.conftest import environment, sentence

pytestmark = pytest.mark.long

CONFIG = """
output = "trained"
checkpoint_every = 5
licence = "MIT"

[model]
base = "base"
queries = "learned"
dropout = 0.1
max_length = 20

[optimizer]
steps = {steps}
learning_rate = 1e-3

[[sources]]
path = "pairs.jsonl"
licence = "CC0"

[[teachers]]
name = "bm25"

[[losses]]
name = "kl"

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
rounds = 2

[evaluation]
every = 8
held_out = 0.1
"""


@pytest.fixture
def training(tmp_path):
    tiny_checkpoint(tmp_path / "base")
    write_pairs(tmp_path / "pairs.jsonl", tiny_pairs(80))
    path = tmp_path / "training.toml"
    path.write_text(CONFIG.format(steps=16))
    return path


FORKS = """
import json, os, signal, sys
# What each would import for itself; nothing is computed, so no thread is there to be left behind.
import matplotlib.backends.backend_agg, transformers.models.bert.modeling_bert
import eval.training, lsr.train.run
from lsr.train.training_log import TrainingLog
from service.cli import main

def run(arguments, entries, output):
    write = TrainingLog.write

    def last_write(log, entry):
        nonlocal entries
        write(log, entry)
        entries -= 1
        if not entries:
            os.kill(os.getpid(), signal.SIGKILL)

    TrainingLog.write = last_write
    os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT), 1)
    sys.argv = ["lsr", *arguments]
    try:
        main()
    except SystemExit as end:
        os._exit(end.code or 0)
    finally:
        sys.stdout.flush()
    os._exit(0)

ends = []
for each in json.loads(sys.argv[1]):
    child = os.fork()
    if not child:
        run(*each)
    ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(ends))
"""


def run_in_turn(folder, runs):
    """Exit codes of runs of lsr, each in a process of its own that is killed without warning when
    its log has so many entries (0: not), and writes into a file."""
    result = subprocess.run(
        [sys.executable, "-c", FORKS, json.dumps(runs)],
        cwd=folder,
        env=environment(folder) | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr.decode()
    return json.loads(result.stdout), result.stderr.decode()


def test_killed_and_run_again_is_as_if_not_killed(lsr, training, tmp_path):
    # Each in a process of its own: how many threads compute decides the last bits.
    arguments = ["train", "training.toml", "--output", "again", "--cache", "trained/teachers"]
    ends, errors = run_in_turn(
        tmp_path,
        [
            (["train", "training.toml", "--json"], 0, "whole.json"),
            (arguments, 12, "killed.json"),
            ([*arguments, "--json"], 0, "again.json"),
        ],
    )
    assert ends == [0, -signal.SIGKILL, 0], errors
    states = [load_file(tmp_path / name / "state.safetensors") for name in ("trained", "again")]
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        assert tensor.tobytes() == states[1][name].tobytes(), name
    logs = [
        [dataclasses.replace(entry, docs_per_s=None) for entry in read_log(path / "log.jsonl")]
        for path in (tmp_path / "trained", tmp_path / "again")
    ]
    assert logs[0] == logs[1]

    report, resumed = (
        json.loads((tmp_path / name).read_text()) for name in ("whole.json", "again.json")
    )
    third = json.loads(lsr(*arguments, "--json").stdout)
    assert report.keys() == resumed.keys() == third.keys()
    assert (report["steps"], third["steps"]) == (16, 0)
    assert resumed["steps"] == 16 - 10
    assert third["last"] == resumed["last"]
    assert report["last"]["step"] == 16
    assert {"nDCG@10", "Recall@100", "nnz", "flops"} <= report["last"]["measures"].keys()

    folder = tmp_path / "trained"
    assert (folder / "log.png").read_bytes().startswith(b"\x89PNG")
    written = parse_config(read_toml(folder / "training.toml"), TrainingConfig)
    assert written == parse_config(read_toml(training), TrainingConfig)
    card = (folder / "student" / "README.md").read_text()
    assert "CC0" in card
    assert "license: mit" in card.lower()
    encoder = load_encoder(str(folder / "student"))
    assert encoder.encode_queries(["ba be"]).nnz <= 2
    assert encoder.encode_documents(["ba be"]).nnz > 0


def test_a_plain_report_without_a_judged_set(lsr, training):
    settings = CONFIG.format(steps=2).replace("held_out = 0.1", "held_out = 0.0")
    training.write_text(settings)
    result = lsr("train", training)
    assert result.returncode == 0, result.stderr.decode()
    text = result.stdout.decode()
    assert text.startswith("2 steps in ")
    assert "--encoder trained/student" in text
    assert "no query is held out, so the student is not scored" in result.stderr.decode()
    (entry, last) = read_log(training.parent / "trained" / "log.jsonl")
    assert entry.measures == last.measures == {}


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("[optimizer]", "[optimiser]", "there is no 'optimiser'"),
        ("queries = 8", "queries = 800", "[batches] queries is 800, and there are only"),
    ],
)
def test_mistakes_are_one_sentence(lsr, training, old, new, complaint):
    training.write_text(CONFIG.format(steps=3).replace(old, new))
    result = lsr("train", training)
    assert complaint in sentence(result)
    assert result.returncode == 2
