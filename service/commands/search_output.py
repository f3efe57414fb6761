"""Hits and contexts as a person reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from service.commands.metadata_output import facet_lines, group_line, parts_line
from service.commands.terminal import SHOWN_WORDS, TERMS_SHOWN, err, out

if TYPE_CHECKING:
    from index.search.config import SearchConfig
    from index.search.context import Context
    from index.search.hits import Hit, HitPassage
    from index.search.result import SearchResult


def print_result(result: SearchResult, config: SearchConfig) -> None:
    """Hits as a person reads them: title, score, snippet with marks, the terms that carried it."""
    grouping, before = config.group_by, None
    for rank, hit in enumerate(result.hits, start=1):
        if grouping is not None and (before is None or before.group != hit.group):
            out.print(group_line(grouping.key, hit))
        before = hit
        _print_hit(rank, hit)
        if isinstance(config.payload, tuple) and (parts := parts_line(hit)):
            out.print(parts)
    for facet in facet_lines(result.facets):
        out.print(facet)
    count = (
        f"{len(result.hits)} of {result.documents:,} documents"
        if result.hits
        else "no document found"
    )
    if config.ranks_all or config.min_score is not None:
        least = "" if result.total.relation == "eq" else "at least "
        count += f", {least}{result.total.value:,} match"
    if result.unknown_tokens:
        shown = ", ".join(map(repr, result.unknown_tokens[:TERMS_SHOWN]))
        more = len(result.unknown_tokens) - TERMS_SHOWN
        listed = f"{shown} and {more} more" if more > 0 else shown
        out.print(f"no imported vector has {listed}, so it adds nothing", markup=False)
    anew = f" · {result.reranked.sentence}" if result.reranked else ""
    using = f"{result.using} by {', '.join(result.fusion)}" if result.fusion else result.using
    line = f"{count} · {using}{anew} · {result.took_ms:.1f} ms · {_certificate(result)}"
    out.print(Text(line, style="dim"))
    for name, fed in result.feedback.items():
        line = f"fed back into {name}: {', '.join(fed) or 'no document'}"
        out.print(Text(line, style="dim"))
    for note in result.rewritten.notes if result.rewritten else ():
        out.print(Text(note, style="dim"))
    if words := result.unknown_words:
        several = "any of the words" if len(words) > 1 else "the word"
        rest = f" and {len(words) - SHOWN_WORDS} more" if len(words) > SHOWN_WORDS else ""
        named = ", ".join(words[:SHOWN_WORDS])
        out.print(Text(f"no document has {several} {named}{rest}", style="dim"))
    for warning in result.warnings:
        err.print(Text(f"warning: {warning}"))


def print_context(context: Context) -> None:
    """Passages as a generator takes them, and one line on what they are on standard error."""
    out.print(context.text, markup=False, highlight=False, soft_wrap=True)
    line = f"{len(context.passages)} passages, about {context.tokens:,} tokens"
    if context.duplicates:
        line += f"; {context.duplicates} hits say what one before says"
    err.print(Text(line, style="dim"))


def _certificate(result: SearchResult) -> str:
    """Whether the hits are certainly the best, and how each field was searched."""
    strategies = ", ".join(f"{name} {how}" for name, how in result.strategies.items())
    if result.timed_out:
        strategies += "; the time was up before all marks and terms were found"
    if result.exact:
        return f"exact ({strategies})"
    if result.bound_gap == 0:
        return f"exact but for ties ({strategies})"
    return (
        f"approximate, what was left out scores at most {result.bound_gap:.4g} more ({strategies})"
    )


def _print_hit(rank: int, hit: Hit) -> None:
    marks = {mark.field: mark for mark in hit.highlights}
    line = Text(f"{rank:3}. ")
    line.append_text(_marked(marks.get("title"), hit.id, "bold"))
    line.append(f"  {hit.score:.4g}", style="cyan")
    if "title" in marks:
        line.append(f"  {hit.id}", style="dim")
    if len(hit.scores) > 1:
        parts = ", ".join(f"{name} {score:.4g}" for name, score in hit.scores.items())
        line.append(f"  ({parts})", style="dim")
    if hit.passage is not None:
        line.append(f"  {_place(hit.passage)}", style="dim")
    out.print(line)
    if "text" in marks:
        out.print(Text("     ") + _marked(marks["text"], "", ""))
    if hit.cells:
        cells = ", ".join(f"{key}: {phrase}" for key, phrase in hit.cells)
        out.print(Text(f"     in {cells}", style="dim"))
    for name, terms in hit.terms.items():
        shown = ", ".join(f"{term.token} {term.contribution:.2f}" for term in terms[:TERMS_SHOWN])
        more = f" and {len(terms) - TERMS_SHOWN} more" if len(terms) > TERMS_SHOWN else ""
        if shown:
            out.print(Text(f"     {name}: {shown}{more}", style="dim"))


def _place(passage: HitPassage) -> str:
    """Where in its document a passage stands."""
    page = f"page {passage.page}, " if passage.page is not None else ""
    heading = f", {' '.join(passage.heading.split())}" if passage.heading else ""
    return f"({page}passage {passage.number:,} of {passage.count:,}{heading})"


def _marked(mark: Any, otherwise: str, style: str) -> Text:
    if mark is None:
        return Text(otherwise, style=style)
    text = Text(style=style)
    inside = {place for start, end in mark.spans for place in range(start, end)}
    for place, letter in enumerate(mark.snippet):
        visible = letter if letter.isprintable() else " "
        if visible == " " and text.plain.endswith(" "):
            continue
        text.append(visible, "bold yellow underline" if place in inside else None)
    return text
