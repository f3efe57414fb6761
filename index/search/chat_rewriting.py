"""Rewriting by a language model: more queries, or passages that would answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from index.collection.field import Field
from index.collection.recent import Recent
from index.collection.view import View
from index.search.deadline import Deadline
from index.search.query import SearchQuery
from index.search.rewriting import Rewritten
from lsr.chat import ChatEndpoint, ChatError, answered_lines
from lsr.errors import UsageError
from lsr.settings import check_range

# Characters of a query that are sent.
LONGEST_ASKED = 4000
_ANSWERS: Recent[tuple[str, str, str], str] = Recent(4 << 20)


@dataclass(frozen=True, slots=True)
class MoreQueries:
    """Other wordings of the query, ``count`` at most, by a chat endpoint; all are fused by RRF."""

    count: int = 3

    def __post_init__(self) -> None:
        check_range("count", self.count, 1, 10)

    @property
    def name(self) -> str:
        """See ``Rewriter``."""
        return "queries" if self.count == 3 else f"queries,count={self.count}"

    def rewrite(
        self, view: View, fields: Sequence[Field], query: SearchQuery, deadline: Deadline
    ) -> Rewritten:
        """See ``Rewriter``; where the endpoint fails, the query alone."""
        prompt = (
            f"Write {self.count} different search queries that find documents about what this "
            f"query asks. One query a line, nothing else.\nQuery: {_asked(query)}"
        )
        try:
            answer = _complete(prompt, deadline)
        except ChatError as error:
            return Rewritten((query,), (_failed(error),))
        texts = answered_lines(answer)
        others = [text for text in texts if text != query.text][: self.count]
        notes = tuple(f"searched besides: {text}" for text in others)
        # A vector that was given is the query's own; the others have their text alone.
        return Rewritten((query, *(SearchQuery(text=text) for text in others)), notes)


@dataclass(frozen=True, slots=True)
class HypotheticalPassages:
    """HyDE (Gao et al. 2023): passages that would answer stand for the query.

    The vector for a dense field is the mean of the query's and of those of ``count`` passages that
    a chat endpoint writes, encoded as documents. Sparse fields are asked by the query as it is.
    """

    count: int = 1

    def __post_init__(self) -> None:
        check_range("count", self.count, 1, 8)

    @property
    def name(self) -> str:
        """See ``Rewriter``."""
        return "passage" if self.count == 1 else f"passage,count={self.count}"

    def rewrite(
        self, view: View, fields: Sequence[Field], query: SearchQuery, deadline: Deadline
    ) -> Rewritten:
        """See ``Rewriter``; where the endpoint fails, the query as it is."""
        dense = [field for field in fields if field.kind == "dense"]
        if not dense:
            raise UsageError(
                "a hypothetical passage is encoded for a dense field, and none is searched; search "
                "one, or rewrite by queries"
            )
        if query.dense is not None:
            raise UsageError("the query has a dense vector already; give none, or no passage")
        passages, notes = list[str](), tuple[str, ...]()
        for number in range(1, self.count + 1):
            which = "" if self.count == 1 else f" (Answer {number} of {self.count}.)"
            prompt = (
                f"Please write a passage to answer the question.{which}\n"
                f"Question: {_asked(query)}\nPassage:"
            )
            try:
                passages.append(_complete(prompt, deadline))
            except ChatError as error:
                notes = (_failed(error),)
                break
        if not passages:
            return Rewritten((query,), notes)
        encoder = view.fields.dense_encoder(dense[0])
        written = encoder.as_queries(encoder.encode_documents(passages))
        vectors = np.vstack([encoder.encode_queries([query.text or ""]), written])
        mean = vectors.mean(axis=0, dtype=np.float64)
        notes += (f"searched by {len(passages)} passages that a model wrote, and the query",)
        return Rewritten((replace(query, dense=mean.tolist()),), notes)


def _asked(query: SearchQuery) -> str:
    return " ".join((query.text or "").split())[:LONGEST_ASKED]


def _complete(prompt: str, deadline: Deadline) -> str:
    """What the model of the environment answers, or answered lately.

    Raises:
        ChatError: it answers nothing usable in time.
        UsageError: no endpoint is set.
    """
    endpoint = ChatEndpoint.from_environment()
    key = endpoint.url, endpoint.model, prompt
    answer = _ANSWERS.get(key)
    if answer is None:
        answer = endpoint.complete(prompt, deadline.left_ms)
        _ANSWERS.put(key, answer, len(prompt) + len(answer))
    return answer


def _failed(error: ChatError) -> str:
    return f"{error}, so the plain query was searched"
