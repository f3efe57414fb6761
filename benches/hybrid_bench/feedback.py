"""Systems with pseudo-relevance feedback, as Li et al. (2022) compare them.

The dense field feeds back, from its own first round or from that of all rankings; its partner is
BM25 or a sparse field. Beside these, each field with feedback alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hybrid_bench.systems import System
from index.search.config import SearchConfig
from index.search.feedback import AFTER, BEFORE, BOTH, Average, Feedback, Rm3, Rocchio

METHODS: Mapping[str, Feedback] = {"Average": Average(), "Rocchio": Rocchio()}


def feedback_systems(sparse: Mapping[str, str], dense: bool) -> list[System]:
    """Of the sparse encoders by their labels, and of a dense one where there is one."""
    first = next(iter(sparse.values()))
    partners = {"bm25": (first, "bm25"), **{label: (n, "sparse") for label, n in sparse.items()}}
    alone = {**partners, "dense": (first, "dense")} if dense else partners
    found = [
        System(label, name, encoder, SearchConfig(using=field, feedback=method))
        for label, (encoder, field) in alone.items()
        for name, method in METHODS.items()
    ]
    found.append(System("bm25", "RM3", first, SearchConfig(using="bm25", feedback=Rm3())))
    for label, (encoder, field) in partners.items() if dense else ():
        for name, method in METHODS.items():
            for rounds in (BEFORE, AFTER, BOTH):
                feedback = replace(method, using="dense", interpolation=rounds)
                config = SearchConfig(using=f"{field}+dense", feedback=feedback)
                found.append(System(f"{label}+dense", f"{name} {rounds}", encoder, config))
    return found
