"""What the command line shows of metadata: facets, groups, parts of hits, keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

if TYPE_CHECKING:
    from index.search.facets import FacetCounts
    from index.search.hits import Hit

WHICH = {"filtered": "that pass the filter", "matching": "that match"}


def facet_lines(facets: Sequence[FacetCounts]) -> list[Text]:
    """A line for each facet: its values with their counts, and what was counted."""
    lines = []
    for facet in facets:
        line = Text(f"{facet.key}: ", style="bold")
        values = ", ".join(f"{shown(value)} ({count:,})" for value, count in facet.values)
        line.append(values or "no value", style="not bold")
        more = facet.distinct - len(facet.values)
        rest = f", and {more:,} more values" if more else ""
        which = "of those found" if not facet.exact else WHICH[facet.over]
        line.append(f"{rest} · of {facet.documents:,} documents {which}", style="not bold dim")
        lines.append(line)
    return lines


def group_line(key: str, hit: Hit) -> Text:
    """The heading of a group."""
    named = f"{key} = {shown(hit.group)}" if hit.group is not None else f"without {key}"
    return Text(named, style="bold underline")


def parts_line(hit: Hit) -> Text | None:
    """The metadata that were asked for."""
    metadata: Mapping[str, Any] = hit.document.metadata if hit.document else {}
    if not metadata:
        return None
    return Text("     " + ", ".join(f"{key} {shown(each)}" for key, each in metadata.items()))


def shown(value: object) -> str:
    """A value of JSON as a person reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def kinds_text(kinds: Mapping[str, int]) -> str:
    """The kinds of a key's values, the most frequent first."""
    ordered = sorted(kinds.items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{count:,} {kind}{'s' if count != 1 else ''}" for kind, count in ordered)
