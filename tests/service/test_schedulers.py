"""The examples for schedulers, run as these run them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lsr.vectors.shard_set import ShardSet, shard_folders
from tests.service.conftest import ROOT, environment, write_jsonl

yaml = pytest.importorskip("yaml")
TEXTS = [{"id": str(n), "text": f"apple {n}"} for n in range(600)]
JOB = next(
    each
    for each in yaml.safe_load_all((ROOT / "deploy/kubernetes/encode.yaml").read_text())
    if each["kind"] == "Job"
)


@pytest.fixture
def folder(tmp_path):
    """With a corpus, and the lsr of this environment on the path."""
    write_jsonl(tmp_path / "corpus.jsonl", TEXTS)
    return tmp_path


def run(command, folder, **variables):
    environ = environment(folder) | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    }
    done = subprocess.run(
        command, cwd=folder, env=environ | variables, capture_output=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


def assert_whole(folder):
    found = ShardSet(shard_folders([str(folder / "shards")]))
    identifiers = [document.id for documents, _ in found.chunks() for document in documents]
    assert identifiers == [text["id"] for text in TEXTS]


def test_an_array_of_slurm(folder):
    script = ROOT / "deploy/encode.sbatch"
    for task in ("1", "2"):
        run(
            ["bash", script, "corpus.jsonl", "shards", "bm25"],
            folder,
            SLURM_ARRAY_TASK_ID=task,
            SLURM_ARRAY_TASK_COUNT="2",
        )
    assert_whole(folder)


def test_an_indexed_job_of_kubernetes(folder):
    (container,) = JOB["spec"]["template"]["spec"]["containers"]
    given = {each["name"]: each["value"] for each in container["env"]}
    assert int(given["SHARDS"]) == JOB["spec"]["completions"]
    (line,) = container["args"]
    command = [*container["command"], line.replace("/data", str(folder))]
    for index in ("0", "1"):
        run(command, folder, JOB_COMPLETION_INDEX=index, SHARDS="2", ENCODER="bm25")
    assert_whole(folder)
