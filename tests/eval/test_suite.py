"""Suites: cells are kept and taken from where they are, named apart, and averaged."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import lsr
from eval import experiment
from eval.cell import read_results
from eval.experiment import evaluate_dataset
from eval.known import BEIR, BEIR_13, CQADUPSTACK, NANO, expand
from eval.results import Results, read_table
from eval.suite import Systems, load_suite, run_suite
from eval.suite_significance import significance_of
from lsr.errors import InputError, NotFoundError, UsageError
from tests.eval.small_beir import write_beir, write_rows

ENCODERS = ("bm25", "bm25,k1=1.2")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LSR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folders(tmp_path):
    return [str(write_beir(tmp_path / "data" / name, seed)) for seed, name in enumerate("xyz")]


def kept_files(output):
    """What must be the same of two runs, by path."""
    return {
        path.relative_to(output).as_posix(): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.is_file() and path.name != "results.json" and ".costs." not in path.name
    }


def scored(folders, output=None, on_cell=lambda cell, kept: None, **systems):
    systems = Systems(systems.pop("encoders", ENCODERS), measures=("nDCG@10", "P@1"), **systems)
    return run_suite(load_suite(folders), systems, output, on_cell=on_cell)


def test_cells_are_those_of_each_data_set_alone(folders, tmp_path):
    results = scored(folders, tmp_path / "out")
    assert [(cell.dataset, cell.encoder) for cell in results] == [
        (name, encoder) for name in "xyz" for encoder in ENCODERS
    ]
    for folder in folders:
        alone = scored([folder])
        same = [cell for cell in results if cell.dataset == Path(folder).name]
        assert [cell.repeatable() for cell in same] == [cell.repeatable() for cell in alone]
        assert [cell.run for cell in same] == [cell.run for cell in alone]
    read = read_results(tmp_path / "out")
    assert [cell.repeatable() for cell in read] == [cell.repeatable() for cell in results]
    assert all(cell.run and cell.costs for cell in read)


def test_averages_are_those_of_plain_python(folders):
    results = scored(folders)
    for encoder, average in zip(ENCODERS, results.averages(), strict=True):
        rows = [cell for cell in results if cell.encoder == encoder]
        assert average.encoder == encoder
        assert average.over == ["x", "y", "z"]
        for name, value in average.measures.items():
            assert value == pytest.approx(sum(row.measures[name] for row in rows) / 3, abs=1e-12)
    assert scored(folders[:1]).averages() == []


def test_a_data_set_of_several_parts_counts_once(folders):
    cells = scored(folders)
    parts = Results(list(cells), {"x": "whole", "y": "whole", "z": "z"})
    values = {cell.dataset: cell.measures["nDCG@10"] for cell in cells if cell.encoder == "bm25"}
    whole = (values["x"] + values["y"]) / 2
    (mean, *_), (average, *_) = parts.parts(), parts.averages()
    assert mean.measures["nDCG@10"] == pytest.approx(whole, abs=1e-12)
    assert average.measures["nDCG@10"] == pytest.approx((whole + values["z"]) / 2, abs=1e-12)
    assert [row.dataset for row in parts.shown()][::2] == ["whole", "z", "average"]


def test_the_parts_of_a_data_set_are_known_from_its_files(folders, tmp_path):
    suite = replace(load_suite(folders), groups={"x": "whole", "y": "whole"})
    results = run_suite(suite, Systems(ENCODERS, measures=("nDCG@10",)), tmp_path / "out")
    read = read_table(tmp_path / "out")
    assert read.to_dict()["averages"] == results.to_dict()["averages"]
    assert read.groups == {"x": "whole", "y": "whole"}


@pytest.mark.parametrize("averages", [[1], [{"dataset": "x"}], {"a": 1}, 3])
def test_averages_that_are_none_are_refused(tmp_path, averages):
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"results": [], "averages": averages}))
    with pytest.raises(InputError, match="'averages' is malformed"):
        read_table(path)


def test_the_files_have_all_tests(folders, tmp_path):
    def kept(baseline=None):
        run_suite(load_suite(folders[:2]), Systems(ENCODERS), tmp_path / "out", baseline=baseline)
        return json.loads((tmp_path / "out" / "results.json").read_text())["significance"]

    cells = read_results(tmp_path / "out") if kept() else []
    assert kept() == significance_of(cells, "nDCG@10").to_json()
    assert {pair["dataset"] for pair in kept()} == {"x", "y"}
    assert {pair["second"] for pair in kept("bm25")} == {"bm25"}
    assert kept("another") == []


def test_nobody_waits_for_the_costs_of_what_is_only_compared_with(folders, tmp_path, monkeypatch):
    timed, told = [], []
    times = experiment.query_times

    def query_times(collection, queries, config):
        timed.append(config.using)
        return times(collection, queries, config)

    monkeypatch.setattr(experiment, "query_times", query_times)

    def run(*using, against=None):
        timed.clear()
        told.clear()
        return scored(
            folders[:1], tmp_path / "out", lambda cell, kept: told.append(kept),
            encoders=["lsr-tiny-v1"], bm25=True, using=using, against=against,
        )  # fmt: skip

    (row,) = run("sparse", against="bm25")
    assert timed == ["sparse"]
    plain = evaluate_dataset(
        load_suite(folders[:1]).datasets["x"], "lsr-tiny-v1", bm25=True, using=["sparse", "bm25"],
        measures=["nDCG@10"], against="bm25",
    )  # fmt: skip
    assert row.measures["RBO@100"] == plain[0].measures["RBO@100"]
    # One that is there needs no search for it, and one that becomes a row gets its costs.
    run("sparse", against="bm25")
    assert (timed, told) == ([], [True])
    rows = run("sparse", "bm25", against="bm25")
    assert (timed, told) == (["bm25"], [True, False])
    assert all("ms_p50" in each.costs for each in rows)
    run("sparse", "bm25", against="bm25")
    assert (timed, told) == ([], [True, True])


def test_only_what_is_missing_is_run(folders, tmp_path):
    told = []

    def run(asked, **systems):
        told.clear()
        scored(asked, tmp_path / "out", lambda cell, kept: told.append(kept), **systems)
        return list(told)

    assert run(folders[:2], encoders=["bm25"]) == [False, False]
    # Not even the index is needed for what is there.
    shutil.rmtree(tmp_path / "cache")
    assert run(folders[:2], encoders=["bm25"]) == [True, True]
    assert not (tmp_path / "cache").exists()
    assert run(folders) == [True, False, True, False, False, False]
    before = kept_files(tmp_path / "out")
    (damaged, _) = sorted((tmp_path / "out/x").glob("*[0-9a-f].json"))
    damaged.write_text('{"dataset": ')
    assert sorted(run(folders)) == [False, True, True, True, True, True]
    assert kept_files(tmp_path / "out") == before


def test_a_cell_of_other_data_is_run_again(folders, tmp_path):
    output, told = tmp_path / "out", []
    scored(folders[:1], output)
    with (Path(folders[0]) / "corpus.jsonl").open("a") as stream:
        stream.write('{"_id": "new", "text": "apple apple apple"}\n')
    results = scored(folders[:1], output, lambda cell, kept: told.append(kept))
    assert told == [False, False]
    assert {cell.documents for cell in results} == {31}


def test_measures_that_are_new_need_no_search(folders, tmp_path, cache):
    scored(folders, tmp_path / "out")
    shutil.rmtree(cache)
    suite = load_suite(folders)
    wanted = Systems(ENCODERS, measures=("P@3", "nDCG@10"))
    again = run_suite(suite, wanted, tmp_path / "out")
    assert not cache.exists()
    fresh = run_suite(suite, wanted)
    assert [cell.repeatable() for cell in again] == [cell.repeatable() for cell in fresh]


KILLED = """
import os, signal, sys
from eval import finished
from eval.suite import Systems, load_suite, run_suite
write, left = finished.write_whole, [int(sys.argv[1])]

