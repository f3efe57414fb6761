"""Rewriting: the query becomes one or more others before it is encoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from index.collection.field import Field
from index.collection.view import View
from index.search.deadline import Deadline
from index.search.query import SearchQuery
from lsr.errors import InputError

# What one query may become.
MOST_QUERIES = 16


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What is searched in place of a query.

    Of several ``queries`` the first is the query itself, corrected perhaps; their rankings are
    fused by RRF. ``notes`` say in a sentence each what was changed, or why nothing was.
    """

    queries: tuple[SearchQuery, ...]
    notes: tuple[str, ...] = ()


class Rewriter(Protocol):
    """One way of rewriting: a frozen dataclass of its settings."""

    @property
    def name(self) -> str:
        """As it is asked for, with its settings."""

    def rewrite(
        self, view: View, fields: Sequence[Field], query: SearchQuery, deadline: Deadline
    ) -> Rewritten:
        """The queries in place of one that has a text.

        Args:
            view: what is searched; it is pinned.
            fields: those that are ranked.
            query: with its text.
            deadline: of the whole search.

        Raises:
            UsageError: the fields have no use for it.
        """


def rewrite(
    view: View,
    fields: Sequence[Field],
    rewriters: Sequence[Rewriter],
    query: SearchQuery,
    deadline: Deadline,
) -> Rewritten:
    """What is searched in place of a query: each rewriter takes what the one before gave.

    Raises:
        InputError: the query has no text, or becomes more than ``MOST_QUERIES``.
        UsageError: the fields have no use for a rewriter.
    """
    queries: tuple[SearchQuery, ...] = (query,)
    notes: tuple[str, ...] = ()
    for rewriter in rewriters:
        found: list[SearchQuery] = []
        for each in queries:
            if each.text is None or not each.text.strip():
                raise InputError(
                    f"rewriting by {rewriter.name} needs the query's text; give one, or ask for "
                    "no rewriting"
                )
            deadline.passed()
            rewritten = rewriter.rewrite(view, fields, each, deadline)
            found += rewritten.queries
            notes += rewritten.notes
        queries = tuple(found)
        if len(queries) > MOST_QUERIES:
            raise InputError(
                f"the query became {len(queries)} queries; allowed are {MOST_QUERIES}, so ask for "
                "fewer"
            )
    return Rewritten(queries, tuple(dict.fromkeys(notes)))
