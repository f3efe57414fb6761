"""Systems with pseudo-relevance feedback, as Li et al. (2022) compare them.

The dense field feeds back, from its own first round or from that of all rankings; its partner is
a sparse field. Beside these, each field with feedback alone.
"""

from __future__ import annotations

from dataclasses import replace

from index.search.config import SearchConfig
from index.search.feedback import Average, Feedback, Rm3, Rocchio

METHODS = {"Average": Average(), "Rocchio": Rocchio()}
ROUNDS = ("before", "after", "both")


def feedback_systems(partner: str) -> dict[str, SearchConfig]:
    """Searches of a collection with this sparse field and a dense one, by name."""
    alone: dict[str, dict[str, Feedback]] = {partner: dict(METHODS), "dense": dict(METHODS)}
    if partner == "bm25":
        alone[partner]["RM3"] = Rm3()
    systems = {}
    for field, methods in alone.items():
        systems[field] = SearchConfig(using=field)
        for name, method in methods.items():
            systems[f"{field}, {name}"] = SearchConfig(using=field, feedback=method)
    together = SearchConfig(using=f"{partner}+dense")
    systems[f"{partner}+dense"] = together
    for name, method in METHODS.items():
        for rounds in ROUNDS:
            feedback = replace(method, using="dense", interpolation=rounds)
            systems[f"{partner}+dense, {name} {rounds}"] = replace(together, feedback=feedback)
    return systems
