"""What is trained: the baseline, rows that change one thing of it, and curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipe_bench.ingredients import EXPORT_LENGTH, TARGET_NNZ, Budget, merged, seeded
from recipe_bench.jobs import TRAINED, Job

SEEDS = (1, 2, 3)
# Non-zeros of a document to which each method of the curves is trained, and how many of them the
# l0 mask leaves alone: of the published thresholds, 150 and 200, the targets are 180 and 240.
TARGETS = (60, 120, 180, 240, 360)
MASK_SHARE = 5 / 6
# DF-FLOPS leaves the terms of few documents free, and so can't be steered to a number of non-zeros.
STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0)
NEGATIVES, DEPTH, MARGIN = 7, 50, 0.95
# Of the ablations, the first are trained with every seed before the others with any.
IMPORTANT = 10

BASELINE = "baseline"
FLOPS, MASK, ACTIVATION = "FLOPS", "l0 mask", "l0 activation"
DF_FLOPS, IDF_FLOPS = "DF-FLOPS", "IDF-aware FLOPS"
METHODS = (FLOPS, MASK, ACTIVATION, DF_FLOPS, IDF_FLOPS)
BM25, BOTH, DENSE_ROW = "BM25", "splade-tiny, both sides", "MiniLM, dense"
FREE = "splade-tiny, IDF of the pairs, untrained"
FREE_COLLECTION = "splade-tiny, IDF of the collection, untrained"
SHIPPED = "shipped model"


def levels(method: str) -> tuple[float, ...]:
    """The five strengths at which a method is trained: those of ``STRENGTHS`` as they are, or, of
    the others, what steers to so many non-zeros."""
    return STRENGTHS if method == DF_FLOPS else TARGETS


def published(method: str) -> tuple[float, ...]:
    """Of these, where a method is trained with every seed: near what its paper has."""
    if method == FLOPS:
        return TARGETS
    return {MASK: (180, 240), DF_FLOPS: (0.1,)}.get(method, (TARGET_NNZ,))


def point(method: str, level: float) -> str:
    """The row of a method at one of its levels."""
    if (method, level) == (FLOPS, TARGET_NNZ):
        return BASELINE
    return f"{method}, {'strength' if method == DF_FLOPS else 'target'} {level:g}"


def curve_changes(method: str, level: float) -> dict[str, Any]:
    """What a point of a curve changes of the baseline."""
    regularizer = {DF_FLOPS: "df-flops", IDF_FLOPS: "idf-flops", MASK: "l0-flops"}
    documents: dict[str, Any] = {"target_nnz": float(level)}
    if method in regularizer:
        documents["regularizer"] = regularizer[method]
    if method == DF_FLOPS:
        documents |= {"target_nnz": 0.0, "strength": level}
    if method == MASK:
        documents["threshold"] = round(MASK_SHARE * level)
    return {"documents": documents} | ({"model": {"logs": 2}} if method == ACTIVATION else {})


def ablations(budget: Budget) -> dict[str, dict[str, Any]]:
    """Row to the one thing that it changes of the baseline, beside the points of the curves."""
    raw = [{"name": "kl", "teacher_scores": "raw"}]
    mined = {
        "batches": {"negatives": NEGATIVES},
        "mining": {"depth": DEPTH, "pool": 30, "margin": MARGIN},
    }
    margins = {"name": "margin-mse", "weight": 0.1}
    return {
        "teacher: dense": {"teachers": budget.ensemble("dense")},
        "teacher: sparse": {"teachers": budget.ensemble("sparse")},
        "teachers: dense + sparse + BM25": {"teachers": budget.ensemble("dense", "sparse", "bm25")},
        "teacher: dense, not normalised": {"teachers": budget.ensemble("dense"), "losses": raw},
        "queries without IDF": {"model": {"queries": "binary"}},
        "mined negatives": mined,
        "three logarithms": {"model": {"logs": 3}},
        "four logarithms": {"model": {"logs": 4}},
        "MarginMSE, all pairs": {"losses": [margins]},
        "MarginMSE, given pairs": {"losses": [margins | {"pairs": "positive"}]},
        "teacher: sparse, not normalised": {"teachers": budget.ensemble("sparse"), "losses": raw},
        "DF-FLOPS, target 120": {"documents": {"regularizer": "df-flops"}},
        "topic batches": {"batches": {"order": "topics"}, "mining": {"depth": DEPTH}},
        "InfoNCE, no teacher": {"losses": [{"name": "info-nce"}], "teachers": []},
        "the checkpoint's own head": {"model": {"new_head": False}},
    }


def both_sides() -> dict[str, dict[str, Any]]:
    """Row to its changes: queries by the model too, with logarithms of their own."""
    regularizer = {"queries": {"regularizer": "flops", "target_nnz": 30.0}}
    model = {"queries": "model", "query_length": 64}
    logs = {
        "queries by the model": {},
        "queries by the model, two logarithms of documents": {"logs": 2, "query_logs": 1},
        "queries by the model, two logarithms of both": {"logs": 2},
    }
    return {row: regularizer | {"model": model | changes} for row, changes in logs.items()}


def jobs(budget: Budget, shipped: str) -> list[Job]:
    """Everything that is trained and scored, the most important first.

    Of equal importance the first seed of all rows comes before the second of any.
    """
    base, by_one = budget.base(), ablations(budget)
    ranked: list[tuple[int, Job]] = []

    def train(rank: int, row: str, changes: Mapping[str, Any], *seeds: int) -> None:
        tables = merged(base, changes)
        ranked.extend((rank, Job({row: TRAINED}, seed, seeded(tables, seed))) for seed in seeds)

    first, others = SEEDS[0], SEEDS[1:]
    for method in METHODS:
        for level in levels(method):
            row, changes = point(method, level), curve_changes(method, level)
            seeded_too = level in published(method)
            central = seeded_too and level in (TARGET_NNZ, 180, *STRENGTHS)
            train(1 if central or method == FLOPS else 2, row, changes, first)
            if seeded_too:
                train(1 if central else 4 if method == FLOPS else 3, row, changes, *others)
    for place, (row, changes) in enumerate((by_one | both_sides()).items()):
        named = place < IMPORTANT
        train(1 if named else 3, row, changes, first)
        train(1 if named else 4, row, changes, *others)
    ranked.sort(key=lambda pair: (pair[0], pair[1].seed))
    return [*untrained_jobs(budget, shipped), *(job for _, job in ranked)]


def untrained_jobs(budget: Budget, shipped: str) -> list[Job]:
    """What nothing is trained for."""
    length = f"max_length={EXPORT_LENGTH}"
    tables = merged(budget.base(), {"model": {"new_head": False}})
    return [
        Job({BM25: "bm25"}),
        Job({BOTH: f"splade:{budget.student},{length}"}),
        Job({FREE: TRAINED}, tables=tables, steps=False),
        Job({FREE_COLLECTION: f"inference-free:{budget.student},{length},idf=collection"}),
        Job({DENSE_ROW: f"dense:{budget.dense},dtype=bfloat16"}),
        Job({SHIPPED: shipped}),
    ]
