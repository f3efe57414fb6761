"""NanoBEIR as sentence-transformers' ``SparseNanoBEIREvaluator`` reports it: the same keys.

For each data set ``NanoSciFact_dot_ndcg@10`` and its like, with ``query_active_dims``,
``query_sparsity_ratio``, the same of the corpus, and ``avg_flops``; and their means under
``NanoBEIR_mean``. A document is relevant or not, MAP@k is divided by at most k, and queries without
a relevant document and empty documents don't count, as there. Documents that score 0 are no results
here; there they fill the end of a ranking by chance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.datasets import Dataset
from eval.judged_set import JudgedSet
from index.mining import Ranking, rank
from lsr.encoders.encoder import SparseEncoder
from lsr.errors import UsageError
from lsr.sparse import SparseBatch

SCORED = "dot"
MEAN = "NanoBEIR_mean"
CUTS = (1, 3, 5, 10)
DEPTH = 100
# Of Hugging Face's folders and of BEIR's, by letters and digits alone.
NAMES = {
    "climatefever": "ClimateFEVER",
    "dbpedia": "DBPedia",
    "dbpediaentity": "DBPedia",
    "fever": "FEVER",
    "fiqa": "FiQA2018",
    "fiqa2018": "FiQA2018",
    "hotpotqa": "HotpotQA",
    "msmarco": "MSMARCO",
    "nfcorpus": "NFCorpus",
    "nq": "NQ",
    "quora": "QuoraRetrieval",
    "quoraretrieval": "QuoraRetrieval",
    "scidocs": "SCIDOCS",
    "arguana": "ArguAna",
    "scifact": "SciFact",
    "touche2020": "Touche2020",
    "webistouche2020": "Touche2020",
}


@dataclass(frozen=True)
class _Activity:
    """How often each term is active among so many texts: of queries or of documents."""

    counts: NDArray[np.int64]
    texts: int

    @classmethod
    def of(cls, vectors: SparseBatch) -> _Activity:
        return cls(vectors.document_frequency(), len(vectors))

    def stats(self, side: str) -> dict[str, float]:
        active = float(self.counts.sum()) / max(self.texts, 1)
        share = active / max(len(self.counts), 1)
        return {f"{side}_active_dims": active, f"{side}_sparsity_ratio": 1 - share}

    @property
    def shares(self) -> NDArray[np.float64]:
        shares: NDArray[np.float64] = self.counts / max(self.texts, 1)
        return shares


def nanobeir_report(encoder: SparseEncoder, datasets: Sequence[Dataset]) -> dict[str, float]:
    """All keys of the evaluator, for the data sets given, and their means.

    Rankings are exact, of whole documents. An open vocabulary counts the words of a data set as
    terms; as those differ from one data set to the next, the FLOPS of the mean is then the mean.

    Raises:
        UsageError: there is no data set, two go by one name, or no query has a relevant document.
    """
    if not datasets:
        raise UsageError("there is no data set to report on; give one or more")
    report: dict[str, float] = {}
    rows: list[dict[str, float]] = []
    sides: list[tuple[_Activity, _Activity]] = []
    for dataset in datasets:
        name = nano_name(dataset.name)
        if f"{name}_avg_flops" in report:
            raise UsageError(f"two data sets go by the name {name}; give each once")
        judged = _relevant(JudgedSet.from_dataset(dataset))
        ranking = rank(
            encoder, list(judged.documents.values()), list(judged.queries.values()), DEPTH
        )
        query, corpus = _Activity.of(ranking.queries), _Activity.of(ranking.documents)
        row = _measures(judged, ranking) | query.stats("query") | corpus.stats("corpus")
        row["avg_flops"] = float(query.shares @ corpus.shares)
        report |= {f"{name}_{key}": value for key, value in row.items()}
        rows.append(row)
        sides.append((query, corpus))
    means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    means |= _together(sides)
    return report | {f"{MEAN}_{key}": value for key, value in means.items()}


def nano_name(name: str) -> str:
    """What the evaluator calls a data set, such as NanoSciFact for beir/scifact/test."""
    for part in reversed(name.split("/")):
        plain = "".join(letter for letter in part.lower() if letter.isalnum()).removeprefix("nano")
        if plain in NAMES:
            return f"Nano{NAMES[plain]}"
    return f"Nano{name}"


def _relevant(judged: JudgedSet) -> JudgedSet:
    """Without the queries that have no relevant document, and without empty documents."""
    kept = {
        query: text
        for query, text in judged.queries.items()
        if any(grade > 0 for grade in judged.qrels[query].values())
    }
    if not kept:
        raise UsageError(f"no query of {judged.name!r} has a relevant document")
    documents = {name: text for name, text in judged.documents.items() if text}
    return JudgedSet(judged.name, documents, kept, judged.qrels)


def _measures(judged: JudgedSet, ranking: Ranking) -> dict[str, float]:
    run = judged.run(ranking.best)
    each = []
    for query, hits in run.items():
        relevant = {name for name, grade in judged.qrels[query].items() if grade > 0}
        ordered = sorted(hits, key=lambda hit: (-hit[1], hit[0]))
        each.append(_of_query([name in relevant for name, _ in ordered], len(relevant)))
    return {
        f"{SCORED}_{name}": float(np.mean([values[name] for values in each])) for name in each[0]
    }


def _of_query(hits: Sequence[bool], relevant: int) -> Mapping[str, float]:
    """Measures of one ranking, whose results are relevant or not."""
    found: dict[str, float] = {}
    found |= {f"accuracy@{k}": float(any(hits[:k])) for k in CUTS}
    for k in CUTS:
        found[f"precision@{k}"] = sum(hits[:k]) / k
        found[f"recall@{k}"] = sum(hits[:k]) / relevant
    gained = sum(hit / math.log2(place + 2) for place, hit in enumerate(hits[:10]))
    ideal = sum(1 / math.log2(place + 2) for place in range(min(relevant, 10)))
    found["ndcg@10"] = gained / ideal
    found["mrr@10"] = next((1 / (place + 1) for place, hit in enumerate(hits[:10]) if hit), 0.0)
    right = np.flatnonzero(hits[:DEPTH])
    found["map@100"] = float(
        (np.arange(1, len(right) + 1) / (right + 1)).sum() / min(DEPTH, relevant)
    )
    return found


def _together(sides: Sequence[tuple[_Activity, _Activity]]) -> dict[str, float]:
    """Activity over all texts of all data sets; empty where their terms differ."""
    if len({len(each.counts) for pair in sides for each in pair}) > 1:
        return {}
    query, corpus = (
        _Activity(
            np.sum([pair[side].counts for pair in sides], axis=0),
            sum(pair[side].texts for pair in sides),
        )
        for side in (0, 1)
    )
    together = query.stats("query") | corpus.stats("corpus")
    return together | {"avg_flops": float(query.shares @ corpus.shares)}
