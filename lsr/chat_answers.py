"""Answers of a chat endpoint to many prompts, kept in a file, so that none is asked for twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from lsr.chat import ChatEndpoint, ChatError

# Prompts that wait for an answer at the same time.
AT_A_TIME = 4
# So many failures in a row, and nothing more is asked.
MOST_FAILURES = 8


class KeptAnswers:
    """Asks an endpoint what a file does not answer yet, and writes down each answer as it comes.

    A line of the file is an answer with the digest of its model and prompt. One that a killed
    process left in part is asked for again.

    Args:
        path: the file, which is made where there is none; its folder exists.
        endpoint: what is asked.
    """

    def __init__(self, path: Path, endpoint: ChatEndpoint) -> None:
        self._path = path
        self._endpoint = endpoint
        self._known = _read(path)
        self._failures = 0
        # Prompts that got no answer.
        self.failed = 0

    def __call__(self, prompts: Sequence[str]) -> list[str | None]:
        """The answer to each prompt; None where the endpoint gave none.

        Raises:
            ChatError: the endpoint fails again and again. What it answered is kept.
            MissingDependencyError: httpx is not installed.
        """
        keys = [self._key(prompt) for prompt in prompts]
        asked = dict(zip(keys, prompts, strict=True))
        open_ones = [key for key in asked if key not in self._known]
        with self._path.open("a", encoding="utf-8") as file, ThreadPoolExecutor(AT_A_TIME) as pool:
            # After what a killed process left in part, a line begins anew.
            file.write("\n" if open_ones and self._path.stat().st_size else "")
            for start in range(0, len(open_ones), AT_A_TIME):
                part = open_ones[start : start + AT_A_TIME]
                for key, answer in zip(
                    part, pool.map(self._ask, [asked[key] for key in part]), strict=True
                ):
                    self._keep(key, answer, file.write)
                file.flush()
        found = [self._known.get(key) for key in keys]
        self.failed += sum(answer is None for answer in found)
        return found

    def _ask(self, prompt: str) -> str | ChatError:
        try:
            return self._endpoint.complete(prompt)
        except ChatError as error:
            return error

    def _keep(self, key: str, answer: str | ChatError, write: Callable[[str], object]) -> None:
        if isinstance(answer, str):
            self._failures = 0
            self._known[key] = answer
            write(json.dumps({"key": key, "answer": answer}, ensure_ascii=False) + "\n")
            return
        self._failures += 1
        if self._failures >= MOST_FAILURES:
            raise ChatError(
                f"{answer}, {MOST_FAILURES} times in a row; {len(self._known)} answers are kept in "
                f"{self._path}, and the same command goes on from there"
            )

    def _key(self, prompt: str) -> str:
        text = json.dumps([self._endpoint.model, prompt])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@contextmanager
def answers_until_written(output: Path) -> Iterator[KeptAnswers]:
    """What asks the endpoint of the environment while a file is made.

    The answers are kept beside the file until the block ends well, so that a command that is
    interrupted and repeated asks for the rest only.

    Raises:
        UsageError: no endpoint is set.
    """
    path = output.with_name(f"{output.name}.answers")
    yield KeptAnswers(path, ChatEndpoint.from_environment())
    path.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, str]:
    """The answers of a file by their keys; lines that are none are passed over."""
    known: dict[str, str] = {}
    if not path.exists():
        return known
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                record = json.loads(line)
                key, answer = record["key"], record["answer"]
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
            if isinstance(key, str) and isinstance(answer, str):
                known[key] = answer
    return known
