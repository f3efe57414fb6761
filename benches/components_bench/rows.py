"""What is trained for the component table: pairs of components, towers, and presets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recipe_bench.ingredients import TARGET_NNZ, Budget, merged, seeded
from recipe_bench.jobs import TRAINED, Job
from recipe_bench.rows import BM25

from lsr.train.components import PROJECTIONS
from lsr.train.training_presets import TRAINING_PRESETS, with_preset

SEEDS = (1, 2)
# Mean non-zeros to which a side that adds terms is trained.
QUERY_NNZ = 30.0
QUERY_LENGTH = 64
# From the checkpoint's own head.
RATE = 1e-4
# Of a micro-batch, where a step has many documents.
CHUNK_TOKENS = 4096
# What a side that adds terms begins with, so that it can be made sparse.
EXPANDING = tuple(kind for kind in PROJECTIONS if kind != "own-terms")
# Components of documents and of queries, the most important first; the first few are those that
# the framework's claims are about.
PAIRS = (
    ("mlm", "mlm"),
    ("mlm", "mlp"),
    ("mlp", "mlp"),
    ("mlp", "mlm"),
    ("binary", "mlm"),
    ("binary", "mlp"),
    ("mlp", "binary"),
    ("mlm", "binary"),
    ("own-terms", "own-terms"),
    ("mlm", "own-terms"),
    ("own-terms", "mlm"),
    ("own-terms", "binary"),
    ("binary", "own-terms"),
    ("mlm", "idf"),
    ("own-terms", "idf"),
    ("mlp", "idf"),
    ("mlm", "learned"),
    ("cls-mlm", "cls-mlm"),
    ("cls-mlm", "idf"),
    ("idf", "mlm"),
    ("learned", "mlm"),
)
# Those from which the claims are answered once more, with the head of the checkpoint.
CLAIMED = PAIRS[:14]
SEPARATE = (("mlm", "mlm"), ("mlm", "mlp"), ("mlp", "mlp"))
# The loss that has no teacher.
TEACHERLESS = "info-nce"


def named(document: str, query: str, towers: str = "shared", own_head: bool = False) -> str:
    """The row of two components."""
    apart = ", separate" if towers == "separate" else ""
    return f"{document} / {query}{apart}{', own head' if own_head else ''}"


def preset_row(name: str) -> str:
    """The row of a preset."""
    return f"preset {name}"


def changes(document: str, query: str, towers: str = "shared") -> dict[str, Any]:
    """What two components change of the recipe's baseline.

    Sides that add terms are trained to a number of non-zeros, so that rows are compared at nearly
    equal ones; the others have those of their texts.
    """
    plain = {"regularizer": "none", "target_nnz": 0.0}
    flops = {"regularizer": "flops"}
    return {
        "model": {
            "documents": document,
            "queries": query,
            "towers": towers,
            "query_length": QUERY_LENGTH,
        },
        "documents": flops | {"target_nnz": TARGET_NNZ} if document in EXPANDING else plain,
        "queries": flops | {"target_nnz": QUERY_NNZ} if query in EXPANDING else plain,
    }


def with_own_head(tables: Mapping[str, Any]) -> dict[str, Any]:
    """The same from the checkpoint's own head, at the rate that the recipe has for it."""
    return merged(tables, {"model": {"new_head": False}, "optimizer": {"learning_rate": RATE}})


def preset_tables(budget: Budget, name: str) -> dict[str, Any]:
    """A preset on the recipe's pairs, teachers and steps, to the non-zeros of the other rows."""
    base = budget.base()
    tables = TRAINING_PRESETS[name].tables
    kept = ("sources", "optimizer", "evaluation", "teacher_scale", "memory")
    taught = any(loss["name"] != TEACHERLESS for loss in tables["losses"])
    model: Mapping[str, Any] = base["model"]
    own = {key: value for key, value in model.items() if key != "queries"}
    given: dict[str, Any] = {key: base[key] for key in kept}
    given |= {"preset": name, "model": own | {"query_length": QUERY_LENGTH}}
    given |= {"teachers": base["teachers"]} if taught else {}
    given["batches"] = base["batches"]
    negatives = tables["batches"]["negatives"]
    if negatives > 1 and tables["model"]["documents"] in PROJECTIONS:
        # A new head begins with all terms, of all these documents.
        given["memory"] |= {"gradient_cache": True, "chunk_tokens": CHUNK_TOKENS}
    targets = {"documents": TARGET_NNZ, "queries": QUERY_NNZ}
    given |= {side: {"target_nnz": targets[side]} for side in targets if side in tables}
    return with_preset(given)


def jobs(budget: Budget) -> list[Job]:
    """Everything that is trained and scored, the most important first."""
    base = budget.base()

    def job(row: str, tables: Mapping[str, Any], seed: int) -> Job:
        return Job({row: TRAINED}, seed, seeded(tables, seed))

    every = [*((*pair, "shared") for pair in PAIRS), *((*pair, "separate") for pair in SEPARATE)]
    first, second = (
        [job(named(*one), merged(base, changes(*one)), seed) for one in every] for seed in SEEDS
    )
    own = [
        job(named(*pair, own_head=True), with_own_head(merged(base, changes(*pair))), SEEDS[0])
        for pair in CLAIMED
    ]
    presets = [
        job(preset_row(name), preset_tables(budget, name), SEEDS[0]) for name in TRAINING_PRESETS
    ]
    # Presets last: those of several negatives take as many times as long.
    return [Job({BM25: "bm25"}), *first, *own, *second, *presets]
