"""How good settings of a search are for judged queries, with one ranking for many settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from eval.measures import measure_queries, parse_measures
from index.collection.view import View
from index.collection.writable import Writable
from index.search.config import FUSION_DEPTH, SearchConfig
from index.search.deadline import Deadline
from index.search.defaults import SearchDefaults
from index.search.fusion import Union
from index.search.pipeline import search_batch
from index.search.plan import plan_search
from index.search.query import SearchQuery
from index.search.ranking import encode, rank
from lsr.corpus.documents import Query
from lsr.corpus.qrels import Qrels

QUERIES_AT_A_TIME = 64
Told = Callable[[int, str], None]


class Judge:
    """Measures settings over the same queries, each setting once.

    Fields are ranked once for each weight of a second dense model, by the stages of the pipeline,
    and fused in memory; what has feedback or an effort goes through the whole pipeline. The view
    must stay pinned.
    """

    def __init__(
        self,
        view: View,
        collection: Writable,
        using: str,
        queries: Sequence[Query],
        qrels: Qrels,
        measure: str,
        told: Told = lambda done, label: None,
    ) -> None:
        self._view, self._collection, self._using = view, collection, using
        self._queries, self._qrels, self._measure, self._told = queries, qrels, measure, told
        [parsed] = parse_measures([measure]).values()
        self._depth = min(parsed.cutoff or FUSION_DEPTH, FUSION_DEPTH)
        plan = plan_search(view.fields, SearchConfig(using=using, tuned=False))
        self.fields = [each.field for each in plan.searches]
        # A query without text finds nothing.
        self._asked = [place for place, query in enumerate(queries) if query.text.strip()]
        judged = {document for grades in qrels.values() for document in grades}
        self._numbers = view.store.sequences(sorted(judged))
        self._unions: dict[float | None, list[Union]] = {}
        self._scores: dict[str, NDArray[np.float64]] = {}

    def scores(self, setting: SearchDefaults) -> NDArray[np.float64]:
        """The measure of each query, float64 (queries,), in their order."""
        key = repr(setting.texts())
        if key not in self._scores:
            alone = setting.feedback is None and setting.effort is None
            self._scores[key] = self._fused(setting) if alone else self._searched(setting)
            self._told(len(self._scores), "settings tried")
        return self._scores[key]

    def _fused(self, setting: SearchDefaults) -> NDArray[np.float64]:
        """Of rankings in memory, in which numbers stand for documents."""
        unions = self._unions.get(setting.dense_weight)
        if unions is None:
            unions = self._unions[setting.dense_weight] = self._ranked(setting.dense_weight)
        run = {query.id: list[tuple[str, float]]() for query in self._queries}
        for place, union in zip(self._asked, unions, strict=True):
            if setting.fusion is None:
                scores = np.full(len(union.documents), -np.inf)
                for _, places, given in union.parts:
                    scores[places] = given
            else:
                scores = setting.fusion.scores(union)
            best = union.best(scores, self._depth)
            run[self._queries[place].id] = [(str(number), score) for number, score in best]
        # No document of the collection has such a name.
        qrels = {
            query: {
                str(self._numbers.get(each, f"no {each}")): grade for each, grade in row.items()
            }
            for query, row in self._qrels.items()
        }
        return self._measured(qrels, run)

    def _ranked(self, dense_weight: float | None) -> list[Union]:
        config = SearchConfig(
            using=self._using, dense_weight=dense_weight, tuned=False, limit=self._depth
        )
        plan = plan_search(self._view.fields, config)
        found = []
        for part in self._parts():
            encoded = encode(self._view, plan, part)
            tops = rank(self._view, plan, encoded, None, config, Deadline())
            for place in range(len(part)):
                found.append(Union({name: top.ranking(place) for name, top in tops.items()}))
            self._told(len(found), "queries ranked")
        return found

    def _searched(self, setting: SearchDefaults) -> NDArray[np.float64]:
        config = SearchConfig(
            using=self._using,
            tuned=False,
            limit=self._depth,
            payload=False,
            highlight=False,
            mode="exact" if setting.effort is None else "approximate",
        )
        config = setting.applied(config)
        run = {query.id: list[tuple[str, float]]() for query in self._queries}
        places = iter(self._asked)
        for part in self._parts():
            for result in search_batch(self._collection, part, config):
                hits = [(hit.id, hit.score) for hit in result.hits]
                run[self._queries[next(places)].id] = hits
        return self._measured(self._qrels, run)

    def _parts(self) -> list[list[SearchQuery]]:
        asked = [SearchQuery(text=self._queries[place].text) for place in self._asked]
        return [
            asked[start : start + QUERIES_AT_A_TIME]
            for start in range(0, len(asked), QUERIES_AT_A_TIME)
        ]

    def _measured(
        self, qrels: Qrels, run: dict[str, list[tuple[str, float]]]
    ) -> NDArray[np.float64]:
        values = measure_queries(qrels, run, self._measure)
        return np.array([values[query.id] for query in self._queries])
