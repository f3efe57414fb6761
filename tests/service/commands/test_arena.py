"""``lsr arena``: the commands over what the tests of ``eval.arenas`` check."""

import json

import numpy as np
import pytest

from eval.run import read_run
from tests.service.conftest import sentence


def embedding(folder):
    rows = np.array([[0, 1, 2], [3, 0, 0], [0, 0.5, 0]], np.float32)
    for kind, part in (("doc", rows), ("query", rows[:2] + 1)):
        (folder / kind).mkdir(parents=True)
        np.savez(
            folder / kind / f"{kind}-embeddings.npz",
            data=part[part > 0],
            indices=np.nonzero(part)[1],
            indptr=np.cumsum([0, *(part > 0).sum(axis=1)]),
        )
        ids = [f"{kind}{n}" for n in range(len(part))]
        (folder / kind / f"{kind}-ids.txt").write_text("\n".join(ids))
    return folder


def test_an_engine_of_lsr_benchmark(lsr, tmp_path):
    embedding(tmp_path / "mini")
    options = ["--dataset", "some-id", "--embedding", "mini", "--output", "runs/lsr", "--k", "2"]
    done = lsr("arena", "lsr-benchmark", *options, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["output"] == "runs/lsr"
    run = read_run(tmp_path / "runs" / "lsr")
    assert [[name for name, _ in run[query]] for query in ("query0", "query1")] == [
        ["doc0", "doc1"],
        ["doc1", "doc0"],
    ]
    assert "holds a run already" in sentence(lsr("arena", "lsr-benchmark", *options))
    options[3] = "nowhere"
    assert "there is no file" in sentence(lsr("arena", "lsr-benchmark", *options, "--output", "x"))


def test_sisaps_task(lsr, tmp_path):
    h5py = pytest.importorskip("h5py", reason="needs pip install '.[sisap]'")
    with h5py.File(tmp_path / "task.h5", "w") as h5:
        for place in ("train", "otest/queries"):
            group = h5.create_group(place)
            group["indptr"], group["indices"], group["data"] = [0, 1, 3], [0, 0, 1], [1.0, 2.0, 1.0]
            group.attrs["shape"] = [2, 2]
        h5["otest/knns"] = [[2], [2]]
    done = lsr("arena", "sisap", "task.h5", "--output", "out.h5", "--k", 1, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["recall"] == 1.0
    with h5py.File(tmp_path / "out.h5") as h5:
        assert h5["knns"][:].tolist() == [[2], [2]]
        assert h5["dists"][:].tolist() == [[2.0], [5.0]]
    assert "is the task itself" in sentence(lsr("arena", "sisap", "task.h5", "--output", "task.h5"))
    assert "allowed is 1 to 2" in sentence(lsr("arena", "sisap", "task.h5", "--output", "out.h5"))


def test_keys_of_nanobeir(lsr, tmp_path):
    folder = tmp_path / "scifact"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "a", "title": "", "text": "owls hunt"}\n')
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "hunting owl"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\ta\t1\n")
    done = lsr("arena", "nanobeir", "scifact", "--encoder", "bm25", "--json")
    found = json.loads(done.stdout)
    assert found["NanoBEIR_mean_dot_ndcg@10"] == found["NanoSciFact_dot_ndcg@10"] == 1.0
    shown = lsr("arena", "nanobeir", "scifact", "--encoder", "bm25").stdout.decode()
    assert [line.split()[0] for line in shown.splitlines()] == list(found)


def test_what_is_missing_names_the_install_line(lsr, monkeypatch, tmp_path):
    monkeypatch.setattr("eval.arenas.sisap.find_spec", lambda name: None)
    monkeypatch.setattr("eval.arenas.mteb.find_spec", lambda name: None)
    (tmp_path / "x.h5").write_bytes(b"")
    for command, extra in (
        (["sisap", "x.h5", "--output", "y.h5"], "sisap"),
        (["mteb", "SciFact"], "mteb"),
    ):
        assert f"pip install 'lsr-search[{extra}]'" in sentence(lsr("arena", *command))


def test_which_lucene_runs(lsr):
    pytest.importorskip("jnius_config", reason="needs pip install '.[lucene]'")
    done = lsr("lucene", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["java"] >= 21
    assert found["jar"].endswith("fatjar.jar")
    assert f"lucene         {found['lucene']}" in lsr("lucene").stdout.decode()
    assert "give both" in sentence(lsr("lucene", "--from", "x"))
