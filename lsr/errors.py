"""The one tree of errors that a user can meet.

    LsrError
    ├── UsageError             the caller asked for something that does not exist or is not allowed
    │   ├── NotFoundError      a named thing (file, collection, document, model) is not there
    │   └── ConflictError      a name is taken, or what is there doesn't allow what was asked for
    ├── InputError             data read from outside is malformed
    ├── EncoderMismatchError   a collection was opened with another encoder than it was built with
    ├── OverloadedError        more is asked at once than may wait; the same works a little later
    ├── LockedError            another process is writing to the collection
    ├── CorruptionError        stored bytes fail their checksum or name an unknown format
    ├── StorageFullError       the disk, or the quota, is full; what was acknowledged is safe
    ├── UnavailableError       a server can't be reached, or has no time for the request now
    ├── CollapseError          training went to vectors without terms, with all terms, or to NaN
    └── MissingDependencyError an optional package is needed; the message names the install line

Each message is one sentence that states what was given, what is allowed and what to do.
"""

from __future__ import annotations

from lsr.distribution import install_line


class LsrError(Exception):
    """Base of every error that is explained to the user instead of shown as a traceback."""


class UsageError(LsrError):
    """The caller asked for something that does not exist or is not allowed."""


class NotFoundError(UsageError):
    """A named file, collection, document or model is not there."""


class ConflictError(UsageError):
    """A name is taken, or what is there doesn't allow what was asked for."""


class InputError(LsrError):
    """Data read from outside is malformed."""


class EncoderMismatchError(LsrError):
    """A collection was opened with another encoder than it was built with."""


class UnavailableError(LsrError):
    """A server can't be reached, or has no time for the request now."""


class OverloadedError(UnavailableError):
    """More is asked at once than may wait; nothing was done."""


class LockedError(LsrError):
    """Another process holds the writer lock of the collection."""


class CorruptionError(LsrError):
    """Stored bytes fail their checksum, or their format version is unknown."""


class StorageFullError(LsrError):
    """The disk, or the user's share of it, is full; the write did not happen."""


class CollapseError(LsrError):
    """Training went to vectors without terms, to vectors of all terms, or to a loss of NaN."""


class MissingDependencyError(LsrError):
    """An optional dependency is not installed."""

    def __init__(self, feature: str, package: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the package {package!r}, which is not installed; "
            f"install it with: {install_line(extra)}"
        )
        self._parts = feature, package, extra

    def __reduce__(self) -> tuple[type[MissingDependencyError], tuple[str, str, str]]:
        return type(self), self._parts
