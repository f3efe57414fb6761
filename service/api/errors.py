"""Errors over HTTP: one table from the error tree to status codes, one JSON shape.

Files, folders and processes of the server are no business of its clients: what an error says of
them goes to the log, under the request's id.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from lsr.errors import (
    ConflictError,
    CorruptionError,
    EncoderMismatchError,
    InputError,
    LockedError,
    LsrError,
    MissingDependencyError,
    NotFoundError,
    OverloadedError,
    StorageFullError,
    UnavailableError,
    UsageError,
)
from service.api.bodies import MalformedBodyError
from service.api.index_places import UnknownIndexError
from service.api.indexes import Indexes
from service.api.plain_mistakes import methods_of
from service.api.schemas.declared import Declared, declared
from service.api.schemas.responses import ErrorBody

log = logging.getLogger(__name__)

STATUS: dict[type[LsrError], tuple[int, str]] = {
    NotFoundError: (404, "not_found"),
    ConflictError: (409, "conflict"),
    UsageError: (400, "bad_request"),
    InputError: (422, "invalid_input"),
    MalformedBodyError: (400, "malformed_json"),
    EncoderMismatchError: (409, "encoder_mismatch"),
    OverloadedError: (503, "busy"),
    UnavailableError: (503, "unavailable"),
    LockedError: (503, "locked"),
    CorruptionError: (500, "corrupt"),
    StorageFullError: (507, "storage_full"),
    MissingDependencyError: (501, "missing_dependency"),
    LsrError: (500, "failed"),
}


def failures(*statuses: int) -> Declared:
    """What a route declares of failures with these statuses."""
    return {status: declared(ErrorBody) for status in statuses}


ERRORS = failures(400, 404, 409, 413, 415, 422, 500, 503, 507)
"""What a route on an index declares of its failures."""
REFUSALS = failures(401, 403, 429)
"""What a route declares that needs a key."""
HTTP_TYPES = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "in_progress",
    412: "precondition_failed",
    413: "too_large",
    415: "unsupported_encoding",
    422: "invalid_request",
    429: "too_many_requests",
    501: "missing_dependency",
    503: "busy",
}
PUBLIC = {
    OverloadedError: "the server is busy; try again in a second",
    UnavailableError: "what the index {index!r} lies in can't be reached; try again a little "
    "later, and {log}",
    LockedError: "the index {index!r} is being written to, or was just replaced; try again in a "
    "second",
    CorruptionError: "stored bytes of the index {index!r} are damaged; {log}",
    EncoderMismatchError: "the index {index!r} was filled by another encoder than the one that is "
    "there now; {log}",
    StorageFullError: "the server's disk is full; free space there and try again",
    LsrError: "the index {index!r} can't do this now; {log}",
}
"""What clients are told of failures that aren't theirs, in place of the message for the log."""
LOG = "the server's log has the reason under the request id"
LONGEST_MESSAGE = 1000
CLIENT_GONE = 499
"""Written by nobody and read by nobody: what the connection's end makes of an answer."""


def error_response(
    request: Request,
    status: int,
    kind: str,
    message: str,
    headers: Mapping[str, str] | None = None,
    beside: Mapping[str, object] | None = None,
) -> JSONResponse:
    """``{"error": {"code", "type", "message", "request_id"}}``, with what stands beside it.

    A long message is cut.
    """
    body = error_body(request, status, kind, message)
    return JSONResponse({**body, **(beside or {})}, status_code=status, headers=headers)


def error_body(request: Request, status: int, kind: str, message: str) -> ErrorBody:
    """The JSON of an error; a long message is cut."""
    shown = message.encode("utf-8", "replace").decode()
    if len(shown) > LONGEST_MESSAGE:
        shown = f"{shown[:LONGEST_MESSAGE]} ..."
    return {
        "error": {
            "code": status,
            "type": kind,
            "message": shown,
            "request_id": request_id(request),
        }
    }


def body_of(request: Request, error: LsrError | ValidationError) -> ErrorBody:
    """The JSON of an error in a part of a request, as the whole of it would have it."""
    if isinstance(error, ValidationError):
        return error_body(request, 422, "invalid_request", _invalid(error.errors(), 0))
    return error_body(request, *_status(error), _public(request, error))


def request_id(request: Request) -> str:
    """The request's X-Request-ID where it is short and plain, else a new one."""
    if not hasattr(request.state, "request_id"):
        given = request.headers.get("x-request-id", "")
        plain = given.isascii() and given.replace("-", "").replace("_", "").isalnum()
        request.state.request_id = given if plain and len(given) <= 64 else uuid.uuid4().hex
    return str(request.state.request_id)


def add_error_handlers(app: FastAPI) -> None:
    """Give every failure of the app the one shape."""

    # Asynchronous, all of them: each would take a thread else.
    @app.exception_handler(LsrError)
    async def explained(request: Request, error: LsrError) -> JSONResponse:
        status, kind = _status(error)
        headers = {"Retry-After": "1"} if status == 503 else None
        return error_response(request, status, kind, _public(request, error), headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return error_response(request, 422, "invalid_request", _invalid(error.errors(), 1))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        kind = HTTP_TYPES.get(error.status_code, "bad_request")
        message, headers = str(error.detail), error.headers
        if message == "Not Found":
            message = f"there is nothing at {request.scope['path']}; /docs lists what there is"
        elif error.status_code == 405:
            allowed = ", ".join(methods_of(request)) or (headers or {}).get("Allow", "none")
            message = f"{request.method} is not for {request.scope['path']}; allowed are {allowed}"
            headers = {"Allow": allowed}
        return error_response(request, error.status_code, kind, message, headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=CLIENT_GONE)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        log.error("request %s failed", request_id(request), exc_info=error)
        message = f"the server failed on this request; {LOG}"
        return error_response(request, 500, "internal", message)


def _status(error: LsrError) -> tuple[int, str]:
    return STATUS[next(kind for kind in type(error).__mro__ if kind in STATUS)]


def _invalid(errors: Sequence[Any], skip: int) -> str:
    """What is wrong with a body; ``skip`` parts of each place say that it is one."""
    reasons = [
        f"{'.'.join(str(part) for part in item['loc'][skip:]) or 'body'}: "
        + item["msg"].removeprefix("Value error, ")
        for item in errors[:3]
    ]
    return f"the request is not valid ({'; '.join(reasons)}); see /docs for what is allowed"


def _public(request: Request, error: LsrError) -> str:
    """What a client is told; where that is less than the whole message, the log has it."""
    message = str(error)
    if isinstance(error, UnknownIndexError):
        return error.among(request.state.key.reaches)
    if isinstance(error, UsageError | InputError | MissingDependencyError):
        indexes: Indexes = request.app.state.indexes
        public = indexes.without_paths(message)
    else:
        kind = next(kind for kind in type(error).__mro__ if kind in PUBLIC)
        public = PUBLIC[kind].format(index=request.path_params.get("index", ""), log=LOG)
    if public != message:
        log.warning("request %s: %s", request_id(request), message)
    return public
