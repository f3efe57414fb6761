"""The steps on a server: its indexes, their other names, and long work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from service.client.exchange import Answer, Pause, Steps, exchange, reading, writing
from service.client.steps import segment
from service.state.tasks import UNFINISHED

if TYPE_CHECKING:
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
