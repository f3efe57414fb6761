"""How to search: the options of every command that searches, and the configuration they make."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from service.commands.options import (
    dense_weight_option,
    engine_option,
    query_encoder_option,
    rerank_option,
    using_option,
)

_OPTIONS = (
    click.option(
        "--fusion",
        "fusion_text",
        metavar="NAME",
        help="How fields become one ranking: rrf, linear or combmnz; settings and weights of "
        "fields follow, as in rrf,k=10 or linear,norm=z-score,sparse=0.4,dense=0.6, and depth=N "
        "says how many results of each are fused.  [default: by the fields]",
    ),
    query_encoder_option,
    click.option(
        "--filter",
        "filter_text",
        metavar="FILTER",
        help="Search only documents whose metadata pass, as in: "
        "lang = en and year >= 2000 and not (kind in (a, b)) and author exists",
    ),
    click.option(
        "--approximate",
        is_flag=True,
        help="Leave out what is unlikely to matter; says how sure it is.",
    ),
    click.option(
        "--effort",
        type=float,
        help="Of approximate search, which it implies: above 0, and at most 1 (exact).  [default: "
        "0.5, with --time-budget 1]",
    ),
    click.option(
        "--time-budget",
        type=float,
        metavar="MS",
        help="Milliseconds that the search may take in all; implies --approximate.",
    ),
    rerank_option,
    click.option(
        "--feedback",
        metavar="METHOD",
        help="Search again with a query that the best documents of a first round have moved: "
        "average, rocchio or rm3, with settings as in rocchio,depth=5,using=dense.",
    ),
    dense_weight_option,
    click.option(
        "--untuned",
        is_flag=True,
        help="Search by the defaults of lsr, not by those that lsr tune wrote into the collection.",
    ),
    click.option(
        "--dimensions",
        metavar="KEYS",
        help="Join the ranking with documents that have phrases of the query: metadata keys, "
        "or auto for those of `lsr dimensions`; settings follow, as in auto,weight=0.2.",
    ),
    click.option(
        "--rewrite",
        "rewriters",
        metavar="NAME",
        multiple=True,
        help="Rewrite the query first; may be repeated: spelling corrects words that no document "
        "has; queries[,count=3] asks a chat endpoint (LSR_CHAT_URL, LSR_CHAT_MODEL) for other "
        "wordings; passage has it write what a dense field is asked by (HyDE).",
    ),
    engine_option,
)


def search_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options that say how is searched; the command takes them as ``searching``, a SearchConfig."""
    return using_option(search_options_but_using(command))


def search_options_but_using(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same without --using, for commands that search in several ways."""

    @wraps(command)
    def with_searching(
        *,
        using: str | None = None,
        fusion_text: str | None,
        query_encoder: str | None,
        filter_text: str | None,
        approximate: bool,
        effort: float | None,
        time_budget: float | None,
        feedback: str | None,
        dense_weight: float | None,
        untuned: bool,
        rerank: str | None,
        dimensions: str | None,
        rewriters: tuple[str, ...],
        engine: str,
        **others: Any,
    ) -> Any:
        from index.filters.text_form import parse_filter_text
        from index.search.config import SearchConfig
        from index.search.dimension_settings import Dimensions
        from index.search.feedback import parse_feedback
        from index.search.fusion_text import parse_fusion
        from index.search.reranking import Reranking
        from index.search.rewriters import rewriter_of

        fusion, depth = (None, None) if fusion_text is None else parse_fusion(fusion_text)
        implied = effort is not None or time_budget is not None
        searching = SearchConfig(
            using=using,
            fusion=fusion,
            fusion_depth=depth,
            engine=engine,
            filter=None if filter_text is None else parse_filter_text(filter_text),
            mode="approximate" if approximate or implied else "exact",
            effort=effort,
            time_budget_ms=time_budget,
            query_encoder=query_encoder,
            dense_weight=dense_weight,
            tuned=not untuned,
            feedback=None if feedback is None else parse_feedback(feedback),
            rerank=None if rerank is None else Reranking.parse(rerank),
            dimensions=None if dimensions is None else Dimensions.parse(dimensions),
            rewrite=tuple(map(rewriter_of, rewriters)),
        )
        return command(searching=searching, **others)

    for option in reversed(_OPTIONS):
        with_searching = option(with_searching)
    return with_searching
