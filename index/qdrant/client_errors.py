"""What errors of qdrant-client mean, as errors of this package."""

from __future__ import annotations

from index.qdrant.address import KEY_VARIABLE
from lsr.errors import LsrError, NotFoundError, StorageFullError, UnavailableError, UsageError

# Types of errors by their names: of HTTP and gRPC, which need not both be there.
_UNREACHED = {"ResponseHandlingException", "ConnectError", "ConnectionError", "TimeoutException"}
# What Qdrant says where its disk is full.
_FULL = ("no space left", "out of disk", "available disk space")
_REFUSED = {"UNAUTHENTICATED", "PERMISSION_DENIED"}


def explained(error: Exception, name: str, where: str) -> LsrError:
    """The error of this package that says what an error of the client means."""
    status = getattr(error, "status_code", None)
    code = error.code().name if callable(getattr(error, "code", None)) else ""  # type: ignore[attr-defined]
    kinds = {each.__name__ for each in type(error).__mro__}
    if status in (401, 403) or code in _REFUSED:
        return UsageError(f"{where} refuses the key; set {KEY_VARIABLE} in the environment")
    if status == 404 or code == "NOT_FOUND" or "not found" in str(error)[:300].lower():
        return NotFoundError(f"there is no collection {name!r} at {where}; give the address of one")
    if kinds & _UNREACHED or code in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
        return UnavailableError(
            f"{where} can't be reached; is a server of Qdrant there, and is the port right?"
        )
    said = " ".join(str(error).split())[:300]
    if any(sign in said.lower() for sign in _FULL):
        return StorageFullError(
            f"the disk of {where} is full ({said}); free space there, and run the same again"
        )
    if (status is not None and status >= 500) or code in ("INTERNAL", "RESOURCE_EXHAUSTED"):
        return UnavailableError(f"{where} could not answer ({said}); try again a little later")
    return UsageError(f"{where} refuses the request ({said})")
