"""lsr adapt."""

import json

from tests.lsr.train.tiny_training import tiny_checkpoint, tiny_pairs, with_table
from tests.service.conftest import sentence, write_jsonl


def test_a_collection_is_adapted_or_stays(tmp_path, lsr):
    with_table(tiny_checkpoint(tmp_path / "base"))
    documents = [
        {"id": f"d{number}", "title": query, "text": text}
        for number, (query, text) in enumerate(tiny_pairs(120))
    ]
    write_jsonl(tmp_path / "corpus.jsonl", documents)
    lsr("index", "corpus.jsonl", "--into", "c", "--encoder", "inference-free:./base")
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
