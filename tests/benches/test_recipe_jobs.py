"""The recipe bench trains a row once, as lsr train would, and goes on where a job fails."""

import json

import numpy as np
import pytest
from recipe_bench.ingredients import merged
from recipe_bench.jobs import TRAINED, Job, Places, run_jobs
from recipe_bench.results import Results
from recipe_bench.tables import collected
from recipe_bench.trainings import Workshop, last_steps, needs
from safetensors.numpy import load_file

from eval.judged_set import training_judge
from index.mining import retrieve
from lsr.train.config import TrainingConfig
from lsr.train.config_file import parse_config
from lsr.train.run import Tools, Watching, run_training

pytestmark = pytest.mark.long

TEACHERS = ["bm25"]


def pairs(path):
    words = [f"whale{number} moon{number} tree{number}" for number in range(12)]
    path.write_text(
        "".join(
            f'{{"query": "what is {word.split()[0]}", "positive": "{word} and water"}}\n'
            for word in words
        )
    )


def tiny_tables(tmp_path, masked_lm, **changes):
    pairs(tmp_path / "pairs.jsonl")
    return merged(
        {
            "model": {"base": str(masked_lm), "max_length": 16, "export_length": 16},
            "sources": [{"path": str(tmp_path / "pairs.jsonl")}],
            "batches": {"queries": 4, "negatives": 1},
            "losses": [{"name": "kl"}],
            "teachers": [{"name": name} for name in TEACHERS],
            "optimizer": {"steps": 2},
            "evaluation": {"every": 0, "held_out": 0.0},
        },
        changes,
    )


def test_a_row_is_trained_once_and_as_lsr_train_would(tmp_path, masked_lm, capsys):
    config = parse_config(tiny_tables(tmp_path, masked_lm), TrainingConfig)
    assert needs(config) == ["teacher bm25", "ranking 100 bm25", "counts"]
    workshop = Workshop(tmp_path / "work", tmp_path / "teachers")
    for what in needs(config):
        workshop.prepare(config, what)
    first = workshop.train("a row", config)
    before = (first / "state.safetensors").stat().st_mtime_ns
    capsys.readouterr()
    assert workshop.train("a row", config) == first
    assert "done before" in capsys.readouterr().err
    assert (first / "state.safetensors").stat().st_mtime_ns == before
    assert last_steps(first)["nnz"] > 0
    assert (workshop.untrained(config) / "idf.json").is_file()
    watching = Watching(lambda *_: None, lambda *_: None, lambda sentence: None)
    tools = Tools(retrieve, training_judge)
    plain = run_training(config, tmp_path / "plain", tmp_path / "teachers", tools, watching)
    ours, theirs = (
        load_file(folder / "student/model.safetensors") for folder in (first, plain.student.parent)
    )
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        np.testing.assert_array_equal(weight, theirs[name], name)
    tables = [folder / "student/idf.json" for folder in (first, tmp_path / "plain")]
    assert tables[0].read_text() == tables[1].read_text()


def beir(folder):
    (folder / "qrels").mkdir(parents=True)
    documents = [{"_id": f"d{place}", "text": f"whale{place} and water"} for place in range(4)]
    queries = [{"_id": f"q{place}", "text": f"whale{place}"} for place in range(2)]
    for name, rows in (("corpus", documents), ("queries", queries)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines)
    (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq0\td0\t1\nq1\td1\t1\n")


def test_jobs_are_done_once_and_the_others_go_on_where_one_fails(tmp_path, masked_lm, capfd):
    assets = tmp_path / "assets"
    beir(assets / "data" / "med")
    places = Places(assets, tmp_path / "work", tmp_path / "cache", ("med",))
    tables = tiny_tables(tmp_path, masked_lm)
    broken = merged(tables, {"optimizer": {"learning_rate": 1e15, "steps": 30}})
    todo = [
        Job({"gone": "nothing-of-this-name"}),
        Job({"lexical": "bm25"}),
        Job({"row": TRAINED, "informed": f"inference-free:{TRAINED},idf=both"}, 1, tables),
        Job({"too fast": TRAINED}, 1, broken),
    ]
    file = tmp_path / "results.jsonl"
    run_jobs(todo, places, Results(file), workers=1)
    found = collected(todo, places, Results(file))
    assert {*found.scores} == {"lexical", "row", "informed"}
    assert found.scores["lexical"][0]["med"].ndcg_at_10 == 1
    assert found.scores["row"][1]["med"].microseconds > 0
    assert found.facts["row"][1].keys() == {"seconds", "nnz", "strength"}
    assert {*found.failed} == {"too fast, seed 1"}
    assert found.missing == ["gone"]
    assert "gone: failed (NotFoundError" in capfd.readouterr().err
    before = file.read_bytes()
    run_jobs(todo[1:], places, Results(file), workers=1)
    assert "3 of 3 jobs are done" in capfd.readouterr().err
    assert file.read_bytes() == before
