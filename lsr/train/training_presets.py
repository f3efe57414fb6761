"""Published methods as configurations of a training, which a file names with ``preset = "NAME"``.

Each is the components, the loss and the negatives of its paper, as far as the unified framework for
learned sparse retrieval (Nguyen et al. 2023, arXiv:2303.13416) and this package have them; pairs,
steps and rates are the file's. ``differs`` says what is another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lsr.errors import UsageError

KEY = "preset"
# Of one table, where a file gives one of them, the preset's other goes.
EITHER = ("strength", "target_nnz")
EXPANSION = "Expansion by docT5query or TILDE, where the paper has it, is up to the pairs' texts."


@dataclass(frozen=True)
class TrainingPreset:
    """A method: the ``paper`` it is of, the ``tables`` of TOML, and how it ``differs``."""

    paper: str
    tables: Mapping[str, Any]
    differs: str


def _softmax(negatives: int, candidates: str = "batch") -> dict[str, Any]:
    """The loss of the positive among its negatives, and among the batch's documents or not."""
    return {
        "losses": [{"name": "info-nce", "candidates": candidates}],
        "batches": {"negatives": negatives},
    }


def _flops(queries: float, documents: float) -> dict[str, Any]:
    """FLOPS of these strengths; those of queries only where they are above 0."""
    warm_up = {"regularizer": "flops", "warm_up": 0.33}
    found: dict[str, Any] = {"documents": warm_up | {"strength": documents}}
    return found | ({"queries": warm_up | {"strength": queries}} if queries else {})


