"""`lsr eval` counts as trec_eval and BEIR count, says what counts as 0, and prints any format."""

import csv
import io
import json

import pytest
from click.testing import CliRunner

from lsr.errors import UsageError
from service.cli import cli
from tests.service.conftest import write_jsonl

MARKS = ["utf-8", "utf-8-sig", "utf-16"]


@pytest.fixture
def inside(tmp_path, monkeypatch):
    """Runs the command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LSR_CACHE", str(tmp_path / "cache"))

    def run(*arguments):
        return CliRunner().invoke(cli, ["eval", *map(str, arguments)])

    return run


def beir(folder, documents, queries, qrels, header="query-id\tcorpus-id\tscore\n"):
    (folder / "qrels").mkdir(parents=True)
    write_jsonl(folder / "corpus.jsonl", [{"_id": k, "text": v} for k, v in documents.items()])
    write_jsonl(folder / "queries.jsonl", [{"_id": k, "text": v} for k, v in queries.items()])
    (folder / "qrels/test.tsv").write_text(header + "".join(qrels))
    return folder


@pytest.fixture
def fruit(tmp_path):
    return beir(
        tmp_path / "fruit",
        {"d1": "a fig", "d2": "a plum tree", "d3": "plum plum"},
        {"q1": "fig", "q2": "tree"},
        ["q1\td1\t1\n", "q2\td2\t2\n"],
    )


def reason(result):
    """Why a command was refused; nothing was printed before."""
    assert isinstance(result.exception, UsageError)
    assert result.stdout == ""
    return str(result.exception)


def measures(result):
    return json.loads(result.stdout)["results"][0]["measures"]


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv", "a.run"])
@pytest.mark.parametrize("encoding", MARKS)
def test_no_file_loses_its_first_line_to_a_mark(inside, fruit, tmp_path, name, encoding):
    (fruit / "qrels/test.tsv").write_text("q1\td1\t1\nq2\td2\t2\n")
    (fruit / "a.run").write_text("q1 Q0 d1 1 2 x\nq2 Q0 d2 1 2 x\n")
    text = (fruit / name).read_text()
    (fruit / name).write_bytes(text.encode(encoding))
    asked = ["--load-run", fruit / "a.run"] if name == "a.run" else ["--encoder", "bm25"]
    result = inside(fruit, *asked, "--json")
    assert set(measures(result).values()) == {1.0}, result.output


def test_a_measure_is_never_deeper_than_what_was_retrieved(inside, tmp_path):
    documents = {f"d{n}": "plum" for n in range(150)}
    folder = beir(
        tmp_path / "many", documents, {"q": "plum"}, [f"q\t{name}\t1\n" for name in documents]
    )
    asked = [folder, "--encoder", "bm25", "--json"]
    deep = ["--measure", "Recall@100", "--measure", "recall_1000", "--measure", "MAP"]
    assert measures(inside(*asked, *deep)) == pytest.approx(
        {"Recall@100": 2 / 3, "recall_1000": 1.0, "MAP": 1.0}
    )
    refused = reason(inside(*asked, *deep, "--depth", 100))
    assert "recall_1000 needs 1000 results per query and --depth is 100" in refused
    shallow = measures(inside(*asked, "--depth", 5))
    assert shallow == pytest.approx(
        {"nDCG@5": 1.0, "Recall@5": 5 / 150, "MRR@5": 1.0, "MAP@5": 5 / 150}
    )
    for depth in (0, -1, 10_001):
        refused = reason(inside(*asked, "--depth", depth))
        assert f"--depth is {depth}; allowed is 1 to 10000" in refused
    refused = reason(inside(*asked, "--measure", "R@20000"))
    assert "R@20000 needs 20000 results per query and a search gives at most 10000" in refused


@pytest.mark.parametrize("name", ["arguana", "beir-Quora-small"])
def test_a_query_is_not_found_by_itself_in_a_loaded_run(inside, tmp_path, name):
    folder = beir(
        tmp_path / name, {"q1": "plum", "d2": "plum tree"}, {"q1": "plum"}, ["q1\td2\t1\n"]
    )
    (tmp_path / "a.run").write_text("q1 Q0 q1 1 9 x\nq1 Q0 d2 2 8 x\n")
    loaded = inside(folder, "--load-run", "a.run", "--json")
    assert set(measures(loaded).values()) == {1.0}
    assert measures(loaded) == measures(inside(folder, "--encoder", "bm25", "--json"))


def test_ties_are_those_of_32_bits(inside, fruit, tmp_path):
    (tmp_path / "a.run").write_text("q1 Q0 d1 1 1.00000001 x\nq1 Q0 d2 2 1.0 x\n")
    found = inside(fruit, "--load-run", "a.run", "--measure", "MRR@10", "--json")
    assert measures(found) == {"MRR@10": 0.25}


@pytest.mark.parametrize("text", ["", "  \t ", "\u2003"])
def test_a_query_without_text_counts_as_0_and_is_named(inside, tmp_path, text):
    folder = beir(
        tmp_path / "f", {"d1": "a fig", "d2": "plum"}, {"q1": "fig", "q 3": text},
        ["q1\td1\t1\n", "q 3\td2\t1\n"],
    )  # fmt: skip
    result = inside(folder, "--encoder", "bm25", "--json")
    assert set(measures(result).values()) == {0.5}
    named = "without text, and so counted as 0: 1 query ('q 3')"
    assert json.loads(result.stdout)["results"][0]["caveats"] == [named]
    assert f"Note: {named}" in inside(folder, "--encoder", "bm25").stderr


def test_what_a_loaded_run_lacks_is_told(inside, fruit, tmp_path):
    (tmp_path / "a.run").write_text("q1 Q0 d1 1 1.0 x\n")
    result = inside(fruit, "--load-run", "a.run", "--measure", "P@1")
    assert "0.5000" in result.stdout
    assert "without a ranking in the run, and so counted as 0: 1 query ('q2')" in result.stderr
    lines = [f"q{query} Q0 x{rank} {rank} {-rank} x\n" for query in (1, 2) for rank in range(20)]
    (tmp_path / "a.run").write_text("".join(lines))
    result = inside(fruit, "--load-run", "a.run", "--measure", "R@100", "--measure", "R@5")
    assert "has at most 20 results per query, so that R@100 can't see more" in result.stderr
    for content, has in {"q9 Q0 d1 1 1.0 x\n": "such as 'q9'", "": "as it is empty"}.items():
        (tmp_path / "a.run").write_text(content)
        refused = reason(inside(fruit, "--load-run", "a.run"))
        assert f"has no ranking for a judged query of 'fruit', {has}" in refused
    for option in (["--depth", 5], ["--encoder", "bm25"], ["--save-run", "x"], ["--costs"]):
        refused = reason(inside(fruit, "--load-run", "a.run", *option))
        assert f"{option[0]} is about what is searched, and --load-run" in refused


def test_formats_and_values_of_queries(inside, fruit, tmp_path):
    asked = [fruit, "--encoder", "bm25", "--measure", "nDCG@10", "--measure", "F2@10"]
    table = inside(*asked).stdout.splitlines()[0]
    assert table.split() == [
        "dataset",
        "encoder",
        "using",
        "engine",
        "nDCG@10",
        "F2@10",
        "ms/query",
    ]
    (row,) = csv.DictReader(io.StringIO(inside(*asked, "--format", "csv").stdout))
    assert (row["dataset"], row["nDCG@10"]) == ("fruit", "1.0")
    costs = {
        *("flops", "query_nonzeros", "document_nonzeros", "bytes_per_document"),
        *("ms_p50", "ms_p99", "ms_encode", "ms_rank", "latency_over_bm25", "documents_per_second"),
    }
    assert costs <= row.keys()
    found = json.loads(inside(*asked, "--format", "json").stdout)["results"][0]
    assert costs <= found["costs"].keys()
    for heading in ("q nnz", "d nnz", "FLOPS", "B/doc", "docs/s", "p50 ms", "x BM25", "rank ms"):
        assert heading in inside(*asked, "--costs", "--format", "markdown").stdout
    assert r"\begin{tabular}{llllrrr}" in inside(*asked, "--format", "latex").stdout
    assert "contradict" in reason(inside(*asked, "--format", "csv", "--json"))
    inside(*asked, "--per-query", "q.json")
    values = json.loads((tmp_path / "q.json").read_text())["results"][0]
    assert (values["encoder"], values["per_query"]["nDCG@10"]) == ("bm25", {"q1": 1.0, "q2": 1.0})
    assert values["per_query"]["F2@10"]["q1"] == pytest.approx(5 * 0.1 / (4 * 0.1 + 1))
    assert "give .json or .csv" in reason(inside(*asked, "--per-query", "q.txt"))
    (tmp_path / "a.run").write_text("q1 Q0 d1 1 1.0 x\n")
    inside(fruit, "--load-run", "a.run", "--per-query", "r.csv", "--measure", "P@1")
    assert (tmp_path / "r.csv").read_text() == (
        "dataset,run,query,P@1\nfruit,a.run,q1,1.0\nfruit,a.run,q2,0.0\n"
    )
