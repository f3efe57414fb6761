"""Under which names the members of a record, or the columns of a table, are id, title and text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from lsr.errors import InputError

IDS = ("_id", "id")
TEXTS = ("text", "contents")
TITLE = "title"
# Tried in this order where a record has none of the names above.
OTHER_IDS = ("docid", "doc_id", "docno", "pid", "passage_id", "document_id", "uuid")
OTHER_TEXTS = ("content", "body", "passage", "description", "abstract", "document")
OTHER_TITLES = ("name", "headline", "heading", "subject")
LONGEST_LIST = 12


class Picked(NamedTuple):
    """What a record has: id, title, text by name, and its other members."""

    id: Any
    title: Any
    texts: dict[str, Any]
    others: dict[str, Any]


@dataclass(frozen=True, slots=True)
class FieldNames:
    """Names of the members that are id, title and text; None or empty: the usual ones are tried.

    Where ``text`` has several, their texts are joined, a line each.
    """

    id: str | None = None
    title: str | None = None
    text: tuple[str, ...] = ()

    def pick(self, record: Mapping[str, Any]) -> Picked:
        """The parts of a record.

        Raises:
            InputError: it has no text under such a name.
        """
        left = dict(record)
        identifier = self._id(left)
        texts = self._texts(left, record)
        usual = not self.text and any(name in record for name in TEXTS)
        return Picked(identifier, self._title(left, usual), texts, left)

    def identifier(self, record: Mapping[str, Any]) -> Any:
        """The id of a record, None where it has none."""
        return self._id(dict(record))

    def _id(self, left: dict[str, Any]) -> Any:
        if self.id is not None:
            return left.pop(self.id, None)
        given = [left.pop(key) for key in IDS if key in left]
        if given:
            return given[0]
        return left.pop(found) if (found := _first(left, (*IDS, *OTHER_IDS))) else None

    def _texts(self, left: dict[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
        if self.text:
            names = [name for name in self.text if name in left]
        else:
            names = [name for name in TEXTS if name in left]
            # Only the first is the text; the other is said to be the same.
            for name in names[1:]:
                del left[name]
            del names[1:]
            if not names and (found := _first(left, (*TEXTS, *OTHER_TEXTS))):
                names = [found]
        if not names:
            wanted = listed(self.text) if self.text else "'text' or 'contents'"
            raise InputError(
                f"the document has no text under {wanted}; its keys are {listed(record)}; name "
                "the one that holds the text, as with --text-field"
            )
        return {name: left.pop(name) for name in names}

    def _title(self, left: dict[str, Any], usual: bool) -> Any:
        if self.title is not None:
            return left.pop(self.title, None)
        names = (TITLE,) if usual else (TITLE, *OTHER_TITLES)
        return left.pop(found) if (found := _first(left, names)) else None


USUAL = FieldNames()


def _first(members: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """The member that has the first of some names, in any case of letters."""
    if names[0] in members:
        return names[0]
    lower = {key.lower(): key for key in reversed(list(members)) if isinstance(key, str)}
    return next((lower[name] for name in names if name in lower), None)


def listed(names: Sequence[str] | Mapping[str, Any]) -> str:
    """Names for a message, the first of many; "none" where there is none."""
    shown = ", ".join(repr(name) for name in list(names)[:LONGEST_LIST])
    rest = len(names) - LONGEST_LIST
    return f"{shown} and {rest} more" if rest > 0 else shown or "none"
