"""A language model behind an OpenAI-compatible chat endpoint: text in, text out."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from lsr.errors import InputError, LsrError, MissingDependencyError, UsageError

# Of one answer, bytes.
LONGEST_ANSWER = 1 << 20
TIMEOUT_MS = 10_000.0
# Characters of a line of a list.
LONGEST_LINE = 400
# What a model may put before a line of a list.
BULLET = re.compile(r"^\s*(?:[-*•]|\(?\d{1,2}[.):])\s+")


class ChatError(LsrError):
    """The endpoint gave no usable answer."""


@dataclass(frozen=True, slots=True)
class ChatEndpoint:
    """Where a model answers, as in ``https://host/v1``; ``/chat/completions`` is added to it.

    The key is sent as a bearer token, and stands in no message and no ``repr``.
    """

    url: str
    model: str
    key: str | None = field(default=None, repr=False)
    timeout_ms: float = TIMEOUT_MS

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise UsageError(
                "the chat endpoint must be an http or https address without a user name, as in "
                "http://127.0.0.1:8080/v1; set LSR_CHAT_URL to one"
            )
        if not self.model:
            raise UsageError("the chat endpoint's model has no name; set LSR_CHAT_MODEL")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> ChatEndpoint:
        """The endpoint that LSR_CHAT_URL, _MODEL, _KEY and _TIMEOUT_MS name.

        Raises:
            UsageError: there is none, or one of them is malformed.
        """
        url, model = environment.get("LSR_CHAT_URL", ""), environment.get("LSR_CHAT_MODEL", "")
        if not url or not model:
            raise UsageError(
                "no chat endpoint is known; set LSR_CHAT_URL and LSR_CHAT_MODEL in the environment"
            )
        timeout = environment.get("LSR_CHAT_TIMEOUT_MS", str(TIMEOUT_MS))
        try:
            milliseconds = float(timeout)
        except ValueError:
            milliseconds = 0.0
        if not 0 < milliseconds <= 600_000:
            raise UsageError(
                f"LSR_CHAT_TIMEOUT_MS is {timeout!r}; allowed is above 0, and at most 600000"
            )
        return cls(url, model, environment.get("LSR_CHAT_KEY") or None, milliseconds)

    def complete(self, prompt: str, timeout_ms: float | None = None) -> str:
        """What the model answers to a prompt, at temperature 0.

        Args:
            prompt: the one message, of the user.
            timeout_ms: milliseconds until the answer must be whole; None: those of the endpoint.

        Raises:
            ChatError: it answers nothing usable in time.
            InputError: the prompt is empty.
            MissingDependencyError: httpx is not installed.
        """
        if not prompt.strip():
            raise InputError("the prompt is empty; give a question")
        limit = min(self.timeout_ms, timeout_ms if timeout_ms is not None else self.timeout_ms)
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
        }
        return _content(self._post(body, limit))

    def _post(self, body: Mapping[str, Any], limit_ms: float) -> bytes:
        import time

        try:
            import httpx
        except ImportError as error:
            raise MissingDependencyError("a chat endpoint", "httpx", "chat") from error
        address = f"{self.url.rstrip('/')}/chat/completions"
        headers = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        ends = time.perf_counter() + limit_ms / 1000
        answer = bytearray()
        try:
            with (
                httpx.Client(timeout=max(0.001, limit_ms / 1000), trust_env=False) as client,
                client.stream("POST", address, json=body, headers=headers) as response,
            ):
                if response.status_code != 200:
                    raise ChatError(f"the chat endpoint answered {response.status_code}")
                for part in response.iter_bytes():
                    answer += part
                    if len(answer) > LONGEST_ANSWER:
                        raise ChatError(
                            f"the chat endpoint's answer is longer than {LONGEST_ANSWER} bytes"
                        )
                    # The limit of httpx is for each read, and an answer may trickle.
                    if time.perf_counter() > ends:
                        raise ChatError(_late(limit_ms))
        except httpx.TimeoutException as error:
            raise ChatError(_late(limit_ms)) from error
        except httpx.HTTPError as error:
            raise ChatError("the chat endpoint can't be reached") from error
        return bytes(answer)


def answered_lines(answer: str) -> list[str]:
    """The distinct lines of an answer, without bullets, numbers and quotes around them."""
    lines = (
        BULLET.sub("", line).strip().strip("\"'")[:LONGEST_LINE] for line in answer.splitlines()
    )
    return list(dict.fromkeys(line for line in lines if line))


def _late(limit_ms: float) -> str:
    return f"the chat endpoint did not answer within {limit_ms:.0f} ms"


def _content(answer: bytes) -> str:
    """The text of the first choice.

    Raises:
        ChatError: the answer has none.
    """
    try:
        content = json.loads(answer)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise ChatError("the chat endpoint's answer is not that of a chat completion") from error
    if not isinstance(content, str) or not content.strip():
        raise ChatError("the chat endpoint's answer is empty")
    return content.strip()
