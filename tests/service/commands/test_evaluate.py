"""`lsr eval`."""

import json
import re
import shutil

import pytest
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from service.cli import cli
from tests.service.conftest import sentence, write_jsonl


def dataset(folder, documents):
    """A BEIR folder whose one query is answered by the first document."""
    made = folder / "dataset"
    (made / "qrels").mkdir(parents=True)
    write_jsonl(made / "corpus.jsonl", documents)
    write_jsonl(made / "queries.jsonl", [{"_id": "q1", "text": "cherry"}])
    judged = f"query-id\tcorpus-id\tscore\nq1\t{documents[0]['_id']}\t1\n"
    (made / "qrels" / "test.tsv").write_text(judged)
    return made


def test_eval_prints_a_table_json_and_files(lsr, tmp_path, corpus):
    folder = tmp_path / "fruit"
    folder.mkdir()
    corpus.rename(folder / "corpus.jsonl")
    write_jsonl(
        folder / "queries.jsonl",
        [{"_id": "q1", "text": "cherry"}, {"_id": "q2", "text": "lemon"},
         {"_id": "unjudged", "text": "x"}],
    )  # fmt: skip
    (folder / "qrels").mkdir()
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tb\t1\nq2\ta\t1\n")
    table = lsr(
        "eval", "fruit", "--encoder", "bm25", "--save-run", "out.run", "--save-qrels", "out.qrels"
    )
    shown = table.stdout.decode()
    assert re.search(r"fruit +bm25 +sparse +native +0\.5000", shown)
    assert "data=" in shown
    assert "lsr=" in shown
    result = json.loads(lsr("eval", "fruit", "--encoder", "bm25", "--json").stdout)["results"][0]
    assert result["measures"]["nDCG@10"] == 0.5
    assert (result["dataset"], result["queries"], result["documents"]) == ("fruit", 2, 3)
    assert (tmp_path / "out.qrels").read_text() == "q1 0 b 1\nq2 0 a 1\n"
    assert (tmp_path / "out.run").read_text().startswith("q1 Q0 b 1 ")
    scored = json.loads(lsr("eval", "fruit", "--load-run", "out.run", "--json").stdout)
    assert scored["results"][0]["measures"] == result["measures"]


def test_eval_says_how_alike_rankings_are(lsr, tmp_path, corpus, dense_model):
    folder = dataset(tmp_path, [{"_id": "x", "text": "a cherry"}, {"_id": "y", "text": "cherry"}])
    asked = ["eval", folder, "--encoder", "bm25", "--dense", dense_model, "--depth", 5]
    rows = json.loads(lsr(*asked, "--against", "sparse", "--json").stdout)["results"]
    overlaps = {row["using"]: row["measures"]["RBO@5"] for row in rows}
    assert overlaps["sparse"] == pytest.approx(1)
    # The two documents in this order or in the other.
    assert any(overlaps["dense"] == pytest.approx(each) for each in (1, 0.9))
    assert "RBO@5" in lsr(*asked, "--against", "sparse").stdout.decode()
    fed = lsr(*asked, "--using", "sparse", "--feedback", "rocchio", "--json").stdout
    assert [row["using"] for row in json.loads(fed)["results"]] == ["sparse"]
    assert "no 'bm25' field" in sentence(lsr(*asked, "--against", "bm25"))
    wrong = lsr("eval", folder, "--load-run", "x.run", "--against", "sparse")
    assert "give one of them" in sentence(wrong)


def test_eval_refuses_an_index_of_other_documents(lsr, tmp_path, corpus):
    lsr("index", corpus, "--into", "other", "--encoder", "bm25")
    result = lsr("eval", dataset(tmp_path, [{"_id": "x", "text": "a melon"}]), "--index", "other")
    assert "holds" in sentence(result)


