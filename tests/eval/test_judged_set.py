"""A judged set's numbers are those of all products, ranked and counted by hand."""

import json
import math

import numpy as np
import pytest

from eval.judged_set import JudgedSet
from eval.measures import measure
from lsr.encoders.catalogue import load_encoder
from lsr.train.pairs import HeldOut
from tests.lsr.train.tiny_training import tiny_checkpoint, tiny_pairs

PAIRS = tiny_pairs(30)
DOCUMENTS = {f"d{n}": document for n, (_, document) in enumerate(PAIRS)} | {"blank": " "}
QUERIES = {f"q{n}": query for n, (query, _) in enumerate(PAIRS[:12])} | {"nothing": "zzz"}
QRELS = {
    name: {f"d{n}": 1, f"d{(n * 7) % 30}": 2}
    for n, name in enumerate(QUERIES)
}  # fmt: skip


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tiny_checkpoint(tmp_path_factory.mktemp("tiny"), bias=0.0)
    (folder / "idf.json").write_text(json.dumps({"ba": 2.0, "ko": 1.5, "ru": 3.0, "si": 0.5}))
    return load_encoder(f"splade:{folder},top_k=9")


def test_scores_are_those_by_hand(encoder):
    score = JudgedSet("tiny", DOCUMENTS, QUERIES, QRELS).score(encoder)
    documents = encoder.encode_documents(list(DOCUMENTS.values())).to_scipy().toarray()
    queries = encoder.encode_queries(list(QUERIES.values())).to_scipy().toarray()
    products = queries @ documents.astype(np.float16).astype(np.float32).T
    gains = []
    for name, row in zip(QUERIES, products, strict=True):
        order = sorted(range(len(row)), key=lambda d: (-row[d], d))
        ranked = [list(DOCUMENTS)[d] for d in order if row[d] > 0]
        assert [document for document, _ in score.run[name]] == ranked[:100]
        gained = sum(
            QRELS[name].get(d, 0) / math.log2(place + 2) for place, d in enumerate(ranked[:10])
        )
        ideal = sorted(QRELS[name].values(), reverse=True)
        best = sum(gain / math.log2(place + 2) for place, gain in enumerate(ideal[:10]))
        gains.append(gained / best)
    assert score.measures["nDCG@10"] == pytest.approx(np.mean(gains))
    assert score.measures == measure(QRELS, score.run, ("nDCG@10", "Recall@100"))
    assert score.nnz == pytest.approx((documents > 0).sum() / len(DOCUMENTS))
    shared = [((query > 0) & (document > 0)).sum() for query in queries for document in documents]
    assert score.flops == pytest.approx(np.mean(shared))
    assert score.named() == score.measures | {"nnz": score.nnz, "flops": score.flops}


def test_held_out_pairs(encoder):
    held = HeldOut({"q0": PAIRS[0][0]}, {"d0": PAIRS[0][1], "d1": "tu"}, {"q0": {"d0": 1}})
    judged = JudgedSet.from_held_out(held)
    assert (judged.documents, judged.queries, judged.qrels) == (
        held.documents, held.queries, held.qrels,
    )  # fmt: skip
    assert judged.score(encoder).measures["Recall@100"] == 1.0


def test_a_set_without_queries(encoder):
    score = JudgedSet("empty", {}, {}, {}).score(encoder)
    assert score.run == {}
    assert score.nnz == score.flops == 0
