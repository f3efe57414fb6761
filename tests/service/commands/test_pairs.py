"""lsr pairs writes what lsr.train.pairs reads."""

import json

import pytest

from lsr.train.pairs import read_pairs
from tests.index.search.chat_server import ChatServer
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


def test_more_pairs_of_given_ones(lsr, tmp_path):
    words = " ".join(f"customers{n} doctor" for n in range(9))
    record = {"query": f"Skills:\n{words}", "positive": f"Job\n\n{words}", "negative": "Cook"}
    write_jsonl(tmp_path / "given.jsonl", [record, {"query": 1}])
    result = lsr("augment", "given.jsonl", "--output", "more.jsonl.xz", "--copies", 2, "--json")
    assert result.returncode == 0, result.stderr
    assert "given.jsonl:2: no pair" in result.stderr.decode()
    report = json.loads(result.stdout)
    pairs = list(read_pairs(str(tmp_path / "more.jsonl.xz")))
    assert (report["pairs"], report["paraphrases"]) == (1, len(pairs) - 1) == (1, 8)
    assert pairs[0].query == record["query"]
    assert {pair.negatives for pair in pairs} == {("Cook",)}
    assert all(pair.query.startswith("Skills:\n") for pair in pairs)
    lsr("augment", "given.jsonl", "--output", "again.jsonl.xz", "--copies", 2)
    assert list(read_pairs(str(tmp_path / "again.jsonl.xz"))) == pairs
    none = lsr("augment", "given.jsonl", "--output", "none.jsonl", "--sections", "Education")
    assert "no paraphrase was made: no text has a section of these headings" in none.stderr.decode()
    for arguments, reason in (
        (["--output", "more.jsonl.xz"], "is there already"),
        (["--output", "b.jsonl", "--by", "chat"], "set LSR_CHAT_URL"),
        (["--output", "b.jsonl", "--by", "chat", "--alpha", "0.2"], "are of --by eda"),
        (["--output", "b.jsonl", "--alpha", "2"], "alpha is 2"),
        (["--output", "b.jsonl", "--synonyms", "none.txt"], "no file of synonyms"),
        (["--output", "b.jsonl", "--copies", "99"], "copies is 99"),
    ):
        result = lsr("augment", "given.jsonl", *arguments)
        assert result.returncode == 2, arguments
        assert reason in sentence(result)


def test_queries_of_a_chat_endpoint(lsr, tmp_path, monkeypatch):
    corpus = write_jsonl(tmp_path / "corpus.jsonl", RECORDS)
    assert "set LSR_CHAT_URL" in sentence(
        lsr("pairs", corpus, "--output", "a.jsonl", "--kinds", "chat")
    )
    with ChatServer(lambda prompt: "what is sweet").running(monkeypatch):
        result = lsr("pairs", corpus, "--output", "a.jsonl", "--kinds", "title,chat")
    assert result.returncode == 0, result.stderr
    assert "a.jsonl holds 3 pairs (1 title, 2 chat)" in result.stdout.decode()
    assert not (tmp_path / "a.jsonl.answers").exists()
