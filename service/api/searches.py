"""Several searches of one request: those that differ in their queries alone are made at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from fastapi import Request
from pydantic import ValidationError

from index.collection.writable import Writable
from index.search.config import SearchConfig
from index.search.deadline import Deadline
from index.search.query import SearchQuery
from lsr.errors import LsrError
from service.api.errors import body_of
from service.api.rerankers import ServedRerankers
from service.api.schemas.responses import ErrorBody
from service.api.schemas.search_answer import SearchAnswer
from service.api.schemas.search_json import search_json
from service.api.schemas.search_request import MOST_CHARACTERS, SearchBody
from service.api.searching import Searching

Asked = tuple[SearchQuery, SearchConfig]
Answer = SearchAnswer | ErrorBody


class Searched(NamedTuple):
    """What is searched, and on a replica the snapshot that it is a copy of."""

    collection: Writable
    snapshot: str | None


def answer_searches(
    request: Request,
    searching: Searching,
    searched: Searched,
    given: Sequence[Any],
    rerankers: ServedRerankers,
    deadline: Deadline,
) -> list[Answer]:
    """The answer to each search, or what is wrong with it.

    Args:
        request: which brought them.
        searching: what searches.
        searched: what.
        given: the JSON of each search.
        rerankers: those that are served.
        deadline: of all together.

    Raises:
        AbandonedError: nobody waits any more.
    """
    answers: dict[int, Answer] = {}
    alike: dict[str, list[int]] = {}
    asked: dict[int, Asked] = {}
    share = max(MOST_CHARACTERS // len(given), 1)
    for place, body in enumerate(given):
        try:
            parsed = SearchBody.model_validate(body)
            config = replace(parsed.to_config(rerankers), most_characters=share)
            asked[place] = parsed.to_query(), config
        except (LsrError, ValidationError) as error:
            answers[place] = body_of(request, error)
            continue
        apart = str(place) if config.cursor is not None else ""
        alike.setdefault(f"{config!r}{apart}", []).append(place)
    for places in alike.values():
        part = {place: asked[place] for place in places}
        answers |= _answer(request, searching, searched, part, deadline)
    return [answers[place] for place in range(len(given))]


def _answer(
    request: Request,
    searching: Searching,
    searched: Searched,
    asked: dict[int, Asked],
    deadline: Deadline,
) -> dict[int, Answer]:
    """Searches of one configuration: together, and where one of them can't be, each by itself."""
    collection, snapshot = searched
    config = next(iter(asked.values()))[1]
    if len(asked) > 1:
        try:
            queries = [query for query, _ in asked.values()]
            found = searching.search_several(request, collection, queries, config, deadline)
        except LsrError:
            pass
        else:
            return {
                place: search_json(each, config.explain, config, snapshot)
                for place, each in zip(asked, found, strict=True)
            }
    answers: dict[int, Answer] = {}
    for place, (query, _) in asked.items():
        try:
            result = searching.search(request, collection, query, config, deadline)
            answers[place] = search_json(result, config.explain, config, snapshot)
        except LsrError as error:
            answers[place] = body_of(request, error)
    return answers
