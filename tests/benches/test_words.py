"""The bench of words: Lucene's own run, and its table."""

import json
from importlib.util import find_spec

import numpy as np
import pytest
import words
from peers.lucene_bm25 import rank

from lsr.encoders.bm25 import Bm25Encoder

needs_lucene = pytest.mark.skipif(
    find_spec("pyserini") is None, reason="needs pip install '.[lucene]'"
)


@needs_lucene
def test_our_scores_are_lucenes():
    """Of documents below forty words, whose lengths Lucene stores as they are."""
    random = np.random.default_rng(1)
    some = np.array(["hunt", "hunting", "owls", "mouse", "the", "night", "flies", "it's", "café"])
    documents = ["owls " + " ".join(random.choice(some, n)) for n in random.integers(0, 38, 60)]
    queries = [" ".join(random.choice(some, 4)) for _ in range(20)]
    bm25 = Bm25Encoder()
    counts = bm25.encode_documents(documents)
    statistics = bm25.statistics(counts)
    ours = bm25.encode_queries(queries, statistics).to_scipy()
    scores = (ours @ bm25.impacts(counts, statistics).to_scipy().T).toarray()
    for found, expected in zip(rank(documents, queries, 60), scores, strict=True):
        places = [place for place, _ in found]
        assert sorted(places) == np.flatnonzero(expected).tolist()
        np.testing.assert_allclose([score for _, score in found], expected[places], rtol=1e-5)


def test_a_row_for_each_encoder(tmp_path, monkeypatch):
    monkeypatch.setenv("LSR_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "owls"
    (folder / "qrels").mkdir(parents=True)
    texts = {"a": "Owls hunt mice.", "b": "A hunter sleeps.", "c": "Nothing."}
    lines = [json.dumps({"_id": name, "title": "", "text": text}) for name, text in texts.items()]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "hunting owl"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\ta\t1\n")
    out = tmp_path / "out.json"
    assert words.main([str(folder), "--quick", "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    assert [row["encoder"] for row in report["rows"]][-1] == "bm25"
    assert all(row["owls"] == row["mean"] == 100.0 for row in report["rows"])
    assert words.main([str(tmp_path / "none")]) == 2
