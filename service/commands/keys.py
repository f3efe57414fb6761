"""``lsr key``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lsr.errors import NotFoundError, UsageError
from service.commands.options import json_option

if TYPE_CHECKING:
    from service.api.schemas.keys import KeyAnswer
    from service.state.keys import Key, Keys, Scope

DURATION = re.compile(r"([1-9][0-9]{0,5})([mhdw])")
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
place_argument = click.argument("place", type=click.Path(path_type=Path))


@click.group("key")
def key_command() -> None:
    """Make, list and revoke the keys of a server, whether it runs or not.

    PLACE is the folder that it serves, or the file that it was given with --state.
    """


@key_command.command("create")
@place_argument
@click.option("--name", required=True, help="What the key is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="[search|write|admin|metrics|mcp]",
    default=("search",),
    show_default="search",
    help="What it may do; again for more. admin includes all others, write includes search.",
)
@click.option(
    "--index",
    "indexes",
    metavar="PATTERN",
    multiple=True,
    default=("*",),
    show_default="all",
    help="Indexes that it reaches, as in docs-*; again for more.",
)
@click.option(
    "--expires",
    metavar="WHEN",
    help="After a time, as 30m, 12h, 90d or 8w, or at a date, as 2027-01-31.  [default: never]",
)
@json_option
def create_key_command(
    place: Path,
    name: str,
    scopes: Sequence[Scope],
    indexes: Sequence[str],
    expires: str | None,
    as_json: bool,
) -> None:
    """Make a key, and print what to send: it is shown once, and kept nowhere.

    Once there is a key, every request to the server needs one.
    """
    from service.commands import terminal

    ends = None if expires is None else _moment_of(expires)
    with _keys(place, make=True) as keys:
        key, token = keys.create(name, scopes, indexes, ends)
    if as_json:
        terminal.print_json({"key": _json(key), "token": token})
        return
    terminal.err.print(f"key {key.id} may {_told(key)}; this is shown once:")
    print(token)


@key_command.command("list")
@place_argument
@json_option
def list_keys_command(place: Path, as_json: bool) -> None:
    """List the keys."""
    from service.commands import terminal

    with _keys(place) as keys:
        found = [_json(key) for key in keys.all()]
    if as_json:
        terminal.print_json(found)
        return
    if not found:
        terminal.out.print("no key")
        return
    columns = {name: name for name in ("id", "name", "scopes", "indexes", "expires", "ending")}
    table = [
        {
            **key,
            "scopes": " ".join(key["scopes"]),
            "indexes": " ".join(key["indexes"]),
            "expires": "expired" if key["expired"] else key.get("expires", "never"),
        }
        for key in found
    ]
    terminal.print_table(table, columns, ("id", "name"))


@key_command.command("revoke")
@place_argument
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@json_option
def revoke_key_command(place: Path, ids: Sequence[str], as_json: bool) -> None:
    """Revoke keys by their ids; a running server refuses them from then on."""
    from service.commands import terminal

    with _keys(place) as keys:
        known = {key.id for key in keys.all()}
        missing = [identifier for identifier in ids if identifier not in known]
        if missing:
            raise NotFoundError(f"there is no key {missing[0]!r}; nothing was revoked")
        revoked = [_json(keys.revoke(identifier)) for identifier in dict.fromkeys(ids)]
        left = len(known) - len(revoked)
    if as_json:
        terminal.print_json(revoked)
        return
    for key in revoked:
        terminal.out.print(f"revoked {key['id']}, {key['name']}", markup=False)
    if not left:
        terminal.out.print("no key is left; a server on loopback needs none now")


@contextmanager
def _keys(place: Path, make: bool = False) -> Iterator[Keys]:
    """The keys of a place; ``make`` them where nothing is kept yet."""
    from service.state.database import StateDatabase
    from service.state.keys import Keys

    path = _file(place)
    if not make and not path.is_file():
        raise NotFoundError(f"no keys are kept in {place}; create one with: lsr key create {place}")
    state = StateDatabase(path)
    try:
        keys = Keys(state)
        try:
            yield keys
        finally:
            keys.close()
    finally:
        state.close()


def _file(place: Path) -> Path:
    from index.collection.collection import is_collection
    from service.state.database import state_file

    if is_collection(place):
        raise UsageError(
            f"{place} is a collection; name the folder that is served, or the file that lsr serve "
            "is given with --state"
        )
    if place.is_dir():
        return state_file(place)
    if not place.exists() and not (place.suffix and place.parent.is_dir()):
        raise NotFoundError(
            f"there is no folder {place}; name the folder that is served, or a file as in "
            "state.sqlite for lsr serve --state"
        )
    return place


def _moment_of(expires: str) -> float:
    """Seconds since 1970.

    Raises:
        UsageError: it is no duration, and no date.
    """
    duration = DURATION.fullmatch(expires)
    if duration is not None:
        span = timedelta(**{UNITS[duration[2]]: int(duration[1])})
        return datetime.now(UTC).timestamp() + span.total_seconds()
    try:
        date = datetime.fromisoformat(expires)
    except ValueError:
        raise UsageError(
            f"a key can't expire {expires!r}; give a time as 30m, 12h, 90d or 8w, or a date as "
            "2027-01-31"
        ) from None
    # A date without a zone is of this machine's.
    return date.timestamp()


def _json(key: Key) -> KeyAnswer:
    from service.api.schemas.keys import key_json

    return key_json(key)


def _told(key: Key) -> str:
    where = "every index" if key.is_of_every_index else ", ".join(key.indexes)
    return f"{', '.join(key.scopes)} on {where}"
