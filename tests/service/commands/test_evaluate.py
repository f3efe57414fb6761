"""`lsr eval`."""

import json
import re
import shutil

import pytest
from click.testing import CliRunner

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
