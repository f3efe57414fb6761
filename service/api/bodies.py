"""Bodies of requests: counted as they come, and parsed off the event loop."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.types import Scope

from lsr.corpus.json_values import parse_json
from lsr.errors import InputError
from service.api.inflating import inflated
from service.api.plain_mistakes import (
    check_bodiless,
    check_parameters,
    parameters_of,
    takes_body,
)
from service.api.work import BUSY, Work

LARGEST_JSON_BODY = 4 << 20
MOST_JSON_VALUES = 300_000
DEEPEST_JSON = 100
"""Levels of arrays and objects in each other."""
# What is smaller holds no number of values worth counting.
SMALL = 1 << 16
# A string, or what opens, closes or parts values; what matches is never tried again from within.
TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
OPENING, CLOSING = (b"[", b"{"), (b"]", b"}")
METER = "lsr.body_meter"
"""Where the scope of a request has what counts its body."""
# After a refusal the connection is closed, for more of the body may be on its way.
CLOSE = {"Connection": "close"}


JSON_TYPE = b"application/json"


class MalformedBodyError(InputError):
    """A body that is no JSON."""


class BodyBudget:
    """Bytes that the bodies of all requests may hold together; used in the event loop only."""

    def __init__(self, total: int) -> None:
        self.total = self.left = total


class BodyMeter:
    """Counts the bytes of one body against its own limit and against the budget of all."""

    def __init__(self, budget: BodyBudget, largest: int) -> None:
        self._budget = budget
        self._largest = largest
        self._bytes = 0

    def add(self, count: int) -> None:
        """Take note of more bytes.

        Raises:
            HTTPException: there are too many, of this request (413) or of all together (503).
        """
        if self._bytes + count > self._largest:
            raise too_large(self._largest)
        if count > self._budget.left:
            message = "the server holds as many bytes of requests as it may; try again in a second"
            raise HTTPException(503, message, {**BUSY, **CLOSE})
        self._bytes += count
        self._budget.left -= count

    def close(self) -> None:
        """Give the bytes back."""
        self._budget.left += self._bytes
        self._bytes = 0


def too_large(largest: int) -> HTTPException:
    """The refusal of a body with more bytes than are allowed."""
    message = f"the body is too large; allowed are {largest} bytes here, send less at once"
    return HTTPException(413, message, CLOSE)


async def read_body(request: Request, largest: int) -> bytearray:
    """The bytes of a body, inflated where it comes compressed.

    Raises:
        HTTPException: there are more than ``largest``, or they can't be inflated.
    """
    body = bytearray()
    encoding = request.headers.get("content-encoding", "").strip().lower()
    stream = inflated(_counted(request), encoding) if encoding else request.stream()
    async for part in stream:
        if len(body) + len(part) > largest:
            raise too_large(largest)
        if encoding:
            request.scope[METER].add(len(part))
        body += part
    return body


async def _counted(request: Request) -> AsyncIterator[bytes]:
    """The parts of a body that is to be inflated: what they become counts in their place."""
    async for part in request.stream():
        request.scope[METER].add(-len(part))
        yield part


def check_values(body: bytes | bytearray, most: int, what: str) -> None:
    """Refuse JSON of very many values, which takes up to 40 times its bytes once it is parsed.

    Raises:
        InputError: it holds more than ``most`` arrays, objects and members of such.
    """
    if len(body) <= SMALL:
        return
    count = 0
    for token in TOKEN.finditer(body):
        count += token[0] == b"," or token[0] in OPENING
        if count > most:
            raise InputError(f"{what} holds more than {most} JSON values; send fewer at once")


def check_depth(body: bytes | bytearray, what: str) -> None:
    """Refuse JSON whose arrays and objects are nested too deeply.

    Raises:
        InputError: there are more than ``DEEPEST_JSON`` in each other.
    """
    if sum(map(body.count, OPENING)) <= DEEPEST_JSON:
        return
    depth = 0
    for token in TOKEN.finditer(body):
        depth += (token[0] in OPENING) - (token[0] in CLOSING)
        if depth > DEEPEST_JSON:
            raise InputError(f"{what} is nested deeper than {DEEPEST_JSON} levels; flatten it")


class JsonRoute(APIRoute):
    """A route whose JSON body, if it takes one, has a limit of its own, and is parsed in a thread
    of the readers where it is large.

    A body is JSON whatever its Content-Type is. Parameters that the route doesn't know and a body
    that it doesn't take are refused.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""
        answer = self.with_parameters()
        known = parameters_of(self.dependant)
        is_json, reads_body = self.body_field is not None, takes_body(self)
        needs_body = self.body_field is not None and self.body_field.field_info.is_required()
        allowed = [each.dependency for each in self.dependencies if each.dependency is not None]

        async def read_and_answer(request: Request) -> Response:
            # Who may not ask is told so before anything else is looked at.
            for check in allowed:
                await check(request)
            if request.scope["query_string"]:
                check_parameters(request, known)
            if not reads_body:
                check_bodiless(request)
            return await answer(await _with_json(request, needs_body) if is_json else request)

        return read_and_answer

    def with_parameters(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request whose body was read, with the parameters of the function."""
        return super().get_route_handler()


class DirectRoute(JsonRoute):
    """A route whose function takes ``index``, a ``body`` that it needs, and ``request``, and
    returns a response.

    It is called with these at once: to find out for each request what a function wants, as FastAPI
    does, takes longer than to rank documents.
    """

    def with_parameters(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See ``JsonRoute``."""
        assert self.body_field is not None
        model, function = self.body_field.field_info.annotation, self.endpoint
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)

        async def answer(request: Request) -> Response:
            try:
                body = model.model_validate(await request.json())
            except ValidationError as error:
                errors = error.errors(include_url=False)
                placed = [{**each, "loc": ("body", *each["loc"])} for each in errors]
                raise RequestValidationError(placed) from None
            response: Response = await function(request.path_params["index"], body, request)
            return response

        return answer


