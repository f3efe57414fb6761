"""What a server's refusal becomes: the error of the same name, with the server's sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping

from lsr.errors import (
    ConflictError,
    CorruptionError,
    EncoderMismatchError,
    InputError,
    LockedError,
    LsrError,
    NotFoundError,
    StorageFullError,
    UnavailableError,
    UsageError,
)

LONGEST_SENTENCE = 2000
BY_TYPE: dict[str, type[LsrError]] = {
    "not_found": NotFoundError,
    "bad_request": UsageError,
    "invalid_input": InputError,
    "invalid_request": InputError,
    "malformed_json": InputError,
    "conflict": ConflictError,
    "encoder_mismatch": EncoderMismatchError,
    "locked": LockedError,
    "busy": UnavailableError,
    "unavailable": UnavailableError,
    "corrupt": CorruptionError,
    "storage_full": StorageFullError,
}
BY_STATUS: dict[int, type[LsrError]] = {
    400: UsageError,
    401: UsageError,
    403: UsageError,
    404: NotFoundError,
    405: UsageError,
    409: ConflictError,
    412: ConflictError,
    413: InputError,
    415: UsageError,
    422: InputError,
    429: UnavailableError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
    507: StorageFullError,
}


def error_of(status: int, _: Mapping[str, str], body: bytes) -> LsrError:
    """The error that an answer tells of; its notes name the request, as the server's log does."""
    told = _told(body)
    sentence = told.get("message") or (
        f"the address answered {status}, and not as lsr does; see that it is that of a server of "
        "lsr, and what stands between"
    )
    error = error_class(told.get("type", ""), status)(sentence[:LONGEST_SENTENCE])
    if request := told.get("request_id"):
        error.add_note(f"The server calls this request {request}.")
    return error


def error_class(kind: str, status: int) -> type[LsrError]:
    """The class of a type of failure, or else of a status."""
    return BY_TYPE.get(kind) or BY_STATUS.get(status, LsrError)


def error_type(body: bytes) -> str:
    """The ``type`` that an answer tells of; empty where it isn't one of lsr."""
    return _told(body).get("type", "")


def _told(body: bytes) -> dict[str, str]:
    """The strings of the usual error; none where the body is something else."""
    try:
        error = json.loads(body)["error"]
        return {name: value for name, value in error.items() if isinstance(value, str)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