@pytest.fixture
def inside(tmp_path, monkeypatch):
    """Runs the command line in this process, in an empty folder; gives its JSON."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        result = CliRunner().invoke(cli, [*map(str, arguments), "--json"], catch_exceptions=False)
        return json.loads(result.stdout)

    return run


def test_search_and_eval_take_a_query_encoder(inside, tmp_path, corpus, masked_lm):
    tables = shutil.copytree(masked_lm, tmp_path / "tables")
    (tables / "idf.json").write_text('{"cherry": 2.0}')
    query_encoder = "inference-free:./tables"
    inside("index", corpus, "--into", "fruit", "--encoder", masked_lm)
    meta = inside("search", "fruit", "cherry")["meta"]
    assert "query_encoder" not in meta
    found = inside("search", "fruit", "cherry", "--query-encoder", query_encoder)
    assert found["meta"]["encoder"] == meta["encoder"]
    assert found["meta"]["query_encoder"]["sparse"].startswith("inference-free-")
    assert found["query_terms"]["sparse"] == [{"token": "cherry", "weight": 2.0}]

    folder = tmp_path / "dataset"
    (folder / "qrels").mkdir(parents=True)
    shutil.copy(corpus, folder / "corpus.jsonl")
    write_jsonl(folder / "queries.jsonl", [{"_id": "q1", "text": "cherry"}])
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tb\t1\n")
    command = ["eval", "dataset", "--index", "fruit", "--query-encoder", query_encoder]
    (row,) = inside(*command, "--save-run", "out.run")["results"]
    assert row["encoder"] == f"splade:{masked_lm.name}<-{query_encoder}"
    assert set(row["provenance"]["fields"]) == {"sparse", "sparse-queries"}
    ranking = [line.split()[2] for line in (tmp_path / "out.run").read_text().splitlines()]
    assert ranking == [hit["id"] for hit in found["hits"]]


def test_a_folder_that_has_changed_is_scored_as_it_is(lsr, tmp_path):
    """As in a report of an index that was kept from another corpus of the same name."""
    four = [{"_id": name, "text": "cherry plum"} for name in "wxyz"]
    for number, documents in enumerate((four, four[:3]), start=1):
        dataset(tmp_path / f"v{number}", documents).rename(tmp_path / f"v{number}/data")
        done = lsr("eval", f"v{number}/data", "--encoder", "bm25", "--json")
        (row,) = json.loads(done.stdout)["results"]
        assert (row["documents"], row["measures"]["nDCG@10"]) == (len(documents), 1.0)


def test_two_encoders_of_one_name_write_two_runs(lsr, tmp_path, masked_lm):
    folder = dataset(tmp_path, [{"_id": "x", "text": "a cherry"}, {"_id": "y", "text": "a melon"}])
    for owner in ("my", "other"):
        shutil.copytree(masked_lm, tmp_path / owner / "student")
    weights = load_file(tmp_path / "other/student/model.safetensors")
    changed = {name: each * 1.1 for name, each in weights.items()}
    save_file(changed, tmp_path / "other/student/model.safetensors", {"format": "pt"})
    done = lsr(
        "eval", folder, "--encoder", "my/student", "--encoder", "other/student", "--save-run", "d"
    )
    runs = ["d.splade-my-student.sparse", "d.splade-other-student.sparse"]
    assert sorted(path.name for path in tmp_path.glob("d.*")) == runs
    assert [line for line in done.stderr.decode().splitlines() if line.startswith("wrote")] == [
        f"wrote {run}" for run in runs
    ]
    assert "my/student" in done.stdout.decode()


def test_a_suite_is_kept_and_gone_on_with(lsr, tmp_path):
    for owner in ("a", "b"):
        dataset(tmp_path / owner, [{"_id": "x", "text": "cherry"}, {"_id": "y", "text": "lemon"}])
    asked = ["eval", "a/dataset", "b/dataset", "--encoder", "bm25", "--output", "out"]
    first = lsr(*asked)
    assert re.search(r"average +bm25 +sparse +native +1\.0000", first.stdout.decode())
    assert first.stderr.decode().count(" ms/query)") == 2
    (tmp_path / "out/b-dataset").rename(tmp_path / "gone")
    second = lsr(*asked, "--json")
    assert second.stderr.decode().count("(kept)") == 1
    found = json.loads(second.stdout)
    assert [row["dataset"] for row in found["results"]] == ["a/dataset", "b/dataset"]
    assert found["averages"][0]["over"] == ["a/dataset", "b/dataset"]
    assert found["command"] == [*asked, "--json"]
    kept = json.loads((tmp_path / "out/results.json").read_text())
    assert [row["cell"].split("/")[0] for row in kept["results"]] == ["a-dataset", "b-dataset"]


def test_options_of_one_data_set_are_refused_for_several(lsr, tmp_path):
    for owner in ("a", "b"):
        dataset(tmp_path / owner, [{"_id": "x", "text": "cherry"}])
    both = ["eval", "a/dataset", "b/dataset", "--encoder", "bm25"]
    assert "--save-qrels is of one data set" in sentence(lsr(*both, "--save-qrels", "q"))
    assert "give one --encoder and one data set" in sentence(lsr(*both, "--index", "c"))
    assert "is given twice" in sentence(lsr("eval", "a/dataset", "a/../a/dataset"))


def test_kept_indexes_are_listed_and_freed(lsr, tmp_path):
    folder = dataset(tmp_path, [{"_id": "x", "text": "cherry"}])
    lsr("eval", folder, "--encoder", "bm25")
    assert re.search(r"dataset +bm25 +1 +\d", lsr("eval", "cache").stdout.decode())
    assert json.loads(lsr("eval", "cache", "--json").stdout)["indexes"][0]["documents"] == 1
    none = lsr("eval", "cache", "--prune", "--older-than", "1").stdout.decode()
    assert none == "freed: 0 indexes, 0.0 MB\n"
    assert "freed: 1 indexes" in lsr("eval", "cache", "dataset", "--prune").stdout.decode()
    assert lsr("eval", "cache").stdout.decode() == "kept: 0 indexes, 0.0 MB\n"
    assert "no index is kept for dataset" in sentence(lsr("eval", "cache", "dataset"))


def test_a_data_set_called_as_a_command_is_given_by_its_path(lsr, tmp_path):
    dataset(tmp_path, [{"_id": "x", "text": "cherry"}]).rename(tmp_path / "cache")
    done = lsr("eval", "./cache", "--encoder", "bm25", "--json")
    assert json.loads(done.stdout)["results"][0]["dataset"] == "cache"


def test_known_data_sets_are_listed(lsr, tmp_path):
    (tmp_path / "data/scifact").mkdir(parents=True)
    table = lsr("datasets", "--data", "data").stdout.decode()
    assert re.search(r"beir/scifact +5,183 +300 .* data/scifact", table)
    assert "suite beir: 18 data sets" in table
    assert "beir/robust04 is not free to download: ask NIST for TREC disks 4 and 5" in table
    found = json.loads(lsr("datasets", "fiqa", "--json").stdout)["datasets"]
    assert [(row["name"], row["documents"], row["queries"]) for row in found] == [
        ("beir/fiqa", 57_638, 648)
    ]
    assert "fiqa.zip and put it at" in found[0]["fetch"]
    assert len(json.loads(lsr("datasets", "beir-13", "--json").stdout)["datasets"]) == 13
    assert "no data set or suite is known" in sentence(lsr("datasets", "fruit"))
    assert "ask NIST" in sentence(lsr("eval", "robust04"))


def test_both_ways_has_rows_the_other_way_round(lsr, tmp_path):
    documents = [{"_id": "d1", "text": "a cherry pie"}, {"_id": "d2", "text": "unjudged"}]
    dataset(tmp_path, documents)
    asked = ["eval", "dataset", "--encoder", "bm25", "--both-ways", "--measure", "P@1"]
    rows = json.loads(lsr(*asked, "--json").stdout)["results"]
    assert [(row["dataset"], row["queries"], row["documents"]) for row in rows] == [
        ("dataset", 1, 2),
        ("dataset reversed", 1, 1),
    ]
    assert [row["measures"]["P@1"] for row in rows] == [1, 1]
    assert "dataset reversed" in lsr(*asked).stdout.decode()
    saved = lsr(*asked, "--save-run", "a.run", "--output", "kept")
    assert saved.returncode == 0, saved.stderr
    assert (tmp_path / "a.dataset-reversed.bm25.sparse.run").read_text().startswith("d1 Q0 q1 1 ")
    for option, value in (("--index", "c"), ("--save-qrels", "q.txt"), ("--load-run", "a.run")):
        assert f"{option} is " in sentence(lsr(*asked, option, value)) or option == "--load-run"
        assert lsr(*asked, option, value).returncode == 2
