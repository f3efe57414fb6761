"""lsr pairs writes what lsr.train.pairs reads."""

import json

import pytest

from lsr.train.pairs import read_pairs
from tests.service.conftest import sentence, write_jsonl

RECORDS = [
    {
        "_id": "a",
        "title": "Apples",
        "text": "# Eating\n" + " ".join(f"apple{n}" for n in range(40)),
    },
    {"_id": "b", "text": "cherry cherry banana"},
]


@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs.jsonl.gz", "pairs.jsonl.xz"])
def test_pairs_are_written_and_read(lsr, tmp_path, name):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", RECORDS)
    result = lsr("pairs", corpus, "--output", name, "--per-document", 2, "--seed", 3, "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    pairs = list(read_pairs(str(tmp_path / name)))
    assert report["pairs"] == len(pairs) == sum(report["kinds"].values())
    assert report["kinds"]["title"] == report["kinds"]["heading"] == 1
    assert ("Apples", RECORDS[0]["text"]) in [(pair.query, pair.positive) for pair in pairs]
    again = lsr("pairs", corpus, "--output", name)
    assert again.returncode == 2
    assert "is there already" in sentence(again)


def test_kinds_and_bad_items(lsr, tmp_path):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", [RECORDS[0], {"text": "no id"}])
    result = lsr("pairs", corpus, "--output", "a.jsonl", "--kinds", "title, heading")
    assert result.returncode == 1
    assert "corpus.jsonl:2: the document has no id" in result.stderr.decode()
    assert "a.jsonl holds 2 pairs (1 title, 1 heading)" in result.stdout.decode()
    record = json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])
    assert record == {
        "query": "Apples", "positive": RECORDS[0]["text"], "kind": "title", "document": "a",
    }  # fmt: skip
    for arguments, reason in (
        (["--output", "b.jsonl", "--kinds", "guess"], "kinds of queries are guess; allowed are"),
        (["--output", "b.txt"], "of no known kind"),
    ):
        result = lsr("pairs", corpus, *arguments)
        assert result.returncode == 2
        assert reason in sentence(result)