def dies(path, text):
    if left[0] == 0:
        path.with_name(f".{path.name}.partial").write_text(text[: len(text) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    write(path, text)

finished.write_whole = dies
run_suite(load_suite(sys.argv[3:]), Systems(["bm25", "bm25,k1=1.2"]), sys.argv[2] and __import__("pathlib").Path(sys.argv[2]))
"""  # noqa: E501


def test_a_killed_run_goes_on_to_the_same_files(folders, tmp_path):
    whole, output = tmp_path / "whole", tmp_path / "out"
    run_suite(load_suite(folders[:2]), Systems(ENCODERS), whole)
    for writes in (0, 4, 8):
        environment = os.environ | {"LSR_CACHE": str(tmp_path / "other"), "PYTHONPATH": str(ROOT)}
        arguments = [sys.executable, "-c", KILLED, str(writes), str(output), *folders[:2]]
        ended = subprocess.run(arguments, env=environment, cwd=ROOT, timeout=300, check=False)
        assert ended.returncode == -signal.SIGKILL
        assert kept_files(output) != kept_files(whole)
        assert not (output / "results.json").exists()
    run_suite(load_suite(folders[:2]), Systems(ENCODERS), output)
    assert kept_files(output) == kept_files(whole)


def test_two_folders_of_one_name_have_rows_and_indexes_of_their_own(tmp_path, cache):
    one, two = write_beir(tmp_path / "one/data", 1), write_beir(tmp_path / "two/data", 2)
    both = scored([str(one), str(two)], tmp_path / "out", encoders=["bm25"])
    assert [cell.dataset for cell in both] == ["one/data", "two/data"]
    for folder, cell in zip((one, two), both, strict=True):
        (alone,) = scored([str(folder)], encoders=["bm25"])
        assert (cell.measures, cell.run) == (alone.measures, alone.run)
    assert len(list(cache.glob("format-*/eval/data-*"))) == 2
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "one-data", "two-data", "results.json",
    }  # fmt: skip
    with pytest.raises(UsageError, match="given twice"):
        load_suite([str(one), str(tmp_path / "two/../one/data")])


def test_encoders_of_one_name_are_told_apart_by_their_paths(tmp_path, masked_lm):
    import torch
    from safetensors.torch import load_file, save_file

    folder = write_beir(tmp_path / "data")
    students = [tmp_path / owner / "student" for owner in ("my", "other")]
    for number, student in enumerate(students):
        shutil.copytree(masked_lm, student)
        weights = load_file(student / "model.safetensors")
        shifted = {
            name: each + number * 0.05 * torch.ones_like(each) for name, each in weights.items()
        }
        save_file(shifted, student / "model.safetensors", {"format": "pt"})
    results = scored([str(folder)], tmp_path / "out", encoders=[f"splade:{s}" for s in students])
    assert [cell.encoder for cell in results] == ["splade:my/student", "splade:other/student"]
    assert results[0].run != results[1].run
    runs = [path.name for path in (tmp_path / "out/data").glob("*.run")]
    assert len(runs) == 2


def test_a_system_has_one_row(tmp_path, masked_lm, dense_model):
    folder = str(write_beir(tmp_path / "data"))
    rows = scored([folder], encoders=["bm25", f"splade:{masked_lm}"], dense=str(dense_model),
                  bm25=True)  # fmt: skip
    assert [(cell.encoder, cell.using) for cell in rows] == [
        ("bm25", "sparse"),
        ("dense", "dense"),
        ("bm25+dense", "hybrid"),
        ("splade:masked-lm", "sparse"),
        ("splade:masked-lm+bm25:masked-lm", "sparse+bm25"),
        ("splade:masked-lm+dense", "hybrid"),
        ("splade:masked-lm+bm25:masked-lm+dense", "sparse+dense+bm25"),
    ]
    assert len({cell.system for cell in rows}) == len(rows)
    again = scored([folder], encoders=[f"splade:{masked_lm}", f"splade:{masked_lm}"], bm25=True)
    assert [cell.using for cell in again] == ["sparse", "bm25", "sparse+bm25"]


def test_ids_that_a_run_cannot_hold_are_refused_before_the_work(folders, tmp_path, cache):
    with (Path(folders[1]) / "corpus.jsonl").open("a") as stream:
        stream.write('{"_id": "two words", "text": "apple"}\n')
    with pytest.raises(InputError, match="'two words' holds white space"):
        scored(folders, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not cache.exists()


def test_suites_are_those_that_are_published():
    assert len({name for name in BEIR if name not in CQADUPSTACK}) + 1 == 18
    assert len(BEIR_13) == 13
    assert len(NANO) == 13
    assert len(CQADUPSTACK) == 12
    assert expand(["beir/cqadupstack", "beir", "mine"]) == [
        *CQADUPSTACK, *(name for name in BEIR if name not in CQADUPSTACK), "mine",
    ]  # fmt: skip


def test_a_suite_takes_what_is_in_a_folder_and_says_what_is_missing(tmp_path, monkeypatch):
    # A proxy that is not there: nothing is downloaded.
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "home"))
    for forum in ("android", "gis"):
        write_beir(tmp_path / "data/cqadupstack" / forum, seed=len(forum))
    write_beir(tmp_path / "data/robust04", seed=3)
    monkeypatch.setattr("eval.datasets._ir_datasets", unreachable)
    suite = load_suite(["beir"], data=tmp_path / "data")
    assert list(suite.datasets) == [
        "beir/robust04", "beir/cqadupstack/android", "beir/cqadupstack/gis",
    ]  # fmt: skip
    assert len(suite.missing) == len(BEIR) - 3
    told = "\n".join(suite.missing)
    assert "fiqa.zip and put it at" in told
    assert f"into {tmp_path / 'data/bioasq'}, and give --data {tmp_path / 'data'}" in told
    results = run_suite(suite, Systems(["bm25"], measures=("P@1",)))
    shown = [row.dataset for row in results.shown()]
    assert shown == ["beir/robust04", "beir/cqadupstack", "average"]
    one, *parts = (cell.measures["P@1"] for cell in results)
    (average,) = results.averages()
    assert average.measures["P@1"] == pytest.approx((one + sum(parts) / 2) / 2)
    with pytest.raises(NotFoundError, match="`lsr datasets nanobeir` says what to fetch"):
        load_suite(["nanobeir"])


def unreachable(name):
    raise ConnectionError("no route")


def test_python_gets_a_table(folders, tmp_path):
    table = lsr.evaluate(folders, ENCODERS, measures=["P@1"], output=tmp_path / "out")
    assert len(table) == 6
    found = table.to_dict()
    assert [row["dataset"] for row in found["results"]] == [cell.dataset for cell in table]
    assert [row["over"] for row in found["averages"]] == [["x", "y", "z"]] * 2
    json.dumps(found)
    lines = repr(table).splitlines()
    assert lines[0].split()[:5] == ["dataset", "encoder", "using", "engine", "P@1"]
    assert len(lines) == 9
    assert len(table[:2]) == 2
    html = Results([table[0]], notes=["<script>"])._repr_html_()
    assert "<script>" not in html
    assert html.count("<tr>") == 2
    pandas = pytest.importorskip("pandas")
    frame = table.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame["P@1"].tolist()[:6] == [cell.measures["P@1"] for cell in table]


def test_results_that_are_malformed_are_refused(folders, tmp_path):
    with pytest.raises(NotFoundError, match="give a folder or"):
        read_results(tmp_path / "gone")
    for text in ("", "[]", '{"results": 3}', '{"results": [{}]}', '{"dataset": 3}'):
        (tmp_path / "results.json").write_text(text)
        with pytest.raises(InputError, match="take a file of lsr eval"):
            read_results(tmp_path / "results.json")
    # A row leads to no file outside of its folder.
    scored(folders[:1], tmp_path / "out")
    row = json.loads((tmp_path / "out/results.json").read_text())["results"][0]
    write_rows(tmp_path / "out/x/results.json", [{"results": [row | {"cell": "../results.json"}]}])
    (outside,) = read_results(tmp_path / "out/x")
    assert outside.per_query == {}


def test_a_collection_that_was_tuned_is_searched_again(tmp_path):
    from index.collection.search_defaults import SETTING

    folder, index, told = str(write_beir(tmp_path / "data")), tmp_path / "index", []

    def run():
        scored([folder], tmp_path / "out", lambda cell, kept: told.append(kept),
               encoders=["bm25"], index=index)  # fmt: skip

    run()
    run()
    lsr.open(index).store.change({SETTING: '{"sparse": {"effort": 0.9}}'})
    run()
    assert told == [False, True, False]


def test_progress_says_which_of_how_many(folders):
    from contextlib import nullcontext

    from eval.experiment import ExperimentProgress
    from tests.recorded_progress import RecordedProgress

    labels = []

    def indexing(items, label):
        labels.append(label)
        return nullcontext(RecordedProgress())

    def searching(total, label):
        labels.append(label)
        return nullcontext(lambda done: None)

    run_suite(
        load_suite(folders[:2]), Systems(["bm25"]), progress=ExperimentProgress(indexing, searching)
    )
    assert labels == [
        "1 of 2, indexing x", "1 of 2, x: searching sparse",
        "2 of 2, indexing y", "2 of 2, y: searching sparse",
    ]  # fmt: skip


def test_the_first_measure_is_the_first_in_the_files(folders, tmp_path):
    names = ("nDCG@10", "Recall@100", "MAP@100")
    run_suite(load_suite(folders[:1]), Systems(["bm25"], measures=names), tmp_path / "results")
    assert [tuple(cell.measures) for cell in read_results(tmp_path / "results")] == [names]
