"""`lsr bench`."""

import json

import pytest


@pytest.mark.parametrize("kind", ["jsonl", "tsv", "txt", "beir"])
def test_bench_recall_measures_and_suggests(lsr, tmp_path, corpus, kind):
    lsr("index", corpus, "--into", "fruit", "--encoder", "bm25")
    lines = {
        "jsonl": '{"_id": "q", "text": "cherry"}\n\n{"_id": "r", "text": "banana plum"}\n',
        "tsv": "q\tcherry\nr\tbanana plum\n",
        "txt": "cherry\n\nbanana plum\n",
    }
    source = tmp_path / f"queries.{kind}"
    if kind == "beir":
        source.mkdir()
    target = source / "queries.jsonl" if kind == "beir" else source
    target.write_text(lines.get(kind, lines["jsonl"]))
    result = json.loads(lsr("bench", "recall", "fruit", "--queries", source, "--json").stdout)
    assert (result["queries"], result["documents"], result["using"]) == (2, 3, "sparse")
    efforts = [row["effort"] for row in result["rows"]]
    assert efforts == sorted(efforts)
    assert result["rows"][-1]["recall"] == 1
    enough = [row["effort"] for row in result["rows"] if row["recall"] >= 0.97]
    assert result["effort"] in enough
    table = lsr("bench", "recall", "fruit", "--queries", source, "--k", "2").stdout.decode()
    assert "recall@2" in table
    assert "effort" in table.splitlines()[-1]
