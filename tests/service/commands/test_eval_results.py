"""What is made of the results of `lsr eval`: significance, gates, reruns, reports."""

import json
import random
import re

import pytest

from eval.published import published_systems
from tests.service.conftest import sentence, write_jsonl

WORDS = ["wing", "lift", "drag", "flow", "shock", "wave", "heat", "layer", "body", "jet", "cone"]


@pytest.fixture
def wings(tmp_path):
    """A data set of queries that have the words of one document, in another order."""
    folder, draw = tmp_path / "wings", random.Random(5)
    (folder / "qrels").mkdir(parents=True)
    texts = [" ".join(draw.choices(WORDS, k=6)) for _ in range(60)]
    write_jsonl(
        folder / "corpus.jsonl",
        [{"_id": f"d{place}", "text": text} for place, text in enumerate(texts)],
    )
    asked = [" ".join(sorted(text.split())[::2]) for text in texts[:20]]
    write_jsonl(
        folder / "queries.jsonl",
        [{"_id": f"q{place}", "text": text} for place, text in enumerate(asked)],
    )
    judged = "".join(f"q{place}\td{place}\t1\n" for place in range(20))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    return folder


@pytest.fixture
def output(lsr, wings):
    done = lsr("eval", "wings", "--encoder", "bm25", "--measure", "nDCG@10", "--output", "out")
    assert done.returncode == 0, done.stderr
    return wings.parent / "out"


def edited(folder, change):
    """The same results with every cell and the table changed."""
    for path in folder.rglob("*.json"):
        value = json.loads(path.read_text())
        for row in value.get("results", [value]):
            if "measures" in row:
                change(row)
        path.write_text(json.dumps(value))


def test_a_rerun_of_the_same_differs_by_nothing(lsr, output):
    done = lsr("eval", "rerun", "out")
    assert done.stdout.decode() == "1 result repeated: all measures are the same\n", done.stderr
    assert done.returncode == 0


def test_a_rerun_says_what_differs(lsr, output):
    def change(row):
        row["measures"]["nDCG@10"] += 0.01
        row["provenance"]["versions"]["numpy"] = "0.1"

    edited(output, change)
    done = lsr("eval", "rerun", "out")
    assert done.returncode == 1
    shown = done.stdout.decode()
    assert "the version numpy of bm25 on wings was 0.1 and is" in shown
    assert "nDCG@10 of bm25 on wings was" in shown
    found = json.loads(lsr("eval", "rerun", "out", "--json").stdout)
    assert not found["repeated"]
    assert {each["kind"] for each in found["differences"]} == {"version", "measure"}


def test_a_rerun_writes_nothing_that_its_file_names(lsr, output, tmp_path):
    results = output / "results.json"
    value = json.loads(results.read_text())
    target = tmp_path / "precious"
    target.write_text("kept")
    value["command"] += ["--save-run", str(target), "--output", str(tmp_path / "elsewhere")]
    results.write_text(json.dumps(value))
    assert lsr("eval", "rerun", "out").returncode == 0
    assert target.read_text() == "kept"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ([], "does not say what command"),
        (["eval", "wings", "--no-such-option"], "can't be repeated"),
        ("eval wings", "must be a list of words"),
    ],
)
def test_a_command_that_can_not_be_repeated_is_said(lsr, output, command, said):
    results = output / "results.json"
    results.write_text(json.dumps(json.loads(results.read_text()) | {"command": command}))
    done = lsr("eval", "rerun", "out")
    assert done.returncode == 2
    assert said in sentence(done)


def test_a_gate_fails_by_a_sentence_for_each_drop(lsr, output):
    assert lsr("eval", "gate", "out", "--baseline", "out").returncode == 0
    again = lsr("eval", "gate", "--baseline", "out")
    assert again.stdout.decode() == "no nDCG@10 of 1 result fell by more than 0.5 points\n"

    def change(row):
        row["measures"]["nDCG@10"] += 0.006

    edited(output, change)
    done = lsr("eval", "gate", "--baseline", "out")
    assert done.returncode == 1
    assert done.stdout.decode().startswith("nDCG@10 of bm25 on wings fell by 0.60 points, from")
    assert lsr("eval", "gate", "--baseline", "out", "--max-drop", "0.7").returncode == 0
    found = json.loads(lsr("eval", "gate", "--baseline", "out", "--json").stdout)
    assert not found["passed"]
    assert len(found["drops"]) == 1


def test_a_report_and_plots_are_written(lsr, output, tmp_path):
    pytest.importorskip("matplotlib")
    done = lsr("eval", "report", "out", "-o", "report.html", "--plots", "plots")
    assert done.stdout.decode() == "2 plots in plots\nthe report is report.html\n", done.stderr
    page = (tmp_path / "report.html").read_text()
    assert "lsr eval wings --encoder bm25" in page
    assert {path.suffix for path in (tmp_path / "plots").iterdir()} == {".png", ".svg"}
    assert "say what to write" in sentence(lsr("eval", "report", "out"))
    assert "no file" in sentence(lsr("eval", "report", "nowhere", "-o", "x.html"))


def test_the_table_marks_what_is_significantly_better(lsr, wings, dense_model):
    asked = ["eval", "wings", "--encoder", "bm25", "--dense", dense_model, "--using", "sparse"]
    asked += ["--using", "dense"]
    shown = lsr(*asked).stdout.decode()
    assert "letters: significantly better than these rows by nDCG@10" in shown
    found = json.loads(lsr(*asked, "--json").stdout)
    [pair] = found["significance"]
    assert (pair["dataset"], pair["measure"], pair["queries"]) == ("wings", "nDCG@10", 20)
    assert pair["significant"]
    first = next(line for line in shown.splitlines() if line.startswith("a "))
    assert re.search(r"sparse +native +[0-9.]+ +b ", first)
    against = lsr(*asked, "--baseline", "bm25").stdout.decode()
    assert "+ and -: significantly better and worse than bm25" in against
    unknown = lsr(*asked, "--baseline", "bm52")
    assert unknown.returncode == 0
    assert "no system 'bm52' on wings" in unknown.stderr.decode()


def test_published_numbers_stand_beside_ours(lsr, wings):
    wings.rename(wings.parent / "scifact")
    asked = ["eval", "scifact", "--encoder", "bm25", "--against", "published"]
    shown = lsr(*asked).stdout.decode()
    assert "* bm25" in shown
    assert "trained on its own train split" in shown
    assert "of 5,183 documents, ours are 60" in shown
    found = json.loads(lsr(*asked, "--json").stdout)["published"]
    assert len(found) == len(published_systems())
    assert "compares nDCG@10" in sentence(lsr(*asked, "--measure", "P@5"))
    (wings.parent / "scifact").rename(wings)
    none = lsr("eval", "wings", "--encoder", "bm25", "--against", "published")
    assert "no number is published of wings" in sentence(none)
