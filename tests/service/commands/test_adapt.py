"""lsr adapt."""

import json

from tests.index.search.chat_server import ChatServer
from tests.lsr.train.tiny_training import tiny_checkpoint, tiny_pairs, with_table
from tests.service.conftest import sentence, write_jsonl


def index_tiny(tmp_path, lsr):
    """The collection c, by an encoder of random weights."""
    with_table(tiny_checkpoint(tmp_path / "base"))
    documents = [
        {"id": f"d{number}", "title": query, "text": text}
        for number, (query, text) in enumerate(tiny_pairs(120))
    ]
    write_jsonl(tmp_path / "corpus.jsonl", documents)
    lsr("index", "corpus.jsonl", "--into", "c", "--encoder", "inference-free:./base")


def test_a_collection_is_adapted_or_stays(tmp_path, lsr):
    index_tiny(tmp_path, lsr)
    options = ["--minutes", "0.05", "--held-out", "0.3"]
    told = lsr("adapt", "c", *options, "--json")
    found = json.loads(told.stdout)
    assert found["collection"] == "c"
    assert (found["swapped"], found["former"]) == (False, None)
    assert found["held_out"]["queries"] >= 30
    assert "may be chance" in found["reason"]
    again = lsr("adapt", "c", *options)
    assert "c stays as it was: the gain on the pairs that were kept aside may be chance" in (
        " ".join(again.stdout.decode().split())
    )
    assert "other settings" in sentence(lsr("adapt", "c", "--minutes", "1"))


def test_mistakes_are_named(tmp_path, lsr, corpus):
    lsr("index", corpus, "--into", "c", "--encoder", "bm25")
    assert "what can be adapted is the one that ships" in sentence(lsr("adapt", "c"))
    assert "--queries FILE and --qrels FILE" in sentence(lsr("adapt", "c", "--queries", "q.tsv"))
    assert "minutes is 0" in sentence(lsr("adapt", "c", "--minutes", "0"))
    assert "nowhere" in sentence(lsr("adapt", "nowhere"))


def test_a_chat_endpoint_writes_queries_and_the_card_tells(tmp_path, lsr, monkeypatch):
    index_tiny(tmp_path, lsr)
    options = ["--minutes", "0.05", "--held-out", "0.3", "--chat", "40"]
    assert "set LSR_CHAT_URL" in sentence(lsr("adapt", "c", *options, "--work", "w"))
    with ChatServer(lambda prompt: " ".join(prompt.split()[-2:])).running(monkeypatch) as server:
        assert json.loads(lsr("adapt", "c", *options, "--work", "w", "--json").stdout)
        assert len(server.prompts) == 40
        lsr("adapt", "c", *options, "--work", "w")
        assert len(server.prompts) == 40
    card = (tmp_path / "w/encoder/student/README.md").read_text()
    assert card.count("## Adaptation") == 1
    assert "documents of the collection `c`" in card
    assert "40 chat" in card
    assert "| pairs kept aside |" in card
    assert "The collection stays: the gain on the pairs that were kept aside may be chance." in card
    assert str(tmp_path) not in card
