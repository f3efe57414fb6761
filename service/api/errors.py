"""Errors over HTTP: one table from the error tree to status codes, one JSON shape."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from lsr.errors import (
    CorruptionError,
    EncoderMismatchError,
    InputError,
    LockedError,
    LsrError,
    MissingDependencyError,
    NotFoundError,
    StorageFullError,
    UsageError,
)
from service.api.schemas.responses import ErrorBody

log = logging.getLogger(__name__)

STATUS: dict[type[LsrError], tuple[int, str]] = {
    NotFoundError: (404, "not_found"),
    UsageError: (400, "bad_request"),
    InputError: (422, "invalid_input"),
    EncoderMismatchError: (409, "encoder_mismatch"),
    LockedError: (409, "locked"),
    CorruptionError: (500, "corrupt"),
    StorageFullError: (507, "storage_full"),
    MissingDependencyError: (501, "missing_dependency"),
    LsrError: (500, "failed"),
}
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody} for status in (400, 404, 409, 413, 422, 500, 507)
}
"""What a route on an index declares of its failures."""
HTTP_TYPES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 503: "not_ready"}
# Types of failures that pass: the client is told to try again after a second.
PASSING = {"locked", "not_ready"}


def error_response(
    request: Request,
    status: int,
    kind: str,
    message: str,
    beside: Mapping[str, object] | None = None,
) -> JSONResponse:
    """``{"error": {"code", "type", "message", "request_id"}}``, with what stands beside it."""
    body: ErrorBody = {
        "error": {
            "code": status,
            "type": kind,
            "message": message,
            "request_id": request_id(request),
        }
    }
    headers = {"Retry-After": "1"} if kind in PASSING else None
    return JSONResponse({**body, **(beside or {})}, status_code=status, headers=headers)


def request_id(request: Request) -> str:
    """The request's X-Request-ID where it is short and plain, else a new one."""
    if not hasattr(request.state, "request_id"):
        given = request.headers.get("x-request-id", "")
        plain = given.isascii() and given.replace("-", "").replace("_", "").isalnum()
        request.state.request_id = given if plain and len(given) <= 64 else uuid.uuid4().hex
    return str(request.state.request_id)


def add_error_handlers(app: FastAPI) -> None:
    """Give every failure of the app the one shape."""

    @app.exception_handler(LsrError)
    def explained(request: Request, error: LsrError) -> JSONResponse:
        kind = next(kind for kind in type(error).__mro__ if kind in STATUS)
        return error_response(request, *STATUS[kind], str(error))

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        reasons = [
            f"{'.'.join(str(part) for part in item['loc'][1:]) or 'body'}: {item['msg']}"
            for item in error.errors()[:3]
        ]
        message = f"the request is not valid ({'; '.join(reasons)}); see /docs for what is allowed"
        return error_response(request, 422, "invalid_request", message)

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> JSONResponse:
        kind = HTTP_TYPES.get(error.status_code, "bad_request")
        message = str(error.detail)
        if message == "Not Found":
            message = f"there is nothing at {request.url.path}; /docs lists what there is"
        return error_response(request, error.status_code, kind, message)

    @app.exception_handler(Exception)
    def unexpected(request: Request, error: Exception) -> JSONResponse:
        log.error("request %s failed", request_id(request), exc_info=error)
        message = "the server failed on this request; its log has the reason under the request id"
        return error_response(request, 500, "internal", message)