async def _with_json(request: Request, needed: bool) -> _JsonRequest:
    """The request with its body read and parsed.

    Raises:
        HTTPException: the body is too large, or there is none where one is needed.
        RequestValidationError: it holds too many values.
        MalformedBodyError: it is no JSON.
    """
    parsed = _JsonRequest(_of_json(request.scope), request.receive)
    parsed.raw = await read_body(request, LARGEST_JSON_BODY)
    if len(parsed.raw) > SMALL:
        work: Work = request.app.state.readers
        parsed.value = await work.run(request, lambda _: _parse(parsed.raw), is_long=True)
    elif not parsed.raw.strip():
        parsed.raw.clear()
        if not needed:
            return parsed
        raise HTTPException(400, "the request has no body; send a JSON object, as /docs shows it")
    else:
        parsed.value = _parse(parsed.raw)
    return parsed


def _of_json(scope: Scope) -> Scope:
    """The same request with a body that is said to be JSON."""
    if (b"content-type", JSON_TYPE) in scope["headers"]:
        return scope
    others = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
    return {**scope, "headers": [*others, (b"content-type", JSON_TYPE)]}


class _JsonRequest(Request):
    """A request whose body was read and parsed."""

    raw: bytearray
    value: Any = None

    async def body(self) -> Any:
        return self.raw

    async def json(self) -> Any:
        return self.value


def _parse(body: bytearray) -> Any:
    try:
        check_values(body, MOST_JSON_VALUES, "the body")
        check_depth(body, "the body")
    except InputError as error:
        raise RequestValidationError([{"loc": ("body",), "msg": str(error)}]) from None
    try:
        return parse_json(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        reason = f"the body is not UTF-8 at its byte {error.start}; send UTF-8"
        raise MalformedBodyError(reason) from None
    except InputError as error:
        raise MalformedBodyError(f"the body: {error}") from None
