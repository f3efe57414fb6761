"""The steps on a server: its indexes, their other names, and long work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lsr.errors import InputError
from service.client.exchange import Answer, Pause, Steps, exchange, reading, writing
from service.client.steps import segment
from service.state.keys import Scope
from service.state.tasks import UNFINISHED

if TYPE_CHECKING:
    from service.api.schemas.keys import KeyAnswer, NewKeyAnswer, RevokedAnswer
    from service.api.schemas.responses import BrokenIndex, IndexAnswer, IndexDetails
    from service.api.schemas.tasks import TaskAnswer

FIRST_LOOK_S, LONGEST_LOOK_S = 0.05, 5.0
"""Between two looks at a task, the first and the longest time."""


class ServerSteps:
    """The steps on a server, each request sent again so often."""

    def __init__(self, retries: int) -> None:
        self._retries = retries

    def indexes(self) -> Steps[list[IndexAnswer | BrokenIndex]]:
        """All indexes."""
        request = reading("GET", "/v1/indexes")
        return exchange(request, lambda answer: list(answer.json()["indexes"]), self._retries)

    def create(self, name: str, settings: Mapping[str, Any]) -> Steps[IndexDetails]:
        """A new index."""
        given = {key: value for key, value in settings.items() if value is not None}
        request = writing("PUT", f"/v1/indexes/{segment(name)}", given)
        return exchange(request, Answer.json, self._retries)

    def delete(self, name: str) -> Steps[None]:
        """Delete an index."""
        request = writing("DELETE", f"/v1/indexes/{segment(name)}")
        return exchange(request, lambda _: None, self._retries)

    def aliases(self) -> Steps[dict[str, str]]:
        """The index of each alias."""
        return exchange(reading("GET", "/v1/aliases"), _aliases, self._retries)

    def change_aliases(self, changes: Mapping[str, str | None]) -> Steps[dict[str, str]]:
        """Point aliases elsewhere, all at once."""
        body = [{"alias": alias, "index": index} for alias, index in changes.items()]
        request = writing("POST", "/v1/aliases", {"changes": body})
        return exchange(request, _aliases, self._retries)

    def list_keys(self) -> Steps[list[KeyAnswer]]:
        """All keys."""
        request = reading("GET", "/v1/keys")
        return exchange(request, lambda answer: list(answer.json()["keys"]), self._retries)

    def create_key(
        self,
        name: str,
        scopes: Sequence[Scope],
        indexes: Sequence[str],
        expires: datetime | None,
    ) -> Steps[NewKeyAnswer]:
        """A new key."""
        for given in (scopes, indexes):
            if isinstance(given, str):
                raise InputError(f"{given!r} is one string; give a list, as in [{given!r}]")
        body: dict[str, Any] = {"name": name, "scopes": list(scopes), "indexes": list(indexes)}
        if expires is not None:
            if expires.tzinfo is None:
                raise InputError(f"expires is {expires}, without a time zone; give it one")
            body["expires"] = expires.isoformat()
        request = writing("POST", "/v1/keys", body)
        return exchange(request, Answer.json, self._retries, once=True)

    def revoke_key(self, identifier: str) -> Steps[KeyAnswer]:
        """Revoke a key; what was known of it."""
        request = writing("DELETE", f"/v1/keys/{segment(identifier)}")
        return exchange(request, lambda answer: _revoked(answer.json()), self._retries)

    def task(self, identifier: str) -> Steps[TaskAnswer]:
        """Long work as it is now."""
        request = reading("GET", f"/v1/tasks/{segment(identifier)}")
        return exchange(request, Answer.json, self._retries)

    def cancel(self, identifier: str) -> Steps[TaskAnswer]:
        """Cancel long work."""
        request = writing("DELETE", f"/v1/tasks/{segment(identifier)}")
        return exchange(request, Answer.json, self._retries)

    def finished(self, task: TaskAnswer) -> Steps[TaskAnswer]:
        """Long work once it has ended."""
        wait = FIRST_LOOK_S
        while task["status"] in UNFINISHED:
            yield Pause(wait)
            wait = min(2 * wait, LONGEST_LOOK_S)
            task = yield from self.task(task["id"])
        return task


def _aliases(answer: Answer) -> dict[str, str]:
    return {each["alias"]: each["index"] for each in answer.json()["aliases"]}


def _revoked(answer: RevokedAnswer) -> KeyAnswer:
    return answer["revoked"]
