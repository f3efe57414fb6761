"""The stage that scores the best documents of a ranking anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from index.collection.field import Field
from index.collection.view import View
from index.search.deadline import Deadline
from index.search.hits import best_places
from index.search.look_up import completed
from index.search.norms import min_max
from index.search.plan import FieldSearch
from index.search.query import SearchQuery, encode_query
from index.search.reranking import FIELD, Reranked, Reranking
from lsr.encoders.encoder import short_name
from lsr.errors import InputError, UsageError
from lsr.rerankers.catalogue import load_reranker
from lsr.rerankers.reranker import Reranker
from lsr.threads import computing_threads
from lsr.trusted_code import NO_CODE, TrustedCode

Ranking = list[tuple[int, float]]
# What scores documents by their numbers; those without a score, as they are damaged, are left out.
Score = Callable[[Sequence[int]], Mapping[int, float]]
# Documents that each thread has between two looks at the deadline.
AT_ONCE = 16


@lru_cache(maxsize=8)
def loaded_reranker(name: str, trusted: TrustedCode = NO_CODE) -> Reranker:
    """The re-ranker of that name with its weights, loaded once a process.

    Raises:
        InputError: the model can't be used as such a re-ranker.
        NotFoundError: there is no such model.
        UsageError: the name is malformed, or it asks to run code that isn't trusted.
    """
    reranker = load_reranker(name, trusted)
    reranker.load()
    return reranker


@dataclass(frozen=True)
class RerankStage:
    """Re-ranks as settings say: by a model over texts, or by a field's stored vectors."""

    settings: Reranking
    by: Reranker | Field

    @classmethod
    def prepared(cls, view: View, settings: Reranking) -> RerankStage:
        """With the model loaded, which no budget counts.

        Raises:
            InputError, NotFoundError, UsageError: as for ``loaded_reranker``, or there is no such
                field.
        """
        name = settings.model.strip()
        if name.startswith(FIELD):
            return cls(settings, view.fields.named(name.removeprefix(FIELD)))
        return cls(settings, loaded_reranker(name, view.fields.trusted))

    def __call__(
        self,
        view: View,
        query: SearchQuery,
        ranking: Ranking,
        sources: Mapping[str, Ranking],
        passages: Mapping[str, Mapping[int, int]],
        deadline: Deadline,
    ) -> tuple[Ranking, dict[int, float], Reranked]:
        """The ranking in its new order, the new scores by document, and what was done.

        Scored are the best, in their order, until the time is up. Those come first, by their new
        scores; the others follow as they were, each as far below the last new score, and 1 more,
        as it was below the first of them.

        Args:
            view: what was searched; it is pinned.
            query: what was asked.
            ranking: best first.
            sources: the ranking of each field that was searched.
            passages: for each of them the place of the best passage in documents that are split.
            deadline: when to stop whatever the budget is.

        Raises:
            InputError: a score is not finite.
            UsageError: the query has no text for the model.
            AbandonedError: the deadline says that nobody waits any more.
        """
        settings = self.settings
        if settings.time_budget_ms is not None:
            deadline = deadline.sooner(time.perf_counter() + settings.time_budget_ms / 1000)
        candidates = [number for number, _ in ranking[: settings.depth]]
        if isinstance(self.by, Field):
            score = _by_vectors(view, self.by, query)
        else:
            score = _by_texts(view, self.by, query, best_places(candidates, sources, passages))
        scores, reached = _in_time(score, candidates, deadline)
        done = Reranked(
            short_name(settings.model),
            self.by.fingerprint,
            len(scores),
            # A damaged document is nobody's delay.
            len(scores) + len(candidates) - reached,
            settings.time_budget_ms,
        )
        return _in_order(ranking, scores, settings.weight), scores, done


def _in_time(
    score: Score, candidates: Sequence[int], deadline: Deadline
) -> tuple[dict[int, float], int]:
    """The scores of the first candidates, as many as there is time for; and how many were tried.

    What would take longer than is left, as long as the part before took, is not begun.
    """
    scores: dict[int, float] = {}
    step, last_ms = AT_ONCE * computing_threads(), 0.0
    for start in range(0, len(candidates), step):
        if deadline.passed() or deadline.left_ms < last_ms:
            return scores, start
        started = time.perf_counter()
        scores.update(score(candidates[start : start + step]))
        last_ms = 1000 * (time.perf_counter() - started)
    return scores, len(candidates)


def _in_order(ranking: Ranking, scores: Mapping[int, float], weight: float) -> Ranking:
    """What has a new score first, by it and by number; then the others, as they were."""
    if not scores:
        return ranking
    before = [(number, old) for number, old in ranking if number in scores]
    final = np.array([scores[number] for number, _ in before], dtype=np.float64)
    if weight < 1:
        old = min_max(np.array([old for _, old in before], dtype=np.float64))
        final = weight * min_max(final) + (1 - weight) * old
    numbers = [number for number, _ in before]
    first = sorted(zip(numbers, final.tolist(), strict=True), key=lambda each: (-each[1], each[0]))
    rest = [(number, old) for number, old in ranking if number not in scores]
    top = first[-1][1] - 1
    return first + [(number, top - (rest[0][1] - old)) for number, old in rest]


def _by_texts(
    view: View, reranker: Reranker, query: SearchQuery, places: Mapping[int, int]
) -> Score:
    """A model's scores of the texts that encoders see: of a split document its best passage."""
    if query.text is None or not query.text.strip():
        raise UsageError(
            f"re-ranking by {short_name(reranker.name)} needs the query's text; give it beside the "
            f"vectors, or re-rank by a field, as {FIELD}bm25"
        )
    scorer = reranker.scorer(query.text)

    def score(numbers: Sequence[int]) -> dict[int, float]:
        documents = view.store.sound_documents(numbers)
        parts = view.store.passages.of(list(documents))
        texts = []
        for number, document in documents.items():
            place, passages = places.get(number, 0), parts.get(number, [])
            whole = place >= len(passages)
            texts.append(document.contents if whole else passages[place].contents(document))
        return dict(zip(documents, scorer(texts).tolist(), strict=True))

    return score


def _by_vectors(view: View, field: Field, query: SearchQuery) -> Score:
    """A field's own scores, of a split document that of its best passage there."""
    rows = encode_query(view, field, [query])

    def score(numbers: Sequence[int]) -> dict[int, float]:
        wanted = [(number, 0.0) for number in numbers]
        found, _ = completed(
            view,
            [FieldSearch(field, len(numbers))],
            {field.name: rows[0]},
            {field.name: [], "": wanted},
            {},
            "native",
        )
        scores = dict(found[field.name])
        if not np.isfinite(list(scores.values())).all():
            raise InputError(
                f"a score in the field {field.name!r} is beyond 32 bits; give the query smaller "
                "numbers"
            )
        return scores

    return score
