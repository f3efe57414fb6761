"""A server as a whole, for Python."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from service.client.connection import (
    ADDRESS,
    TIMEOUT_MS,
    WRITE_TIMEOUT_MS,
    Body,
    Connection,
    httpx_module,
)
from service.client.exchange import Answer, Lost, Pause, Request, Steps
from service.client.server_steps import ServerSteps
from service.state.keys import EVERY, Scope

if TYPE_CHECKING:
    from service.api.schemas.keys import KeyAnswer, NewKeyAnswer
    from service.api.schemas.responses import BrokenIndex, IndexAnswer
    from service.api.schemas.tasks import TaskAnswer

T = TypeVar("T")


class Server:
    """What a server does as a whole: indexes, aliases, tasks, keys; see ``Client``."""

    def __init__(
        self,
        url: str = ADDRESS,
        key: str | None = None,
        *,
        timeout_ms: float = TIMEOUT_MS,
        write_timeout_ms: float = WRITE_TIMEOUT_MS,
        retries: int = 4,
        ca_file: str | Path | None = None,
    ) -> None:
        ca = None if ca_file is None else Path(ca_file)
        self.connection = Connection(url, key, timeout_ms, write_timeout_ms, retries, ca)
        self._http = httpx_module().Client(**self.connection.http)
        self._steps = ServerSteps(retries)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.connection.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def indexes(self) -> list[IndexAnswer | BrokenIndex]:
        """All indexes with their fields and numbers of documents, or what is wrong with them."""
        return self.run(self._steps.indexes())

    def delete(self, name: str) -> None:
        """Delete an index with all its documents and aliases; its snapshots stay.

        Raises:
            NotFoundError: there is none.
        """
        self.run(self._steps.delete(name))

    def aliases(self) -> dict[str, str]:
        """The index of each alias, which is another name for it in every call."""
        return self.run(self._steps.aliases())

    def change_aliases(self, changes: Mapping[str, str | None]) -> dict[str, str]:
        """Point aliases to indexes, or remove them (None), all in one instant; all there are then.

        Raises:
            NotFoundError: there is no such index; nothing is changed then.
        """
        return self.run(self._steps.change_aliases(changes))

    def list_keys(self) -> list[KeyAnswer]:
        """What is known of each key, oldest first; nobody can ask for what is sent."""
        return self.run(self._steps.list_keys())

    def create_key(
        self,
        name: str,
        scopes: Sequence[Scope] = ("search",),
        indexes: Sequence[str] = (EVERY,),
        expires: datetime | None = None,
    ) -> NewKeyAnswer:
        """Make a key; once there is one, every request needs one.

        Where the connection is lost it is not asked for again, for nobody would know the first.

        Args:
            name: what it is for, for people.
            scopes: of ``search``, ``write``, ``admin``, ``metrics`` and ``mcp``.
            indexes: names of indexes, in which ``*`` stands for any characters.
            expires: from when on it is refused, with its time zone; None: never.

        Returns:
            What is known of it in ``key``, and in ``token`` what to send, which nobody can ask for
            again.
        """
        return self.run(self._steps.create_key(name, scopes, indexes, expires))

    def revoke_key(self, identifier: str) -> KeyAnswer:
        """Revoke the key of an ``id``: no request that begins from now on is let in by it.

        Raises:
            NotFoundError: there is none.
        """
        return self.run(self._steps.revoke_key(identifier))

    def task(self, identifier: str) -> TaskAnswer:
        """Long work as it is now.

        Raises:
            NotFoundError: there is none of this id.
        """
        return self.run(self._steps.task(identifier))

    def cancel(self, identifier: str) -> TaskAnswer:
        """Cancel long work: at once where it waits, else at its next step.

        Raises:
            ConflictError: it has ended.
        """
        return self.run(self._steps.cancel(identifier))

    def finished(self, task: TaskAnswer) -> TaskAnswer:
        """Long work once it has ended, well or not, as its ``status`` and ``error`` say."""
        return self.run(self._steps.finished(task))

    def run(self, steps: Steps[T]) -> T:
        """Take steps to their end."""
        outcome: Answer | Lost | None = None
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration as end:
                value: T = end.value
                return value
            if isinstance(step, Pause):
                time.sleep(step.seconds)
                outcome = None
            else:
                outcome = self._send(step)

    def _send(self, request: Request) -> Answer | Lost:
        body = Body()
        try:
            with self._http.stream(**self.connection.sent(request)) as response:
                for part in response.iter_bytes():
                    body.add(part)
                return Answer(response.status_code, response.headers, bytes(body))
        except httpx_module().HTTPError as error:
            return self.connection.lost(error, request)
