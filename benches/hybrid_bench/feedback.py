"""Systems with pseudo-relevance feedback, as Li et al. (2022) compare them.

The dense field feeds back, from its own first round or from that of all rankings; its partner is
BM25 or a sparse field. Beside these, each field with feedback alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hybrid_bench.systems import System
from index.collection.field import BM25, DENSE
from index.search.config import SearchConfig
from index.search.feedback import AFTER, BEFORE, BOTH, Average, Feedback, Rm3, Rocchio

METHODS: Mapping[str, Feedback] = {"Average": Average(), "Rocchio": Rocchio()}


def feedback_systems(fields: Mapping[str, str]) -> list[System]:
    """Of fields by their labels."""
    found = [
        System(label, name, SearchConfig(using=field, feedback=method))
        for label, field in fields.items()
        for name, method in METHODS.items()
    ]
    found.append(System(BM25, "RM3", SearchConfig(using=BM25, feedback=Rm3())))
    partners = fields.items() if DENSE in fields else ()
    for label, field in partners:
        if field == DENSE:
            continue
        for name, method in METHODS.items():
            for rounds in (BEFORE, AFTER, BOTH):
                feedback = replace(method, using=DENSE, interpolation=rounds)
                config = SearchConfig(using=f"{field}+{DENSE}", feedback=feedback)
                found.append(System(f"{label}+{DENSE}", f"{name} {rounds}", config))
    return found