TRAINING_PRESETS: dict[str, TrainingPreset] = {
    "deepct": TrainingPreset(
        "Dai and Callan 2020, arXiv:1910.10687",
        {"model": {"documents": "mlp", "queries": "binary"}, **_softmax(1)},
        "DeepCT regresses each term's share of the queries that name it; here its weights are "
        "learned by ranking, and are not put through BM25.",
    ),
    "unicoil": TrainingPreset(
        "Lin and Ma 2021, arXiv:2106.14807",
        {
            "model": {"documents": "mlp", "queries": "model", "mlp": {"query_pool": "sum"}},
            **_softmax(7),
        },
        f"[SEP] gets no weight. {EXPANSION}",
    ),
    "deepimpact": TrainingPreset(
        "Mallia et al. 2021, arXiv:2104.12016",
        {
            "model": {"documents": "mlp", "queries": "binary", "mlp": {"pool": "first"}},
            **_softmax(1, "list"),
        },
        f"Every piece of a word is weighed, and punctuation too. {EXPANSION}",
    ),
    "tildev2": TrainingPreset(
        "Zhuang and Zuccon 2021, arXiv:2108.08513",
        {"model": {"documents": "mlp", "queries": "binary"}, **_softmax(7)},
        f"Stop words are weighed, and a query's repeated terms count once. {EXPANSION}",
    ),
    "sparta": TrainingPreset(
        "Zhao et al. 2021, arXiv:2009.13013",
        {
            "model": {"documents": "embeddings", "queries": "binary", "top_k": 2000},
            **_softmax(3, "list"),
        },
        "Queries are bound to their terms, each of weight 1, without an embedding that is trained "
        "apart; a repeated term counts once.",
    ),
    "epic": TrainingPreset(
        "MacAvaney et al. 2020, arXiv:2004.14245",
        {
            "model": {
                "documents": "mlm",
                "queries": "mlp",
                "mlp": {"activation": "softplus", "logs": 1, "query_pool": "sum"},
                "top_k": 1000,
            },
            **_softmax(1, "list"),
        },
        "Documents have neither the importance of positions nor the quality of the whole.",
    ),
    "splade-max": TrainingPreset(
        "Formal et al. 2021, arXiv:2109.10086",
        {
            "model": {"documents": "mlm", "queries": "model"},
            **_softmax(1),
            **_flops(3e-4, 1e-4),
        },
        "The strengths are those of naver/splade's configuration for MS MARCO.",
    ),
    "splade-doc": TrainingPreset(
        "Formal et al. 2021, arXiv:2109.10086",
        {"model": {"documents": "mlm", "queries": "binary"}, **_softmax(1), **_flops(0, 1e-4)},
        "The strength is that of splade-max.",
    ),
    "distilsplade": TrainingPreset(
        "Formal et al. 2021, arXiv:2109.10086",
        {
            "model": {"documents": "mlm", "queries": "model"},
            "losses": [{"name": "margin-mse", "candidates": "list", "pairs": "positive"}],
            "batches": {"negatives": 1},
            **_flops(0.1, 0.08),
        },
        "Teachers are the file's; the paper's are cross-encoders. The strengths are those of the "
        "unified framework's code.",
    ),
    "distilsplade-sep": TrainingPreset(
        "Nguyen et al. 2023, arXiv:2303.13416",
        {
            "model": {"documents": "mlm", "queries": "model", "towers": "separate"},
            "losses": [{"name": "margin-mse", "candidates": "list", "pairs": "positive"}],
            "batches": {"negatives": 1},
            **_flops(0.1, 0.08),
        },
        "As distilsplade, with a model for each side.",
    ),
    "distilsplade-qmlp": TrainingPreset(
        "Nguyen et al. 2023, arXiv:2303.13416",
        {
            "model": {"documents": "mlm", "queries": "mlp", "towers": "separate"},
            "losses": [{"name": "margin-mse", "candidates": "list", "pairs": "positive"}],
            "batches": {"negatives": 1},
            **_flops(0, 0.08),
        },
        "As distilsplade-sep without query expansion, which the paper recommends.",
    ),
    "splade-v3": TrainingPreset(
        "Lassance et al. 2024, arXiv:2403.06789",
        {
            "model": {"documents": "mlm", "queries": "model"},
            "losses": [
                {"name": "kl", "candidates": "list"},
                {"name": "margin-mse", "candidates": "list", "weight": 0.05},
            ],
            "batches": {"negatives": 8},
            "mining": {"depth": 1000, "pool": 100},
            "documents": {"regularizer": "flops", "target_nnz": 200.0},
            "queries": {"regularizer": "flops", "target_nnz": 30.0},
        },
        "The report gives no strengths: numbers of non-zeros, which are ours, stand for them. Half "
        "of its negatives are from the first 50 ranks; here all are from the first 1,000.",
    ),
    "inference-free": TrainingPreset(
        "Geng et al. 2024, arXiv:2411.04403",
        {
            "model": {"documents": "mlm", "queries": "idf"},
            "losses": [{"name": "kl", "candidates": "list"}],
            "batches": {"negatives": 1},
            "documents": {
                "regularizer": "flops",
                "strength": 0.08,
                "warm_up": 0.4,
                "by_place": True,
            },
        },
        "Teachers are the file's; the paper's are a dense and a sparse model. IDF is that of the "
        "training documents.",
    ),
    "inference-free-l0": TrainingPreset(
        "Shen et al. 2025, arXiv:2504.14839",
        {
            "model": {"documents": "mlm", "queries": "idf", "logs": 2},
            "losses": [{"name": "kl", "candidates": "list"}],
            "batches": {"negatives": 1},
            "documents": {
                "regularizer": "l0-flops",
                "threshold": 150,
                "strength": 0.08,
                "warm_up": 0.4,
                "by_place": True,
            },
        },
        "As inference-free, with mask and activation of the paper.",
    ),
}


def with_preset(tables: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of a file over those of the preset that it names, or as they are.

    Tables within are put together setting by setting; lists are the file's where it has them.

    Raises:
        UsageError: there is no such preset.
    """
    given = dict(tables)
    name = given.pop(KEY, None)
    if name is None:
        return given
    if not isinstance(name, str) or name not in TRAINING_PRESETS:
        raise UsageError(f"preset is {name!r}; allowed are {', '.join(TRAINING_PRESETS)}")
    return _over(TRAINING_PRESETS[name].tables, given)


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """The settings above over those below."""
    named = any(key in above for key in EITHER)
    result = {key: value for key, value in below.items() if not (named and key in EITHER)}
    for key, value in above.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = _over(old, value)
        result[key] = value
    return result
