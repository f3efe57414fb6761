"""What is odd about the metadata keys that a search names: a sentence for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from index.collection.metadata import KINDS
from index.collection.view import View
from index.filters.dates import instant
from index.filters.text_form import word_value
from index.filters.tree import (
    Condition,
    Equals,
    Exists,
    Filter,
    In,
    Kind,
    Range,
    Scalar,
    conditions_of,
)

MOST_NAMED = 10


def filter_warnings(view: View, wanted: Filter) -> list[str]:
    """Of the conditions of a filter that no document can satisfy, be it by their key or kind."""
    found = (_condition_warning(view, each) for each in conditions_of(wanted))
    return list(dict.fromkeys(each for each in found if each))


def key_warnings(view: View, named: Iterable[tuple[str, str]]) -> list[str]:
    """Of keys that no document has a value for, each after what names it."""
    found = []
    for what, key in dict.fromkeys(named):
        kinds = view.kinds(key)
        if not kinds:
            found.append(_unknown(view, what, key))
        elif kinds == {Kind.OBJECT}:
            found.append(f"{what} {key!r}, which holds objects; name a member, as in {key}.name")
    return found


def absent_warnings(view: View, what: str, keys: Iterable[str]) -> list[str]:
    """Of keys that no document has, be it with objects; ``what`` names them."""
    return [_unknown(view, what, key) for key in dict.fromkeys(keys) if key not in view.keys]


def _condition_warning(view: View, condition: Condition) -> str | None:
    kinds = view.kinds(condition.key)
    if not kinds:
        return _unknown(view, "the filter names the key", condition.key)
    if isinstance(condition, Exists):
        return None
    given = next(_values(condition))
    if isinstance(condition, Range) and _is_odd_date(view, condition):
        return (
            f"the filter compares {condition.key!r} with {_shown(given)}, and it holds dates; "
            "give one as in '2026-01-31'"
        )
    if kinds & {value.kind for value in _values(condition)}:
        return None
    if kinds == {Kind.OBJECT}:
        advice = f"name a member, as in {condition.key}.name"
    elif (other := _as_other_kind(given, kinds)) is not None:
        advice = f"write {_shown(other)}"
    else:
        advice = "compare it with one of these"
    held = " and ".join(f"{KINDS[kind]}s" for kind in sorted(kinds))
    return (
        f"the filter compares {condition.key!r} with {_shown(given)}, and it holds {held}; {advice}"
    )


def _values(condition: Equals | In | Range) -> Iterator[Scalar]:
    if isinstance(condition, Equals):
        yield condition.value
    elif isinstance(condition, In):
        yield from condition.values
    else:
        yield from (bound for bound in (condition.low, condition.high) if bound is not None)


def _is_odd_date(view: View, condition: Range) -> bool:
    """Whether something else is compared with a key whose first and last strings are dates."""
    if view.kinds(condition.key) != {Kind.STRING}:
        return False
    if all(isinstance(v.value, str) and instant(v.value) is not None for v in _values(condition)):
        return False
    return view.holds_dates(condition.key)


def _as_other_kind(given: Scalar, kinds: Iterable[Kind]) -> Scalar | None:
    """The same value as one of the kinds that are there."""
    if given.kind is Kind.STRING:
        other = word_value(str(given.value))
    else:
        plain = given.plain
        other = Scalar.parse(str(plain).lower() if isinstance(plain, bool) else str(plain))
    return other if other.kind in kinds else None


def _shown(value: Scalar) -> str:
    """A value as the text form of filters has it."""
    if value.kind is Kind.STRING:
        return f'the string "{str(value.value)[:40]}"'
    plain = value.plain
    return str(plain).lower() if isinstance(plain, bool) else f"the number {plain}"


def _unknown(view: View, what: str, key: str) -> str:
    known = view.keys
    close = get_close_matches(key, known, n=1)
    if close:
        advice = f"did you mean {close[0]!r}?"
    elif known:
        more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
        advice = f"there are {', '.join(known[:MOST_NAMED])}{more}"
    else:
        advice = "no document has metadata"
    return f"{what} {key[:80]!r}, which no document has; {advice}"
