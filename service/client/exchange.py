"""Requests, answers and pauses, as steps that someone else takes: with or without ``await``."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias, TypeVar

from lsr.errors import InputError, LsrError, UnavailableError
from service.client.retries import Attempts

T = TypeVar("T")
LARGEST_ANSWER = 256 << 20
"""Bytes of an answer, unpacked."""
JSON, NDJSON = "application/json", "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent; ``path`` is escaped, and begins behind the server's address."""

    method: str
    path: str
    body: bytes | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    # Whether it changes something, which may take long.
    writes: bool = False


class Pause(NamedTuple):
    """Seconds in which nothing is sent."""

    seconds: float


class Answer(NamedTuple):
    """What came back; names of headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body.

        Raises:
            LsrError: it is no JSON.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise odd_answer() from error


class Lost(NamedTuple):
    """There is no answer: a sentence says why, and whether another attempt makes sense."""

    sentence: str
    again: bool


# Whoever takes the steps sends each request and each pause, and sends back what came of it.
Steps: TypeAlias = Generator[Request | Pause, Answer | Lost | None, T]


def exchange(
    request: Request,
    read: Callable[[Answer], T],
    retries: int,
    also: int | None = None,
    once: bool = False,
) -> Steps[T]:
    """One request until it is answered, and what is read of the answer.

    ``also`` is the status of a refusal that is read like an answer. What is done ``once`` is not
    sent again where the connection is lost, since it may have been done.

    Raises:
        LsrError: what the server says is wrong, with its sentence.
        UnavailableError: there is no answer, or the server is busy, after all the retries.
    """
    attempts = Attempts(retries)
    while True:
        outcome = yield request
        if isinstance(outcome, Lost):
            error = UnavailableError(outcome.sentence)
            if once or not outcome.again:
                raise error
            yield Pause(attempts.failed(error))
            continue
        assert outcome is not None
        if outcome.status < 300 or outcome.status == also:
            try:
                return read(outcome)
            except (KeyError, TypeError, ValueError, IndexError, AttributeError) as unread:
                raise odd_answer() from unread
        yield Pause(attempts.refused(*outcome))


def reading(method: str, path: str, body: object = None, **parameters: str) -> Request:
    """A request that changes nothing."""
    return _request(method, path, body, parameters, {}, False)


def writing(method: str, path: str, body: object = None, **parameters: str) -> Request:
    """A request that changes something once, however often it is sent: its key says that it is one.

    A body of bytes is NDJSON.
    """
    return _request(method, path, body, parameters, {"Idempotency-Key": uuid.uuid4().hex}, True)


def with_header(request: Request, name: str, value: str) -> Request:
    """The request with another header.

    Raises:
        InputError: the value can't stand in one.
    """
    if not (value and value.isascii() and value.isprintable()):
        raise InputError(f"{name} is {value!r}, which no header holds; give it as it was answered")
    return replace(request, headers={**request.headers, name: value})


def odd_answer() -> LsrError:
    """What is wrong with an answer that can't be read."""
    return LsrError(
        "the answer is not one that this version of lsr knows; see that the address is that of a "
        "server of lsr, and that both have one version"
    )


def _request(
    method: str,
    path: str,
    body: object,
    parameters: Mapping[str, str],
    headers: Mapping[str, str],
    writes: bool,
) -> Request:
    if isinstance(body, bytes):
        return Request(method, path, body, parameters, {**headers, "Content-Type": NDJSON}, writes)
    if body is None:
        return Request(method, path, None, parameters, headers, writes)
    try:
        sent = json.dumps(body, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"the request is no JSON ({error}); give what JSON can hold") from error
    return Request(method, path, sent, parameters, {**headers, "Content-Type": JSON}, writes)
