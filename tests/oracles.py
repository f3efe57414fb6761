"""Obvious, slow computations that tests compare with."""

import numpy as np


def rank_by_inner_product(documents, query, k, alive=None):
    """[(ordinal, score)] by score descending, then ordinal ascending; scores above 0 only.

    ``documents`` is a list of {term: weight}, ``query`` {term: weight}; float32 throughout, terms
    ascending, document weights rounded to float16 first.
    """
    scored = []
    for ordinal, document in enumerate(documents):
        score = np.float32(0)
        for term in sorted(query):
            if term in document:
                weight = np.float32(np.float16(document[term]))
                score = np.float32(score + np.float32(np.float32(query[term]) * weight))
        if score > 0 and (alive is None or alive[ordinal]):
            scored.append((ordinal, float(score)))
    return sorted(scored, key=lambda item: (-item[1], item[0]))[:k]
