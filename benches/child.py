"""Objects in processes of their own, so that their time and memory are their own."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any


class Child:
    """What ``make(*arguments)`` returns, in a process of its own; its methods are called by name.

    Args:
        name: what it is, for messages.
        log: gets what the process prints, which must not land between a table's lines.
        environment: variables that the process has before it imports anything.
        make: a class or function at the top of a module.
    """

    def __init__(
        self,
        name: str,
        log: Path,
        environment: Mapping[str, str],
        make: Callable[..., object],
        *arguments: Any,
    ) -> None:
        self._name, self._log = name, log
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, log, make, arguments), daemon=True
        )
        with _environment(environment):
            self._process.start()
        theirs.close()

    def ask(self, method: str, *arguments: Any) -> Any:
        """What the method returns; raises RuntimeError with what went wrong there."""
        self.begin(method, *arguments)
        return self.answer()

    def begin(self, method: str, *arguments: Any) -> None:
        """Call the method, and don't wait for its ``answer``."""
        try:
            self._pipe.send((method, *arguments))
        except OSError as error:
            raise self._died() from error

    def answer(self) -> Any:
        """What the method of the oldest ``begin`` returns."""
        try:
            kind, answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._died() from error
        if kind == "error":
            raise RuntimeError(f"{self._name} failed: {answer}")
        return answer

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _died(self) -> RuntimeError:
        log = self._log
        words = log.read_text(errors="replace")[-2000:] if log.is_file() else "none"
        return RuntimeError(f"the process of {self._name} died; its last words were: {words}")


def _serve(
    pipe: Connection, log: Path, make: Callable[..., object], arguments: tuple[Any, ...]
) -> None:
    stream = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    made = make(*arguments)
    while True:
        try:
            method, *given = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(("answer", getattr(made, method)(*given)))
        except BaseException:
            pipe.send(("error", traceback.format_exc()))


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
