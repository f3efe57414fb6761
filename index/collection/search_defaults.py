"""How a collection is searched where a search doesn't say: what was tuned for it, by its fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from lsr.corpus.json_values import parse_json
from lsr.errors import CorruptionError, InputError

SETTING = "search_defaults"
LONGEST = 1 << 16
Defaults = Mapping[str, Mapping[str, str | float]]
"""By the names of the fields that are searched, sorted, with + between: settings by name."""


class SettingReader(Protocol):
    """Where texts are kept with documents."""

    def setting(self, name: str, absent: str | None = None) -> str | int:
        """The text of a name; ``absent`` where there never was one."""
        ...

    @property
    def place(self) -> str:
        """Directory or address of the collection."""
        ...


def search_defaults_text(store: SettingReader) -> str:
    """The defaults of a collection as JSON; ``{}`` where nothing was tuned.

    Raises:
        CorruptionError: they are damaged.
    """
    try:
        return str(store.setting(SETTING, absent="{}"))
    except CorruptionError as error:
        raise CorruptionError(
            f"{error}, or forget what was tuned with: lsr tune {store.place} --reset"
        ) from error


def check_search_defaults(text: str) -> Defaults:
    """The defaults that a text holds.

    Raises:
        CorruptionError: it has another form.
    """
    try:
        found = parse_json(text) if len(text) <= LONGEST else None
    except InputError:
        found = None
    if not isinstance(found, dict) or not all(map(_is_setting, found.values())):
        raise CorruptionError(
            "the search defaults of the collection are malformed; remove them with: "
            "lsr tune COLLECTION --reset"
        )
    return found


def _is_setting(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(each, str) or type(each) in (int, float) for each in value.values()
    )
