"""The JSON of keys."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import AwareDatetime, ConfigDict, Field
from typing_extensions import TypedDict

from service.api.schemas.body import Body
from service.state.keys import EVERY, MOST_PATTERNS, SCOPES, Key, Scope, moment

Moment = Annotated[str, Field(description="As in 2026-11-27T03:00:00Z.")]
Scopes = Annotated[
    list[Scope],
    Field(
        min_length=1,
        max_length=len(SCOPES),
        description="`admin` includes all others, and `write` includes `search`.",
    ),
]
Patterns = Annotated[
    list[str],
    Field(
        min_length=1,
        max_length=MOST_PATTERNS,
        description="Names of indexes, in which `*` stands for any characters.",
    ),
]


class KeyBody(Body):
    """A key to make."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"name": "search box", "scopes": ["search"], "indexes": ["docs-*"]}]
        },
    )

    name: Annotated[str, Field(description="What it is for; for people.")]
    scopes: Scopes = Field(default=["search"])
    indexes: Patterns = Field(default=[EVERY])
    expires: Annotated[
        AwareDatetime | None, Field(description="From when on it is refused; never, by default.")
    ] = None


class KeyAnswer(TypedDict):
    """What is known of a key."""

    id: str
    name: str
    scopes: Scopes
    indexes: Patterns
    created: Moment
    expires: NotRequired[Moment]
    expired: bool
    ending: Annotated[str, Field(description="Its last characters.")]


class NewKeyAnswer(TypedDict):
    """A key that was made."""

    key: KeyAnswer
    token: Annotated[str, Field(description="What to send; nobody can ask for it again.")]


class KeysAnswer(TypedDict):
    """All keys, oldest first."""

    keys: list[KeyAnswer]


class RevokedAnswer(TypedDict):
    """A key that is gone."""

    revoked: KeyAnswer


def key_json(key: Key) -> KeyAnswer:
    """A key as JSON."""
    body: KeyAnswer = {
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scopes),
        "indexes": list(key.indexes),
        "created": moment(key.created),
        "expired": key.is_expired(),
        "ending": key.ending,
    }
    if key.expires is not None:
        body["expires"] = moment(key.expires)
    return body
